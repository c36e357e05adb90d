"""One table of features of the regions of a mask: what a classifier, and a person's review, know of each.

Sums, maxima and counts are gathered band by band for all regions at once; no loop runs over regions. Lengths are in
pixels, light in 8 bits of the scan's own range, contrasts in units of the local noise (:class:`ScanTone`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Pixels
from redust.core.logits import BINS, BINS_PER_UNIT, LogitBins
from redust.core.threads import in_order
from redust.core.tiles import Rectangle, bands, widen, with_margin
from redust.decision.candidates import (
    BLOCK,
    MARGIN,
    THREADS,
    TOP_HAT_WIDTHS,
    Floats,
    ScanTone,
    top_hats,
)
from redust.decision.region_company import Columns, Neighbourhood, Sums, company_columns
from redust.decision.regions import Labels, Regions

Plane: TypeAlias = Callable[[NDArray[np.int64], Rectangle], NDArray[Any]]
Planes: TypeAlias = dict[str, Plane]

_RIM, _GAP, _RING = 3, 5, 13  # pixels: sides of the squares that reach a region's rim, what is left out, its ring
_WINDOW = 2048  # columns that are worked on at a time
_EDGE_DEPTH = 1.4  # pixels: less deep is the edge
_EVEN, _LIKELY = 81, 62  # logit bins: probabilities of 0.5 and 0.13

_EVIDENCE = 6.0  # in units of log odds above the lowest bin, with 0.6 for each unit of local noise

FEATURES = (
    "area", "length", "elongation", "solidity", "half_width", "thinness", "edge_share",
    "map_max", "map_mean", "map_likely", "map_even", "map_ring_max", "map_ring_mean",
    "contrast", "signed_contrast", "contrast_to_ring", "ring_spread", "spread",
    "hat_max", "hat_mean", "hat_wide", "hat_goes_on", "hat_goes_on_mean", "hat_opposite",
    "grey", "ring_grey", "headroom", "tint_contrast", "tint", "ring_tint",
    "sharpness", "ring_gradient", "ring_gradient_max", "noise",
    "crowd_far", "strong_near", "strong_alike", "strong_share", "with_majority", "hat_to_usual",
    "aligned", "length_spread", "contrast_spread",
)  # fmt: skip
"""The columns of the table."""

_SUMMED_INSIDE = (
    "area", "x", "y", "xx", "yy", "xy", "grey", "grey2", "red", "green", "blue", "bins", "likely", "even",
    "bright", "dark", "bright_wide", "dark_wide", "edge", "depth",
)  # fmt: skip
_MAXIMA_INSIDE = ("bins", "bright", "dark", "bright_wide", "dark_wide", "depth")
_SUMMED_RING = ("area", "grey", "grey2", "red", "green", "blue", "bins", "gradient", "bright", "dark")
_MAXIMA_RING = ("bins", "bright", "dark", "gradient")
_SUMMED_RIM = ("area", "gradient")


@dataclass(frozen=True, eq=False)
class _Gathered:
    """Sums and maxima by region over its own pixels, its rim and its ring, each (count,) float64."""

    inside: dict[str, Sums]
    inside_max: dict[str, Sums]
    rim: dict[str, Sums]
    ring: dict[str, Sums]
    ring_max: dict[str, Sums]


@dataclass(frozen=True, eq=False)
class RegionTable:
    """The features of regions.

    Parameters
    ----------
    values : (count, features) float32
        In the order of the regions, and of :data:`FEATURES`.
    """

    values: NDArray[np.float32]

    @property
    def has_evidence(self) -> NDArray[np.bool_]:
        """Whether map and contrast together say enough for a region to be scored, (count,) bool."""
        map_max, hat_max = (self.values[:, FEATURES.index(name)] for name in ("map_max", "hat_max"))
        return np.asarray(map_max + 0.6 * np.minimum(hat_max, 10) >= _EVIDENCE)

    @property
    def highest_bins(self) -> NDArray[np.float32]:
        """The highest bin of the damage map in each region, (count,) float32."""
        return np.rint(self.values[:, FEATURES.index("map_max")] * BINS_PER_UNIT)

    @property
    def is_certain(self) -> NDArray[np.bool_]:
        """Whether the map holds a pixel of the region for certain, as it does scratches of a frame's length."""
        return np.asarray(self.values[:, FEATURES.index("map_max")] >= (BINS - 1) / BINS_PER_UNIT)


