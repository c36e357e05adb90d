"""One opinion out of several: a detector that also sees the scan shrunk finds what is too wide for its window.

A chip of forty pixels fills half of what a small network sees, and looks like the scene; at half the size it looks like
damage. And what only one of the scales takes for damage is less likely to be some: averaging logits is an ensemble.
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

_SURE = 1e-5  # a probability nearer to 0 or 1 counts as this near: one scale's certainty must not silence the others
_SIDE = 384  # of a tile of a shrunk scan: its window is `factor` times as large in the scan


def downscaled_shape(shape: tuple[int, int], factor: int) -> tuple[int, int]:
    """Height and width of a scan shrunk by `factor`; a rest of pixels at the border counts as one."""
    return -(-shape[0] // factor), -(-shape[1] // factor)


def downscaled_tile_side(tile: int | None) -> int:
    """Side of a tile of a shrunk scan where the user asked for `tile`."""
    return min(tile or _SIDE, _SIDE)


def downscaled_window(pixels: Pixels, tile: Tile, factor: int) -> Light:
    """The window of a shrunk scan, each pixel the mean of `factor` x `factor`: it never exists as a whole.

    Parameters
    ----------
    pixels : (H, W, C) uint8, uint16 or float32
        The scan at full size.
    tile
        In coordinates of the shrunk scan.

    Returns
    -------
    light : (height, width, C) float32 in 0..1, of the tile's window
    """
    parts = []
    for rows in bands(tile.bottom - tile.top, 64):
        top, bottom = (tile.top + rows.start) * factor, (tile.top + rows.stop) * factor
        strip = Tile(0, 0, 0, 0, top, tile.left * factor, bottom, tile.right * factor)
        light = to_light(np.ascontiguousarray(window(pixels, strip)))
        small = cv2.resize(light, (tile.right - tile.left, rows.stop - rows.start), interpolation=cv2.INTER_AREA)
        parts.append(small.reshape(*small.shape[:2], -1))
    return np.concatenate(parts)


def clipped_logits(damage: DamageMap) -> NDArray[np.float32]:
    """Logits of probabilities, bounded."""
    kept = np.clip(damage, _SURE, 1 - _SURE)
    found: NDArray[np.float32] = np.log(kept / (1 - kept))
    return found


@dataclass(frozen=True, eq=False)
class CoarseLogits:
    """What a detector says to a scan shrunk by a factor.

    Parameters
    ----------
    factor
        By which it is shrunk.
    share
        How much that counts, 0..1.
    found : (h, w) floating
        Logits of the whole shrunk scan.
    """

    factor: int
    share: float
    found: Logits


def average_scales(damage: DamageMap, tile: Tile, coarse: Sequence[CoarseLogits]) -> DamageMap:
    """The opinion on the core of a tile, its logits averaged with those of shrunk scans.

    Parameters
    ----------
    damage : (h, w) float32 in 0..1
        The core's at full size; it counts as much as the others leave.
    tile
        Where that core lies.
    coarse
        The others.

    Returns
    -------
    damage : (h, w) float32 in 0..1
    """
    total = np.float32(1 - sum(one.share for one in coarse)) * clipped_logits(damage)
    for one in coarse:
        total += np.float32(one.share) * upsample_logits(one.found, tile, one.factor)
    mean: DamageMap = 1 / (1 + np.exp(-total))
    return mean


def upsample_logits(found: Logits, tile: Tile, factor: int) -> NDArray[np.float32]:
    """Logits of a shrunk scan for the core of a tile of the scan, interpolated linearly."""
    # One pixel more on each side than the core covers, so that the answer is that of the whole scan enlarged.
    top, left = tile.row // factor - 1, tile.column // factor - 1
    rows = np.arange(top, -(-(tile.row + tile.height) // factor) + 1).clip(0, found.shape[0] - 1)
    columns = np.arange(left, -(-(tile.column + tile.width) // factor) + 1).clip(0, found.shape[1] - 1)
    part = found[rows][:, columns].astype(np.float32)
    large = cv2.resize(part, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
    row, column = tile.row - top * factor, tile.column - left * factor
    return np.asarray(large[row : row + tile.height, column : column + tile.width])
