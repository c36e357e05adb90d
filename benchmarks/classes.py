"""How often damage is put into its class: a confusion matrix on drawn damage and on hand-drawn outlines.

    python benchmarks/classes.py PHOTOS [--outlines FILE.json ...] [--cracks FILE.npz] [--detector unet] [--fit]

Every kind of damage is drawn by itself on the photos, so that each region's class is known; the regions are those of
the true mask, or with ``--detector`` those that it marks (more than half of a region must be true). Of the outlines and
cracks every second file or shape, from the second on, is tested on; the others are for ``--fit``, which fits the rule
anew (with torch, and with other random numbers) and writes it to the package before testing. Outlines are taken at 1,
1/2 and 1/4 of their size.

Rows are what a region is, columns what it was called; shares by number of regions, and by their area.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

import redust
from redust.core.arrays import Light, Mask, to_light
from redust.core.engines import Detector
from redust.core.labels import Label
from redust.core.settings import DamageClass
from redust.decision import shape_classes as classes
from redust.decision.regions import Regions
from redust.decision.shape_classes import CLASSES
from redust.decision.threshold import Threshold
from redust.detectors import make_detector
from redust.detectors.run_detector import detect_damage
from redust.synthesis.material import Cracks
from redust.synthesis.recipe import Recipe
from redust.synthesis.synthesizer import Synthesizer

KINDS = {
    "dust": "dust", "dirt": "dust", "sprinkle": "dust", "spot": "dust",
    "hair-short": "hair", "hair": "hair", "lint": "hair",
    "scratch": "scratch", "tramline": "scratch",
    "crack": "crack", "crease": "crack", "cracks": "crack",
    "stain": "stain", "coffee-ring": "stain", "missing": "stain",
}  # fmt: skip
OUTLINED = {"dust": "dust", "dirt": "dust", "short hair": "hair", "long hair": "hair", "scratch": "scratch"}
# In fitting, dust counts for more than stains: it is what most regions are.
PRIOR = {"dust": 1.5, "hair": 1.25, "scratch": 1.0, "crack": 0.8, "stain": 0.9}
SIDE, ZOOMS, MOST = 512, (1.0, 0.5, 0.25), 700


@dataclass
class Seen:
    """Regions of one kind: their measures, their areas, and what they were called."""

    measured: list[NDArray[np.float64]] = field(default_factory=list)
    areas: list[int] = field(default_factory=list)
    called: list[int] = field(default_factory=list)

    def add(self, mask: Mask) -> None:
        """Look at each region of a mask."""
        self.areas += Regions(mask).sizes().tolist()
        self.called += classes.classify(mask).tolist()

    def measure(self, mask: Mask) -> None:
        """Measure each region of a mask, as :func:`redust.decision.shape_classes.classify_regions` would."""
        _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
        for number, (left, top, width, height, area) in enumerate(stats):
            if number and max(width, height) > 4:
                self.measured.append(classes.measures(labels[top : top + height, left : left + width] == number))
                self.areas.append(int(area))


def synthesizer(kind: str, cracks: Cracks | None, seed: int) -> Synthesizer:
    """Draws one layer of one kind, and nothing that only looks like damage."""
    return Synthesizer(Recipe(clean=0, negatives=0, layers=1, kinds={kind: 1.0}), cracks=cracks, seed=seed)


def half(cracks: Cracks | None, first: int) -> Cracks | None:
    """Every second crack."""
    return None if cracks is None else Cracks(cracks.masks[first::2])


def ground(paths: list[Path], number: int) -> Light:
    """A part of 512 x 512 pixels (or the whole) of a photo."""
    pixels = redust.read_scan(paths[number % len(paths)]).pixels
    rng = np.random.default_rng(number)
    row, column = (int(rng.integers(max(1, side - SIDE + 1))) for side in pixels.shape[:2])
    light = to_light(pixels[row : row + SIDE, column : column + SIDE])
    return np.repeat(light, 3, axis=2) if light.shape[2] == 1 else light


def outlined(path: Path, zoom: float) -> Iterator[tuple[str, Mask]]:
    """Each outline of a file by itself: its kind and its mask."""
    for one in json.loads(path.read_text())["artefacts"]:
        points = np.array(one["points"], np.float64) * zoom
        points -= np.floor(points.min(axis=0)) - 1
        width, height = np.ceil(points.max(axis=0)).astype(int) + 2
        fine = np.zeros((4 * height, 4 * width), np.uint8)
        cv2.fillPoly(fine, [np.rint(4 * points).astype(np.int32)], 255)
        mask = cv2.resize(fine, (int(width), int(height)), interpolation=cv2.INTER_AREA) > 127
        if mask.any():
            yield str(one["class"]), mask


def fit(outlines: list[Path], cracks: Cracks | None, count: int) -> classes.Rule:
    """Fit the rule to drawn shapes and outlines."""
    import torch

    seen: dict[str, Seen] = {}
    for kind in KINDS:
        if kind == "cracks" and cracks is None:
            continue
        draw = synthesizer(kind, half(cracks, 0), seed=1)
        for number in range(count):
            rng = np.random.default_rng([1, number])
            layer = draw.draw_layer(kind, (SIDE, SIDE), float(np.exp(rng.uniform(*np.log((0.22, 1.7))))), rng)
            if layer.damaged.mean() < 0.3:
                seen.setdefault(kind, Seen()).measure(layer.damaged)
    for path in outlines[::2]:
        for zoom in ZOOMS:
            for kind, mask in outlined(path, zoom):
                seen.setdefault(f"{kind}, outlined", Seen()).measure(mask)
    measured, truth, weights = gathered(seen)
    low, high = np.quantile(measured, (0.001, 0.999), axis=0)
    clipped = np.clip(measured, low, high)
    width = measured.shape[1]
    rule = classes.Rule(low, high, clipped.mean(axis=0), clipped.std(axis=0) + 1e-9, np.zeros((1, width)))
    terms, target = torch.from_numpy(rule.terms(measured)), torch.from_numpy(truth)
    share = torch.from_numpy(weights / weights.sum())
    coefficients = torch.zeros(terms.shape[1], len(CLASSES), dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS([coefficients], max_iter=150, history_size=20, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        search.zero_grad()
        off = torch.nn.functional.cross_entropy(terms @ coefficients, target, reduction="none")
        total = (off * share).sum() + 1e-4 * coefficients[1:].square().sum()
        total.backward()
        return total

    search.step(loss)
    return classes.Rule(low, high, rule.mean, rule.deviation, coefficients.detach().numpy())


def gathered(seen: dict[str, Seen]) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Measures, classes and weights: every kind of a class counts alike, and a region by the root of its area."""
    rng = np.random.default_rng(0)
    measured, truth, weights = [], [], []
    names = {kind: class_of(kind) for kind in seen}
    for kind, regions in seen.items():
        size = np.sqrt(regions.areas)
        chosen = np.arange(len(size))
        if len(size) > MOST:
            chosen = rng.choice(chosen, MOST, replace=False, p=size / size.sum())
        own = np.sqrt(size[chosen]) if len(size) > MOST else size
        alike = sum(name == names[kind] for name in names.values())
        measured.append(np.stack(regions.measured)[chosen])
        truth.append(np.full(len(chosen), CLASSES.index(DamageClass(names[kind]))))
        weights.append(own / own.sum() / alike * PRIOR[names[kind]])
    return np.concatenate(measured), np.concatenate(truth), np.concatenate(weights)


