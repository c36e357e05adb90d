"""Measure how much of each kind of damage is found, at three resolutions: one kind at a time, drawn on photos.

    python benchmarks/kinds.py PHOTOS [--detector unet] [--level 0.35] [--number 40] [--side 512]

PHOTOS is a folder of undamaged pictures that the network was not trained on. Damage is drawn with the defaults of
`redust synthesize`, but of one kind. Printed are, per kind, the share of damaged pixels found (tolerance 2 pixels;
barely visible ones are not judged) at 1,800, 3,600 and 7,200 dpi, then the share of all drawn objects found by their
size, and the falsely marked pixels per million.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from bench_sets import run_main
from redust.core.arrays import Light, Pixels, from_light, three_channels, to_light
from redust.core.engines import Detector
from redust.core.tiles import Tile, window
from redust.decision.region_classifier import threshold_of
from redust.detectors import make_detector
from redust.detectors.run_detector import detect_damage
from redust.evaluation.metrics import MetricCounter, recall_by_size
from redust.files.pairs import Library, find_photos
from redust.synthesis.recipe import MATERIAL, Recipe
from redust.synthesis.synthesizer import Synthesizer

SCALES = (0.5, 1.0, 2.0)


def make_synthesizer(kind: str, scale: float) -> Synthesizer:
    """Draws one kind at one resolution."""
    recipe = Recipe(clean=0.0, negatives=0.0, layers=1, scale_low=scale, scale_high=scale, kinds={kind: 1.0})
    return Synthesizer(recipe, seed=len(kind))


def crop_square(pixels: Pixels, side: int, seed: int) -> Light:
    """A square of a photo, (side, side, 3), at a random position."""
    margin = np.maximum(0, np.array(pixels.shape[:2]) - side)
    top, left = (int(offset) for offset in np.random.default_rng(seed).random(2) * margin)
    return three_channels(to_light(window(pixels, Tile(0, 0, 0, 0, top, left, top + side, left + side))))


def score_kind(
    detector: Detector, photos: Library, synthesizer: Synthesizer, options: argparse.Namespace
) -> MetricCounter:
    """What is found of one kind at one resolution."""
    threshold = threshold_of(detector.spec, options.level)
    counter = MetricCounter(level=threshold.level)
    for number in range(options.number):
        pixels, _ = photos[number % len(photos)]
        pair = synthesizer.draw(crop_square(pixels, options.side, number), number)
        damaged = from_light(pair.damaged, np.dtype(np.uint8))
        damage = detect_damage(detector, damaged)
        counter.add(pair.target, damage, threshold.apply(damage, damaged)[0])
    return counter


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--detector", default="unet")
    parser.add_argument("--level", type=float)
    parser.add_argument("--number", type=int, default=40, help="of pictures per kind and resolution")
    parser.add_argument("--side", type=int, default=512)
    options = parser.parse_args()
    detector = make_detector(options.detector)
    level = threshold_of(detector.spec, options.level).level
    photos, total = Library(find_photos(options.photos), None), MetricCounter(level=level)
    kinds = [kind for kind, weight in Recipe().kinds.items() if weight and kind not in MATERIAL]
    print(f"{'kind':<14}" + "".join(f"{f'scale {scale:g}':>12}" for scale in SCALES))
    for kind in kinds:
        counters = [score_kind(detector, photos, make_synthesizer(kind, scale), options) for scale in SCALES]
        print(f"{kind:<14}" + "".join(f"{counter.figures().recall:>12.2f}" for counter in counters), flush=True)
        for counter in counters:
            total.merge(counter)
    figures = total.figures()
    print(recall_by_size(figures))
    print(f"falsely marked {figures.false_ppm:.0f} ppm at level {level:g}")


if __name__ == "__main__":
    run_main(main)
