"""Fits the table by which regions are put into classes of damage, and tests it.

Every kind of damage is drawn by itself, so that the class of each region is known; hand-drawn outlines and crack shapes
come besides, every second of them for testing. The model is the quadratic logistic regression of
:mod:`redust.decision.shape_classes`, fitted by Newton's method with a small penalty.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Mask
from redust.core.settings import DamageClass
from redust.decision.shape_classes import CLASSES, ShapeClassifier, measure_shape
from redust.synthesis.material import Cracks
from redust.synthesis.recipe import Recipe
from redust.synthesis.synthesizer import Synthesizer

_KINDS = {
    "dust": "dust", "dirt": "dust", "sprinkle": "dust", "spot": "dust",
    "hair-short": "hair", "hair": "hair", "lint": "hair",
    "scratch": "scratch", "tramline": "scratch",
    "crack": "crack", "crease": "crack", "cracks": "crack",
    "stain": "stain", "coffee-ring": "stain", "missing": "stain",
    "dust outlines": "dust", "dirt outlines": "dust", "short hair outlines": "hair", "long hair outlines": "hair",
    "scratch outlines": "scratch",
}  # fmt: skip
# Dust counts for more than stains: it is what most regions are.
_PRIOR = {"dust": 1.5, "hair": 1.25, "scratch": 1.0, "crack": 0.8, "stain": 0.9}
_SIDE, _ZOOMS, _MAX_REGIONS, _MIN_LENGTH, _MAX_SHARE = 512, (1.0, 0.5, 0.25), 700, 5, 0.3
_PENALTY, _NEWTON_STEPS = 1e-4, 30


@dataclass
class RegionSet:
    """The regions of one kind of damage: their measures and areas."""

    measures: list[NDArray[np.float64]] = field(default_factory=list)
    areas: list[int] = field(default_factory=list)

    def add(self, mask: Mask) -> None:
        """Measure each region of a mask that is long enough to have a shape."""
        _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
        for number, (left, top, width, height, area) in enumerate(stats):
            if number and max(width, height) >= _MIN_LENGTH:
                self.measures.append(measure_shape(labels[top : top + height, left : left + width] == number))
                self.areas.append(int(area))


def draw_regions(outlines: Sequence[Path], cracks: Cracks | None, count: int, *, half: int) -> dict[str, RegionSet]:
    """Regions of each kind of damage.

    Parameters
    ----------
    outlines
        JSON files of hand-drawn outlines.
    cracks
        Crack shapes.
    count
        Drawings of each kind.
    half
        0 for fitting, 1 for testing: other random numbers, and the other half of outlines and cracks.
    """
    regions: dict[str, RegionSet] = {}
    for kind in _KINDS:
        if kind.endswith(" outlines") or (kind == "cracks" and cracks is None):
            continue
        shapes = Cracks(cracks.masks[half::2]) if cracks else None
        recipe = Recipe(clean=0, negatives=0, layers=1, kinds={kind: 1.0})
        synthesizer = Synthesizer(recipe, cracks=shapes, seed=1 + half)
        for number in range(count):
            rng = np.random.default_rng([1 + half, number])
            layer = synthesizer.draw_layer(kind, (_SIDE, _SIDE), float(np.exp(rng.uniform(*np.log((0.22, 1.7))))), rng)
            if layer.damaged.mean() < _MAX_SHARE:
                regions.setdefault(kind, RegionSet()).add(layer.damaged)
    for path in outlines[half::2]:
        for kind, mask in _read_outlines(path):
            regions.setdefault(f"{kind} outlines", RegionSet()).add(mask)
    return {kind: region_set for kind, region_set in regions.items() if region_set.areas}


def _read_outlines(path: Path) -> Iterator[tuple[str, Mask]]:
    """Each outline of a file by itself, at three sizes: its kind and its mask."""
    for artefact in json.loads(path.read_text(encoding="utf-8"))["artefacts"]:
        for zoom in _ZOOMS:
            points = np.array(artefact["points"], np.float64) * zoom
            points -= np.floor(points.min(axis=0)) - 1
            width, height = np.ceil(points.max(axis=0)).astype(int) + 2
            fine = np.zeros((4 * height, 4 * width), np.uint8)
            cv2.fillPoly(fine, [np.rint(4 * points).astype(np.int32)], 255)
            mask = cv2.resize(fine, (int(width), int(height)), interpolation=cv2.INTER_AREA) > 127
            if mask.any():
                yield str(artefact["class"]), mask


def fit_shape_classes(regions: Mapping[str, RegionSet]) -> ShapeClassifier:
    """Fit the classifier to regions of known kinds."""
    measures, labels, weights = _weight_regions(regions)
    low, high = np.quantile(measures, (0.001, 0.999), axis=0)
    clipped = np.clip(measures, low, high)
    mean, deviation = clipped.mean(axis=0), clipped.std(axis=0) + 1e-9
    empty = ShapeClassifier(low, high, mean, deviation, np.zeros((1, measures.shape[1])))
    coefficients = _fit_logistic(empty.terms(measures), labels, weights / weights.sum())
    return ShapeClassifier(low, high, mean, deviation, coefficients)


def _weight_regions(
    regions: Mapping[str, RegionSet],
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Measures, classes and weights: the kinds of a class weigh alike, and a region by the root of its area."""
    rng = np.random.default_rng(0)
    measures, labels, weights = [], [], []
    for kind, region_set in regions.items():
        name = _KINDS[kind]
        size = np.sqrt(region_set.areas)
        chosen, weight = np.arange(len(size)), size
        if len(size) > _MAX_REGIONS:
            chosen = rng.choice(chosen, _MAX_REGIONS, replace=False, p=size / size.sum())
            weight = np.sqrt(size[chosen])
        kinds_of_class = sum(_KINDS[key] == name for key in regions)
        measures.append(np.stack(region_set.measures)[chosen])
        labels.append(np.full(len(chosen), CLASSES.index(DamageClass(name))))
        weights.append(weight / weight.sum() / kinds_of_class * _PRIOR[name])
    return np.concatenate(measures), np.concatenate(labels), np.concatenate(weights)


