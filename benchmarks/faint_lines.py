"""Recall of long faint lines, with and without `--lines`, and what that marks where there are none.

    python benchmarks/faint_lines.py PHOTOS_DIR [--number 20] [--weights int8] [--seed 1]

On the last photos of the folder in sorted order, and on as many plates of grey ground that wavers slowly, it adds grain
and draws straight lines, 1 or 2 pixels wide, brighter or darker, 150 pixels long to nine tenths of the shorter
side, half of them near the vertical (the film's travel), half in any direction. It prints the share of the lines'
pixels with a mark within 2 pixels, by depth; the falsely marked pixels per million where nothing is drawn (the photos
as they are; the plates with their grain); and the seconds per megapixel of the network and of the stage.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

import redust
from redust.core.arrays import Mask, Pixels
from redust.core.engines import Detector
from redust.core.settings import Weights
from redust.detectors import make_detector
from redust.detectors.cutting import cut_for
from redust.detectors.lines import find_lines, mark_lines
from redust.detectors.running import find_damage

DEPTHS = (0.04, 0.07, 0.10, 0.15, 0.20)
GRAIN = (0.02, 0.04, 0.06)
LEAST = 150
WAYS = ("without", "with")


@dataclass
class Count:
    """What was found of one kind of picture."""

    found: dict[tuple[str, float], int] = field(default_factory=dict)
    drawn: dict[float, int] = field(default_factory=dict)
    false: dict[str, int] = field(default_factory=lambda: dict.fromkeys(WAYS, 0))
    pixels: int = 0
    seconds: list[float] = field(default_factory=lambda: [0.0, 0.0])


def plate(rng: np.random.Generator, side: int = 768) -> Pixels:
    """Grey ground that wavers slowly: (side, side, 1) uint8."""
    coarse = rng.uniform(60, 200) + rng.normal(0, 20, (5, 5))
    return np.clip(cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC), 5, 250).astype(np.uint8)[..., None]


def draw(pixels: Pixels, rng: np.random.Generator) -> tuple[NDArray[np.float64], list[tuple[float, Mask]]]:
    """Draw four lines, each of a depth of its own: light 0..255 and the lines with their depths."""
    height, width = pixels.shape[:2]
    light, lines = pixels.astype(np.float64), []
    for depth in rng.permutation(DEPTHS)[:4]:
        length = rng.uniform(LEAST, max(LEAST, 0.9 * min(height, width)))
        angle = rng.uniform(0, np.pi) if rng.random() < 0.5 else rng.normal(np.pi / 2, 0.05)
        half = np.array([np.cos(angle), np.sin(angle)]) * length / 2
        middle = half_inside(half, (width, height), rng)
        ends = [tuple(map(int, np.rint(16 * end))) for end in (middle - half, middle + half)]
        drawn = cv2.line(np.zeros((height, width), np.uint8), *ends, 255, int(rng.integers(1, 3)), cv2.LINE_AA, shift=4)
        share = depth * drawn[..., None] / 255.0
        light = light * (1 - share) if rng.random() < 0.5 else light + (255 - light) * share
        lines.append((float(depth), drawn > 127))
    return light, lines


def half_inside(half: NDArray[np.float64], size: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float64]:
    """A middle (x, y) for which the line of half-vector `half` lies in the picture."""
    room = np.maximum(np.array(size) - 2 * np.abs(half), 0)
    return np.abs(half) + rng.random(2) * room


def grained(light: NDArray[np.float64], rng: np.random.Generator) -> Pixels:
    """Light 0..255 with grain, as (H, W, C) uint8."""
    grain = rng.normal(0, 255 * rng.choice(GRAIN), light.shape[:2])
    return np.clip(np.rint(light + grain[..., None]), 0, 255).astype(np.uint8)


def masks(detector: Detector, pixels: Pixels, count: Count) -> dict[str, Mask]:
    """The mask of either way, its seconds counted."""
    start = time.process_time()
    without = cut_for(detector, find_damage(detector, pixels), pixels)[0]
    between = time.process_time()
    both = without.copy()
    mark_lines(both, find_lines(pixels))
    count.seconds[0] += between - start
    count.seconds[1] += time.process_time() - between
    return dict(zip(WAYS, (without, both), strict=True))


def measure(detector: Detector, sound: Pixels, base: Pixels, rng: np.random.Generator, count: Count) -> None:
    """Count one picture: `sound` for false marks, lines drawn on `base`."""
    for way, mask in masks(detector, sound, count).items():
        count.false[way] += int(mask.sum())
    count.pixels += sound.shape[0] * sound.shape[1]
    light, lines = draw(base, rng)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    for way, mask in masks(detector, grained(light, rng), count).items():
        near = cv2.dilate(mask.astype(np.uint8), disc) > 0
        for depth, line in lines:
            count.found[way, depth] = count.found.get((way, depth), 0) + int((near & line).sum())
            if way == WAYS[0]:
                count.drawn[depth] = count.drawn.get(depth, 0) + int(line.sum())


def show(name: str, count: Count) -> None:
    """Print the table of one kind of picture."""
    print(f"\n{name}: {count.pixels / 1e6:.1f} megapixels")
    print(f"{'':<10}" + "".join(f"{depth:>8.0%}" for depth in DEPTHS) + f"{'false ppm':>12}")
    for way in WAYS:
        shares = "".join(f"{count.found.get((way, one), 0) / count.drawn[one]:>8.2f}" for one in DEPTHS)
        print(f"{way:<10}{shares}{1e6 * count.false[way] / count.pixels:>12.0f}")
    network, stage = (seconds / count.pixels * 1e6 / 2 for seconds in count.seconds)
    print(f"processor seconds per megapixel: network {network:.3f}, lines {stage:.3f} ({stage / network:.0%})")


def main() -> None:
    """Print one table for photos and one for plates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--number", type=int, default=20)
    parser.add_argument("--weights", type=Weights, choices=list(Weights), default=Weights.float32)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    detector = make_detector("unet", weights=options.weights)
    rng = np.random.default_rng(options.seed)
    photos, plates = Count(), Count()
    files = sorted(path for path in options.photos.iterdir() if path.suffix in (".jpg", ".png", ".tif"))
    for path in files[-options.number :]:
        pixels = redust.read_scan(path).pixels
        measure(detector, pixels, pixels, rng, photos)
        ground = plate(rng)
        measure(detector, grained(ground, rng), ground, rng, plates)
    show("photos", photos)
    show("plates", plates)


if __name__ == "__main__":
    main()
