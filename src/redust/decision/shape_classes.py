"""What kind of damage a region is, by its shape alone.

Nine measurements of a region's outline, and a quadratic logistic regression on them. Its coefficients lie in
``shape_classes.json`` and come from ``redust calibrate --shape-classes``, which also measures how often it is right.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Mask
from redust.core.settings import DamageClass
from redust.decision.regions import Regions

CLASSES = tuple(DamageClass)
FILE = Path(__file__).with_suffix(".json")

_SPECK = 4  # pixels: what is no longer than this has no shape
_LARGE = 1024  # pixels: longer regions are looked at from farther away

Measures = NDArray[np.float64]


def classify_regions(mask: Mask) -> NDArray[np.int8]:
    """Say what each region of a mask is.

    Parameters
    ----------
    mask : (H, W) bool
        Before growing: growing makes dust of hairs.

    Returns
    -------
    classes : (count,) int8
        Places in :data:`CLASSES`, in the order of :class:`redust.decision.regions.Regions`.
    """
    return _classify(Regions(mask))


def filter_by_class(mask: Mask, only: Sequence[DamageClass], skip: Sequence[DamageClass]) -> Mask:
    """Keep the regions of the classes in `only` (all if there are none) that are not in `skip`."""
    regions = Regions(mask)
    selected = np.array([name not in skip and (not only or name in only) for name in CLASSES])
    return regions.keep(selected[_classify(regions)])


def count_classes(mask: Mask) -> dict[str, int]:
    """How many regions of each class a mask has, every class named."""
    counts = np.bincount(classify_regions(mask), minlength=len(CLASSES))
    return {name.value: int(count) for name, count in zip(CLASSES, counts, strict=True)}


def _classify(regions: Regions) -> NDArray[np.int8]:
    sizes, boxes = regions.sizes(), regions.boxes()
    classes = np.full(regions.count, CLASSES.index(DamageClass.dust), np.int8)
    (shaped,) = np.nonzero((boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0) > _SPECK)
    if shaped.size:
        crops = (_isolate_region(regions.mask, boxes[index], int(sizes[index])) for index in shaped)
        measured = np.stack([measure_shape(crop) for crop in crops])
        classes[shaped] = load_classifier().apply(measured)
    return classes


def _isolate_region(mask: Mask, box: NDArray[np.int64], size: int) -> Mask:
    """One region of `size` pixels without what else lies in its box, (h, w) bool; a large one downscaled."""
    top, left, bottom, right = box.tolist()
    crop = mask[top:bottom, left:right]
    factor = -(-max(crop.shape) // _LARGE)
    if factor > 1:
        return _downscale_mask(crop, factor)
    if np.count_nonzero(crop) == size:
        return crop
    _, labels, stats, _ = cv2.connectedComponentsWithStats(crop.view(np.uint8), connectivity=8)
    # The region is the one that fills its box and has its size.
    matching = (stats[:, 2] == crop.shape[1]) & (stats[:, 3] == crop.shape[0]) & (stats[:, 4] == size)
    matching[0] = False
    region: Mask = labels == int(np.argmax(matching))
    return region


def _downscale_mask(mask: Mask, factor: int) -> Mask:
    """A mask whose pixels are True where any of `factor` x `factor` is; its largest region."""
    rows, columns = (np.arange(0, length, factor) for length in mask.shape)
    small = np.stack([np.logical_or.reduceat(mask[row : row + factor].any(axis=0), columns) for row in rows])
    _, labels, stats, _ = cv2.connectedComponentsWithStats(small.view(np.uint8), connectivity=8)
    largest: Mask = labels == 1 + int(np.argmax(stats[1:, 4]))
    return largest


def measure_shape(region: Mask) -> Measures:
    """Measure the shape of one region.

    Parameters
    ----------
    region : (h, w) bool
        It alone, connected.

    Returns
    -------
    measured : (9,) float64
        Logarithms of length and width in pixels, elongation, curl (path over length), share of the convex hull,
        spread across (over that of a bar), swelling (largest over mean width), corners per width, and how sharp
        they are in radians.
    """
    drawn = np.asarray(cv2.copyMakeBorder(region.view(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT), np.uint8)
    outlines, _ = cv2.findContours(drawn, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    outer = np.asarray(max(outlines, key=cv2.contourArea), np.int32)
    area = float(np.count_nonzero(region))
    # A thin region's outline runs there and back; through the centres of pixels, so each end lacks half a pixel.
    path = sum(cv2.arcLength(outline, True) for outline in outlines) / 2 + 1
    width = area / path
    long, short = sorted(cv2.minAreaRect(outer)[1], reverse=True)
    hull = cv2.convexHull(outer)
    hull_area = cv2.contourArea(hull) + cv2.arcLength(hull, True) / 2 + 1
    widest = max(1.0, 2 * float(cv2.distanceTransform(drawn, cv2.DIST_L2, 3).max()) - 1)
    corners, sharpness = _corners(outer, width)
    return np.array([
        np.log(long + 1), np.log(width), np.log((long + 1) / (short + 1)), np.log(path / (long + 1)), area / hull_area,
        np.log(_spread(drawn, area) / (width / 12**0.5 + 0.29)), np.log(widest / width),
        np.log(corners * max(width, 1.0) / path + 0.01), sharpness,
    ])  # fmt: skip


def _spread(drawn: NDArray[np.uint8], area: float) -> float:
    """The deviation of a region's pixels across its long axis, in pixels."""
    moments = cv2.moments(drawn, binaryImage=True)
    down, across, both = (moments[name] / area for name in ("mu02", "mu20", "mu11"))
    variance = (down + across) / 2 - float(np.hypot((down - across) / 2, both))
    return float((max(variance, 0.0) + 1 / 12) ** 0.5)


