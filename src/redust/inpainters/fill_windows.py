"""Which masked pixels are filled together, and what the engine sees around them.

The mask is looked at through a coarse grid: cells of 8 x 8 pixels that hold a masked pixel, and cells
touching each other, make a region. So specks whose surroundings overlap are filled together, no label
image of the scan's size is needed, and specks far apart never influence each other. A region that is
larger than a segment (a hair across the frame) is cut along a fixed grid; each segment sees its
neighbours' masked pixels as masked.

An engine that is quickest on many specks at once says so (`Needs.per_tile`) and gets squares of the scan
with all the damage in them instead.
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
from redust.core.tiles import Place, round_up, tiles

Box: TypeAlias = tuple[int, int, int, int]
"""A piece's first row and column, and those one past its last."""

_CELL = 8
_PIECE = 32  # longest side of a piece
_SEGMENT = 128  # longest side of the masked part of a region, in pixels; a multiple of the cell


@dataclass(frozen=True, eq=False)
class Region:
    """Masked pixels that are filled together.

    Parameters
    ----------
    top, left
        The window's first pixel in the scan.
    target : (h, w) bool
        The pixels of the window to be filled: its own, none of another region.
    """

    top: int
    left: int
    target: Mask

    @property
    def window(self) -> Place:
        """The window's place in the scan."""
        height, width = self.target.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)


def regions(mask: Mask, needs: Needs) -> Iterator[Region]:
    """Cut a mask into regions with the context an engine needs.

    Parameters
    ----------
    mask : (H, W) bool
    needs
        Of the engine. Window origins are multiples of its `multiple_of`, and so are window sizes but where
        the scan ends.

    Yields
    ------
    region : Region
        Their targets partition the mask. Order and cut depend on the mask alone.
    """
    return _tiles(mask, needs, needs.per_tile) if needs.per_tile else _connected(mask, needs)


def _tiles(mask: Mask, needs: Needs, side: int) -> Iterator[Region]:
    """Squares with all that is masked in them."""
    for tile in tiles(mask.shape, side, multiple_of=needs.multiple_of):
        if mask[tile.core].any():
            yield _region(mask[tile.core], (tile.row, tile.column), needs, mask.shape)


def _connected(mask: Mask, needs: Needs) -> Iterator[Region]:
    """Connected damage, in segments."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(coarse(mask, _CELL), connectivity=8)
    step = _SEGMENT // _CELL
    for label in range(1, count):
        left, top, width, height = (int(value) for value in stats[label, :4])
        for row in _cuts(top, height, step):
            for column in _cuts(left, width, step):
                cells = np.asarray(labels[row, column] == label)
                if cells.any():
                    yield _segment(mask, cells, (row.start * _CELL, column.start * _CELL), needs)


def coarse(mask: Mask, cell: int) -> NDArray[np.uint8]:
    """One value per square of `cell` x `cell` pixels: 1 where any of them is masked."""
    rows = np.maximum.reduceat(mask.view(np.uint8), np.arange(0, mask.shape[0], cell), axis=0)
    return np.maximum.reduceat(rows, np.arange(0, mask.shape[1], cell), axis=1)


def _cuts(first: int, length: int, step: int) -> Iterator[slice]:
    """Split cells first..first+length-1 at the multiples of `step`, unless they fit in one step."""
    if length <= step:
        yield slice(first, first + length)
        return
    for start in range(first - first % step, first + length, step):
        yield slice(max(start, first), min(start + step, first + length))


def _segment(mask: Mask, cells: Mask, origin: tuple[int, int], needs: Needs) -> Region:
    """The region of the masked pixels in `cells`, whose first pixel is `origin`."""
    top, left = origin
    inside = mask[top : top + cells.shape[0] * _CELL, left : left + cells.shape[1] * _CELL]
    own = inside & cells.repeat(_CELL, axis=0).repeat(_CELL, axis=1)[: inside.shape[0], : inside.shape[1]]
    rows, columns = np.flatnonzero(own.any(axis=1)), np.flatnonzero(own.any(axis=0))
    tight = own[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return _region(tight, (top + int(rows[0]), left + int(columns[0])), needs, mask.shape)


def _region(own: Mask, origin: tuple[int, int], needs: Needs, shape: tuple[int, int]) -> Region:
    """Put context around the pixels `own`, the first of which is at `origin`, as far as the scan reaches."""
    (top, bottom), (left, right) = (
        _reach(first, first + length, needs, end) for first, length, end in zip(origin, own.shape, shape, strict=True)
    )
    target = np.zeros((bottom - top, right - left), np.bool_)
    row, column = origin[0] - top, origin[1] - left
    target[row : row + own.shape[0], column : column + own.shape[1]] = own
    return Region(top, left, target)


def _reach(first: int, last: int, needs: Needs, end: int) -> tuple[int, int]:
    """Widen first..last by the context, to multiples, within 0..end."""
    start = max(0, first - needs.context) // needs.multiple_of * needs.multiple_of
    return start, min(end, start + round_up(last + needs.context - start, needs.multiple_of))


def pieces(mask: Mask) -> Iterator[Box]:
    """Cut the masked pixels into pieces of at most 32 x 32, where they are thinnest.

    Yields
    ------
    top, left, bottom, right
        Boxes that do not overlap; every masked pixel is in one.
    """
    todo: list[Box] = [(0, 0, *mask.shape)]
    while todo:
        top, left, bottom, right = todo.pop()
        inside = mask[top:bottom, left:right]
        rows, columns = inside.sum(axis=1), inside.sum(axis=0)
        if not rows.any():
            continue
        (y0, y1), (x0, x1) = _extent(rows), _extent(columns)
        top, bottom, left, right = top + y0, top + y1, left + x0, left + x1
        if max(y1 - y0, x1 - x0) <= _PIECE:
            yield top, left, bottom, right
        elif y1 - y0 >= x1 - x0:
            cut = top + _thinnest(rows[y0:y1])
            todo += [(cut, left, bottom, right), (top, left, cut, right)]
        else:
            cut = left + _thinnest(columns[x0:x1])
            todo += [(top, cut, bottom, right), (top, left, bottom, cut)]


def _extent(counts: NDArray[np.intp]) -> tuple[int, int]:
    """First non-zero index, and one past the last."""
    found = np.flatnonzero(counts)
    return int(found[0]), int(found[-1]) + 1


def _thinnest(counts: NDArray[np.intp]) -> int:
    """Where to cut: the line with the fewest masked pixels in the middle third, the most central of them."""
    third = len(counts) // 3
    middle = np.arange(third, len(counts) - third)
    order = np.lexsort((np.abs(2 * middle - len(counts)), counts[middle]))
    return int(middle[order[0]])
