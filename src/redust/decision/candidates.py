"""Candidate regions: what may be damage, found loosely.

Two sources. A detector's damage map, cut at a low level but no lower than a margin beside the local peak, so that a
mark does not run into weak texture around it. And plain contrast: morphological top-hats (Serra, Image Analysis and
Mathematical Morphology, 1982) of both polarities and two widths, in units of the local noise. Which of the candidates
are damage is decided by :mod:`redust.decision.region_classifier`.

All is computed in bands of rows, on the scan's light in 8 bits stretched to its own range. The mask is the only array of
the scan's size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import LUMA, Mask, Pixels
from redust.core.logits import LogitBins
from redust.core.tiles import bands, with_margin

Bytes: TypeAlias = NDArray[np.uint8]
Floats: TypeAlias = NDArray[np.float32]

BLOCK = 8  # pixels: side of the squares by which the local noise is known
WIDTHS = (9, 23)  # pixels: what is wider than this is no top-hat's detail
MARGIN = 40  # rows around a band that the filters reach
_BAND = 256  # rows; a multiple of BLOCK
_GROUND = 21  # pixels: side of the mean that light is compared with
_LOWEST = 35  # logit bin, a probability of 0.01
_CAP, _BESIDE = 91, 25  # logit bins: peaks count no higher than 0.73, and what is 2.5 below its peak is not part of it
_SEED, _RIM = 5.0, 2.5  # top-hat in units of the local noise: at its peak, and at its rim
_REACH = 15  # pixels: side of the square within which a peak is local
_CLEARANCE = 7  # pixels: side of the square around the map's candidates in which contrast adds none


@dataclass(frozen=True, eq=False)
class ScanTone:
    """The range of a scan's light and its local noise.

    Parameters
    ----------
    low, high
        The light, in units of the pixels, that becomes 0 and 255.
    noise : (ceil(H / 8), ceil(W / 8)) float32
        Mean absolute deviation from the local mean in squares of 8 pixels, smoothed; in units of 8 bits, at least 1.
    fine_noise
        The same for the finest detail: the mean over the scan of what a 3 x 3 mean takes away.
    """

    low: float
    high: float
    noise: Floats
    fine_noise: float

    def stretch(self, light: Pixels) -> Bytes:
        """Light of the scan as 8 bits of its own range, same shape."""
        scaled = (np.nan_to_num(light.astype(np.float32), posinf=self.high) - self.low) * (255 / (self.high - self.low))
        return np.clip(scaled, 0, 255).astype(np.uint8)

    def noise_at(self, rows: slice, width: int, factor: float) -> Bytes:
        """The local noise times `factor`, rounded up, for whole rows of the scan; (rows, width) uint8."""
        first, last = rows.start // BLOCK, -(-rows.stop // BLOCK)
        small = np.clip(np.ceil(self.noise[first:last] * factor), 1, 255).astype(np.uint8)
        large = cv2.resize(small, None, fx=BLOCK, fy=BLOCK, interpolation=cv2.INTER_NEAREST)
        return np.asarray(large)[rows.start - first * BLOCK : rows.stop - first * BLOCK, :width]


def measure_tone(pixels: Pixels) -> ScanTone:
    """Measure the range and the local noise of a scan, (H, W, C) uint8, uint16 or float32."""
    sample = np.nan_to_num(pixels[::5, ::5].astype(np.float32).mean(axis=2))
    low, high = (float(value) for value in np.percentile(sample, (0.5, 99.5)))
    full = 1.0 if pixels.dtype == np.float32 else float(np.iinfo(pixels.dtype).max)
    high = max(high, low + full / 64)  # a flat scan is not stretched until its noise is a scene
    tone = ScanTone(low, high, np.ones((1, 1), np.float32), 0.0)
    blocks, fine = [], 0.0
    height, width = pixels.shape[:2]
    for rows in bands(height, _BAND):
        seen, core = with_margin(rows, MARGIN, height)
        grey = stretched_grey(tone, pixels[seen])
        smooth = cv2.blur(grey, (3, 3))
        detail = cv2.absdiff(smooth, cv2.blur(smooth, (_GROUND, _GROUND)))[core]
        fine += float(cv2.sumElems(cv2.absdiff(grey, smooth)[core])[0])
        blocks.append(_block_means(detail))
    noise = np.concatenate(blocks)
    noise = cv2.blur(cv2.medianBlur(noise, 5), (5, 5)) + 1
    return ScanTone(low, high, np.asarray(noise, np.float32).reshape(-(-height // BLOCK), -1), fine / (height * width))


def _block_means(plane: Bytes) -> Floats:
    """Means of squares of 8 pixels; the last row and column of squares repeat the border."""
    height, width = plane.shape
    padded = cv2.copyMakeBorder(plane, 0, -height % BLOCK, 0, -width % BLOCK, cv2.BORDER_REPLICATE)
    size = padded.shape[1] // BLOCK, padded.shape[0] // BLOCK
    return np.asarray(cv2.resize(padded.astype(np.float32), size, interpolation=cv2.INTER_AREA))


def stretched_grey(tone: ScanTone, pixels: Pixels) -> Bytes:
    """Luma of (h, W, C) light as 8 bits of the scan's own range, (h, W)."""
    return grey_of(tone.stretch(pixels))


