"""How far an infrared plane lies off its picture, by phase correlation of what both show: dust, and traces of dye.

Source: C. D. Kuglin, D. C. Hines, "The Phase Correlation Image Alignment Method" (1975), as in OpenCV. Scanners that
take infrared in a pass of its own drift along the film, so it is measured in squares. A square that shows too little
of both takes the shift of the squares around it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.tiles import Tile
from redust.detectors.infrared_density import Densities, Grid, ShiftField

ReadDensity: TypeAlias = Callable[[Tile], Densities]

_SIDE = 512  # pixels
_MAX_SQUARES = 6  # along each side of the picture
_NOISE_SIGMA, _DETAIL_SIGMA = 1.0, 8.0  # pixels: the detail between these scales is correlated
_MIN_RESPONSE = 0.3  # of the peak; unrelated planes stay below
_MAX_SHIFT = 24.0  # pixels: a peak farther out is chance
_DRIFT = 0.5  # pixels: squares that differ by less have the picture's common shift
_PROBES = 6  # squares that tell whether dust is dark or bright in the picture


def measure_shift(picture: ReadDensity, plane: ReadDensity, shape: tuple[int, int]) -> ShiftField:
    """Measure the shift of a plane against a picture.

    Parameters
    ----------
    picture, plane
        Read the density of a window.
    shape : (height, width)
        Of both.

    Returns
    -------
    shift : ShiftField
        Zero where they show nothing in common.
    """
    squares, grid = _plan_squares(shape)
    probes = squares[:: max(1, len(squares) // _PROBES)]
    sign = 1.0
    if sum(_correlate(picture, plane, tile, -1.0)[1] for tile in probes) > sum(
        _correlate(picture, plane, tile, 1.0)[1] for tile in probes
    ):
        sign = -1.0
    peaks = [_correlate(picture, plane, tile, sign) for tile in squares]
    offsets = np.array([offset for offset, _ in peaks], np.float32).reshape(*grid, 2)
    clear = np.array([response >= _MIN_RESPONSE for _, response in peaks]).reshape(grid)
    clear &= np.abs(offsets).max(axis=2) <= _MAX_SHIFT
    if not clear.any():
        return ShiftField.none()
    return _smooth_field(offsets, clear, (shape[0] / grid[0], shape[1] / grid[1]))


def _plan_squares(shape: tuple[int, int]) -> tuple[list[Tile], tuple[int, int]]:
    """Squares spread evenly over a picture, row by row, and how many rows and columns of them."""
    side = min(_SIDE, *shape)
    rows, columns = (min(_MAX_SQUARES, max(1, length // side)) for length in shape)
    squares = []
    for row in range(rows):
        for column in range(columns):
            top = int((row + 0.5) * shape[0] / rows - side / 2)
            left = int((column + 0.5) * shape[1] / columns - side / 2)
            squares.append(Tile(top, left, side, side, top, left, top + side, left + side))
    return squares, (rows, columns)


def _correlate(picture: ReadDensity, plane: ReadDensity, tile: Tile, sign: float) -> tuple[tuple[float, float], float]:
    """Shift (down, right) of the plane in a square, and how clear the peak is."""
    side = tile.height
    hanning = cv2.createHanningWindow((side, side), cv2.CV_32F)
    (right, down), response = cv2.phaseCorrelate(
        np.float32(sign) * _detail(picture(tile)), _detail(plane(tile)), hanning
    )
    return (down, right), response


def _detail(density: Densities) -> NDArray[np.float32]:
    smooth = cv2.GaussianBlur(density, (0, 0), _NOISE_SIGMA)
    return np.asarray(smooth - cv2.GaussianBlur(density, (0, 0), _DETAIL_SIGMA), np.float32)


def _smooth_field(offsets: NDArray[np.float32], clear: NDArray[np.bool_], sides: tuple[float, float]) -> ShiftField:
    """The median of the clear squares around each; their common median where nothing drifts."""
    common = np.median(offsets[clear], axis=0)
    filled = np.where(clear[..., None], offsets, common)
    local = np.stack([_median_of_neighbours(filled[..., axis]) for axis in range(2)], axis=2)
    if np.abs(local - common).max() < _DRIFT:
        local = np.broadcast_to(common, (1, 1, 2))
    return ShiftField(local[..., 0].astype(np.float32), local[..., 1].astype(np.float32), sides)


def _median_of_neighbours(grid: Grid) -> Grid:
    padded = np.pad(grid, 1, mode="edge")
    return np.asarray(np.median(np.lib.stride_tricks.sliding_window_view(padded, (3, 3)), axis=(2, 3)))
