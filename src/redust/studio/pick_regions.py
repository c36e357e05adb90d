"""What a click or a rectangle means: the region under a point, and what was missed inside a box."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np

from redust.core.arrays import Mask, Pixels
from redust.core.logits import LogitBins
from redust.decision.candidates import measure_tone, top_hats
from redust.decision.sensitivity_steps import LAST_STEP, MarkedSteps, candidates_at

_REACH = 6  # pixels beside a region within which a click still means it
_FIRST_HALF = 128  # half the side of the window that is searched first
_STEP_STRIDE, _BIN_STRIDE = 5, 5
_LOWEST_BIN = 15
_HAT_WIDTH = 9
_CONTRASTS = (8.0, 6.0, 5.0, 4.0, 3.5, 3.0, 2.5, 2.0)  # units of the local noise
_MIN_AREA = 2  # pixels


def find_region(
    read_area: Callable[[slice, slice], Mask], x: float, y: float, shape: tuple[int, int]
) -> tuple[slice, slice, Mask] | None:
    """The connected region of an area at a point, or within 6 pixels of it.

    Parameters
    ----------
    read_area
        The area's mask in a window of rows and columns.
    shape : (height, width)
        Of the scan.

    Returns
    -------
    window : rows, columns and the region's mask in them; None where there is no region
    """
    half = _FIRST_HALF
    while True:
        rows = slice(max(0, int(y) - half), min(shape[0], int(y) + half + 1))
        columns = slice(max(0, int(x) - half), min(shape[1], int(x) + half + 1))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return None
        area = read_area(rows, columns)
        seed = _nearest(area, int(y) - rows.start, int(x) - columns.start)
        if seed is None:
            return None
        _, labels = cv2.connectedComponents(area.view(np.uint8), connectivity=8, ltype=cv2.CV_32S)
        region = np.asarray(labels == labels[seed])
        if not _leaves_window(region, rows, columns, shape):
            return rows, columns, region
        half *= 4


def _nearest(area: Mask, row: int, column: int) -> tuple[int, int] | None:
    """The marked pixel nearest to a point, if it is near enough."""
    top, left = max(0, row - _REACH), max(0, column - _REACH)
    down, across = np.nonzero(area[top : row + _REACH + 1, left : column + _REACH + 1])
    if not len(down):
        return None
    down, across = down + top, across + left
    index = int(np.argmin((down - row) ** 2 + (across - column) ** 2))
    return int(down[index]), int(across[index])


def _leaves_window(region: Mask, rows: slice, columns: slice, shape: tuple[int, int]) -> bool:
    """Whether a region touches a side of its window that is no border of the scan."""
    sides = (
        (rows.start > 0, region[0]), (rows.stop < shape[0], region[-1]),
        (columns.start > 0, region[:, 0]), (columns.stop < shape[1], region[:, -1]),
    )  # fmt: skip
    return any(is_inner and side.any() for is_inner, side in sides)


def find_missed(
    marked_steps: MarkedSteps, map_bins: LogitBins, pixels: Pixels, blocked: Mask, step: int
) -> Mask | None:
    """What was missed in a box: the level falls step by step until something new is marked.

    First the slider's own steps, then the damage map below them, at last plain contrast.

    Parameters
    ----------
    marked_steps, map_bins : (h, w) uint8
        Of the box.
    pixels : (h, w, C)
    blocked : (h, w) bool
        What is marked, dropped or protected already.
    step
        The slider's.

    Returns
    -------
    missed : (h, w) bool, or None where nothing is left
    """
    for area in _falling_levels(marked_steps, map_bins, pixels, step):
        missed = _without_blocked(area, blocked)
        if missed.any():
            return missed
    return None


def _falling_levels(marked_steps: MarkedSteps, map_bins: LogitBins, pixels: Pixels, step: int) -> Iterator[Mask]:
    for lower in range(step + _STEP_STRIDE, LAST_STEP + 1, _STEP_STRIDE):
        yield candidates_at(marked_steps, lower)
    for first_bin in range(int(map_bins.max(initial=0)), _LOWEST_BIN, -_BIN_STRIDE):
        yield np.asarray(map_bins >= first_bin)
    tone = measure_tone(pixels)
    noise = np.asarray(tone.noise_at((slice(0, pixels.shape[0]), slice(0, pixels.shape[1]))), np.float32) / 4
    contrast = np.maximum(*top_hats(tone.grey, _HAT_WIDTH)) / noise
    for level in _CONTRASTS:
        yield np.asarray(contrast >= level)


def _without_blocked(area: Mask, blocked: Mask) -> Mask:
    """The regions of an area that touch nothing blocked and are no single pixels."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(area.view(np.uint8), connectivity=8, ltype=cv2.CV_32S)
    is_new = stats[:, cv2.CC_STAT_AREA] >= _MIN_AREA
    is_new &= np.bincount(labels[blocked], minlength=count) == 0
    is_new[0] = False
    return np.asarray(is_new[labels])
