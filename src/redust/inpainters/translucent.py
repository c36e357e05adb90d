"""What still shines through damage is put back into what was filled.

Much damage lets light pass: stains, hairs out of focus, thick soft strokes, tape. Under it a scan shows the picture
fainter and shifted: seen = share x picture + veil. A fill predicts the picture without looking, and what was seen is
regressed on that prediction, near by, over pixels deep enough in the damage. Where the two go together the share is
known, and what was seen beyond what the prediction explains is picture too. How much of it is taken follows from how
far off a prediction is there (as much as the detail of the ground) and from how much of what was seen is unexplained:
with opaque damage the share is 0, and the fill stays as it is. Where sound detail was marked by mistake, the share is
1, and it comes back.

Towards its rim damage gets thinner. So how deep a pixel lies takes part in the regression, and the outermost pixels are
left to the fill. So is what is narrow, and what is not veiled evenly: a mask that is wider than the scratch in it shows
sound pixels and a scratch, and of the scratch nothing must come back.

The regression, linear and weighted locally, is that of the guided filter: K. He, J. Sun, X. Tang, "Guided Image
Filtering", IEEE TPAMI 35 (2013), doi:10.1109/TPAMI.2012.213, computed like its fast variant at a quarter of the size
(https://arxiv.org/abs/1505.00996). We differ: the guide is a fill of the same pixels, and what is added is weighed as a
Wiener filter would (the gain below).
"""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Mask, Pixels, from_light, to_light

_Floats: TypeAlias = NDArray[np.float32]

CONTEXT = 28  # pixels around a region that are looked at
_DEEP = 2.0  # pixels from the rim of the mask: nearer ones are left to the fill
_WIDE = 4.0  # pixels: radius of the least disc that fits into a mask where it is looked at
_LEAST_DEEP = 40  # pixels of a region; of fewer nothing can be told
_NEAR = 14.0  # pixels (standard deviation) within which pixels are regressed together
_COARSE = 4  # the regression's means are computed at a size so many times smaller
_FADES = 1.2  # pixels over which damage gets thinner towards its rim
_FINE = 3.0  # sigma in pixels: what this blur takes away is what a fill may miss
_ALIKE = 9.0  # pixels of which neighbours repeat one another count as one
_FEWEST = 3.0  # so many independent ones are needed
_EVEN = 0.3  # of the veil's mean square: where more than that is unexplained, it is no even veil
_UNEVEN = 0.25  # share of the veil that is not even: a strong veil hides faint detail
_ROUNDING = 1.5e-5  # mean square of light that eight bits leave open, some steps of it
_TINY = 1e-6
_RIDGE = 0.01  # keeps the part of the depth small where all pixels are equally deep


def can_tell(target: Mask) -> bool:
    """Whether a region (h, w) is wide enough somewhere to be looked at, and has enough pixels deep enough in it."""
    if np.count_nonzero(target) < _LEAST_DEEP:
        return False
    depth = _depth(target)
    return float(depth.max()) >= _WIDE and int(np.count_nonzero(depth >= _DEEP)) >= _LEAST_DEEP


def recovered(pixels: Pixels, filled: Pixels, hole: Mask, target: Mask) -> Pixels:
    """Put back what shines through, in one window.

    Parameters
    ----------
    pixels, filled : (h, w, C) uint8, uint16 or float32
        The damaged scan, and the same filled. Not changed. Float pixels count as 0..1; where one is not finite,
        nothing shines through.
    hole : (h, w) bool
        What was filled: the target and what other damage lies around.
    target : (h, w) bool
        The pixels to put back.

    Returns
    -------
    patch : (h, w, C), dtype of `pixels`
        What was filled, other only in the target.
    """
    depth = _depth(hole)
    thin = np.exp((_DEEP - depth) / np.float32(_FADES))
    before, after = _planes(pixels), _planes(filled)
    share, slope, level, gain = _regress(before, after, thin, hole, depth)
    gain *= np.clip(depth - _DEEP + 1, 0, 1) * (target & _wide(depth))
    at = gain > 0
    patch = filled.copy()
    if filled.dtype == np.float32:
        at &= np.isfinite(pixels).all(axis=2)
    expected = share[at] * after[:, at] + slope[:, at] * thin[at] + level[:, at]
    more = (gain[at] * (before[:, at] - expected)).T
    if filled.dtype == np.float32:  # keeps what lies outside 0..1
        patch[at] += more
    else:
        patch[at] = from_light(after[:, at].T + more, filled.dtype)
    return patch


def _planes(pixels: Pixels) -> _Floats:
    """The light of pixels (h, w, C), channels first: sums over pixels are quick. 0 where it is not finite."""
    light = to_light(np.nan_to_num(pixels) if pixels.dtype == np.float32 else pixels)
    return np.ascontiguousarray(light.transpose(2, 0, 1))


