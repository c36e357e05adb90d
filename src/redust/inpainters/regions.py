"""Which masked pixels are filled together, and what the engine sees around them.

The mask is looked at through a coarse grid: cells of 8 x 8 pixels that hold a masked pixel, and cells
touching each other, make a region. So specks whose surroundings overlap are filled together, no label
image of the scan's size is needed, and specks far apart never influence each other. A region that is
larger than a segment (a hair across the frame) is cut along a fixed grid; each segment sees its
neighbours' masked pixels as masked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Mask

_CELL = 8


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
    def window(self) -> tuple[slice, slice]:
        """The window's place in the scan."""
        height, width = self.target.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)


def coarse(mask: Mask) -> NDArray[np.uint8]:
    """One value per cell of 8 x 8 pixels: 1 where any of them is masked."""
    rows = np.maximum.reduceat(mask.view(np.uint8), np.arange(0, mask.shape[0], _CELL), axis=0)
    return np.maximum.reduceat(rows, np.arange(0, mask.shape[1], _CELL), axis=1)


def regions(mask: Mask, *, context: int, segment: int = 128) -> Iterator[Region]:
    """Cut a mask into regions with context.

    Parameters
    ----------
    mask : (H, W) bool
    context : pixels
        How far the window reaches beyond the region's masked pixels, where the scan does.
    segment : pixels
        Longest side of the masked part of a region; a multiple of 8.

    Yields
    ------
    region : Region
        Their targets partition the mask. Order and cut depend on the mask alone.
    """
    count, labels, stats, _ = cv2.connectedComponentsWithStats(coarse(mask), connectivity=8)
    step = segment // _CELL
    for label in range(1, count):
        left, top, width, height = (int(value) for value in stats[label, :4])
        for row in _cuts(top, height, step):
            for column in _cuts(left, width, step):
                found = _region(mask, labels[row, column] == label, (row.start, column.start), context)
                if found is not None:
                    yield found


def _cuts(first: int, length: int, step: int) -> Iterator[slice]:
    """Split cells first..first+length-1 at the multiples of `step`, unless they fit in one step."""
    if length <= step:
        yield slice(first, first + length)
        return
    for start in range(first - first % step, first + length, step):
        yield slice(max(start, first), min(start + step, first + length))


def _region(mask: Mask, cells: Mask, origin: tuple[int, int], context: int) -> Region | None:
    """The region of the masked pixels in `cells`, whose first cell is `origin`; None if there are none."""
    top, left = origin[0] * _CELL, origin[1] * _CELL
    inside = mask[top : top + cells.shape[0] * _CELL, left : left + cells.shape[1] * _CELL]
    own = inside & cells.repeat(_CELL, axis=0).repeat(_CELL, axis=1)[: inside.shape[0], : inside.shape[1]]
    rows, columns = np.flatnonzero(own.any(axis=1)), np.flatnonzero(own.any(axis=0))
    if not rows.size:
        return None
    y0, y1 = top + int(rows[0]), top + int(rows[-1]) + 1
    x0, x1 = left + int(columns[0]), left + int(columns[-1]) + 1
    above, before = max(0, y0 - context), max(0, x0 - context)
    target = np.zeros((min(mask.shape[0], y1 + context) - above, min(mask.shape[1], x1 + context) - before), np.bool_)
    target[y0 - above : y1 - above, x0 - before : x1 - before] = own[y0 - top : y1 - top, x0 - left : x1 - left]
    return Region(above, before, target)
