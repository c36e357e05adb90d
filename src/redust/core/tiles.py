"""Geometry of tiles and bands. An answer computed by these tiles does not depend on their size.

A tile's core is cropped out of a larger window: the core plus a halo of at least the network's
receptive radius on each side, its origin on a multiple of the network's stride. Then every core
pixel has the same neighbourhood as in the full picture (blending overlaps would not do that).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Rectangle: TypeAlias = tuple[slice, slice]
"""Rows and columns of a rectangle in a picture: what an array is indexed with."""


def round_up(value: int, step: int) -> int:
    """The smallest multiple of `step` that is at least `value`."""
    return -(-value // step) * step


@dataclass(frozen=True)
class Tile:
    """One tile: its core in the picture, and the window an engine sees.

    Parameters
    ----------
    row, column, height, width
        The core. Cores partition the picture.
    top, left, bottom, right
        The window, in picture coordinates; it may reach beyond the picture, where the border is repeated.
    """

    row: int
    column: int
    height: int
    width: int
    top: int
    left: int
    bottom: int
    right: int

    @property
    def core(self) -> Rectangle:
        """Rows and columns of the core in the picture."""
        return slice(self.row, self.row + self.height), slice(self.column, self.column + self.width)

    @property
    def core_in_window(self) -> Rectangle:
        """Rows and columns of the core in the window."""
        row, column = self.row - self.top, self.column - self.left
        return slice(row, row + self.height), slice(column, column + self.width)

    def enlarged(self, smallest: int) -> Tile:
        """The same tile, its window extended down and right to at least `smallest` pixels each way."""
        bottom, right = max(self.bottom, self.top + smallest), max(self.right, self.left + smallest)
        return replace(self, bottom=bottom, right=right)


def tiles(shape: tuple[int, int], side: int, *, halo: int = 0, multiple_of: int = 1) -> Iterator[Tile]:
    """Cut a picture into tiles.

    Parameters
    ----------
    shape : (height, width)
    side
        Core height and width in pixels; rounded up to a multiple of `multiple_of`.
    halo
        Pixels seen beyond the core on each side; rounded up to a multiple of `multiple_of`.
    multiple_of
        Window origins and sizes are multiples of this.

    Yields
    ------
    tile : Tile
        Row by row; the cores cover each pixel once.

    Raises
    ------
    ValueError
        If `side` or `multiple_of` is below 1, or `halo` below 0.
    """
    if side < 1 or multiple_of < 1 or halo < 0:
        raise ValueError(f"no tiles of side {side} with a halo of {halo} at multiples of {multiple_of}")
    side, halo = round_up(side, multiple_of), round_up(halo, multiple_of)
    height, width = shape
    for row in range(0, height, side):
        for column in range(0, width, side):
            tall, wide = min(side, height - row), min(side, width - column)
            yield Tile(
                row, column, tall, wide,
                row - halo, column - halo,
                row + round_up(tall, multiple_of) + halo, column + round_up(wide, multiple_of) + halo,
            )  # fmt: skip


def bands(height: int, rows: int = 512) -> Iterator[slice]:
    """Cut `height` rows into slices of at most `rows`, from the top: no temporary array is of the scan's size."""
    for top in range(0, height, rows):
        yield slice(top, min(top + rows, height))


def with_margin(side: slice, margin: int, length: int) -> tuple[slice, slice]:
    """`side` of a box widened by `margin` as far as the picture reaches, and where `side` lies in that.

    >>> with_margin(slice(5, 8), 3, 10)
    (slice(2, 10, None), slice(3, 6, None))
    """
    first = max(0, side.start - margin)
    return slice(first, min(length, side.stop + margin)), slice(side.start - first, side.stop - first)


def widen(rectangle: Rectangle, margin: int, shape: tuple[int, ...]) -> tuple[Rectangle, Rectangle]:
    """A rectangle widened by `margin` as far as the picture (height, width, ...) reaches, and where it lies in that."""
    (rows, core_rows), (columns, core_columns) = (
        with_margin(side, margin, length) for side, length in zip(rectangle, shape[:2], strict=True)
    )
    return (rows, columns), (core_rows, core_columns)


def mirrored(first: int, last: int, length: int) -> NDArray[np.intp]:
    """Indices first..last-1 with what lies outside 0..length-1 mirrored in, edge not repeated.

    Works for any distance (also beyond one reflection) and for length 1.

    >>> mirrored(-2, 5, 3).tolist()
    [2, 1, 0, 1, 2, 1, 0]
    """
    if length == 1:
        return np.zeros(last - first, dtype=np.intp)
    period = 2 * (length - 1)
    index = np.abs(np.arange(first, last)) % period
    inside: NDArray[np.intp] = np.minimum(index, period - index)
    return inside


def window(pixels: NDArray[np.generic], tile: Tile) -> NDArray[np.generic]:
    """The window of `tile` out of `pixels` (H, W, ...): a view inside, a copy at the borders.

    Beyond the border its nearest pixel is repeated. Mirroring would turn the dark rim of a film frame into a line
    with two flanks, which is what a scratch looks like.
    """
    height, width = pixels.shape[:2]
    if tile.top >= 0 and tile.left >= 0 and tile.bottom <= height and tile.right <= width:
        return pixels[tile.top : tile.bottom, tile.left : tile.right]
    rows, above_and_below = _within(tile.top, tile.bottom, height)
    columns, left_and_right = _within(tile.left, tile.right, width)
    beyond = [above_and_below, left_and_right, *[(0, 0)] * (pixels.ndim - 2)]
    return np.pad(pixels[rows, columns], beyond, mode="edge")


def _within(first: int, last: int, length: int) -> tuple[slice, tuple[int, int]]:
    """The part of first..last that lies within 0..length, its nearest end if none does, and what is missing around.

    >>> _within(-2, 5, 3)
    (slice(0, 3, None), (2, 2))
    >>> _within(-9, -6, 3)
    (slice(0, 1, None), (2, 0))
    """
    start = min(max(first, 0), length - 1)
    stop = max(min(last, length), start + 1)
    before = min(max(-first, 0), last - first - 1)
    return slice(start, stop), (before, last - first - (stop - start) - before)
