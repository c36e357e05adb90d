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

from functools import lru_cache, partial
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Mask, Pixels
from redust.core.engines import Needs
from redust.core.tiles import Place, round_up
from redust.inpainters.regions import pieces

_Floats: TypeAlias = NDArray[np.floating[Any]]  # float32 or float64
_Box: TypeAlias = tuple[int, int, int, int]

_CONTEXT = 24  # pixels around a piece in which the covariance is measured
_RING = 3.0  # known pixels this close to a piece predict it
_FEWEST, _MOST = 24, 400  # known pixels to predict from, where there are that many
_SHARPEN = 1.2  # exponent on the power spectrum: strong waves are trusted more than their measure
_GENERAL = 0.2  # share of the general covariance
_FALL = 40.0  # pixels over which the general covariance falls to 1/e
_NOISE = 0.03  # share of the variance that is taken as noise


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


def _enclosed(mask: Mask, box: _Box) -> float:
    """The share of masked pixels in and close around a box: pieces with the least are filled first."""
    top, left, bottom, right = box
    reach = int(2 * _RING)
    return float(mask[max(0, top - reach) : bottom + reach, max(0, left - reach) : right + reach].mean())


def _fill_piece(filled: Pixels, hole: Mask, box: _Box) -> None:
    """Fill the masked pixels within `box`, in place."""
    crop, own = _surroundings(hole, box)
    known = ~hole[crop]
    # Channels first: sums over pixels run over neighbours in memory, several times as fast.
    exact: type[np.floating[Any]] = np.float32 if filled.dtype == np.uint8 else np.float64
    light: _Floats = np.ascontiguousarray(filled[crop].transpose(2, 0, 1), exact)
    plane = _plane(light, known)
    rest = light - plane
    ring = _ring(own, known)
    covariance = _covariance(rest.mean(axis=0), known, own | ring)
    predicted = plane[:, own] + _predict(rest[:, ring].T, ring, own, covariance).T
    for channel, seen in zip(predicted, light, strict=True):
        least, most, *_ = cv2.minMaxLoc(seen, known.view(np.uint8))
        channel.clip(least, most, out=channel)
    filled[crop][own] = predicted.T if filled.dtype == np.float32 else np.rint(predicted.T)


def _surroundings(mask: Mask, box: _Box) -> tuple[Place, Mask]:
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
    distance = cv2.distanceTransform((~own).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    near = distance[known]
    few, most = min(_FEWEST, near.size) - 1, min(_MOST, near.size) - 1
    near.partition((few, most))
    reach = min(max(_RING, near[few]), near[most])
    return np.asarray(known & (distance <= reach))


def _plane(light: _Floats, known: Mask) -> _Floats:
    """The plane (C, H, W) that fits the known pixels best; level where they are too few or in a line.

    By its normal equations, whose terms are sums over rows and over columns.
    """
    rows, columns = (np.arange(length) - length / 2 for length in known.shape)
    in_row, in_column = known.sum(axis=1), known.sum(axis=0)
    first, second, mixed = rows @ in_row, columns @ in_column, rows @ (known @ columns)
    terms = np.array(
        [
            [rows**2 @ in_row, mixed, first],
            [mixed, columns**2 @ in_column, second],
            [first, second, in_row.sum()],
        ]
    )
    seen = light * known
    by_row, by_column = (seen.sum(axis=axis, dtype=np.float64) for axis in (2, 1))
    sums = np.array([by_row @ rows, by_column @ columns, by_row.sum(axis=1)])
    fitted = np.linalg.lstsq(terms, sums, rcond=1e-9)[0].astype(light.dtype)
    down, across, level = fitted[..., None, None]
    return np.asarray(down * rows.astype(light.dtype)[:, None] + across * columns.astype(light.dtype) + level)


def _covariance(rest: _Floats, known: Mask, places: Mask) -> _Floats:
    """The covariance of the known pixels by distance in rows and columns, 1 at the middle of the table.

    The table is as wide as `places` ask for. The measured part is the inverse transform of a power spectrum,
    so it is a covariance whatever the picture.
    """
    spans = (np.ptp(np.flatnonzero(places.any(axis=1 - axis))) for axis in (0, 1))
    height, width = (round_up(length + int(span) + 1, 16) for length, span in zip(known.shape, spans, strict=True))
    padded = np.zeros((height, width), rest.dtype)
    np.multiply(rest, known, out=padded[: known.shape[0], : known.shape[1]])
    spectrum = cv2.dft(padded)
    power = cv2.pow(cv2.mulSpectrums(spectrum, spectrum, 0, conjB=True), _SHARPEN)
    measured = np.fft.fftshift(cv2.idft(power, flags=cv2.DFT_REAL_OUTPUT | cv2.DFT_SCALE))
    variance = measured[height // 2, width // 2]
    general = _general(height, width, rest.dtype)
    return general if variance == 0 else measured * ((1 - _GENERAL) / variance) + _GENERAL * general


@lru_cache(maxsize=64)
def _general(height: int, width: int, exact: np.dtype[Any]) -> _Floats:
    """The covariance that falls off with distance, the same for all pieces: a table as :func:`_covariance` gives."""
    rows, columns = np.ogrid[-(height // 2) : height // 2, -(width // 2) : width // 2]
    table = np.asarray(np.exp(-np.hypot(rows, columns) / _FALL), exact)
    table.setflags(write=False)
    return table


def _predict(seen: _Floats, ring: Mask, own: Mask, covariance: _Floats) -> _Floats:
    """Predict the pixels of `own` (m, C) from `seen` (n, C), those of `ring`, by simple kriging."""
    height, width = covariance.shape
    centre = (height // 2) * width + width // 2
    places, wanted = (rows * width + columns for rows, columns in (np.nonzero(ring), np.nonzero(own)))
    table = covariance.ravel()
    among = table.take((places + centre)[:, None] - places)
    among.flat[:: len(places) + 1] += _NOISE
    towards = table.take((wanted + centre)[:, None] - places)
    return np.asarray(towards @ cv2.solve(among, seen, flags=cv2.DECOMP_CHOLESKY)[1])
