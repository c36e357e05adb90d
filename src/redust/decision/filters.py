"""From an opinion to a decision: which pixels to repair.

The order: cut the damage map at a level, drop regions by size, polarity and class, drop what is more than damage
looks like, widen what is left. Only the cut looks at the map, each pixel by itself, so it may be made tile by tile.
All else works in bands of rows: masks are the only arrays of the scan's size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import DamageMap, Mask, Pixels, check_mask, full_scale
from redust.core.settings import DamageClass, Polarity
from redust.core.tiles import bands, with_margin
from redust.decision.guard import GuardResult, apply_guard
from redust.decision.regions import Regions
from redust.decision.shape_classes import filter_by_class

# How far around a region the sound pixels lie that it is compared with.
_RING = 7


@dataclass(frozen=True, eq=False)
class MaskDecision:
    """Which pixels to repair, and what was seen on the way.

    Parameters
    ----------
    mask : (H, W) bool
        True where the scan is to be repaired.
    found : (H, W) bool
        The same before growing.
    spared
        What was left alone because more was marked than damage looks like.
    """

    mask: Mask
    found: Mask
    spared: GuardResult


def decide_mask(damage: DamageMap, level: float = 0.5, **choices: Any) -> Mask:
    """Decide which pixels to repair.

    Parameters
    ----------
    damage : (H, W) float32 in 0..1
        How likely each pixel is damaged.
    level : 0..1
        Pixels at or above it count as damaged.
    **choices
        As for :func:`filter_components`.

    Returns
    -------
    mask : (H, W) bool
        True where the scan is to be repaired.

    Raises
    ------
    ValueError
        If `level` is outside 0..1, or `pixels` are missing or of another size.

    Examples
    --------
    >>> import numpy as np
    >>> damage = np.array([[0.1, 0.2, 0.1, 0.6, 0.9]], dtype=np.float32)
    >>> decide(damage, 0.5).tolist()
    [[False, False, False, True, True]]
    >>> decide(damage, 0.5, grow=1).tolist()
    [[False, False, True, True, True]]
    """
    return filter_components(threshold_at(damage, level), **choices).mask


def threshold_at(damage: DamageMap, level: float) -> Mask:
    """Mark what is at or above the level in a damage map, or in a tile of one: (H, W) bool.

    Raises
    ------
    ValueError
        If `level` is outside 0..1.
    """
    if not 0.0 <= level <= 1.0:
        raise ValueError(f"level must lie in 0..1, not {level}")
    mask: Mask = damage >= np.float32(level)
    return mask


def filter_components(
    mask: Mask,
    *,
    grow: int = 0,
    min_size: int = 1,
    max_size: int | None = None,
    polarity: Polarity = Polarity.both,
    only: Sequence[DamageClass] = (),
    skip: Sequence[DamageClass] = (),
    max_tile_coverage: float = 1.0,
    pixels: Pixels | None = None,
    protect: Mask | None = None,
) -> MaskDecision:
    """Decide which pixels of a map that is cut to repair, and say what was seen on the way.

    Parameters
    ----------
    mask : (H, W) bool
        As `cut` gives it. Not changed.
    grow : pixels
        Widen every region by this radius: the soft rim of a speck is damaged too.
    min_size, max_size : pixels
        Drop regions of fewer or more pixels, counted before growing.
    polarity
        Keep only regions that are on average brighter, or darker, than the sound pixels around them.
    only, skip
        Keep only regions of these classes, or all but these; see :mod:`redust.decision.shape_classes`.
    max_tile_coverage : above 0, up to 1
        Leave squares alone of which more than this share is marked before growing; see :mod:`redust.decision.guard`.
    pixels : (H, W, C) uint8, uint16 or float32, optional
        The scan; needed for `polarity` other than ``both``.
    protect : (H, W) bool, optional
        Areas that will not be touched: they do not count for `max_tile_coverage`.

    Returns
    -------
    decision : Decision

    Raises
    ------
    ValueError
        If `pixels` are missing or of another size.
    """
    if min_size > 1 or max_size is not None:
        mask = filter_by_size(mask, min_size, max_size)
    if polarity is not Polarity.both:
        if pixels is None:
            raise ValueError("polarity needs the pixels of the scan")
        mask = filter_by_polarity(mask, pixels, polarity)
    if only or skip:
        mask = filter_by_class(mask, only, skip)
    mask, spared = apply_guard(mask, max_tile_coverage, protect)
    return MaskDecision(dilate_mask(mask, grow), mask, spared)


def filter_by_size(mask: Mask, least: int, most: int | None) -> Mask:
    """Keep the regions of `least` to `most` pixels."""
    found = Regions(mask)
    sizes = found.sizes()
    return found.keep((sizes >= least) & (sizes <= (mask.size if most is None else most)))


def filter_by_polarity(mask: Mask, pixels: Pixels, polarity: Polarity) -> Mask:
    """Keep the regions that are brighter (or darker) than the sound pixels around them.

    A region's light is its mean over pixels and channels; the light around it is the mean of the sound pixels
    within 7 pixels of it, each counted as often as the region's pixels see it. A region that sees no sound
    pixel has no polarity and is dropped.

    Raises
    ------
    ValueError
        If the sizes differ.
    """
    check_mask(mask, pixels.shape[:2])
    found = Regions(mask)
    shape = found.count + 1
    inside, size, around, seen = (np.zeros(shape) for _ in range(4))
    for rows, labels in found.bands():
        damaged = labels > 0
        which = labels[damaged]
        light, sound, sound_count = _surroundings(mask, pixels, rows)
        size += np.bincount(which, minlength=shape)
        inside += np.bincount(which, weights=light[damaged], minlength=shape)
        around += np.bincount(which, weights=sound[damaged], minlength=shape)
        seen += np.bincount(which, weights=sound_count[damaged], minlength=shape)
    # inside / size - around / seen without dividing by what may be 0; the margin is far below a step of 16 bits.
    contrast, margin = inside * seen - around * size, 1e-6 * size * seen
    return found.keep((contrast > margin if polarity is Polarity.bright else contrast < -margin)[1:])


def dilate_mask(mask: Mask, radius: int) -> Mask:
    """Widen every masked pixel to a disc of `radius` pixels; the mask itself if that is 0."""
    if radius == 0:
        return mask
    across = np.arange(-radius, radius + 1)
    disc = (np.hypot(across[:, None], across) <= radius).astype(np.uint8)
    wide = np.empty_like(mask)
    for rows in bands(mask.shape[0]):
        seen, core = with_margin(rows, radius, mask.shape[0])
        wide[rows] = cv2.dilate(mask[seen].view(np.uint8), disc)[core].view(np.bool_)
    return wide


def _surroundings(
    mask: Mask, pixels: Pixels, rows: slice
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Light of a band, and the sum and count of sound light in the square around each pixel, each (h, W) float32."""
    seen, core = with_margin(rows, _RING, mask.shape[0])
    scale = np.float32(1.0 / full_scale(pixels.dtype))
    light = np.nan_to_num(pixels[seen].mean(axis=2, dtype=np.float32) * scale, nan=0.0, posinf=1.0, neginf=0.0)
    sound = (~mask[seen]).astype(np.float32)
    return light[core], _box_sum(light * sound)[core], _box_sum(sound)[core]


def _box_sum(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The sum over the square around each pixel; nothing lies beyond the border."""
    side = 2 * _RING + 1
    summed = cv2.boxFilter(values, -1, (side, side), normalize=False, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(summed, dtype=np.float32)
