"""Filter candidate pixels into the mask: which of them to repair.

After thresholding (:mod:`redust.decision.threshold`): drop regions by size, polarity and class, drop what the
over-detection guard rejects, dilate what is left. All of it works in bands of rows: masks are the only arrays of the
scan's size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Mask, Pixels, check_mask, full_scale
from redust.core.settings import DamageClass, Polarity
from redust.core.tiles import bands, with_margin
from redust.decision.guard import GuardResult, apply_guard
from redust.decision.regions import Regions
from redust.decision.scene_guard import SceneResult, apply_scene_guard
from redust.decision.shape_classes import filter_by_class

_RING = 7  # pixels around a region whose undamaged pixels it is compared with


@dataclass(frozen=True, eq=False)
class MaskDecision:
    """Which pixels to repair.

    Parameters
    ----------
    mask : (H, W) bool
        True where the scan is to be repaired.
    ungrown : (H, W) bool
        The same before dilation; only what it marks is counted.
    guard
        What the over-detection guard rejected.
    scene
        What the scene guard left alone.
    """

    mask: Mask
    ungrown: Mask
    guard: GuardResult
    scene: SceneResult = field(default_factory=SceneResult)

    def warnings(self, max_tile_coverage: float) -> list[str]:
        """What was left alone, in sentences for the user."""
        return [*self.scene.warnings(), *self.guard.warnings(max_tile_coverage)]


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
    scene_guard: bool = False,
    pixels: Pixels | None = None,
    protect: Mask | None = None,
) -> MaskDecision:
    """Decide which candidate pixels to repair.

    Parameters
    ----------
    mask : (H, W) bool
        Candidates from :class:`redust.decision.threshold.Threshold`. Not changed.
    grow : pixels
        Dilate every region by this radius: the soft rim of a speck is damaged too.
    min_size, max_size : pixels
        Drop regions of fewer or more pixels, counted before dilation.
    polarity
        Keep only regions that are on average brighter, or darker, than the undamaged pixels around them.
    only, skip
        Keep only regions of these classes, or all but these; see :mod:`redust.decision.shape_classes`.
    max_tile_coverage : above 0, up to 1
        Reject squares of which more than this share is marked before dilation; see :mod:`redust.decision.guard`.
    scene_guard
        Leave lettering and pupils alone; see :mod:`redust.decision.scene_guard`.
    pixels : (H, W, C) uint8, uint16 or float32, optional
        The scan; needed for `polarity` other than ``both``, and for `scene_guard`.
    protect : (H, W) bool, optional
        Areas that will not be touched: they do not count for `max_tile_coverage`.

    Returns
    -------
    decision : MaskDecision

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
    scene = SceneResult()
    if scene_guard:
        if pixels is None:
            raise ValueError("the scene guard needs the pixels of the scan")
        mask, scene = apply_scene_guard(mask, pixels)
    mask, guard = apply_guard(mask, max_tile_coverage, protect)
    return MaskDecision(dilate_mask(mask, grow), mask, guard, scene)


def filter_by_size(mask: Mask, min_size: int, max_size: int | None) -> Mask:
    """Keep the regions of `min_size` to `max_size` pixels."""
    regions = Regions(mask)
    sizes = regions.sizes()
    return regions.keep((sizes >= min_size) & (sizes <= (mask.size if max_size is None else max_size)))


def filter_by_polarity(mask: Mask, pixels: Pixels, polarity: Polarity) -> Mask:
    """Keep the regions that are brighter (or darker) than the undamaged pixels around them.

    A region's light is its mean over pixels and channels; the light around it is the mean of the undamaged pixels
    within 7 pixels of it, each counted once for every pixel of the region in reach. A region without an undamaged
    pixel in reach has no polarity and is dropped.

    Raises
    ------
    ValueError
        If the sizes differ.
    """
    check_mask(mask, pixels.shape[:2])
    regions = Regions(mask)
    length = regions.count + 1
    light_sums, sizes, surrounding_sums, surrounding_counts = (np.zeros(length) for _ in range(4))
    for rows, labels in regions.bands():
        damaged = labels > 0
        region_of = labels[damaged]
        light, sound_light, sound_count = _sum_surroundings(mask, pixels, rows)
        sizes += np.bincount(region_of, minlength=length)
        light_sums += np.bincount(region_of, weights=light[damaged], minlength=length)
        surrounding_sums += np.bincount(region_of, weights=sound_light[damaged], minlength=length)
        surrounding_counts += np.bincount(region_of, weights=sound_count[damaged], minlength=length)
    # The difference of both means without dividing by what may be 0; the margin is far below a step of 16 bits.
    contrast, margin = light_sums * surrounding_counts - surrounding_sums * sizes, 1e-6 * sizes * surrounding_counts
    return regions.keep((contrast > margin if polarity is Polarity.bright else contrast < -margin)[1:])


def dilate_mask(mask: Mask, radius: int) -> Mask:
    """Widen every masked pixel to a disc of `radius` pixels; the mask itself if that is 0."""
    if radius == 0:
        return mask
    across = np.arange(-radius, radius + 1)
    disc = (np.hypot(across[:, None], across) <= radius).astype(np.uint8)
    dilated = np.empty_like(mask)
    for rows in bands(mask.shape[0]):
        outer, core = with_margin(rows, radius, mask.shape[0])
        dilated[rows] = cv2.dilate(mask[outer].view(np.uint8), disc)[core].view(np.bool_)
    return dilated


def _sum_surroundings(
    mask: Mask, pixels: Pixels, rows: slice
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Light of a band; sum and count of undamaged light in the square around each pixel. Each (h, W) float32."""
    outer, core = with_margin(rows, _RING, mask.shape[0])
    scale = np.float32(1.0 / full_scale(pixels.dtype))
    light = np.nan_to_num(pixels[outer].mean(axis=2, dtype=np.float32) * scale, nan=0.0, posinf=1.0, neginf=0.0)
    sound = (~mask[outer]).astype(np.float32)
    return light[core], _box_sum(light * sound)[core], _box_sum(sound)[core]


def _box_sum(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The sum over the square around each pixel; nothing lies beyond the border."""
    side = 2 * _RING + 1
    summed = cv2.boxFilter(values, -1, (side, side), normalize=False, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(summed, dtype=np.float32)
