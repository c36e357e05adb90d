"""Holes that are wider than an engine's context: coarse to fine.

A pixel farther from sound pixels than the engine's context would be filled from nothing. Such cores are filled first,
by interpolation from a copy of half the size (recursively), and then count as sound. So the work grows linearly with
the damaged area, and every window contains sound pixels.

No array is of the scan's size, only cells and windows: cores are located in bands and computed within their boxes.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Mask, Pixels
from redust.core.tiles import Rectangle, bands, widen
from redust.inpainters.fill_windows import max_pool

_CELL = 64  # pixels: cores nearer than this are filled together
_BAND = 16 * _CELL  # rows


def erode_to_core(hole: Mask, reach: int) -> Mask:
    """The pixels of `hole` with no sound pixel within `reach` rows and columns.

    Parameters
    ----------
    hole : (H, W) bool
    reach : pixels

    Returns
    -------
    core : (H, W) bool
    """
    square = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    return cv2.erode(hole.view(np.uint8), square).view(np.bool_)


def core_in_box(hole: Mask, box: Rectangle, reach: int) -> Mask:
    """`erode_to_core(hole, reach)` within a box (rows, columns), computed there only."""
    window, inner = widen(box, reach, hole.shape)
    return erode_to_core(hole[window], reach)[inner]


def wide_windows(hole: Mask, reach: int) -> Iterator[tuple[Rectangle, Rectangle]]:
    """Locate the cores of wide holes, so that only their surroundings are downsampled and not the frame.

    Parameters
    ----------
    hole : (H, W) bool
    reach : pixels
        As for `erode_to_core`.

    Yields
    ------
    box : (rows, columns)
        The bounding box of a core; it starts at multiples of 64. Every core pixel is in a box.
    window : (rows, columns)
        The box with a margin as wide as itself, and at least 16 times the reach.
    """
    cells = _core_cells(hole, reach)
    if not cells.any():
        return
    count, _, boxes, _ = cv2.connectedComponentsWithStats(cells, connectivity=8)
    for left, top, wide, tall, _ in (boxes[1:count] * _CELL).tolist():
        margin = max(wide, tall, 16 * reach)
        rows, columns = (
            slice(first, min(length, first + size))
            for first, size, length in zip((top, left), (tall, wide), hole.shape, strict=True)
        )
        yield (rows, columns), widen((rows, columns), margin, hole.shape)[0]


def _core_cells(hole: Mask, reach: int) -> NDArray[np.uint8]:
    """One value per square of 64 x 64 pixels: 1 where it contains a core pixel."""
    cells = np.zeros((-(-hole.shape[0] // _CELL), -(-hole.shape[1] // _CELL)), np.uint8)
    for rows in bands(hole.shape[0], _BAND):
        core = core_in_box(hole, (rows, slice(0, hole.shape[1])), reach)
        cells[rows.start // _CELL : -(-rows.stop // _CELL)] = max_pool(core, _CELL)
    return cells


def downsample_hole(pixels: Pixels, hole: Mask) -> tuple[Pixels, Mask]:
    """Pixels and hole at half the size: the mean of the sound pixels of each 2 x 2, a hole where there is none.

    Parameters
    ----------
    pixels : (H, W, C)
    hole : (H, W) bool

    Returns
    -------
    pixels : (ceil(H / 2), ceil(W / 2), C), dtype of `pixels`
    hole : (ceil(H / 2), ceil(W / 2)) bool
    """
    height, width = (-(-side // 2) for side in hole.shape)
    half, half_hole = np.empty((height, width, pixels.shape[2]), pixels.dtype), np.empty((height, width), np.bool_)
    for rows in bands(height):
        twice = slice(2 * rows.start, 2 * rows.stop)
        half[rows], half_hole[rows] = _downsample_band(pixels[twice], hole[twice])
    return half, half_hole


def _downsample_band(pixels: Pixels, hole: Mask) -> tuple[Pixels, Mask]:
    height, width = (-(-side // 2) for side in hole.shape)
    total = np.zeros((height, width, pixels.shape[2]), np.float32)
    count = np.zeros((height, width, 1), np.float32)
    for row in (0, 1):
        for column in (0, 1):
            sound = ~hole[row::2, column::2, None]
            phase = pixels[row::2, column::2]
            block = slice(0, phase.shape[0]), slice(0, phase.shape[1])
            np.add(total[block], phase, out=total[block], where=sound)
            count[block] += sound
    mean = total / np.maximum(count, 1)
    return (mean if pixels.dtype == np.float32 else np.rint(mean).astype(pixels.dtype)), count[..., 0] == 0


def upsample_window(pixels: Pixels, window: Rectangle) -> Pixels:
    """A window of `pixels` at twice the size, by bilinear interpolation.

    Parameters
    ----------
    pixels : (h, w, C)
        At half the size.
    window : (rows, columns)
        In pixels of the full size.

    Returns
    -------
    enlarged : (rows, columns, C), dtype of `pixels`
    """
    rows, columns = (_linear_weights(side, length) for side, length in zip(window, pixels.shape[:2], strict=True))
    tall = _blend_linearly(pixels[rows[0]], pixels[rows[1]], rows[2][:, None, None])
    wide = _blend_linearly(tall[:, columns[0]], tall[:, columns[1]], columns[2][None, :, None])
    return wide.astype(pixels.dtype) if pixels.dtype == np.float32 else np.rint(wide).astype(pixels.dtype)


def _linear_weights(side: slice, length: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """For each full-size pixel its two neighbours at half the size, and the weight of the second."""
    position = (np.arange(side.start, side.stop) - 0.5) / 2
    first = np.floor(position).astype(np.intp)
    return np.clip(first, 0, length - 1), np.clip(first + 1, 0, length - 1), position - first


def _blend_linearly(first: Pixels, second: Pixels, weight: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(first * (1 - weight) + second * weight)
