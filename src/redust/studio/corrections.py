"""A person's corrections of one scan: a raster of states in tiles of 256 pixels, and what each edit does to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import IntEnum
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Mask
from redust.studio.database import TILE, TileChange, TileIndex, TileStates
from redust.studio.records import Tool

States: TypeAlias = NDArray[np.uint8]
PixelBox: TypeAlias = tuple[int, int, int, int]  # x, y, width, height
Painter: TypeAlias = Callable[[States, NDArray[Any]], States]

_SUBPIXEL_BITS = 4


class PixelState(IntEnum):
    """What becomes of a pixel; the first two are no corrections."""

    untouched = 0
    automatic = 1
    by_hand = 2
    off = 3
    protected = 4


_PAINTED = {Tool.brush: PixelState.by_hand, Tool.erase: PixelState.off, Tool.protect: PixelState.protected}


class Corrections:
    """The corrections of a scan of `shape` (height, width)."""

    def __init__(self, shape: tuple[int, int], tiles: dict[TileIndex, TileStates]) -> None:
        self.shape = shape
        self.tiles = dict(tiles)

    def window(self, rows: slice, columns: slice) -> States:
        """The states of a window, (h, w) uint8: 0 where nobody has corrected."""
        states = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.uint8)
        for index, (inside, core) in self._overlaps(rows, columns):
            if index in self.tiles:
                states[inside] = self.tiles[index][core]
        return states

    def apply(self, automatic: Mask, rows: slice, columns: slice) -> States:
        """The states of a window with what is marked automatically, (h, w) bool."""
        corrected = self.window(rows, columns)
        return np.where(corrected > 0, corrected, automatic.view(np.uint8))

    def paint(self, rows: slice, columns: slice, area: NDArray[Any], painter: Painter) -> list[TileChange]:
        """The changes that a painter makes to the pixels of a window, without making them.

        Parameters
        ----------
        area : (h, w) bool or uint8
            Which pixels of the window are painted: those that are not 0.
        painter
            From the states of a piece of the window, and the area there, to its new states.
        """
        changes = []
        for index, (inside, core) in self._overlaps(rows, columns):
            if not area[inside].any():
                continue
            before = self.tiles.get(index, np.zeros((TILE, TILE), np.uint8))
            after = before.copy()
            after[core] = painter(before[core], area[inside])
            if (after != before).any():
                changes.append(TileChange(index, before, after))
        return changes

    def put(self, tiles: dict[TileIndex, TileStates]) -> None:
        """Put tiles in place of those that are there."""
        for index, states in tiles.items():
            if states.any():
                self.tiles[index] = states
            else:
                self.tiles.pop(index, None)

    def replace_all(self, replacement: dict[TileIndex, TileStates]) -> list[TileChange]:
        """The changes from all that is there to other tiles."""
        empty = np.zeros((TILE, TILE), np.uint8)
        pairs = (
            (index, self.tiles.get(index, empty), replacement.get(index, empty))
            for index in self.tiles.keys() | replacement.keys()
        )
        return [TileChange(index, before, after) for index, before, after in pairs if (before != after).any()]

    def box_of(self, index: TileIndex) -> PixelBox:
        """Where a tile lies in the scan."""
        rows, columns = self.core_of(index)
        return columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start

    def core_of(self, index: TileIndex) -> tuple[slice, slice]:
        """Rows and columns of a tile."""
        row, column = index[0] * TILE, index[1] * TILE
        return slice(row, min(row + TILE, self.shape[0])), slice(column, min(column + TILE, self.shape[1]))

    def _overlaps(
        self, rows: slice, columns: slice
    ) -> Iterator[tuple[TileIndex, tuple[tuple[slice, slice], tuple[slice, slice]]]]:
        """The tiles that a window touches: where each lies in the window, and the window in it."""
        for row in range(rows.start // TILE, -(-rows.stop // TILE)):
            for column in range(columns.start // TILE, -(-columns.stop // TILE)):
                down, down_core = _overlap(rows, row * TILE)
                across, across_core = _overlap(columns, column * TILE)
                yield (row, column), ((down, across), (down_core, across_core))


def _overlap(side: slice, start: int) -> tuple[slice, slice]:
    """A side of a window and a tile that starts at `start`: what they share, in the window and in the tile."""
    first, last = max(side.start, start), min(side.stop, start + TILE)
    return slice(first - side.start, last - side.start), slice(first - start, last - start)


def painter_of(tool: Tool) -> Painter:
    """What a tool does; none but the protect brush touches what is protected."""
    painted = _PAINTED[tool]

    def paint(states: States, area: Mask) -> States:
        touched = area if tool is Tool.protect else area & (states != PixelState.protected)
        return np.where(touched, np.uint8(painted), states)

    return paint


def paint_unprotected(states: States, area: Mask) -> States:
    """Remove protection."""
    return np.where(area & (states == PixelState.protected), np.uint8(PixelState.untouched), states)


def paint_brought_back(states: States, area: States) -> States:
    """Bring back what was dropped: an area of :class:`PixelState`, where what is automatic needs no correction."""
    return np.where(area == 0, states, np.where(area == PixelState.automatic, np.uint8(0), area))


def draw_stroke(
    points: Sequence[tuple[float, float]], radius: float, shape: tuple[int, int]
) -> tuple[slice, slice, Mask] | None:
    """Rasterise a round brush along a line: rows, columns and mask of its window; None outside the scan."""
    line = np.asarray(points, np.float64)
    window = _window_of(line, radius + 1, shape)
    if window is None:
        return None
    rows, columns = window
    drawn = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.uint8)
    shifted = _fixed_point(line - (columns.start, rows.start))
    if len(line) > 1:
        cv2.polylines(drawn, [shifted], False, 1, max(1, round(2 * radius)), cv2.LINE_8, _SUBPIXEL_BITS)
    for centre in (shifted[0, 0], shifted[-1, 0]):
        cv2.circle(drawn, centre.tolist(), round(radius * (1 << _SUBPIXEL_BITS)), 1, -1, cv2.LINE_8, _SUBPIXEL_BITS)
    return rows, columns, drawn.view(np.bool_)


def draw_polygon(points: Sequence[tuple[float, float]], shape: tuple[int, int]) -> tuple[slice, slice, Mask] | None:
    """Rasterise a filled polygon; see :func:`draw_stroke`."""
    outline = np.asarray(points, np.float64)
    window = _window_of(outline, 1, shape)
    if window is None:
        return None
    rows, columns = window
    drawn = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.uint8)
    cv2.fillPoly(drawn, [_fixed_point(outline - (columns.start, rows.start))], 1, cv2.LINE_8, _SUBPIXEL_BITS)
    return rows, columns, drawn.view(np.bool_)


def _fixed_point(points: NDArray[np.float64]) -> NDArray[np.int32]:
    return np.rint(points * (1 << _SUBPIXEL_BITS)).astype(np.int32).reshape(-1, 1, 2)


def _window_of(points: NDArray[np.float64], margin: float, shape: tuple[int, int]) -> tuple[slice, slice] | None:
    """Rows and columns around points, as far as the scan reaches; None where nothing is left."""
    low = np.maximum(np.floor(points.min(axis=0) - margin), 0).astype(int)
    high = np.minimum(np.ceil(points.max(axis=0) + margin) + 1, shape[::-1]).astype(int)
    if (high <= low).any():
        return None
    return slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))
