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

from functools import lru_cache
from typing import NamedTuple, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Mask, Pixels, from_light, to_light
from redust.core.engines import Needs

_Floats: TypeAlias = NDArray[np.float32]
_Places: TypeAlias = tuple[NDArray[np.intp], ...]  # rows and columns of some pixels

NEEDS = Needs(context=28, multiple_of=4)
"""What is looked at around a region, as an engine would say it: it begins where a cell does."""

_DEEP = 2.0  # pixels from the rim of the mask: nearer ones are left to the fill
_WIDE = 4.0  # pixels: radius of the least disc that fits into a mask where it is looked at
_LEAST_DEEP = 40  # pixels of a region; of fewer nothing can be told
_NEAR = 14.0  # pixels (standard deviation) within which pixels are regressed together
_COARSE = NEEDS.multiple_of  # the regression's means are computed at a size so many times smaller
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
    patch = filled.copy()
    wanted = target & _wide(depth) & (depth > _DEEP - 1)
    if filled.dtype == np.float32:
        wanted &= np.isfinite(pixels).all(axis=2)
    asked, deep = np.nonzero(wanted), np.nonzero(depth >= _DEEP)
    values = _products(_light_at(pixels, deep), _light_at(filled, deep), _thin(depth[deep]))
    # Half of all regions tell nothing as a whole: looking near by would find next to nothing (decision 30).
    if not _fitted(_named(values.mean(axis=1)), np.asarray(len(deep[0]) / _ALIKE, np.float32)).share > 0:
        return patch
    share, gain, *others = _between(_regress(values, deep, _missed(filled, hole)), asked)
    slope, level = np.split(np.stack(others), 2)
    gain *= np.clip(depth[asked] - _DEEP + 1, 0, 1)
    before, after = _light_at(pixels, asked), _light_at(filled, asked)
    more = (gain * (before - (share * after + slope * _thin(depth[asked]) + level))).T.astype(np.float32)
    if filled.dtype == np.float32:  # keeps what lies outside 0..1
        patch[asked] += more
    else:
        patch[asked] = from_light(after.T + more, filled.dtype)
    return patch


def _light_at(pixels: Pixels, places: _Places) -> _Floats:
    """Light (C, n) of some pixels. 0 where it is not finite."""
    return np.ascontiguousarray(_light(pixels[places]).T)


def _light(pixels: Pixels) -> _Floats:
    """Light of pixels; 0 where it is not finite."""
    return to_light(np.nan_to_num(pixels) if pixels.dtype == np.float32 else pixels)


def _thin(depth: _Floats) -> _Floats:
    """How thin damage is at some depth, in units of what it is where the regression begins."""
    return np.asarray(np.exp((_DEEP - depth) / np.float32(_FADES)))


def _depth(mask: Mask) -> _Floats:
    """How far each masked pixel lies from the nearest that is not, (h, w), in pixels."""
    return np.asarray(cv2.distanceTransform(mask.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5))


def _wide(depth: _Floats) -> Mask:
    """Where a disc fits into the mask, (h, w) bool."""
    middles = depth >= _WIDE
    if not middles.any():
        return middles
    return np.asarray(cv2.distanceTransform((~middles).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5) <= _WIDE)


def _regress(values: _Floats, deep: _Places, missed: _Floats) -> _Floats:
    """Regress what is seen on what was filled, and on how thin the damage is, near each place.

    The values are those of the pixels `deep`, as :func:`_products` gives them; `missed` is as :func:`_missed` gives it.
    Returns planes (2 + 2C, h, w) at a quarter of the size of the window: share, gain, slopes and levels: seen = share x
    filled + slope x thin + level, and gain is how much of what is seen beyond that is picture.
    """
    weight, near = _means_near(values, deep, missed.shape)
    means, count = _named(near), weight * np.float32(2 * np.pi * _NEAR**2 / _ALIKE)
    share, slope, level, unexplained = _fitted(means, np.maximum(count, 0.5))
    veil = np.square(means.before - means.after).mean(axis=0)
    gain = share * missed / np.maximum(unexplained, share**2 * missed + _UNEVEN**2 * veil)
    gain /= 1 + np.square(unexplained / (_EVEN * np.maximum(veil, _TINY)))
    gain[count < _FEWEST] = 0
    return np.concatenate([share[None], gain[None], slope, level])


class _Line(NamedTuple):
    """Seen = share x filled + slope x thin + level, and the mean square of what is seen beyond."""

    share: _Floats
    slope: _Floats
    level: _Floats
    unexplained: _Floats


def _fitted(means: _Means, count: _Floats) -> _Line:
    """The line through what so many independent pixels have shown, by their means."""
    spread = np.maximum(means.thin_squared - means.thin**2, 0) + _RIDGE
    thin_after, thin_before = (
        product - means.thin * mean
        for product, mean in ((means.thin_after, means.after), (means.thin_before, means.before))
    )
    slope_after, slope_before = thin_after / spread, thin_before / spread
    own = np.maximum(means.after_squared - (means.after**2 + slope_after * thin_after).sum(axis=0), 0)
    common = means.after_before - (means.after * means.before + slope_after * thin_before).sum(axis=0)
    whole = np.maximum(means.before_squared - (means.before**2 + slope_before * thin_before).sum(axis=0), 0)
    share = common / np.maximum(own, _TINY)
    unexplained = np.maximum(whole - share * common, 0) / len(means.after) + _ROUNDING
    share = _trusted(share, unexplained * len(means.after) / np.maximum(own, _TINY) / count)
    slope = slope_before - share * slope_after
    return _Line(share, slope, means.before - share * means.after - slope * means.thin, unexplained)


