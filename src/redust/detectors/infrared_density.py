"""Optical density of a picture and of its infrared plane, in step with each other, window by window.

Dust, dyes and silver multiply light, so their logarithms add: all that infrared tells is measured in density (base 10).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Mask, Pixels, Plane, full_scale
from redust.core.infrared import InfraredPlane
from redust.core.tiles import Rectangle, Tile, tiles, window

Densities: TypeAlias = NDArray[np.float32]
Grid: TypeAlias = NDArray[np.float32]

SIDE = 1024  # pixels: of a window; it does not change the answer
_DARKEST = 1 / 4096  # light: darker counts as this dark
_MIN_SHIFT = 0.05  # pixels: less is not worth an interpolation
_ASPECT_TOLERANCE = 0.01


def to_density(light: Plane) -> Densities:
    """Density (base 10) of light (h, w): 0 at full scale, 3.6 at most."""
    if light.dtype == np.float32:
        return np.asarray(-np.log10(np.maximum(np.nan_to_num(light), np.float32(_DARKEST))), np.float32)
    return np.asarray(_density_table(light.dtype)[light])


@lru_cache(maxsize=4)
def _density_table(dtype: np.dtype[np.generic]) -> Densities:
    full = full_scale(dtype)
    levels = np.arange(int(full) + 1, dtype=np.float32) / np.float32(full)
    return np.asarray(-np.log10(np.maximum(levels, np.float32(_DARKEST))), np.float32)


def fits_scale(plane: tuple[int, int], picture: tuple[int, int]) -> bool:
    """Whether two sizes (height, width) are those of one area at two scales.

    >>> fits_scale((2000, 3000), (1000, 1501)), fits_scale((2000, 3000), (3000, 2000))
    (True, False)
    """
    down, across = plane[0] / picture[0], plane[1] / picture[1]
    return abs(down / across - 1) <= _ASPECT_TOLERANCE


def fit_to_picture(infrared: InfraredPlane, shape: tuple[int, int]) -> InfraredPlane:
    """The plane, and what belongs to it, resampled to the size of a picture (height, width)."""
    if infrared.shape == shape:
        return infrared
    red, valid = infrared.red, infrared.valid
    return replace(
        infrared,
        plane=_resample(infrared.plane, shape),
        red=None if red is None else _resample(red, shape),
        valid=None if valid is None else _resample(valid.view(np.uint8), shape).astype(np.bool_),
    )


def _resample(plane: Plane, shape: tuple[int, int]) -> Plane:
    shrinks = shape[0] < plane.shape[0]
    size = shape[1], shape[0]
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR))


@dataclass(frozen=True, eq=False)
class ShiftField:
    """By how much a plane lies off the picture: pixels down and right, on a grid of squares.

    Parameters
    ----------
    down, right : (rows, columns) float32
        At the middle of each square of the picture.
    sides
        (height, width) of a square, in pixels.
    """

    down: Grid
    right: Grid
    sides: tuple[float, float]

    @classmethod
    def none(cls) -> ShiftField:
        """No shift anywhere."""
        zero = np.zeros((1, 1), np.float32)
        return cls(zero, zero, (SIDE, SIDE))

    def __add__(self, second: ShiftField) -> ShiftField:
        if self.down.shape != second.down.shape:
            first, second = (self, second) if self.down.size > second.down.size else (second, self)
            return ShiftField(first.down + second.down.mean(), first.right + second.right.mean(), first.sides)
        return ShiftField(self.down + second.down, self.right + second.right, self.sides)

    def median(self) -> tuple[float, float]:
        """The shift (down, right) of half the picture at most."""
        return float(np.median(self.down)), float(np.median(self.right))

    @property
    def reach(self) -> int:
        """The largest shift, in whole pixels."""
        return int(np.ceil(max(np.abs(self.down).max(), np.abs(self.right).max())))

    def sample(self, plane: Plane, tile: Tile) -> Plane:
        """The window of a tile out of a plane, moved back onto the picture."""
        if max(np.abs(self.down).max(), np.abs(self.right).max()) < _MIN_SHIFT:
            return np.asarray(window(plane, tile))
        margin = self.reach + 2
        wide = replace(
            tile, top=tile.top - margin, left=tile.left - margin, bottom=tile.bottom + margin, right=tile.right + margin
        )
        rows, columns = np.arange(tile.top, tile.bottom), np.arange(tile.left, tile.right)
        down = interpolate_grid(self.down, self.sides, rows, columns) + (rows - wide.top).astype(np.float32)[:, None]
        right = interpolate_grid(self.right, self.sides, rows, columns) + (columns - wide.left).astype(np.float32)
        source = np.ascontiguousarray(window(plane, wide))
        return np.asarray(cv2.remap(source, right, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def interpolate_grid(
    grid: Grid, sides: tuple[float, float], rows: NDArray[np.intp], columns: NDArray[np.intp]
) -> Densities:
    """Values of a grid of squares at some rows and columns, interpolated bilinearly: (rows, columns) float32."""
    above, below, down = _neighbours(rows, sides[0], grid.shape[0])
    strips = grid[above] + (grid[below] - grid[above]) * down[:, None]
    left, right, across = _neighbours(columns, sides[1], grid.shape[1])
    return np.asarray(strips[:, left] + (strips[:, right] - strips[:, left]) * across, np.float32)


def _neighbours(
    positions: NDArray[np.intp], side: float, count: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """The two squares between whose middles each position lies along one axis, and the weight of the second."""
    exact = np.clip((positions + 0.5) / side - 0.5, 0, count - 1)
    first = exact.astype(np.intp)
    return first, np.minimum(first + 1, count - 1), (exact - first).astype(np.float32)


@dataclass(frozen=True, eq=False)
class AlignedDensities:
    """Densities of infrared and of red light, registered with the picture.

    Parameters
    ----------
    pixels : (H, W, C) uint8, uint16 or float32
        The picture.
    infrared
        Of the picture's size.
    shift
        Of the infrared plane against the picture.
    red_shift
        Of the plane's own red light, if it has any.
    """

    pixels: Pixels
    infrared: InfraredPlane
    shift: ShiftField
    red_shift: ShiftField

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        return self.pixels.shape[0], self.pixels.shape[1]

    def windows(self, halo: int) -> Iterator[Tile]:
        """Tiles over the picture, each with a halo."""
        return tiles(self.shape, SIDE, halo=halo)

    def infrared_density(self, tile: Tile) -> Densities:
        """Of a tile's window."""
        return to_density(self.shift.sample(self.infrared.plane, tile))

    def red_density(self, tile: Tile) -> Densities:
        """Of a tile's window: the light of the scan that the plane belongs to."""
        if self.infrared.red is None:
            return to_density(np.ascontiguousarray(window(self.pixels[..., 0], tile)))
        return to_density(self.red_shift.sample(self.infrared.red, tile))

    def invalid(self, core: Rectangle) -> Mask | None:
        """Where the plane was not measured; None if it was everywhere."""
        return None if self.infrared.valid is None else ~self.infrared.valid[core]


def density_step(plane: Plane) -> float:
    """Density that one step of a plane is worth at its median; 0 for float."""
    if plane.dtype == np.float32:
        return 0.0
    level = max(float(np.median(plane[::8, ::8])), 1.0)
    return float(np.log10(1 + 1 / level))
