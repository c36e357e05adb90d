"""Divide translucent dust out by its infrared density, as far as that is better than the fill.

Dust takes the same share of light from every pixel of a colour, so in density light = picture + s g, with g the density
of dust in infrared and s the slope of the colour, measured over all dust of the scan. What is left is the picture with
errors: the noise of infrared, and a share of s g, since infrared is less in focus. The fill has errors too: the detail
of the picture, as strong as it is around. Both are weighted by their inverse variance, pixel by pixel: in busy parts of
the picture and under thin dust the division counts, on smooth film and under opaque dust the fill.

Sources: A. Edgar, US patent 5,266,805 (1993), divides; the slope is that of https://github.com/marcinz606/NegPy/pull/715.
Different from both, nothing is divided beyond what the fill leaves uncertain.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Mask, Pixels, from_light, to_light
from redust.core.composite import composite
from redust.core.tiles import Tile, tiles, window

_SIDE = 512  # pixels: of a tile; it does not change the answer
_HALO = 32  # pixels
_REACH = 8  # pixels from proven dust
_DARKEST = np.float32(1 / 4096)
_DUST = 3.0  # deviations from which a pixel tells of the slope
_THIN = 0.03  # density from which it tells of the error of its division
_DETAIL_SIGMA, _AROUND = 3.0, 31  # pixels: what a fill misses, and where that is measured
_MEDIAN_SQUARE = 0.455  # of a normal distribution of variance 1
_MIN_ERROR = 0.05  # of the density that is divided out
_FEWEST, _ENOUGH = 50, 20_000  # samples
_MIN_WEIGHT = 0.02

_Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class InfraredDust:
    """Dust by infrared.

    Parameters
    ----------
    deviation : (H, W) float16
        Its density in infrared over `noise`; NaN where nothing is known.
    threshold
        Deviations that prove dust.
    noise
        Of that density.
    """

    deviation: NDArray[np.float16]
    threshold: float
    noise: float


@dataclass(frozen=True, eq=False)
class _Samples:
    """Masked pixels near dust: where they lie in a tile's window, and what is known of them, (n,) or (n, C).

    `dust` is their density in infrared, `missing` what the fill has less density than the light, `detail` the mean
    square of density of the sound picture around them, (n, 1).
    """

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    dust: _Floats
    light: _Floats
    missing: _Floats
    detail: _Floats


def divide_dust(pixels: Pixels, filled: Pixels, mask: Mask, dust: InfraredDust) -> None:
    """Improve a fill by what translucent dust shows, in place.

    Parameters
    ----------
    pixels, filled : (H, W, C) uint8, uint16 or float32
        The scan, and the same filled.
    mask : (H, W) bool
        What was filled; only pixels of it within 8 pixels of proven dust change.
    dust
        By infrared.
    """
    slopes, errors = _fit_division(pixels, filled, mask, dust)
    if slopes is None or errors is None:
        return
    for tile, samples in _sample_tiles(pixels, filled, mask, dust):
        divided = np.abs(slopes) * samples.dust[:, None]
        division_variance = (slopes * np.float32(dust.noise)) ** 2 + (errors * divided) ** 2
        weight = samples.detail / (samples.detail + division_variance)
        weight[(samples.light <= _DARKEST) | (samples.light >= 1)] = 0
        change = weight * (slopes * samples.dust[:, None] - samples.missing)
        useful = weight.max(axis=1) > _MIN_WEIGHT
        _write(filled, tile, samples, change, useful)


def _write(filled: Pixels, tile: Tile, samples: _Samples, change: _Floats, useful: NDArray[np.bool_]) -> None:
    """Take the changed density off the fill's, in the core of a tile."""
    rows, columns = samples.rows[useful] + tile.row, samples.columns[useful] + tile.column
    brighter = np.power(np.float32(10), change[useful])
    light = np.maximum(to_light(filled[rows, columns][:, None]), _DARKEST)[:, 0] * brighter
    patch = filled[tile.core].copy()
    values = from_light(np.asarray(light[:, None], np.float32), filled.dtype)[:, 0]
    patch[samples.rows[useful], samples.columns[useful]] = values
    chosen = np.zeros(patch.shape[:2], np.bool_)
    chosen[samples.rows[useful], samples.columns[useful]] = True
    composite(filled, patch, chosen, (tile.row, tile.column))


