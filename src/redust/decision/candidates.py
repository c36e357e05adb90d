"""Candidate regions: what may be damage, found loosely.

Two sources. A detector's damage map, cut at a low level but no lower than a margin beside the local peak, so that a
mark does not run into weak texture around it. And plain contrast: morphological top-hats (Serra, Image Analysis and
Mathematical Morphology, 1982) of both polarities and two widths, in units of the local noise. A peak must show enough
of either, or of both together. Which candidates are damage is decided by :mod:`redust.decision.region_classifier`.

All is computed in tiles, on the scan's light in 8 bits stretched to its own range. Nothing but bytes is of the
scan's size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import LUMA, Mask, Pixels, full_scale
from redust.core.logits import LogitBins
from redust.core.threads import in_order
from redust.core.tiles import Rectangle, Tile, tiles, widen

Bytes: TypeAlias = NDArray[np.uint8]
Floats: TypeAlias = NDArray[np.float32]

BLOCK = 8  # pixels: side of the squares by which the local noise is known
TOP_HAT_WIDTHS = (9, 23)  # pixels: what is wider than this is no detail
MARGIN = 40  # pixels around a tile that the filters reach
THREADS = 4  # tiles at a time at most: each takes some 25 bytes per pixel
_SIDE = 1024  # pixels: that of a tile; a multiple of BLOCK
_GROUND = 21  # pixels: side of the mean that light is compared with
_LOWEST_BIN = 35  # a probability of 0.01
_PEAK_CAP, _BESIDE_PEAK = 91, 25  # logit bins: peaks count no higher than 0.73; 2.5 below its peak a mark ends
_RIM = 2.5  # top-hat at the rim of a candidate, in units of the local noise
_EVIDENCE = 60  # at a peak: logit bins, and 6 for each unit of local noise up to 10 of them
_REACH = 15  # pixels: side of the square within which a peak is local
_CLEARANCE = 7  # pixels: side of the square around the map's candidates in which contrast adds none
_NOISE_STEPS = 4  # of the local noise, to a unit of 8 bits


@dataclass(frozen=True, eq=False)
class ScanTone:
    """A scan's light in 8 bits of its own range, and its local noise.

    Parameters
    ----------
    low, high
        The light, in units of the pixels, that becomes 0 and 255.
    grey : (H, W) uint8
        Luma, stretched.
    noise : (ceil(H / 8), ceil(W / 8)) float32
        Mean absolute deviation from the local mean in squares of 8 pixels, smoothed; in units of 8 bits, at least 1.
    """

    low: float
    high: float
    grey: Bytes
    noise: Floats

    def stretch(self, light: Pixels) -> Bytes:
        """Light of the scan, of any shape, in 8 bits of its own range."""
        return _stretch(light, self.low, self.high)

    def noise_at(self, window: Rectangle) -> Bytes:
        """The local noise of a window in quarters of a unit, rounded up; (h, w) uint8."""
        blocks = tuple(slice(side.start // BLOCK, -(-side.stop // BLOCK)) for side in window)
        small = np.clip(np.ceil(self.noise[blocks] * _NOISE_STEPS), 1, 255).astype(np.uint8)
        large = cv2.resize(small, None, fx=BLOCK, fy=BLOCK, interpolation=cv2.INTER_NEAREST)
        rows, columns = (slice(side.start % BLOCK, side.start % BLOCK + side.stop - side.start) for side in window)
        return np.asarray(large, np.uint8).reshape(small.shape[0] * BLOCK, -1)[rows, columns]


def measure_tone(pixels: Pixels) -> ScanTone:
    """Measure the range and the local noise of a scan, (H, W, C) uint8, uint16 or float32."""
    sample = np.nan_to_num(pixels[::5, ::5].astype(np.float32).mean(axis=2), posinf=1, neginf=0)
    low, high = (float(value) for value in np.percentile(sample, (0.5, 99.5)))
    high = max(high, low + full_scale(pixels.dtype) / 64)  # a flat scan is not stretched until its noise is a scene
    height, width = pixels.shape[:2]
    grey = np.empty((height, width), np.uint8)
    noise = np.empty((-(-height // BLOCK), -(-width // BLOCK)), np.float32)

    def stretch_tile(tile: Tile) -> None:
        grey[tile.core] = _luma(_stretch(pixels[tile.core], low, high))

    def measure_tile(tile: Tile) -> None:
        blocks = _noise_blocks(grey, tile.core)
        top, left = tile.row // BLOCK, tile.column // BLOCK
        noise[top : top + blocks.shape[0], left : left + blocks.shape[1]] = blocks

    for work in (stretch_tile, measure_tile):
        _for_each_tile(work, (height, width))
    smooth = cv2.blur(cv2.medianBlur(noise, 5), (5, 5)) + 1
    return ScanTone(low, high, grey, np.asarray(smooth, np.float32).reshape(noise.shape))


def _for_each_tile(work: Callable[[Tile], None], shape: tuple[int, int]) -> None:
    for _ in in_order(work, tiles(shape, _SIDE), THREADS):
        pass


def _stretch(light: Pixels, low: float, high: float) -> Bytes:
    factor = 255 / (high - low)
    if light.dtype == np.float32:
        return np.clip((np.nan_to_num(light, posinf=high, neginf=low) - low) * factor, 0, 255).astype(np.uint8)
    steps = np.arange(np.iinfo(light.dtype).max + 1, dtype=np.float64)
    table = np.clip((steps - low) * factor, 0, 255).astype(np.uint8)
    if light.dtype == np.uint8:
        return np.asarray(cv2.LUT(light, table), np.uint8).reshape(light.shape)
    stretched: Bytes = table[light]
    return stretched


def _luma(light: Bytes) -> Bytes:
    """Luma of (h, W, C) light, (h, W)."""
    if light.shape[2] == 1:
        return light[..., 0]
    return np.asarray(cv2.transform(light, np.asarray(LUMA, np.float32).reshape(1, 3)), np.uint8).reshape(
        light.shape[:2]
    )


def _noise_blocks(grey: Bytes, rectangle: Rectangle) -> Floats:
    """Mean absolute deviations from the local mean in squares of 8 pixels; at the border, of what is left of them."""
    window, core = widen(rectangle, MARGIN, grey.shape)
    smooth = cv2.blur(grey[window], (3, 3))
    detail = cv2.absdiff(smooth, cv2.blur(smooth, (_GROUND, _GROUND)))
    height, width = detail.shape
    padded = cv2.copyMakeBorder(detail, 0, -height % BLOCK, 0, -width % BLOCK, cv2.BORDER_REFLECT_101)
    size = padded.shape[1] // BLOCK, padded.shape[0] // BLOCK
    blocks = np.asarray(cv2.resize(padded.astype(np.float32), size, interpolation=cv2.INTER_AREA)).reshape(size[::-1])
    rows, columns = (slice(side.start // BLOCK, -(-side.stop // BLOCK)) for side in core)
    return blocks[rows, columns]


def top_hats(grey: Bytes, width: int) -> tuple[Bytes, Bytes]:
    """What is brighter, and what is darker, than all around and narrower than `width`; each (h, W) uint8."""
    element = np.ones((width, width), np.uint8)
    smooth = cv2.blur(grey, (3, 3))
    bright = cv2.morphologyEx(smooth, cv2.MORPH_TOPHAT, element)
    dark = cv2.morphologyEx(smooth, cv2.MORPH_BLACKHAT, element)
    return np.asarray(bright), np.asarray(dark)


def find_candidates(map_bins: LogitBins, tone: ScanTone) -> Mask:
    """Find what may be damage.

    Parameters
    ----------
    map_bins : (H, W) uint8
        The damage map, by :func:`redust.core.logits.quantise_logits`.
    tone
        Of the scan.

    Returns
    -------
    mask : (H, W) bool
    """
    shape = map_bins.shape[0], map_bins.shape[1]
    mask = np.empty(shape, np.bool_)

    def find_in_tile(tile: Tile) -> None:
        window, core = widen(tile.core, MARGIN, shape)
        mask[tile.core] = _candidates(map_bins[window], tone.grey[window], tone.noise_at(window))[core]

    _for_each_tile(find_in_tile, shape)
    return mask


def _candidates(map_bins: LogitBins, grey: Bytes, noise: Bytes) -> Mask:
    """The candidates of a window; wrong within `MARGIN` of its sides."""
    hats = [hat for width in TOP_HAT_WIDTHS for hat in top_hats(grey, width)]
    contrast = np.zeros(grey.shape, np.uint8)
    rim = cv2.convertScaleAbs(noise, alpha=_RIM / _NOISE_STEPS)
    for hat in hats:
        lowest = cv2.max(rim, _local_peak(hat) >> 1)
        contrast = np.asarray(cv2.max(contrast, cv2.compare(hat, lowest, cv2.CMP_GE)))
    strength = cv2.divide(np.maximum(hats[0], hats[1]), noise, scale=6 * _NOISE_STEPS)
    evidence = _local_peak(np.asarray(cv2.add(map_bins, np.minimum(strength, 60)), np.uint8))
    from_map = cut_beside_peaks(map_bins)
    near_map = cv2.dilate(from_map.view(np.uint8), np.ones((_CLEARANCE, _CLEARANCE), np.uint8)).view(np.bool_)
    return np.asarray((from_map | ((contrast > 0) & ~near_map)) & (evidence >= _EVIDENCE))


def cut_beside_peaks(map_bins: LogitBins, lowest: int = _LOWEST_BIN) -> Mask:
    """Mark what is at least `lowest` and little below the highest bin within 7 pixels; (h, W) bool."""
    level = np.clip(_local_peak(map_bins), lowest + _BESIDE_PEAK, _PEAK_CAP) - _BESIDE_PEAK
    return np.asarray(map_bins >= level)


def _local_peak(plane: Bytes) -> Bytes:
    """The highest value within 7 pixels."""
    return np.asarray(cv2.dilate(plane, np.ones((_REACH, _REACH), np.uint8)))
