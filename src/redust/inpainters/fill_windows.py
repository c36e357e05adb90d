"""Cut a mask into fill windows: the masked pixels that are filled in one call of the engine, with context around them.

The mask is reduced to a grid of 8 x 8 pixel cells that hold a masked pixel. Connected cells form one window, so specks
whose surroundings overlap are filled together, no label image of the scan's size is needed, and distant specks do not
influence each other. Damage longer than 128 pixels (a hair across the frame) is cut along a fixed grid; in each window
the masked pixels of its neighbours stay masked.

An engine that is fastest on many specks at once states `Needs.per_tile` and gets square tiles with all the damage in
them instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Mask
from redust.core.engines import Needs
from redust.core.tiles import Rectangle, round_up, tiles

Box: TypeAlias = tuple[int, int, int, int]
"""First row, first column, and the row and column one past the last: top, left, bottom, right."""

_CELL = 8
_BOX_SIDE = 32  # longest side of a box of `cut_boxes`
_WINDOW_SIDE = 128  # longest side of the masked part of a window, in pixels; a multiple of the cell


@dataclass(frozen=True, eq=False)
class FillWindow:
    """A window of the scan and the masked pixels in it that are filled together.

    Parameters
    ----------
    top, left
        The window's first pixel in the scan.
    target : (h, w) bool
        The pixels to fill. Targets of different windows do not overlap.
    """

    top: int
    left: int
    target: Mask

    @property
    def window(self) -> Rectangle:
        """Rows and columns of the window in the scan."""
        height, width = self.target.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)


def cut_windows(mask: Mask, needs: Needs) -> Iterator[FillWindow]:
    """Cut a mask into windows with the context an engine needs.

    Parameters
    ----------
    mask : (H, W) bool
    needs
        Needs of the engine. Window origins are multiples of `multiple_of`; so are window sizes, except at the border
        of the scan.

    Yields
    ------
    window : FillWindow
        The targets partition the mask. Order and cuts depend on the mask alone.
    """
    return _cut_tiles(mask, needs, needs.per_tile) if needs.per_tile else _cut_connected(mask, needs)


def _cut_tiles(mask: Mask, needs: Needs, side: int) -> Iterator[FillWindow]:
    """Square tiles, each with all masked pixels in it."""
    for tile in tiles(mask.shape, side, multiple_of=needs.multiple_of):
        if mask[tile.core].any():
            yield _add_context(mask[tile.core], (tile.row, tile.column), needs, mask.shape)


def _cut_connected(mask: Mask, needs: Needs) -> Iterator[FillWindow]:
    """One or more windows per connected group of cells."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(max_pool(mask, _CELL), connectivity=8)
    step = _WINDOW_SIDE // _CELL
    for label in range(1, count):
        left, top, width, height = (int(value) for value in stats[label, :4])
        for row in _split_side(top, height, step):
            for column in _split_side(left, width, step):
                cells = np.asarray(labels[row, column] == label)
                if cells.any():
                    yield _window_of_cells(mask, cells, (row.start * _CELL, column.start * _CELL), needs)


def max_pool(mask: Mask, cell: int) -> NDArray[np.uint8]:
    """One value per square of `cell` x `cell` pixels: 1 where any pixel is masked; (ceil(H / cell), ceil(W / cell))."""
    rows = np.maximum.reduceat(mask.view(np.uint8), np.arange(0, mask.shape[0], cell), axis=0)
    return np.maximum.reduceat(rows, np.arange(0, mask.shape[1], cell), axis=1)


def _split_side(first: int, length: int, step: int) -> Iterator[slice]:
    """Split cells first..first+length-1 at the multiples of `step`, unless they fit in one step."""
    if length <= step:
        yield slice(first, first + length)
        return
    for start in range(first - first % step, first + length, step):
        yield slice(max(start, first), min(start + step, first + length))


def _window_of_cells(mask: Mask, cells: Mask, origin: tuple[int, int], needs: Needs) -> FillWindow:
    """The window of the masked pixels in `cells`, whose first pixel is `origin`."""
    top, left = origin
    inside = mask[top : top + cells.shape[0] * _CELL, left : left + cells.shape[1] * _CELL]
    target = inside & cells.repeat(_CELL, axis=0).repeat(_CELL, axis=1)[: inside.shape[0], : inside.shape[1]]
    rows, columns = np.flatnonzero(target.any(axis=1)), np.flatnonzero(target.any(axis=0))
    tight = target[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return _add_context(tight, (top + int(rows[0]), left + int(columns[0])), needs, mask.shape)


def _add_context(tight: Mask, origin: tuple[int, int], needs: Needs, shape: tuple[int, int]) -> FillWindow:
    """Add context around the masked pixels `tight`, whose first pixel is `origin`, within a scan of `shape`."""
    (top, bottom), (left, right) = (
        _widen_side(first, first + length, needs, end)
        for first, length, end in zip(origin, tight.shape, shape, strict=True)
    )
    target = np.zeros((bottom - top, right - left), np.bool_)
    row, column = origin[0] - top, origin[1] - left
    target[row : row + tight.shape[0], column : column + tight.shape[1]] = tight
    return FillWindow(top, left, target)


def _widen_side(first: int, last: int, needs: Needs, end: int) -> tuple[int, int]:
    """Widen first..last by the context, to multiples, within 0..end."""
    start = max(0, first - needs.context) // needs.multiple_of * needs.multiple_of
    return start, min(end, start + round_up(last + needs.context - start, needs.multiple_of))


def cut_boxes(mask: Mask) -> Iterator[Box]:
    """Cut the masked pixels into boxes of at most 32 x 32, at rows and columns with the fewest of them.

    Yields
    ------
    top, left, bottom, right
        Boxes that do not overlap and hold every masked pixel.
    """
    pending: list[Box] = [(0, 0, *mask.shape)]
    while pending:
        top, left, bottom, right = pending.pop()
        inside = mask[top:bottom, left:right]
        rows, columns = inside.sum(axis=1), inside.sum(axis=0)
        if not rows.any():
            continue
        (y0, y1), (x0, x1) = _nonzero_extent(rows), _nonzero_extent(columns)
        top, bottom, left, right = top + y0, top + y1, left + x0, left + x1
        if max(y1 - y0, x1 - x0) <= _BOX_SIDE:
            yield top, left, bottom, right
        elif y1 - y0 >= x1 - x0:
            cut = top + _thinnest_line(rows[y0:y1])
            pending += [(cut, left, bottom, right), (top, left, cut, right)]
        else:
            cut = left + _thinnest_line(columns[x0:x1])
            pending += [(top, cut, bottom, right), (top, left, bottom, cut)]


def _nonzero_extent(counts: NDArray[np.intp]) -> tuple[int, int]:
    """First non-zero index, and one past the last."""
    nonzero = np.flatnonzero(counts)
    return int(nonzero[0]), int(nonzero[-1]) + 1


def _thinnest_line(counts: NDArray[np.intp]) -> int:
    """Index of the line with the fewest masked pixels in the middle third; the most central of several."""
    third = len(counts) // 3
    middle = np.arange(third, len(counts) - third)
    order = np.lexsort((np.abs(2 * middle - len(counts)), counts[middle]))
    return int(middle[order[0]])