def measure_regions(regions: Regions, pixels: Pixels, map_bins: LogitBins, tone: ScanTone) -> RegionTable:
    """Measure every region of a mask.

    Parameters
    ----------
    regions
        Of the candidates.
    pixels : (H, W, C) uint8, uint16 or float32
    map_bins : (H, W) uint8
        The damage map, by :func:`redust.core.logits.quantise_logits`.
    tone
        Of the scan.
    """
    if not regions.count:
        return RegionTable(np.zeros((0, len(FEATURES)), np.float32))
    gathered = _gather(regions, pixels, map_bins, tone)
    columns = _shape_columns(gathered) | _map_columns(gathered) | _light_columns(gathered, tone)
    area = gathered.inside["area"]
    around = Neighbourhood(gathered.inside["x"] / area, gathered.inside["y"] / area, tone.noise.shape[:2])
    columns |= company_columns(columns, _directions(gathered), around)
    values = np.stack([columns[name] for name in FEATURES], axis=1)
    return RegionTable(np.nan_to_num(values, posinf=1e4, neginf=-1e4).astype(np.float32))


def _gather(regions: Regions, pixels: Pixels, map_bins: LogitBins, tone: ScanTone) -> _Gathered:
    """Go through the scan once, in threads, and add up what is known of each region."""
    gathered = _Gathered(
        *({name: np.zeros(regions.count) for name in names}
          for names in (_SUMMED_INSIDE, _MAXIMA_INSIDE, _SUMMED_RIM, _SUMMED_RING, _MAXIMA_RING))
    )  # fmt: skip

    def gather_band(band: tuple[slice, Labels]) -> list[list[_WindowPart]]:
        return _gather_band(band, regions, pixels, map_bins, tone)

    totals: tuple[tuple[dict[str, Sums], dict[str, Sums]], ...] = (
        (gathered.inside, gathered.inside_max), (gathered.rim, {}), (gathered.ring, gathered.ring_max),
    )  # fmt: skip
    for windows in in_order(gather_band, _labels_with_margin(regions, _RING // 2), THREADS, queue=False):
        for parts in windows:
            for (sums, maxima), part in zip(totals, parts, strict=True):
                part.add_to(sums, maxima)
    return gathered


@dataclass(frozen=True, eq=False)
class _WindowPart:
    """Sums and maxima over a window's pixels, of the regions from `first` on."""

    first: int
    sums: dict[str, Sums]
    maxima: dict[str, Sums]

    def add_to(self, sums: dict[str, Sums], maxima: dict[str, Sums]) -> None:
        """Add it to those of the whole scan."""
        for name, values in self.sums.items():
            sums[name][self.first : self.first + len(values)] += values
        for name, values in self.maxima.items():
            highest = maxima[name][self.first : self.first + len(values)]
            np.maximum(highest, values, out=highest)


def _gather_band(
    band: tuple[slice, Labels], regions: Regions, pixels: Pixels, map_bins: LogitBins, tone: ScanTone
) -> list[list[_WindowPart]]:
    """What a band's pixels add to their regions, window by window."""
    rows, labels = band
    if not labels.any():
        return []
    depth = _measure_depth(regions, with_margin(rows, _RING // 2, pixels.shape[0])[0])
    parts = []
    for columns in bands(labels.shape[1], _WINDOW):
        window, core = widen((rows, columns), _RING // 2, pixels.shape)
        in_window = slice(None), window[1]
        if labels[in_window].any():
            planes = _planes(pixels, map_bins, tone, window, depth[in_window])
            parts.append(_gather_window(labels[in_window], planes, core))
    return parts


def _gather_window(labels: Labels, planes: Planes, core: Rectangle) -> list[_WindowPart]:
    """What a window's pixels add to their regions: their own, those of the rims, those of the rings."""
    wide = labels.astype(np.uint16 if labels.max() < 1 << 16 else np.float32)
    ring = _dilated(wide, _RING)
    ring[(_dilated(wide, _GAP) > 0) | (labels > 0)] = 0
    return [
        _sum_window(labels[core], planes, core, _SUMMED_INSIDE, _MAXIMA_INSIDE),
        _sum_window(_dilated(wide, _RIM)[core], planes, core, _SUMMED_RIM, ()),
        _sum_window(ring[core], planes, core, _SUMMED_RING, _MAXIMA_RING),
    ]


def _measure_depth(regions: Regions, rows: slice) -> Floats:
    """How far each pixel of a region lies inside it, (h, W) float32; of the whole rows, since regions may be wide."""
    padded, core = with_margin(rows, MARGIN, regions.mask.shape[0])
    return np.asarray(cv2.distanceTransform(regions.mask[padded].view(np.uint8), cv2.DIST_L2, 3)[core], np.float32)


def _labels_with_margin(regions: Regions, margin: int) -> Iterator[tuple[slice, Labels]]:
    """Bands of rows, and their labels with those of `margin` rows above and below as far as the scan reaches."""
    current: tuple[slice, Labels] | None = None
    above = np.zeros((0, regions.mask.shape[1]), np.int32)
    for following in chain(regions.bands(), [None]):
        if current is not None:
            rows, labels = current
            yield rows, np.concatenate([above, labels, *([] if following is None else [following[1][:margin]])])
            above = labels[-margin:]
        current = following


def _dilated(labels: NDArray[Any], side: int) -> NDArray[Any]:
    """Labels grown by a square; the higher number where two meet."""
    return np.asarray(cv2.dilate(labels, np.ones((side, side), np.uint8)))


def _sum_window(
    labels: NDArray[Any], planes: Planes, core: Rectangle, summed: Sequence[str], highest: Sequence[str]
) -> _WindowPart:
    """Sums and maxima of planes over a window's pixels by their labels, 1..count."""
    positions = np.flatnonzero(labels != 0)
    if not len(positions):
        return _WindowPart(0, {}, {})
    region = labels.ravel()[positions].astype(np.int64) - 1
    first = int(region.min())
    region -= first
    count = int(region.max()) + 1
    values = {name: planes[name](positions, core) for name in {*summed, *highest}}
    sums = {name: np.asarray(np.bincount(region, weights=values[name], minlength=count), np.float64) for name in summed}
    maxima = {name: np.zeros(count) for name in highest}
    for name, maximum in maxima.items():
        np.maximum.at(maximum, region, values[name].astype(np.float64))
    return _WindowPart(first, sums, maxima)


def _planes(pixels: Pixels, map_bins: LogitBins, tone: ScanTone, window: Rectangle, depth: Floats) -> Planes:
    """Every plane that is summed, as functions of the core of this window and of positions in that."""
    padded, inner = widen(window, MARGIN, map_bins.shape)
    hats = [hat[inner] for extent in TOP_HAT_WIDTHS for hat in top_hats(tone.grey[padded], extent)]
    gradient = cv2.morphologyEx(tone.grey[padded], cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))[inner]
    light, grey, bins = pixels[window], tone.grey[window], map_bins[window]

    def of(plane: NDArray[Any]) -> Plane:
        return lambda positions, core: plane[core].ravel()[positions]

    def at_least(plane: NDArray[Any], lowest: int) -> Plane:
        return lambda positions, core: plane[core].ravel()[positions] >= lowest

    def channel(number: int) -> Plane:
        return lambda positions, core: tone.stretch(light[core].reshape(-1, light.shape[2])[positions, number])

    def at(function: Callable[[Sums, Sums], Sums]) -> Plane:
        def place(positions: NDArray[np.int64], core: Rectangle) -> Sums:
            row, column = np.divmod(positions, core[1].stop - core[1].start)
            top, left = (side.start + inside.start for side, inside in zip(window, core, strict=True))
            return function((column + left).astype(np.float64), (row + top).astype(np.float64))

        return place

    return {
        "area": lambda positions, _: np.ones(len(positions)),
        "x": at(lambda x, _: x), "y": at(lambda _, y: y),
        "xx": at(lambda x, _: x * x), "yy": at(lambda _, y: y * y), "xy": at(lambda x, y: x * y),
        "grey": of(grey), "grey2": lambda positions, core: np.square(grey[core].ravel()[positions].astype(np.float64)),
        "red": channel(0), "green": channel(light.shape[2] // 2), "blue": channel(light.shape[2] - 1),
        "bins": of(bins), "likely": at_least(bins, _LIKELY), "even": at_least(bins, _EVEN),
        "bright": of(hats[0]), "dark": of(hats[1]), "bright_wide": of(hats[2]), "dark_wide": of(hats[3]),
        "edge": lambda positions, core: depth[core].ravel()[positions] < _EDGE_DEPTH,
        "depth": of(depth), "gradient": of(gradient),
    }  # fmt: skip


def _shape_columns(gathered: _Gathered) -> Columns:
    """Size and outline."""
    inside = gathered.inside
    area = inside["area"]
    x, y = inside["x"] / area, inside["y"] / area
    xx, yy = inside["xx"] / area - x * x + 1 / 12, inside["yy"] / area - y * y + 1 / 12
    xy = inside["xy"] / area - x * y
    middle, apart = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    length, width = 4 * np.sqrt(middle + apart), 4 * np.sqrt(np.maximum(middle - apart, 1 / 12))
    depth = gathered.inside_max["depth"]
    return {
        "area": np.log(area),
        "length": np.log(length),
        "elongation": np.log(length / width),
        "solidity": area / (length * width),
        "half_width": depth,
        "thinness": np.log(area / depth**2),
        "edge_share": inside["edge"] / area,
    }


def _directions(gathered: _Gathered) -> Sums:
    """The direction of each region's longer axis, radians."""
    inside = gathered.inside
    area = inside["area"]
    x, y = inside["x"] / area, inside["y"] / area
    return np.arctan2(2 * (inside["xy"] / area - x * y), inside["xx"] / area - x * x - inside["yy"] / area + y * y) / 2


def _map_columns(gathered: _Gathered) -> Columns:
    """What the detector says, in units of log odds."""
    inside, ring = gathered.inside, gathered.ring
    area, ring_area = inside["area"], np.maximum(ring["area"], 1)
    return {
        "map_max": gathered.inside_max["bins"] / 10,
        "map_mean": inside["bins"] / area / 10,
        "map_likely": inside["likely"] / area,
        "map_even": inside["even"] / area,
        "map_ring_max": gathered.ring_max["bins"] / 10,
        "map_ring_mean": ring["bins"] / ring_area / 10,
    }


def _light_columns(gathered: _Gathered, tone: ScanTone) -> Columns:
    """Contrast, colour and texture, inside and around."""
    inside, ring, rim = gathered.inside, gathered.ring, gathered.rim
    area, ring_area = inside["area"], np.maximum(ring["area"], 1)
    noise = sample_blocks(tone.noise, inside["x"] / area, inside["y"] / area)
    grey, around = inside["grey"] / area, np.where(ring["area"] > 0, ring["grey"] / ring_area, inside["grey"] / area)
    spread = np.sqrt(np.maximum(inside["grey2"] / area - grey**2, 0))
    ring_spread = np.sqrt(np.maximum(ring["grey2"] / ring_area - around**2, 0)) + 0.5
    contrast = grey - around
    bright = contrast > 0
    strength = np.abs(contrast) + 0.5
    same, opposite = ("bright", "dark"), ("dark", "bright")
    hat_max, hat_wide, hat_mean = (
        np.where(bright, source[same[0] + end], source[same[1] + end])
        for source, end in ((gathered.inside_max, ""), (gathered.inside_max, "_wide"), (inside, ""))
    )
    hat_mean = hat_mean / area
    ring_own, ring_opposite = (
        np.where(bright, gathered.ring_max[first], gathered.ring_max[second]) for first, second in (same, opposite)
    )
    ring_hat = np.where(bright, ring["bright"], ring["dark"]) / ring_area
    tint, ring_tint = _tint(inside, area), _tint(ring, ring_area)
    return {
        "contrast": strength / noise,
        "signed_contrast": contrast / 255,
        "contrast_to_ring": strength / ring_spread,
        "ring_spread": ring_spread / noise,
        "spread": spread / noise,
        "hat_max": hat_max / noise,
        "hat_mean": hat_mean / noise,
        "hat_wide": hat_wide / noise,
        "hat_goes_on": ring_own / (hat_max + 0.5),
        "hat_goes_on_mean": ring_hat / (hat_mean + 0.5),
        "hat_opposite": ring_opposite / (hat_max + 0.5),
        "grey": grey / 255,
        "ring_grey": around / 255,
        "headroom": np.where(bright, 255 - grey, grey) / 255,
        "tint_contrast": np.hypot(tint[0] - ring_tint[0], tint[1] - ring_tint[1]) / strength,
        "tint": np.hypot(*tint) / 255,
        "ring_tint": np.hypot(*ring_tint) / 255,
        "sharpness": rim["gradient"] / np.maximum(rim["area"], 1) / strength,
        "ring_gradient": ring["gradient"] / ring_area / noise,
        "ring_gradient_max": gathered.ring_max["gradient"] / strength,
        "noise": noise / float(np.median(tone.noise)),
    }


def _tint(sums: dict[str, Sums], area: Sums) -> tuple[Sums, Sums]:
    """Red less green, and green less blue."""
    return (sums["red"] - sums["green"]) / area, (sums["green"] - sums["blue"]) / area


def sample_blocks(blocks: Floats, x: Sums, y: Sums) -> Sums:
    """The values of a plane known by blocks of 8 pixels at these positions of the scan."""
    blocks = blocks.reshape(blocks.shape[0], -1)
    return blocks[y.astype(np.int64) // BLOCK, x.astype(np.int64) // BLOCK].astype(np.float64)