def _depth(mask: Mask) -> _Floats:
    """How far each masked pixel lies from the nearest that is not, (h, w), in pixels."""
    return np.asarray(cv2.distanceTransform(mask.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5))


def _wide(depth: _Floats) -> Mask:
    """Where a disc fits into the mask, (h, w) bool."""
    middles = depth >= _WIDE
    if not middles.any():
        return middles
    return np.asarray(cv2.distanceTransform((~middles).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5) <= _WIDE)


def _regress(before: _Floats, after: _Floats, thin: _Floats, hole: Mask, depth: _Floats) -> tuple[_Floats, ...]:
    """Regress what is seen on what was filled, both (C, h, w), and on how thin the damage is, near each pixel.

    Returns share (h, w), slope (C, h, w) and level (C, h, w), seen = share x filled + slope x thin + level, and the
    gain (h, w): how much of what is seen beyond that is picture.
    """
    deep = (depth >= _DEEP).astype(np.float32)
    weight = _near(deep)

    def mean(planes: _Floats) -> _Floats:
        return _mean_near(planes, deep, weight)

    def together(one: _Floats, other: _Floats) -> _Floats:  # added over channels: less to blur
        return mean((one * other).sum(axis=0))

    mean_after, mean_before, mean_thin = mean(after), mean(before), mean(thin)
    spread = np.maximum(mean(thin * thin) - mean_thin**2, 0) + _RIDGE
    thin_after, thin_before = mean(thin * after) - mean_thin * mean_after, mean(thin * before) - mean_thin * mean_before
    slope_after, slope_before = thin_after / spread, thin_before / spread
    own = np.maximum(together(after, after) - (mean_after**2 + slope_after * thin_after).sum(axis=0), 0)
    common = together(after, before) - (mean_after * mean_before + slope_after * thin_before).sum(axis=0)
    whole = np.maximum(together(before, before) - (mean_before**2 + slope_before * thin_before).sum(axis=0), 0)
    share = common / np.maximum(own, _TINY)
    unexplained = np.maximum(whole - share * common, 0) / len(before) + _ROUNDING
    count = weight * np.float32(2 * np.pi * _NEAR**2 / _ALIKE)
    share = _trusted(share, unexplained * len(before) / np.maximum(own, _TINY) / np.maximum(count, 0.5))
    missed, veil = _missed(after, hole), np.square(mean_before - mean_after).mean(axis=0)
    gain = share * missed / np.maximum(unexplained, share**2 * missed + _UNEVEN**2 * veil)
    gain /= 1 + np.square(unexplained / (_EVEN * np.maximum(veil, _TINY)))
    gain[count < _FEWEST] = 0
    slope = slope_before - share * slope_after
    level = mean_before - share * mean_after - slope * mean_thin
    return tuple(_enlarged(planes, depth.shape) for planes in (share, slope, level, gain))


def _trusted(share: _Floats, variance: _Floats) -> _Floats:
    """A share, shrunk by as much as chance may have made it; none below 0 or above 1."""
    sure = np.clip(1 - variance / np.maximum(share**2, _TINY), 0, 1)
    return np.asarray(np.clip(share, 0, 1) * sure)


def _missed(after: _Floats, hole: Mask) -> _Floats:
    """The mean square of what a fill is expected to miss near by: the fine part of the sound ground."""
    sound = (~hole).astype(np.float32)
    fine = np.stack([one - cv2.GaussianBlur(one, (0, 0), _FINE, borderType=cv2.BORDER_REFLECT) for one in after])
    return _mean_near(np.square(fine).mean(axis=0), sound, _near(sound))


def _mean_near(planes: _Floats, weight: _Floats, weight_near: _Floats) -> _Floats:
    """The weighted mean of planes near each place, at a quarter of the size."""
    return np.asarray(_near(planes * weight) / np.maximum(weight_near, _TINY))


def _near(planes: _Floats) -> _Floats:
    """Planes (..., h, w) blurred widely, at a quarter of the size: such a blur needs no more."""
    if planes.ndim > 2:
        return np.stack([_near(plane) for plane in planes])
    height, width = (max(1, length // _COARSE) for length in planes.shape)
    small = cv2.resize(planes, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(small, (0, 0), _NEAR / _COARSE, borderType=cv2.BORDER_REFLECT), np.float32)


def _enlarged(planes: _Floats, shape: tuple[int, ...]) -> _Floats:
    """Planes (..., h, w) at the size of the window again."""
    if planes.ndim > 2:
        return np.stack([_enlarged(plane, shape) for plane in planes])
    return np.asarray(cv2.resize(planes, shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)
