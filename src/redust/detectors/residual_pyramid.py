"""What stands out from its surroundings, at six scales, in units of the local noise.

The logarithm of light, in which dirt on glass or a sensor is the same over bright and dark scenes, is compared with its
median over 5 x 5 cells; the median, shrunk to half its size, is the next scale. A mark is thus in the residual of the
scale at which the median removes it, and hardly in that of another: the straight edges of a scene are in none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Pixels, check_pixels, full_scale
from redust.core.tiles import bands

Residuals: TypeAlias = NDArray[np.float32]

MAX_CELLS = 8_000_000
"""Cells of the finest scale: larger scans are shrunk by a whole number."""

_SCALES = 6
_MIN_SIDE = 24  # cells
_DARK = 0.02  # of full light, added before the logarithm: the noise of black is no contrast
_NOISE_FLOOR = 0.003  # log light: what differs less counts as differing so much
_NOISE_SIDES = (31, 31, 15, 15, 15, 15)  # cells of the square in which noise is measured
_SIGMA = 1.25  # standard deviations in a mean absolute deviation
_BAND = 512  # rows of cells


def cell_side(shape: tuple[int, int]) -> int:
    """The pixels of a scan of `shape` (height, width) along a cell of the finest scale."""
    return max(1, int(np.ceil(np.sqrt(shape[0] * shape[1] / MAX_CELLS))))


def scale_shapes(shape: tuple[int, int]) -> list[tuple[int, int]]:
    """The (rows, columns) of cells at each scale of a scan of `shape` (height, width), the finest first."""
    side = cell_side(shape)
    rows, columns = shape[0] // side, shape[1] // side
    shapes = []
    for _ in range(_SCALES):
        if min(rows, columns) < _MIN_SIDE:
            break
        shapes.append((rows, columns))
        rows, columns = (rows + 1) // 2, (columns + 1) // 2
    return shapes


def iter_residuals(pixels: Pixels) -> Iterator[tuple[Residuals, Residuals]]:
    """The residuals of a scan at each scale, the finest first, with the light that they are residuals of.

    Parameters
    ----------
    pixels : (H, W, C) uint8, uint16 or float32

    Yields
    ------
    residuals : float32, of the shapes of :func:`scale_shapes`
        Above 0 where a cell is brighter than its surroundings, in standard deviations of the noise around it.
    light : float32, of the same shapes
        Its logarithm, -3.9..0.02, without what finer scales have as residuals.
    """
    check_pixels(pixels)
    shapes = scale_shapes((pixels.shape[0], pixels.shape[1]))
    light = _log_light(pixels) if shapes else np.empty((0, 0), np.float32)
    for side, shape in zip(_NOISE_SIDES, shapes, strict=False):
        if light.shape != shape:
            light = np.asarray(cv2.resize(light, shape[::-1], interpolation=cv2.INTER_AREA), np.float32)
        median = np.asarray(cv2.medianBlur(light, 5), np.float32)
        residual = light - median
        noise = np.maximum(cv2.blur(np.abs(residual), (side, side)) * np.float32(_SIGMA), np.float32(_NOISE_FLOOR))
        yield np.asarray(residual / noise, np.float32), light
        light = median


def _log_light(pixels: Pixels) -> Residuals:
    """The mean logarithm of the channels, shrunk to cells."""
    side, (height, width) = cell_side((pixels.shape[0], pixels.shape[1])), pixels.shape[:2]
    rows, columns = height // side, width // side
    light, scale = np.empty((rows, columns), np.float32), np.float32(1 / full_scale(pixels.dtype))
    for band in bands(rows, _BAND):
        cells = pixels[band.start * side : band.stop * side, : columns * side]
        size = columns, band.stop - band.start
        small = cv2.resize(np.ascontiguousarray(cells), size, interpolation=cv2.INTER_AREA).reshape(*size[::-1], -1)
        bright = np.nan_to_num(small.astype(np.float32), posinf=0, neginf=0) * scale
        light[band] = np.log(np.maximum(bright, 0) + np.float32(_DARK)).mean(axis=2)
    return light
