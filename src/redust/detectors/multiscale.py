"""Multi-scale ensemble: a detector that also runs on the downscaled scan finds what is too wide for its window.

A chip of forty pixels fills half of a small network's receptive field, and looks like the scene; at half the size it
looks like damage. And what only one of the scales takes for damage is less likely to be some.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import DamageMap, Light, Pixels, to_light
from redust.core.tiles import Tile, bands, window

Logits = NDArray[np.floating]

_MARGIN = 1e-5  # a probability nearer to 0 or 1 counts as this near: one scale's certainty must not silence the rest
_SIDE = 384  # of a tile of a downscaled scan: its window is `factor` times as large in the scan


def downscaled_shape(shape: tuple[int, int], factor: int) -> tuple[int, int]:
    """Height and width of a scan downscaled by `factor`, rounded up."""
    return -(-shape[0] // factor), -(-shape[1] // factor)


def downscaled_tile_side(tile: int | None) -> int:
    """Side of a tile of a downscaled scan, at most the user's `tile`."""
    return min(tile or _SIDE, _SIDE)


def downscaled_window(pixels: Pixels, tile: Tile, factor: int) -> Light:
    """The window of a downscaled scan, each pixel the mean of `factor` x `factor`; the scan is never downscaled whole.

    Parameters
    ----------
    pixels : (H, W, C) uint8, uint16 or float32
        The scan at full size.
    tile
        In coordinates of the downscaled scan.

    Returns
    -------
    light : (height, width, C) float32 in 0..1, of the tile's window
    """
    strips = []
    for rows in bands(tile.bottom - tile.top, 64):
        top, bottom = (tile.top + rows.start) * factor, (tile.top + rows.stop) * factor
        strip = Tile(0, 0, 0, 0, top, tile.left * factor, bottom, tile.right * factor)
        light = to_light(np.ascontiguousarray(window(pixels, strip)))
        small = cv2.resize(light, (tile.right - tile.left, rows.stop - rows.start), interpolation=cv2.INTER_AREA)
        strips.append(small.reshape(*small.shape[:2], -1))
    return np.concatenate(strips)


def clipped_logits(damage: DamageMap) -> NDArray[np.float32]:
    """Logits of probabilities, bounded to about -11.5..11.5."""
    clipped = np.clip(damage, _MARGIN, 1 - _MARGIN)
    logits: NDArray[np.float32] = np.log(clipped / (1 - clipped))
    return logits


@dataclass(frozen=True, eq=False)
class CoarseLogits:
    """A detector's logits on a downscaled scan.

    Parameters
    ----------
    factor
        By which it is downscaled.
    weight
        Of these logits in the mean, 0..1.
    logits : (h, w) floating
        Of the whole downscaled scan.
    """

    factor: int
    weight: float
    logits: Logits


def average_scales(damage: DamageMap, tile: Tile, coarse: Sequence[CoarseLogits]) -> DamageMap:
    """The damage map of a tile's core, its logits averaged with those of downscaled scans.

    Parameters
    ----------
    damage : (h, w) float32 in 0..1
        The core's at full size; its weight is what the weights of `coarse` leave.
    tile
        Where that core lies.
    coarse
        The downscaled scans.

    Returns
    -------
    damage : (h, w) float32 in 0..1
    """
    total = np.float32(1 - sum(scale.weight for scale in coarse)) * clipped_logits(damage)
    for scale in coarse:
        total += np.float32(scale.weight) * upsample_logits(scale.logits, tile, scale.factor)
    mean: DamageMap = 1 / (1 + np.exp(-total))
    return mean


def upsample_logits(logits: Logits, tile: Tile, factor: int) -> NDArray[np.float32]:
    """Logits of a downscaled scan for the core of a tile of the scan, interpolated linearly."""
    # One pixel of margin on each side of the core, so that the answer is that of the whole scan enlarged.
    top, left = tile.row // factor - 1, tile.column // factor - 1
    rows = np.arange(top, -(-(tile.row + tile.height) // factor) + 1).clip(0, logits.shape[0] - 1)
    columns = np.arange(left, -(-(tile.column + tile.width) // factor) + 1).clip(0, logits.shape[1] - 1)
    crop = logits[rows][:, columns].astype(np.float32)
    large = cv2.resize(crop, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
    row, column = tile.row - top * factor, tile.column - left * factor
    return np.asarray(large[row : row + tile.height, column : column + tile.width])