def grey_of(stretched: Bytes) -> Bytes:
    """Luma of (h, W, C) stretched light, (h, W)."""
    if stretched.shape[2] == 1:
        return stretched[..., 0]
    return np.asarray(cv2.transform(stretched, LUMA.reshape(1, 3)), np.uint8).reshape(stretched.shape[:2])


def top_hats(grey: Bytes, width: int) -> tuple[Bytes, Bytes]:
    """What is brighter, and what is darker, than all around and narrower than `width`; each (h, W) uint8."""
    element = np.ones((width, width), np.uint8)
    smooth = cv2.blur(grey, (3, 3))
    bright = cv2.morphologyEx(smooth, cv2.MORPH_TOPHAT, element)
    dark = cv2.morphologyEx(smooth, cv2.MORPH_BLACKHAT, element)
    return np.asarray(bright), np.asarray(dark)


def find_candidates(pixels: Pixels, map_bins: LogitBins, tone: ScanTone) -> Mask:
    """Find what may be damage.

    Parameters
    ----------
    pixels : (H, W, C) uint8, uint16 or float32
    map_bins : (H, W) uint8
        The damage map, by :func:`redust.core.logits.quantise_logits`.
    tone
        Of the scan.

    Returns
    -------
    mask : (H, W) bool
    """
    mask = np.empty(map_bins.shape, np.bool_)
    for rows, found in _candidate_bands(pixels, map_bins, tone):
        mask[rows] = found
    return mask


def _candidate_bands(pixels: Pixels, map_bins: LogitBins, tone: ScanTone) -> Iterator[tuple[slice, Mask]]:
    height, width = map_bins.shape
    for rows in bands(height, _BAND):
        seen, core = with_margin(rows, MARGIN, height)
        grey = stretched_grey(tone, pixels[seen])
        rim, seed = (tone.noise_at(seen, width, factor) for factor in (_RIM, _SEED))
        contrast = np.zeros(grey.shape, np.bool_)
        for extent in WIDTHS:
            for hat in top_hats(grey, extent):
                contrast |= _beside_peaks(hat, rim, seed)
        from_map = cut_beside_peaks(map_bins[seen])
        near_map = cv2.dilate(from_map.view(np.uint8), np.ones((_CLEARANCE, _CLEARANCE), np.uint8)).view(np.bool_)
        yield rows, (from_map | (contrast & ~near_map))[core]


def cut_beside_peaks(map_bins: LogitBins, lowest: int = _LOWEST) -> Mask:
    """Mark what is at least `lowest` and little below the highest bin within 7 pixels; (h, W) bool."""
    peak = cv2.dilate(map_bins, np.ones((_REACH, _REACH), np.uint8))
    level = np.maximum(cv2.subtract(np.minimum(peak, _CAP), _BESIDE), lowest)
    return np.asarray(map_bins >= level)


def _beside_peaks(hat: Bytes, rim: Bytes, seed: Bytes) -> Mask:
    """What stands out by `rim` and by half as much as a peak within 7 pixels that stands out by `seed`."""
    peak = cv2.dilate(hat, np.ones((_REACH, _REACH), np.uint8))
    return np.asarray((hat >= rim) & (hat >= peak // 2) & (peak >= seed))