def _sample_tiles(pixels: Pixels, filled: Pixels, mask: Mask, dust: InfraredDust) -> Iterator[tuple[Tile, _Samples]]:
    """The masked pixels near dust, tile by tile; rows and columns count within the core."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _REACH + 1, 2 * _REACH + 1))
    for tile in tiles(mask.shape, _SIDE, halo=_HALO):
        if not mask[tile.core].any():
            continue
        proven = np.asarray(window(dust.deviation, tile) >= np.float16(dust.threshold), np.uint8)
        close = np.asarray(cv2.dilate(proven, disc))[tile.core_in_window].astype(np.bool_) & mask[tile.core]
        if close.any():
            yield tile, _sample_window(pixels, filled, mask, dust, tile, close)


def _sample_window(pixels: Pixels, filled: Pixels, mask: Mask, dust: InfraredDust, tile: Tile, close: Mask) -> _Samples:
    rows, columns = np.nonzero(close)
    deviation = np.nan_to_num(dust.deviation[tile.core][rows, columns].astype(np.float32))
    before = to_light(pixels[tile.core][rows, columns][:, None])[:, 0]
    after = np.maximum(to_light(filled[tile.core][rows, columns][:, None])[:, 0], _DARKEST)
    sound = np.logical_not(window(mask, tile)).astype(np.float32)
    middle = window(filled[..., filled.shape[2] // 2], tile)  # green, or grey: colours are about as busy
    density = -np.log10(np.maximum(to_light(np.ascontiguousarray(middle)), _DARKEST))
    box = (_AROUND, _AROUND)
    square = cv2.blur((density - cv2.GaussianBlur(density, (0, 0), _DETAIL_SIGMA)) ** 2 * sound, box)
    detail = square / np.maximum(cv2.blur(sound, box), np.float32(1e-6))
    return _Samples(
        rows,
        columns,
        np.maximum(deviation, 0) * np.float32(dust.noise),
        before,
        np.asarray(np.log10(after / np.maximum(before, _DARKEST)), np.float32),
        np.asarray(detail[tile.core_in_window][rows, columns][:, None], np.float32),
    )


def _fit_division(
    pixels: Pixels, filled: Pixels, mask: Mask, dust: InfraredDust
) -> tuple[_Floats | None, _Floats | None]:
    """Slope of each colour, and the error of a division as a share of the density divided out: (C,) each; or None."""
    samples: list[_Samples] = []
    for _, item in _sample_tiles(pixels, filled, mask, dust):
        samples.append(item)
        if sum(len(sample.dust) for sample in samples) > _ENOUGH:
            break
    if not samples:
        return None, None
    density = np.concatenate([sample.dust for sample in samples])[:, None]
    missing, detail = (np.concatenate([getattr(s, name) for s in samples]) for name in ("missing", "detail"))
    clear = (density > _DUST * dust.noise)[:, 0]
    if np.count_nonzero(clear) < _FEWEST:
        return None, None
    slopes = (density * missing)[clear].sum(axis=0) / (density**2)[clear].sum()
    thick = (np.abs(slopes) * density > _THIN).all(axis=1)
    if np.count_nonzero(thick) < _FEWEST:
        return None, None
    divided = (slopes * density)[thick]
    surplus = (divided - missing[thick]) ** 2 - detail[thick]
    error = np.median(surplus / divided**2, axis=0) / _MEDIAN_SQUARE
    return slopes.astype(np.float32), np.sqrt(np.maximum(error, _MIN_ERROR**2)).astype(np.float32)