def _fit_logistic(
    terms: NDArray[np.float64], labels: NDArray[np.int64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Multinomial logistic regression with an L2 penalty on all but the constant, by Newton's method."""
    count, classes = terms.shape[1], len(CLASSES)
    target = np.eye(classes)[labels]
    penalty = np.full((count, classes), 2 * _PENALTY)
    penalty[0] = 1e-9  # the constants are determined up to a shift
    coefficients = np.zeros((count, classes))
    for _ in range(_NEWTON_STEPS):
        logits = terms @ coefficients
        share = np.exp(logits - logits.max(axis=1, keepdims=True))
        share /= share.sum(axis=1, keepdims=True)
        gradient = terms.T @ ((share - target) * weights[:, None]) + penalty * coefficients
        hessian = np.diag(penalty.T.ravel())
        for row in range(classes):
            for column in range(classes):
                curvature = weights * share[:, row] * ((row == column) - share[:, column])
                block = slice(row * count, (row + 1) * count), slice(column * count, (column + 1) * count)
                hessian[block] += terms.T @ (terms * curvature[:, None])
        step = np.linalg.solve(hessian, gradient.T.ravel()).reshape(classes, count).T
        coefficients -= step / max(1.0, np.abs(step).max())
        if np.abs(step).max() < 1e-7:
            break
    return coefficients


def tabulate_confusion(classifier: ShapeClassifier, regions: Mapping[str, RegionSet]) -> Iterator[tuple[str, ...]]:
    """Rows of text, headings first: by kind, the number of regions and the share put into each class."""
    yield ("", "class", "regions", *(name.value for name in CLASSES))
    for kind, region_set in regions.items():
        called = np.bincount(classifier.apply(np.stack(region_set.measures)), minlength=len(CLASSES)) / len(
            region_set.areas
        )
        yield (kind, _KINDS[kind], str(len(region_set.areas)), *(f"{share:.2f}" for share in called))
