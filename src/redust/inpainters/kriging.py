"""The fill ``kriging``: each masked pixel is the likeliest one, given its surroundings and their texture.

Around each piece of damage a plane is fitted (how the light falls off), and the covariance of what the plane
leaves is measured (how alike are two pixels, so many rows and columns apart?). Then the masked pixels are
predicted from the known ones in a ring by simple kriging: the best linear prediction under that covariance.
Edges, grain and weave that run through the surroundings show in the covariance and are carried on; where it tells
nothing, a general falling-off with distance does. It is computed in float64 at whatever depth the pixels have.

Source: G. Matheron, "Principles of geostatistics", Economic Geology 58 (1963), doi:10.2113/gsecongeo.58.8.1246;
covariance from the picture itself as in B. Galerne, A. Leclaire, "Texture Inpainting Using Efficient Gaussian
Conditional Simulation", SIAM Journal on Imaging Sciences 10 (2017), doi:10.1137/16M1109047. We differ: one
covariance for each piece and not per picture, its spectrum sharpened and blended with a general one, and the
prediction itself, without simulated texture.
"""

from __future__ import annotations

from functools import partial
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Mask, Pixels
from redust.core.engines import Needs
from redust.core.tiles import round_up
from redust.inpainters.regions import pieces

_Floats: TypeAlias = NDArray[np.float64]
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
    light = filled[crop].astype(np.float64)
    plane = _plane(light, known)
    rest = light - plane
    ring = _ring(own, known)
    predicted = plane[own] + _predict(rest[ring], ring, own, _covariance(rest, known, own | ring))
    seen = light[known]
    predicted = np.clip(predicted, seen.min(axis=0), seen.max(axis=0))
    filled[crop][own] = predicted if filled.dtype == np.float32 else np.rint(predicted)


def _surroundings(mask: Mask, box: _Box) -> tuple[tuple[slice, slice], Mask]:
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
    near = np.sort(distance[known])
    reach = min(max(_RING, near[min(_FEWEST, near.size) - 1]), near[min(_MOST, near.size) - 1])
    return np.asarray(known & (distance <= reach))


def _plane(light: _Floats, known: Mask) -> _Floats:
    """The plane (H, W, C) that fits the known pixels best; level where they are too few or in a line."""
    rows, columns = (np.arange(length) - length / 2 for length in known.shape)
    slopes = np.stack([*np.meshgrid(rows, columns, indexing="ij"), np.ones(known.shape)], axis=2)
    terms = slopes[known]
    fitted = np.linalg.lstsq(terms.T @ terms, terms.T @ light[known], rcond=1e-9)[0]
    return np.asarray(slopes @ fitted)


def _covariance(rest: _Floats, known: Mask, places: Mask) -> _Floats:
    """The covariance of the known pixels by distance in rows and columns, 1 at the middle of the table.

    The table is as wide as `places` ask for. The measured part is the inverse transform of a power spectrum,
    so it is a covariance whatever the picture.
    """
    spans = (np.ptp(np.flatnonzero(places.any(axis=1 - axis))) for axis in (0, 1))
    height, width = (round_up(length + int(span) + 1, 16) for length, span in zip(known.shape, spans, strict=True))
    spectrum = np.fft.rfft2(rest.mean(axis=2) * known, (height, width))
    measured = np.fft.fftshift(np.fft.irfft2(np.abs(spectrum) ** (2 * _SHARPEN), (height, width)))
    rows, columns = np.ogrid[-(height // 2) : height // 2, -(width // 2) : width // 2]
    general = np.exp(-np.hypot(rows, columns) / _FALL)
    variance = measured[height // 2, width // 2]
    return general if variance == 0 else (1 - _GENERAL) * measured / variance + _GENERAL * general


def _predict(seen: _Floats, ring: Mask, own: Mask, covariance: _Floats) -> _Floats:
    """Predict the pixels of `own` (m, C) from `seen` (n, C), those of `ring`, by simple kriging."""
    height, width = covariance.shape
    centre = (height // 2) * width + width // 2
    places, wanted = (rows * width + columns for rows, columns in (np.nonzero(ring), np.nonzero(own)))
    table = covariance.ravel()
    among = table.take(places[:, None] - places + centre)
    among.flat[:: len(places) + 1] += _NOISE
    towards = table.take(wanted[:, None] - places + centre)
    return np.asarray(towards @ np.linalg.solve(among, seen))
