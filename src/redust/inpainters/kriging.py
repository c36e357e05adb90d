"""The fill ``kriging``: each masked pixel is the best linear prediction from its surroundings and their texture.

For each box of damage a plane is fitted (the trend of the light), and the covariance of the residual is measured (how
similar are two pixels so many rows and columns apart). The masked pixels are then predicted from the known ones in a
ring by simple kriging: the best linear prediction under that covariance. Edges, grain and weave in the surroundings
show in the covariance and are continued; where it is uninformative, a general covariance that decays with distance
takes over. Computed in float64; for 8 bit in float32, which changes 3 of 100,000 filled pixels by one step.

Source: G. Matheron, "Principles of geostatistics", Economic Geology 58 (1963), doi:10.2113/gsecongeo.58.8.1246;
covariance from the picture itself as in B. Galerne, A. Leclaire, "Texture Inpainting Using Efficient Gaussian
Conditional Simulation", SIAM Journal on Imaging Sciences 10 (2017), doi:10.1137/16M1109047. Differences: one
covariance per box and not per picture, its spectrum sharpened and blended with a general one, and the prediction
itself, without simulated texture.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache, partial
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Mask, Pixels
from redust.core.engines import Inpainter, InpainterSpec, Needs
from redust.core.tiles import Rectangle, round_up
from redust.inpainters.fill_windows import Box, cut_boxes

_Floats: TypeAlias = NDArray[np.floating[Any]]  # float32 or float64
_Indices: TypeAlias = NDArray[np.intp]
_Coordinates: TypeAlias = tuple[_Indices, _Indices]  # rows and columns

_CONTEXT = 24  # pixels around a box in which the covariance is measured
_RING = 3.0  # known pixels this close to a box predict it
# Radius as the distance transform counts: diagonals 1.4, knight's moves 2.1969.
_DISC = (np.hypot(*np.ogrid[-3:4, -3:4]) <= _RING).astype(np.uint8)
_FEWEST, _LARGEST = 24, 400  # known pixels to predict from, where there are that many
_SHARPEN = 1.2  # exponent on the power spectrum: emphasizes strong frequencies
_GENERAL = 0.2  # weight of the general covariance
_DECAY = 40.0  # pixels over which the general covariance falls to 1/e
_NOISE = 0.03  # share of the variance that is treated as noise (nugget)
_FAINTEST = 1e-20  # power: negligible beside that of any picture


class KrigingInpainter(Inpainter):
    """Predicts masked pixels from the sound ones around them and the covariance of their surroundings."""

    spec = InpainterSpec(name="kriging", needs=Needs(context=_CONTEXT))

    def fill(self, pixels: Pixels, mask: Mask) -> Pixels:
        """Fill the masked pixels of one window; see :class:`redust.core.engines.Inpainter`."""
        filled, hole = pixels.copy(), mask.copy()
        for box in sorted(cut_boxes(mask), key=partial(_masked_share, mask)):
            _fill_box(filled, hole, box)
            hole[box[0] : box[2], box[1] : box[3]] = False
        return filled


def _masked_share(mask: Mask, box: Box) -> float:
    """The share of masked pixels in and close around a box: boxes with the smallest are filled first."""
    top, left, bottom, right = box
    reach = int(2 * _RING)
    return float(mask[max(0, top - reach) : bottom + reach, max(0, left - reach) : right + reach].mean())


def _fill_box(filled: Pixels, hole: Mask, box: Box) -> None:
    """Fill the masked pixels within `box`, in place."""
    crop, target = _crop_around(hole, box)
    known = ~hole[crop]
    # Channels first: sums over pixels run over neighbours in memory, several times as fast.
    precision: type[np.floating[Any]] = np.float32 if filled.dtype == np.uint8 else np.float64
    light: _Floats = np.ascontiguousarray(filled[crop].transpose(2, 0, 1), precision)
    plane = _fit_plane(light, known)
    residual = light - plane
    ring = _select_ring(target, known)
    covariance = _measure_covariance(np.add.reduce(residual, axis=0), known, target | ring)
    # Flat indices: several times as fast as boolean masks.
    sources, targets = np.flatnonzero(ring), np.flatnonzero(target)
    values = _take_pixels(residual, sources).T
    predicted = _predict_pixels(values, _unravel(sources, target), _unravel(targets, target), covariance).T
    predicted += _take_pixels(plane, targets)
    for channel, original in zip(predicted, light, strict=True):
        low, high, *_ = cv2.minMaxLoc(original, known.view(np.uint8))
        channel.clip(low, high, out=channel)
    filled[crop][target] = predicted.T if filled.dtype == np.float32 else np.rint(predicted.T)


def _take_pixels(planes: _Floats, indices: _Indices) -> _Floats:
    """Pixels of planes (C, H, W) by flat index: (C, n)."""
    return planes.reshape(len(planes), -1).take(indices, axis=1)


def _unravel(indices: _Indices, crop: Mask) -> _Coordinates:
    """Rows and columns of flat indices into a crop."""
    rows, columns = np.divmod(indices, crop.shape[1])
    return rows, columns


def _crop_around(mask: Mask, box: Box) -> tuple[Rectangle, Mask]:
    """The crop that a box is filled from, and its target in it; widened while the whole crop is masked."""
    top, left, bottom, right = box
    context = _CONTEXT
    while True:
        first_row, first_column = max(0, top - context), max(0, left - context)
        crop = slice(first_row, bottom + context), slice(first_column, right + context)
        if not mask[crop].all():
            break
        context *= 2
    target = np.zeros_like(mask[crop])
    inner = slice(top - first_row, bottom - first_row), slice(left - first_column, right - first_column)
    target[inner] = mask[box[0] : box[2], box[1] : box[3]]
    return crop, target


def _select_ring(target: Mask, known: Mask) -> Mask:
    """The known pixels to predict from: those nearest to the target, within the ring if they are enough."""
    close = cv2.dilate(target.view(np.uint8), _DISC).view(np.bool_)
    close &= known
    if _FEWEST <= np.count_nonzero(close) <= _LARGEST:  # the usual case, much faster than a search for the nearest
        return close
    distance = cv2.distanceTransform((~target).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    distances = distance[known]
    fewest, largest = min(_FEWEST, distances.size) - 1, min(_LARGEST, distances.size) - 1
    distances.partition((fewest, largest))
    reach = min(max(_RING, distances[fewest]), distances[largest])
    return np.asarray(known & (distance <= reach))


def _fit_plane(light: _Floats, known: Mask) -> _Floats:
    """The least-squares plane (C, H, W) of the known pixels; level where they are too few or collinear.

    Solved by its normal equations: sums of light, and of pixels, times powers of row and column.
    """
    row_powers, column_powers = (_position_powers(length, light.dtype) for length in known.shape)
    weighted = np.empty((len(light) + 1, *known.shape), light.dtype)
    weighted[-1] = known
    np.multiply(light, weighted[-1], out=weighted[:-1])
    # [i, j] of each: the sum of values times row^i column^j.
    *moments, count = (row_powers @ weighted @ column_powers.T).astype(np.float64)
    terms = np.array(
        [
            [count[2, 0], count[1, 1], count[1, 0]],
            [count[1, 1], count[0, 2], count[0, 1]],
            [count[1, 0], count[0, 1], count[0, 0]],
        ]
    )
    sums = np.array([[moment[1, 0], moment[0, 1], moment[0, 0]] for moment in moments])
    fitted = cv2.solve(terms, sums.T, flags=cv2.DECOMP_SVD)[1].astype(light.dtype)[..., None]
    by_row, by_column = fitted[0] * row_powers[1] + fitted[2], fitted[1] * column_powers[1]
    return np.asarray(by_row[:, :, None] + by_column[:, None, :])


@lru_cache(maxsize=256)
def _position_powers(length: int, dtype: np.dtype[Any]) -> _Floats:
    """1, position and its square (3, length) of pixels in a row, counted from the middle."""
    position = np.arange(length) - length / 2
    table = np.array([np.ones(length), position, position**2]).astype(dtype)
    table.setflags(write=False)
    return table


def _measure_covariance(residual: _Floats, known: Mask, needed: Mask) -> _Floats:
    """The covariance of the known pixels by offset in rows and columns, 1 at the middle of the table.

    The table is as large as the offsets between the `needed` pixels. The measured part is the inverse transform of a
    power spectrum, so it is a valid covariance for any picture.
    """
    _, _, *spans = cv2.boundingRect(needed.view(np.uint8))
    height, width = (round_up(length + span, 16) for length, span in zip(known.shape, spans[::-1], strict=True))
    padded = np.zeros((height, width), residual.dtype)
    np.multiply(residual, known, out=padded[: known.shape[0], : known.shape[1]])
    general = _general_covariance(height, width, residual.dtype)
    if not padded.any():
        return general
    spectrum = cv2.dft(padded)
    # Half of the power is 0, of which a power takes five times as long.
    power = np.asarray(cv2.mulSpectrums(spectrum, spectrum, 0, conjB=True)) + residual.dtype.type(_FAINTEST)
    measured = cv2.idft(cv2.pow(power, _SHARPEN), flags=cv2.DFT_REAL_OUTPUT | cv2.DFT_SCALE)
    measured *= (1 - _GENERAL) / measured[0, 0]
    table = _GENERAL * general
    for centred, origin_first in _quadrants(height, width):
        table[centred] += measured[origin_first]
    return table


def _quadrants(height: int, width: int) -> Iterator[tuple[Rectangle, Rectangle]]:
    """Each quadrant of a table with its origin in the middle, and the same quadrant of a transform's (origin first)."""
    (upper, lower), (left, right) = ((slice(0, side // 2), slice(side // 2, side)) for side in (height, width))
    yield from (((upper, left), (lower, right)), ((upper, right), (lower, left)))
    yield from (((lower, left), (upper, right)), ((lower, right), (upper, left)))


@lru_cache(maxsize=64)
def _general_covariance(height: int, width: int, dtype: np.dtype[Any]) -> _Floats:
    """The covariance that decays with distance, the same for all boxes: a table as of :func:`_measure_covariance`."""
    rows, columns = np.ogrid[-(height // 2) : height // 2, -(width // 2) : width // 2]
    table = np.asarray(np.exp(-np.hypot(rows, columns) / _DECAY), dtype)
    table.setflags(write=False)
    return table


def _predict_pixels(values: _Floats, sources: _Coordinates, targets: _Coordinates, covariance: _Floats) -> _Floats:
    """Predict the target pixels (m, C) from source pixels with `values` (n, C), by simple kriging."""
    height, width = covariance.shape
    centre = (height // 2) * width + width // 2
    known, unknown = (rows * width + columns for rows, columns in (sources, targets))
    table = covariance.ravel()
    between_sources = table.take(np.subtract.outer(centre + known, known))
    between_sources.flat[:: len(known) + 1] += _NOISE
    to_targets = table.take(np.subtract.outer(centre + unknown, known))
    return np.asarray(to_targets @ cv2.solve(between_sources, values, flags=cv2.DECOMP_CHOLESKY)[1])