def class_of(kind: str) -> str:
    """The class that a kind of damage belongs to."""
    return OUTLINED[kind.removesuffix(", outlined")] if kind.endswith("outlined") else KINDS[kind]


def tested(
    photos: list[Path], outlines: list[Path], cracks: Cracks | None, count: int, detector: Detector | None
) -> dict[str, Seen]:
    """What the regions of each kind are called."""
    seen: dict[str, Seen] = {}
    for kind in KINDS:
        if kind == "cracks" and cracks is None:
            continue
        draw = synthesizer(kind, half(cracks, 1), seed=2)
        for number in range(count):
            pair = draw.draw(ground(photos, number), number)
            true = pair.target == Label.damage
            if detector is not None:
                true = mostly(
                    Threshold.of_engine(detector.spec).apply(detect_damage(detector, pair.damaged), pair.damaged)[0],
                    pair.target > 0,
                )
            seen.setdefault(kind, Seen()).add(true)
    for path in outlines[1::2] if detector is None else ():
        for zoom in ZOOMS:
            for kind, mask in outlined(path, zoom):
                seen.setdefault(f"{kind}, outlined", Seen()).add(mask)
    return seen


def mostly(mask: Mask, true: Mask) -> Mask:
    """The regions of a mask of which more than half is true."""
    found = Regions(mask)
    right = np.zeros(found.count + 1)
    for band, labels in found.bands():
        right += np.bincount(labels[true[band]], minlength=found.count + 1)
    return found.keep(2 * right[1:] > found.sizes())


def matrix(rows: dict[str, Seen]) -> None:
    """Print shares by number and by area, a row each."""
    names = [name.value for name in CLASSES]
    print(f"| | regions | {' | '.join(names)} | by area: {' | '.join(names)} |")
    print("|---" * (2 + 2 * len(names)) + "|")
    for kind, regions in rows.items():
        called, areas = np.array(regions.called, int), np.array(regions.areas, float)
        number = np.bincount(called, minlength=len(names)) / max(1, len(called))
        area = np.bincount(called, weights=areas, minlength=len(names)) / max(1.0, areas.sum())
        print(f"| {kind} | {len(called)} | " + " | ".join(f"{share:.2f}" for share in (*number, *area)) + " |")


def main() -> None:
    """Fit if asked to, test, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--outlines", type=Path, nargs="+", default=[])
    parser.add_argument("--cracks", type=Path)
    parser.add_argument("--detector")
    parser.add_argument("--count", type=int, default=40, help="pictures of each kind")
    parser.add_argument("--fit", action="store_true")
    options = parser.parse_args()
    cracks = Cracks.from_file(options.cracks) if options.cracks else None
    if options.fit:
        found = fit(options.outlines, cracks, 3 * options.count)
        classes.FILE.write_text(found.to_json(), encoding="utf-8")
        classes.rule.cache_clear()
    photos = sorted(path for path in options.photos.iterdir() if path.suffix in (".jpg", ".png", ".tif"))
    detector = make_detector(options.detector) if options.detector else None
    seen = tested(photos, options.outlines, cracks, options.count, detector)
    together: dict[str, Seen] = {name.value: Seen() for name in CLASSES}
    for kind, regions in seen.items():
        together[class_of(kind)].called += regions.called
        together[class_of(kind)].areas += regions.areas
    matrix(together)
    print()
    matrix(seen)


if __name__ == "__main__":
    main()
