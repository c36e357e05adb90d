"""Translucency recovery: what translucent damage still shows of the picture is put back into filled pixels.

Much damage transmits light: stains, hairs out of focus, thick soft strokes, tape. Under it a scan shows the picture
attenuated and shifted: observed = transmittance x picture + veil. A fill predicts the picture without reading the
masked pixels, and the observed light is regressed locally on that prediction, over pixels deep enough inside the
damage. Where the two correlate, the transmittance is known, and the residual of the regression is picture detail too.
How much of it is added follows from the expected error of a fill (as large as the detail of the surroundings) and the
unexplained variance: under opaque damage the transmittance is 0 and the fill is unchanged; where sound detail was
masked by mistake it is 1, and the detail returns.

Damage gets thinner towards its edge. So depth takes part in the regression, and the outermost pixels keep the fill. So
do narrow damage and uneven veils: a mask wider than the scratch in it contains sound pixels and a scratch, and the
scratch must not come back.

The local linear regression is that of the guided filter: K. He, J. Sun, X. Tang, "Guided Image Filtering", IEEE TPAMI
35 (2013), doi:10.1109/TPAMI.2012.213, computed like its fast variant at a quarter of the size
(https://arxiv.org/abs/1505.00996). Differences: the guide is a fill of the same pixels, and the residual is weighted
as by a Wiener filter (the gain below).
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
_Coordinates: TypeAlias = tuple[NDArray[np.intp], ...]  # rows and columns

NEEDS = Needs(context=28, multiple_of=4)
"""Context around the target, stated as an engine does; windows start where a cell does."""

_DEEP = 2.0  # pixels from the edge of the mask: nearer ones keep the fill
_DISC_RADIUS = 4.0  # pixels: the mask must contain such a disc
_LEAST_DEEP = 40  # pixels of a window; fewer allow no regression
_LOCAL_SIGMA = 14.0  # pixels: pixels within this distance are regressed together
_SHRINK = NEEDS.multiple_of  # local means are computed at a size so many times smaller
_EDGE_DECAY = 1.2  # pixels over which damage gets thinner towards its edge
_DETAIL_SIGMA = 3.0  # pixels: what this blur removes is what a fill may miss
_CORRELATED = 9.0  # neighbouring pixels that count as one independent sample
_FEWEST = 3.0  # independent samples needed
_EVEN = 0.3  # of the veil's mean square: with more than that unexplained, the veil is uneven
_UNEVEN = 0.25  # relative unevenness of the veil: a strong veil hides faint detail
_ROUNDING = 1.5e-5  # mean square of light that 8-bit quantisation leaves open, some steps of it
_TINY = 1e-6
_RIDGE = 0.01  # keeps the coefficient of depth small where all pixels are equally deep


def is_measurable(target: Mask) -> bool:
    """Whether a target (h, w) contains a disc of radius 4 and enough deep pixels for a regression."""
    if np.count_nonzero(target) < _LEAST_DEEP:
        return False
    depth = _distance_to_edge(target)
    return float(depth.max()) >= _DISC_RADIUS and int(np.count_nonzero(depth >= _DEEP)) >= _LEAST_DEEP


def recover_translucency(pixels: Pixels, filled: Pixels, hole: Mask, target: Mask) -> Pixels:
    """Add to the fill of one window what translucent damage shows of the picture.

    Parameters
    ----------
    pixels, filled : (h, w, C) uint8, uint16 or float32
        The damaged scan, and the same filled. Not changed. Float pixels count as 0..1; those that are not finite are
        opaque.
    hole : (h, w) bool
        What was filled: the target and other damage around it.
    target : (h, w) bool
        The pixels to recover.

    Returns
    -------
    patch : (h, w, C), dtype of `pixels`
        `filled`, changed in the target only.
    """
    depth = _distance_to_edge(hole)
    patch = filled.copy()
    inside = target & _contains_disc(depth) & (depth > _DEEP - 1)
    if filled.dtype == np.float32:
        inside &= np.isfinite(pixels).all(axis=2)
    coordinates, deep = np.nonzero(inside), np.nonzero(depth >= _DEEP)
    products = _regression_products(_take_light(pixels, deep), _take_light(filled, deep), _edge_thinness(depth[deep]))
    # Half of all windows show no correlation as a whole: local ones would be close to none.
    overall = _fit_line(_split_means(products.mean(axis=1)), np.asarray(len(deep[0]) / _CORRELATED, np.float32))
    if not overall.share > 0:
        return patch
    planes = _regress_locally(products, deep, _expected_fill_error(filled, hole))
    share, gain, *offsets = _interpolate_planes(planes, coordinates)
    slope, level = np.split(np.stack(offsets), 2)
    gain *= np.clip(depth[coordinates] - _DEEP + 1, 0, 1)
    before, after = _take_light(pixels, coordinates), _take_light(filled, coordinates)
    residual = before - (share * after + slope * _edge_thinness(depth[coordinates]) + level)
    added = (gain * residual).T.astype(np.float32)
    if filled.dtype == np.float32:  # keeps values outside 0..1
        patch[coordinates] += added
    else:
        patch[coordinates] = from_light(after.T + added, filled.dtype)
    return patch


def _take_light(pixels: Pixels, coordinates: _Coordinates) -> _Floats:
    """Light (C, n) of some pixels; 0 where it is not finite."""
    return np.ascontiguousarray(_finite_light(pixels[coordinates]).T)


def _finite_light(pixels: Pixels) -> _Floats:
    """Light of pixels; 0 where it is not finite."""
    return to_light(np.nan_to_num(pixels) if pixels.dtype == np.float32 else pixels)


def _edge_thinness(depth: _Floats) -> _Floats:
    """Relative thinness of damage at some depth: 1 at the depth from which pixels take part in the regression."""
    return np.asarray(np.exp((_DEEP - depth) / np.float32(_EDGE_DECAY)))


def _distance_to_edge(mask: Mask) -> _Floats:
    """Distance in pixels of each masked pixel from the nearest unmasked one, (h, w)."""
    return np.asarray(cv2.distanceTransform(mask.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5))


def _contains_disc(depth: _Floats) -> Mask:
    """The mask opened by a disc of radius 4, from its distance transform: (h, w) bool."""
    middles = depth >= _DISC_RADIUS
    if not middles.any():
        return middles
    return np.asarray(cv2.distanceTransform((~middles).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5) <= _DISC_RADIUS)


def _regress_locally(products: _Floats, deep: _Coordinates, fill_error: _Floats) -> _Floats:
    """Regress observed light on filled light and thinness around each cell.

    Parameters
    ----------
    products
        As of :func:`_regression_products`, of the pixels `deep`.
    fill_error
        As of :func:`_expected_fill_error`.

    Returns
    -------
    planes : (2 + 2C, h, w)
        Share, gain, slopes and levels at a quarter of the window's size: observed = share x filled + slope x thinness +
        level, and gain is the share of the residual that is picture.
    """
    weight, local = _local_means(products, deep, fill_error.shape)
    means, count = _split_means(local), weight * np.float32(2 * np.pi * _LOCAL_SIGMA**2 / _CORRELATED)
    share, slope, level, unexplained = _fit_line(means, np.maximum(count, 0.5))
    veil = np.square(means.before - means.after).mean(axis=0)
    gain = share * fill_error / np.maximum(unexplained, share**2 * fill_error + _UNEVEN**2 * veil)
    gain /= 1 + np.square(unexplained / (_EVEN * np.maximum(veil, _TINY)))
    gain[count < _FEWEST] = 0
    return np.concatenate([share[None], gain[None], slope, level])


class _Line(NamedTuple):
    """Observed = share x filled + slope x thinness + level, and the mean square of the residual."""

    share: _Floats
    slope: _Floats
    level: _Floats
    unexplained: _Floats


def _fit_line(means: _Means, count: _Floats) -> _Line:
    """Fit the line by the means over `count` independent samples."""
    spread = np.maximum(means.thin_squared - means.thin**2, 0) + _RIDGE
    thin_after, thin_before = (
        product - means.thin * mean
        for product, mean in ((means.thin_after, means.after), (means.thin_before, means.before))
    )
    slope_after, slope_before = thin_after / spread, thin_before / spread
    filled_variance = np.maximum(means.after_squared - (means.after**2 + slope_after * thin_after).sum(axis=0), 0)
    common = means.after_before - (means.after * means.before + slope_after * thin_before).sum(axis=0)
    variance = np.maximum(means.before_squared - (means.before**2 + slope_before * thin_before).sum(axis=0), 0)
    share = common / np.maximum(filled_variance, _TINY)
    unexplained = np.maximum(variance - share * common, 0) / len(means.after) + _ROUNDING
    share = _shrink_share(share, unexplained * len(means.after) / np.maximum(filled_variance, _TINY) / count)
    slope = slope_before - share * slope_after
    return _Line(share, slope, means.before - share * means.after - slope * means.thin, unexplained)


def _shrink_share(share: _Floats, variance: _Floats) -> _Floats:
    """A share limited to 0..1 and shrunk by its estimation variance."""
    reliability = np.clip(1 - variance / np.maximum(share**2, _TINY), 0, 1)
    return np.asarray(np.clip(share, 0, 1) * reliability)


class _Means(NamedTuple):
    """Means of light, of light x thinness (C, ...), and of products (...) of which some are summed over channels."""

    after: _Floats
    before: _Floats
    thin_after: _Floats
    thin_before: _Floats
    thin: _Floats
    thin_squared: _Floats
    after_squared: _Floats
    after_before: _Floats
    before_squared: _Floats


def _regression_products(before: _Floats, after: _Floats, thin: _Floats) -> _Floats:
    """The values whose means the regression needs, (4C + 5, n) in the order of :class:`_Means`.

    Of light (C, n) before and after the fill, and thinness (n,).
    """
    planes = [after, before, thin * after, thin * before]
    summed = [(left * right).sum(axis=0) for left, right in ((after, after), (after, before), (before, before))]
    return np.concatenate([*planes, [thin, thin * thin, *summed]])


def _split_means(means: _Floats) -> _Means:
    """Name the means (4C + 5, ...) of :func:`_regression_products`."""
    light, scalars = means[:-5], means[-5:]
    return _Means(*light.reshape(4, len(light) // 4, *light.shape[1:]), *scalars)


def _local_means(values: _Floats, coordinates: _Coordinates, shape: tuple[int, ...]) -> tuple[_Floats, _Floats]:
    """Gaussian-weighted density of some pixels, and means of their values (k, n), around each cell.

    Both at a quarter of the window's size, (h, w) and (k, h, w). Few pixels of a window lie deep in damage, so only
    these are summed up in cells.
    """
    cells = coordinates[0] // _SHRINK * shape[1] + coordinates[1] // _SHRINK
    sums = np.stack([np.bincount(cells, weights, shape[0] * shape[1]) for weights in (None, *values)])
    blurred = _blur_widely(sums.reshape(-1, *shape).astype(np.float32) / np.float32(_SHRINK**2))
    return blurred[0], np.asarray(blurred[1:] / np.maximum(blurred[0], _TINY))


def _expected_fill_error(filled: Pixels, hole: Mask) -> _Floats:
    """Expected mean square error of a fill, at a quarter of the size: the mean square of sound detail around it."""
    light = _finite_light(filled)
    smooth = cv2.GaussianBlur(light, (0, 0), _DETAIL_SIGMA, borderType=cv2.BORDER_REFLECT).reshape(light.shape)
    sound = (~hole).astype(np.float32)
    size = tuple(-(-length // _SHRINK) for length in hole.shape[::-1])
    fine = light - smooth
    planes = [np.einsum("ijk,ijk->ij", fine, fine) * (sound / light.shape[2]), sound]
    total, weight = _blur_widely(np.stack([cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in planes]))
    return np.asarray(total / np.maximum(weight, _TINY))


def _blur_widely(planes: _Floats) -> _Floats:
    """Blur planes (n, h, w) at a quarter of the size by the local sigma."""
    return np.asarray(_blur_matrix(planes.shape[1]) @ planes @ _blur_matrix(planes.shape[2]).T)


@lru_cache(maxsize=256)
def _blur_matrix(length: int) -> _Floats:
    """A 1-D Gaussian blur of `length` values as a matrix, which blurs many small planes at once."""
    kernel = cv2.getGaussianKernel(2 * round(4 * _LOCAL_SIGMA / _SHRINK) + 1, _LOCAL_SIGMA / _SHRINK)
    matrix = cv2.sepFilter2D(np.eye(length), -1, np.ones(1), kernel, borderType=cv2.BORDER_REFLECT).astype(np.float32)
    matrix.setflags(write=False)
    return matrix


def _interpolate_planes(planes: _Floats, coordinates: _Coordinates) -> _Floats:
    """Planes (k, h, w) at a quarter of the size, interpolated bilinearly at some pixels of the window: (k, n)."""
    rows, columns = (
        _neighbour_cells(position, length) for position, length in zip(coordinates, planes.shape[1:], strict=True)
    )
    cells = np.ascontiguousarray(planes.reshape(len(planes), -1).T)
    values = np.zeros((len(coordinates[0]), len(planes)), np.float32)
    for row, row_weight in rows:
        for column, column_weight in columns:
            values += cells.take(row * planes.shape[2] + column, axis=0) * (row_weight * column_weight)[:, None]
    return np.ascontiguousarray(values.T)


def _neighbour_cells(position: NDArray[np.intp], length: int) -> list[tuple[NDArray[np.intp], _Floats]]:
    """The two cells between which each pixel lies along one axis, and the weight of each."""
    exact = (position.astype(np.float32) + np.float32(0.5)) / np.float32(_SHRINK) - np.float32(0.5)
    first = np.floor(exact)
    weight, cell = exact - first, first.astype(np.intp)
    return [(np.clip(cell, 0, length - 1), 1 - weight), (np.clip(cell + 1, 0, length - 1), weight)]