def _trusted(share: _Floats, variance: _Floats) -> _Floats:
    """A share, shrunk by as much as chance may have made it; none below 0 or above 1."""
    sure = np.clip(1 - variance / np.maximum(share**2, _TINY), 0, 1)
    return np.asarray(np.clip(share, 0, 1) * sure)


class _Means(NamedTuple):
    """Means: of light and of its product with thinness (C, ...), of others (...); some are added over channels."""

    after: _Floats
    before: _Floats
    thin_after: _Floats
    thin_before: _Floats
    thin: _Floats
    thin_squared: _Floats
    after_squared: _Floats
    after_before: _Floats
    before_squared: _Floats


def _products(before: _Floats, after: _Floats, thin: _Floats) -> _Floats:
    """What means are taken of, (4C + 5, n), in the order of :class:`_Means`, of light (C, n) and thinness (n)."""
    planes = [after, before, thin * after, thin * before]
    added = [(one * other).sum(axis=0) for one, other in ((after, after), (after, before), (before, before))]
    return np.concatenate([*planes, [thin, thin * thin, *added]])


def _named(means: _Floats) -> _Means:
    """The means (4C + 5, ...) of what :func:`_products` gives."""
    light, alone = means[:-5], means[-5:]
    return _Means(*light.reshape(4, len(light) // 4, *light.shape[1:]), *alone)


def _means_near(values: _Floats, places: _Places, shape: tuple[int, ...]) -> tuple[_Floats, _Floats]:
    """The share of the pixels near each place that are some of these, and the means of their values (k, n).

    Both at a quarter of the size, (h, w) and (k, h, w). Few of a window's pixels lie deep in damage: they alone are
    added up, in cells.
    """
    cells = places[0] // _COARSE * shape[1] + places[1] // _COARSE
    sums = np.stack([np.bincount(cells, one, shape[0] * shape[1]) for one in (None, *values)])
    near = _near(sums.reshape(-1, *shape).astype(np.float32) / np.float32(_COARSE**2))
    return near[0], np.asarray(near[1:] / np.maximum(near[0], _TINY))


def _missed(filled: Pixels, hole: Mask) -> _Floats:
    """The mean square of what a fill is expected to miss near by, at a quarter of the size: the ground's fine part."""
    light = _light(filled)
    smooth = cv2.GaussianBlur(light, (0, 0), _FINE, borderType=cv2.BORDER_REFLECT).reshape(light.shape)
    sound = (~hole).astype(np.float32)
    size = tuple(-(-length // _COARSE) for length in hole.shape[::-1])
    fine = light - smooth
    planes = [np.einsum("ijk,ijk->ij", fine, fine) * (sound / light.shape[2]), sound]
    total, weight = _near(np.stack([cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in planes]))
    return np.asarray(total / np.maximum(weight, _TINY))


def _near(planes: _Floats) -> _Floats:
    """Planes (n, h, w) at a quarter of the size, blurred widely."""
    return np.asarray(_blurring(planes.shape[1]) @ planes @ _blurring(planes.shape[2]).T)


@lru_cache(maxsize=256)
def _blurring(length: int) -> _Floats:
    """What blurs so many values in a row, as a matrix: many small planes are blurred at once by it."""
    kernel = cv2.getGaussianKernel(2 * round(4 * _NEAR / _COARSE) + 1, _NEAR / _COARSE)
    matrix = cv2.sepFilter2D(np.eye(length), -1, np.ones(1), kernel, borderType=cv2.BORDER_REFLECT).astype(np.float32)
    matrix.setflags(write=False)
    return matrix


def _between(planes: _Floats, places: _Places) -> _Floats:
    """Planes (k, h, w) at a quarter of the size, interpolated linearly at some pixels of the window: (k, n)."""
    rows, columns = (_neighbours(place, length) for place, length in zip(places, planes.shape[1:], strict=True))
    cells = np.ascontiguousarray(planes.reshape(len(planes), -1).T)
    found = np.zeros((len(places[0]), len(planes)), np.float32)
    for row, down in rows:
        for column, across in columns:
            found += cells.take(row * planes.shape[2] + column, axis=0) * (down * across)[:, None]
    return np.ascontiguousarray(found.T)


def _neighbours(place: NDArray[np.intp], length: int) -> list[tuple[NDArray[np.intp], _Floats]]:
    """The two cells that each pixel lies between along one axis, and the share of each."""
    exact = (place.astype(np.float32) + np.float32(0.5)) / np.float32(_COARSE) - np.float32(0.5)
    first = np.floor(exact)
    share, cell = exact - first, first.astype(np.intp)
    return [(np.clip(cell, 0, length - 1), 1 - share), (np.clip(cell + 1, 0, length - 1), share)]
