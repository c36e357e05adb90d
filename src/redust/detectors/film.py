"""Colour negatives that were not inverted, as positives for detectors.

Detectors know positives: dust white, contrast as on paper. On a negative as it was scanned dust is dark, behind an
orange mask of little contrast. Density is the quantity in which a negative is linear in log exposure (F. Hurter and
V. C. Driffield, 1890), so each channel's density, stretched and bent as paper bends it, is a positive.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Light, Pixels, from_light, full_scale, to_light
from redust.core.settings import Film

_SAMPLES = 250_000  # pixels whose histogram is looked at
_BLOCK_ROWS = 256
_DARKEST = 1 / 4096  # of full light: the density of what is darker cannot be known

# What tells an orange mask, in decadic densities of the samples as they are, encoded or linear. Chosen on 314
# photographs and scans of positives: each stays below 0.54 of one of the limits.
_BLACK, _CLIPPED = 0.03, 0.98  # the film holder, and light beside the film: not judged
_JUDGED = 0.3  # the smallest share of pixels between them
_BASE, _BODY = 0.5, 10  # percentiles: of each channel's density, the base; of colour, the least orange that counts
_BLUE_OVER_RED, _STEP = 0.16, 0.04  # density of blue over red; of green over red, and blue over green
_OFFSET_OF_CONTRAST = 0.3  # density of blue over red per contrast of red: it does not depend on the encoding
_NO_LIGHT, _WITHOUT_BLUE = 0.01, 0.02  # a negative has light of each colour throughout; fire has no blue
_TAILS = (0.5, 99.5)  # percentiles of density that become black and white
_LEAST_RANGE = 0.6  # decades: a crop or a flat scene is not stretched until its grain is all that shows
_GAMMA = 2.2  # of the encoding that linear light gets
_RANGE = 0.5  # decades over which highlights are compressed; from 0.4 to 0.8 as much is found, below and above less


def choose_film(pixels: Pixels, film: Film) -> Film:
    """Whether a scan is a positive or a negative: as the user says, or by its histogram.

    Parameters
    ----------
    pixels : (H, W, C) uint8, uint16 or float32
    film
        ``auto`` takes a scan for a negative if it has the orange mask of colour negative film.

    Returns
    -------
    film
        Positive or negative.
    """
    if film is not Film.auto:
        return film
    return Film.negative if has_orange_mask(pixels) else Film.positive


def show_light(pixels: Pixels, film: Film, *, linear: bool = False) -> Pixels:
    """A scan as detectors know scans: a negative inverted, linear light encoded, others as they are.

    Parameters
    ----------
    pixels : (H, W, C) uint8, uint16 or float32
    film
        Positive or negative.
    linear
        Whether the samples are linear in light.
    """
    if film is Film.negative:
        return invert_negative(pixels)
    return _convert(pixels, _encode_light) if linear else pixels


def has_orange_mask(pixels: Pixels) -> bool:
    """Whether a scan (H, W, C) is a colour negative by its histogram: orange even where it is lightest, nowhere black.

    A negative whose base a scanner's program has balanced to grey, and one in black-and-white, cannot be told that way.
    """
    if pixels.shape[2] != 3:
        return False
    light = _sample_light(pixels)
    brightest = light.max(axis=1)
    judged = light[(brightest > _BLACK) & (brightest < _CLIPPED)]
    if len(judged) < _JUDGED * len(light) or np.mean(judged[:, 2] < _NO_LIGHT) > _WITHOUT_BLUE:
        return False
    density = _measure_density(judged)
    colour = _color_steps(density)
    base = _color_steps(np.percentile(density, _BASE, axis=0))
    body = np.percentile(colour, _BODY, axis=0)
    contrast = np.ptp(np.percentile(density[:, 0], (2, 98)))
    return _is_orange(base) and _is_orange(body) and bool(body.sum() > _OFFSET_OF_CONTRAST * contrast)


def _color_steps(density: NDArray[Any]) -> NDArray[Any]:
    """Density (..., 3) of green over red, and of blue over green: (..., 2)."""
    return np.diff(density, axis=-1)


def _is_orange(steps: NDArray[Any]) -> bool:
    return bool(steps.min() > _STEP and steps.sum() > _BLUE_OVER_RED)


def invert_negative(pixels: Pixels) -> Pixels:
    """A negative as a positive: each channel's density, stretched to the range of the dtype.

    Parameters
    ----------
    pixels : (H, W, C) uint8, uint16 or float32

    Returns
    -------
    positive : (H, W, C), dtype of pixels
        A new array, made by tables in blocks of rows.
    """
    limits = np.percentile(_measure_density(_sample_light(pixels)), _TAILS, axis=0)
    middle, span = limits.mean(axis=0), np.maximum(np.ptp(limits, axis=0), _LEAST_RANGE)

    def invert(light: Light) -> NDArray[Any]:
        share = (_measure_density(light) - middle) / span + 0.5
        return np.asarray(np.clip((1 - 10 ** (-_RANGE * share)) / (1 - 10**-_RANGE), 0, 1))

    return _convert(pixels, invert)


def _encode_light(light: Light) -> NDArray[Any]:
    return np.power(light, 1 / _GAMMA)


def _convert(pixels: Pixels, convert: Callable[[Light], NDArray[Any]]) -> Pixels:
    """Pixels whose light (..., C) was converted channel by channel: by tables, or float by the formula."""
    converted = np.empty_like(pixels)
    tables = _make_tables(pixels, convert) if pixels.dtype != np.float32 else None
    for row in range(0, len(pixels), _BLOCK_ROWS):
        block, target = pixels[row : row + _BLOCK_ROWS], converted[row : row + _BLOCK_ROWS]
        if tables is None:
            target[...] = convert(to_light(block))
            continue
        for channel in range(pixels.shape[2]):
            target[..., channel] = np.take(tables[channel], block[..., channel])
    return converted


def _make_tables(pixels: Pixels, convert: Callable[[Light], NDArray[Any]]) -> Pixels:
    """What each integer of each channel becomes, (C, 256 or 65536)."""
    levels = np.arange(int(full_scale(pixels.dtype)) + 1, dtype=pixels.dtype)
    light = to_light(np.repeat(levels[:, None], pixels.shape[2], axis=1))
    return np.ascontiguousarray(from_light(convert(light).astype(np.float32), pixels.dtype).T)


def _sample_light(pixels: Pixels) -> Light:
    """Pixels on a grid over the scan, (N, C) float32 in 0..1."""
    step = max(1, round((pixels.shape[0] * pixels.shape[1] / _SAMPLES) ** 0.5))
    return to_light(pixels[::step, ::step].reshape(-1, pixels.shape[2]))


def _measure_density(light: Light) -> Light:
    """The decadic density of light."""
    density: Light = -np.log10(np.maximum(light, np.float32(_DARKEST)))
    return density