def _corners(outline: NDArray[np.int32], width: float) -> tuple[int, float]:
    """How many corners an outline has, ends included, and how far it turns at the others on average (by turn)."""
    polygon = cv2.approxPolyDP(outline, max(1.2, 0.75 * width), True)[:, 0].astype(np.float64)
    if len(polygon) < 3:
        return len(polygon), 0.0
    sides = (polygon - polygon[np.arange(-1, len(polygon) - 1)]) @ (1, 1j)  # as complex numbers
    turns = np.abs(np.angle(sides * sides[np.arange(-1, len(polygon) - 1)].conj()))
    turns = turns[turns < 1.75]  # 100 degrees and more is an end
    return len(polygon), float((turns**2).sum() / max(turns.sum(), 0.1))


@dataclass(frozen=True, eq=False)
class ShapeClassifier:
    """A quadratic logistic regression.

    Parameters
    ----------
    low, high : (F,)
        Measures beyond what was seen in fitting are taken for the nearest that was.
    mean, deviation : (F,)
        To put the measures on one scale.
    weights : (1 + F + F (F + 1) / 2, C)
        Of 1, each measure and each product, for every class.
    """

    low: Measures
    high: Measures
    mean: Measures
    deviation: Measures
    weights: Measures

    def apply(self, measured: Measures) -> NDArray[np.int8]:
        """The likeliest class, a place in :data:`CLASSES`, for each row of measures (n, F)."""
        terms = self.terms(measured)
        likeliest: NDArray[np.int8] = np.argmax(terms @ self.weights, axis=1).astype(np.int8)
        return likeliest

    def terms(self, measured: Measures) -> Measures:
        """1, each measure, each product of two: (n, 1 + F + F (F + 1) / 2)."""
        even = (np.clip(measured, self.low, self.high) - self.mean) / self.deviation
        first, second = np.triu_indices(even.shape[1])
        return np.hstack([np.ones((len(even), 1)), even, even[:, first] * even[:, second]])

    def to_json(self) -> str:
        """The rule as text."""
        rows = {name: np.round(getattr(self, name), 4).tolist() for name in self.__dataclass_fields__}
        lines = ",\n".join(f' "{name}": {json.dumps(values)}' for name, values in rows.items())
        return f"{{\n{lines}\n}}\n".replace("], [", "],\n  [")


@cache
def load_classifier() -> ShapeClassifier:
    """The rule that comes with ReDust."""
    read = json.loads(FILE.read_text(encoding="utf-8"))
    return ShapeClassifier(**{name: np.array(values, np.float64) for name, values in read.items()})
