"""The fill ``kriging``: each masked pixel is the likeliest one, given its surroundings and their texture.

Around each piece of damage a plane is fitted (how the light falls off), and the covariance of what the plane
leaves is measured (how alike are two pixels, so many rows and columns apart?). Then the masked pixels are
predicted from the known ones in a ring by simple kriging: the best linear prediction under that covariance.
Edges, grain and weave that run through the surroundings show in the covariance and are carried on; where it tells
nothing, a general falling-off with distance does. It is computed in float64; for 8 bit in float32, by which
3 of 100,000 filled pixels come out one step different.

Source: G. Matheron, "Principles of geostatistics", Economic Geology 58 (1963), doi:10.2113/gsecongeo.58.8.1246;
covariance from the picture itself as in B. Galerne, A. Leclaire, "Texture Inpainting Using Efficient Gaussian
Conditional Simulation", SIAM Journal on Imaging Sciences 10 (2017), doi:10.1137/16M1109047. We differ: one
covariance for each piece and not per picture, its spectrum sharpened and blended with a general one, and the
prediction itself, without simulated texture.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache, partial
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Mask, Pixels
from redust.core.engines import Needs
from redust.core.tiles import Place, round_up
from redust.inpainters.fill_windows import Box, pieces

_Floats: TypeAlias = NDArray[np.floating[Any]]  # float32 or float64
_Numbers: TypeAlias = NDArray[np.intp]
_Places: TypeAlias = tuple[_Numbers, _Numbers]

_CONTEXT = 24  # pixels around a piece in which the covariance is measured
_RING = 3.0  # known pixels this close to a piece predict it
# As the distance transform counts: diagonals 1.4, knight's moves 2.1969.
_DISC = (np.hypot(*np.ogrid[-3:4, -3:4]) <= _RING).astype(np.uint8)
_FEWEST, _MOST = 24, 400  # known pixels to predict from, where there are that many
_SHARPEN = 1.2  # exponent on the power spectrum: strong waves are trusted more than their measure
_GENERAL = 0.2  # share of the general covariance
_FALL = 40.0  # pixels over which the general covariance falls to 1/e
_NOISE = 0.03  # share of the variance that is taken as noise
_FAINTEST = 1e-20  # power: nothing beside that of any picture


class KrigingInpainter:
    """Predicts masked pixels from the sound ones around them and the covariance of their surroundings."""

    name = "kriging"
    needs = Needs(context=_CONTEXT)

    def fill(self, pixels: Pixels, mask: Mask) -> Pixels:
        """Fill the masked pixels of one region; see :class:`redust.core.engines.Inpainter`."""
        filled, hole = pixels.copy(), mask.copy()
        for box in sorted(pieces(mask), key=partial(_enclosed, mask)):
            _fill_piece(filled, hole, box)
            hole[box[0] : box[2], box[1] : box[3]] = False
        return filled


def _enclosed(mask: Mask, box: Box) -> float:
    """The share of masked pixels in and close around a box: pieces with the least are filled first."""
    top, left, bottom, right = box
    reach = int(2 * _RING)
    return float(mask[max(0, top - reach) : bottom + reach, max(0, left - reach) : right + reach].mean())


def _fill_piece(filled: Pixels, hole: Mask, box: Box) -> None:
    """Fill the masked pixels within `box`, in place."""
    crop, own = _surroundings(hole, box)
    known = ~hole[crop]
    # Channels first: sums over pixels run over neighbours in memory, several times as fast.
    exact: type[np.floating[Any]] = np.float32 if filled.dtype == np.uint8 else np.float64
    light: _Floats = np.ascontiguousarray(filled[crop].transpose(2, 0, 1), exact)
    plane = _plane(light, known)
    rest = light - plane
    ring = _ring(own, known)
    covariance = _covariance(np.add.reduce(rest, axis=0), known, own | ring)
    # Numbers of pixels: looking up by these is several times as fast as by masks.
    around, wanted = np.flatnonzero(ring), np.flatnonzero(own)
    predicted = _predict(_at(rest, around).T, _places(around, own), _places(wanted, own), covariance).T
    predicted += _at(plane, wanted)
    for channel, seen in zip(predicted, light, strict=True):
        least, most, *_ = cv2.minMaxLoc(seen, known.view(np.uint8))
        channel.clip(least, most, out=channel)
    filled[crop][own] = predicted.T if filled.dtype == np.float32 else np.rint(predicted.T)


def _at(planes: _Floats, pixels: _Numbers) -> _Floats:
    """Some pixels of planes (C, H, W), by number: (C, n)."""
    return planes.reshape(len(planes), -1).take(pixels, axis=1)


def _places(pixels: _Numbers, crop: Mask) -> _Places:
    """Rows and columns of pixels of a crop, by number."""
    rows, columns = np.divmod(pixels, crop.shape[1])
    return rows, columns


def _surroundings(mask: Mask, box: Box) -> tuple[Place, Mask]:
    """The crop that a piece is filled from, and which of its pixels are the piece; wider where all is masked."""
    top, left, bottom, right = box
    context = _CONTEXT
    while True:
        above, before = max(0, top - context), max(0, left - context)
        crop = slice(above, bottom + context), slice(before, right + context)
        if not mask[crop].all():
            break
        context *= 2
    own = np.zeros_like(mask[crop])
    inner = slice(top - above, bottom - above), slice(left - before, right - before)
    own[inner] = mask[box[0] : box[2], box[1] : box[3]]
    return crop, own


def _ring(own: Mask, known: Mask) -> Mask:
    """The known pixels to predict from: those nearest to the piece, within the ring if they are enough."""
    close = cv2.dilate(own.view(np.uint8), _DISC).view(np.bool_)
    close &= known
    if _FEWEST <= np.count_nonzero(close) <= _MOST:  # the rule, and much quicker than to look for the nearest
        return close
    distance = cv2.distanceTransform((~own).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    near = distance[known]
    few, most = min(_FEWEST, near.size) - 1, min(_MOST, near.size) - 1
    near.partition((few, most))
    reach = min(max(_RING, near[few]), near[most])
    return np.asarray(known & (distance <= reach))


def _plane(light: _Floats, known: Mask) -> _Floats:
    """The plane (C, H, W) that fits the known pixels best; level where they are too few or in a line.

    By its normal equations: sums of light and of pixels times powers of row and column.
    """
    down, across = (_powers(length, light.dtype) for length in known.shape)
    weighed = np.empty((len(light) + 1, *known.shape), light.dtype)
    weighed[-1] = known
    np.multiply(light, weighed[-1], out=weighed[:-1])
    *seen, count = (down @ weighed @ across.T).astype(np.float64)  # [i, j] of each: the sum with row^i column^j
    terms = np.array(
        [
            [count[2, 0], count[1, 1], count[1, 0]],
            [count[1, 1], count[0, 2], count[0, 1]],
            [count[1, 0], count[0, 1], count[0, 0]],
        ]
    )
    sums = np.array([[one[1, 0], one[0, 1], one[0, 0]] for one in seen])
    fitted = cv2.solve(terms, sums.T, flags=cv2.DECOMP_SVD)[1].astype(light.dtype)[..., None]
    by_row, by_column = fitted[0] * down[1] + fitted[2], fitted[1] * across[1]
    return np.asarray(by_row[:, :, None] + by_column[:, None, :])


@lru_cache(maxsize=256)
def _powers(length: int, exact: np.dtype[Any]) -> _Floats:
    """1, place and its square (3, length) of pixels in a row, places counted from the middle."""
    place = np.arange(length) - length / 2
    table = np.array([np.ones(length), place, place**2]).astype(exact)
    table.setflags(write=False)
    return table


def _covariance(rest: _Floats, known: Mask, places: Mask) -> _Floats:
    """The covariance of the known pixels by distance in rows and columns, 1 at the middle of the table.

    The table is as wide as `places` ask for. The measured part is the inverse transform of a power spectrum,
    so it is a covariance whatever the picture.
    """
    _, _, *spans = cv2.boundingRect(places.view(np.uint8))
    height, width = (round_up(length + span, 16) for length, span in zip(known.shape, spans[::-1], strict=True))
    padded = np.zeros((height, width), rest.dtype)
    np.multiply(rest, known, out=padded[: known.shape[0], : known.shape[1]])
    general = _general(height, width, rest.dtype)
    if not padded.any():
        return general
    spectrum = cv2.dft(padded)
    # Half of the power is 0, of which a power of its own takes five times as long.
    power = np.asarray(cv2.mulSpectrums(spectrum, spectrum, 0, conjB=True)) + rest.dtype.type(_FAINTEST)
    measured = cv2.idft(cv2.pow(power, _SHARPEN), flags=cv2.DFT_REAL_OUTPUT | cv2.DFT_SCALE)
    measured *= (1 - _GENERAL) / measured[0, 0]
    table = _GENERAL * general
    for here, there in _quadrants(height, width):
        table[here] += measured[there]
    return table


def _quadrants(height: int, width: int) -> Iterator[tuple[Place, Place]]:
    """Each quarter of a table whose middle is the origin, and where a transform, which begins with it, has it."""
    (upper, lower), (left, right) = ((slice(0, side // 2), slice(side // 2, side)) for side in (height, width))
    yield from (((upper, left), (lower, right)), ((upper, right), (lower, left)))
    yield from (((lower, left), (upper, right)), ((lower, right), (upper, left)))


@lru_cache(maxsize=64)
def _general(height: int, width: int, exact: np.dtype[Any]) -> _Floats:
    """The covariance that falls off with distance, the same for all pieces: a table as :func:`_covariance` gives."""
    rows, columns = np.ogrid[-(height // 2) : height // 2, -(width // 2) : width // 2]
    table = np.asarray(np.exp(-np.hypot(rows, columns) / _FALL), exact)
    table.setflags(write=False)
    return table


def _predict(seen: _Floats, around: _Places, wanted: _Places, covariance: _Floats) -> _Floats:
    """Predict pixels (m, C), `wanted`, from those `around` them, `seen` (n, C), by simple kriging."""
    height, width = covariance.shape
    centre = (height // 2) * width + width // 2
    known, asked = (rows * width + columns for rows, columns in (around, wanted))
    table = covariance.ravel()
    among = table.take(np.subtract.outer(centre + known, known))
    among.flat[:: len(known) + 1] += _NOISE
    towards = table.take(np.subtract.outer(centre + asked, known))
    return np.asarray(towards @ cv2.solve(among, seen, flags=cv2.DECOMP_CHOLESKY)[1])
