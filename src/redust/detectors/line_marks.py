"""Straight lines found in a whole scan, and how they are drawn into a damage map or a mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import LUMA, DamageMap, Pixels, full_scale
from redust.core.logits import BINS, LogitBins


@dataclass(frozen=True, eq=False)
class Line:
    """A line found.

    Parameters
    ----------
    points : (N, 2) float64
        Row and column of points along it.
    bright
        Whether it is brighter than its flanks.
    width
        Pixels to mark across.
    """

    points: NDArray[np.float64]
    bright: bool
    width: int = 3


def grey(pixels: Pixels) -> NDArray[np.float32]:
    """Luma (H, W) in 0..1 of pixels (H, W, C); what is no number is dark."""
    scale = np.float32(1.0 / full_scale(pixels.dtype))
    light = pixels[..., 0] * scale if pixels.shape[2] == 1 else pixels.astype(np.float32) @ (LUMA * scale)
    return np.clip(np.nan_to_num(light.astype(np.float32, copy=False)), 0.0, 1.0)


def mark_lines(found: NDArray[np.bool_] | LogitBins | DamageMap, lines: Sequence[Line]) -> None:
    """Mark lines as certain damage, in place.

    Parameters
    ----------
    found : (H, W) bool, uint8 or float32
        A mask, a damage map in grades (:func:`redust.core.logits.quantise_logits`) or a damage map of the whole scan.
    lines
        What :func:`find_lines` or :func:`redust.detectors.frame_scratches.find_frame_scratches` gave.
    """
    certain = BINS - 1 if found.dtype == np.uint8 else 1
    for line in lines:
        reach = np.arange(line.width) - line.width // 2
        rows, columns = np.rint(line.points).astype(np.int64).T
        steep = abs(rows[-1] - rows[0]) > abs(columns[-1] - columns[0])
        rows = rows[:, None] + (0 if steep else reach)
        columns = columns[:, None] + (reach if steep else 0)
        found[np.clip(rows, 0, found.shape[0] - 1), np.clip(columns, 0, found.shape[1] - 1)] = certain
