"""How much of a square is marked: by real damage, and by a detector on pictures that have none.

    python benchmarks/guard.py [--outlines FILE.json ...] [--masks DIR ...] [--photos DIR --detector unet --level 0.1]

For squares of several sides it prints how many there are, how many are marked by more than 5 % and 10 %, and the
most. Outlines are ``{"artefacts": [{"points": [[column, row], ...]}, ...]}``, masks hold 255 where there is damage;
``--photos`` are undamaged. The guard of ``redust restore`` (see :mod:`redust.pipeline.guard`) is set by these figures.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

import redust
from redust.core.arrays import Mask
from redust.detectors import make_detector
from redust.detectors.cutting import cut_for
from redust.detectors.running import find_damage

SIDES = (512, 768, 1024)


def shares(mask: Mask, side: int) -> list[float]:
    """The marked share of each square of about `side` pixels."""
    edges = [np.linspace(0, length, max(1, round(length / side)) + 1).round().astype(int) for length in mask.shape]
    marked = np.add.reduceat(np.add.reduceat(mask.astype(np.int64), edges[0][:-1], 0), edges[1][:-1], 1)
    return (marked / np.outer(np.diff(edges[0]), np.diff(edges[1]))).ravel().tolist()


def outlined(path: Path) -> Mask:
    """The mask of hand-drawn outlines, on a frame that just holds them."""
    polygons = [np.array(one["points"], np.int32) for one in json.loads(path.read_text())["artefacts"]]
    width, height = np.concatenate(polygons).max(axis=0) + 1
    drawn = np.zeros((height, width), np.uint8)
    for polygon in polygons:
        cv2.fillPoly(drawn, [polygon], 1)
    return drawn > 0


def tell(name: str, masks: Iterable[Mask]) -> None:
    """Print one row per side."""
    by_side: dict[int, list[float]] = {side: [] for side in SIDES}
    for mask in masks:
        for side, found in by_side.items():
            found += shares(mask, side)
    for side, found in by_side.items():
        much = np.array(found)
        print(
            f"{name:<24}{side:>6}{much.size:>9}{(much > 0.05).sum():>8}{(much > 0.1).sum():>8}{much.max():>9.2%}",
            flush=True,
        )


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outlines", type=Path, nargs="+", default=[])
    parser.add_argument("--masks", type=Path, nargs="+", default=[])
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--every", type=int, default=1, help="take every nth photo only")
    parser.add_argument("--detector", default="unet")
    parser.add_argument("--level", type=float)
    options = parser.parse_args()
    print(f"{'':<24}{'side':>6}{'squares':>9}{'> 5 %':>8}{'> 10 %':>8}{'most':>9}")
    if options.outlines:
        tell("outlines", map(outlined, options.outlines))
    for folder in options.masks:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".png")
        tell(f"{folder.parent.name}/{folder.name}", (redust.read_scan(path).pixels[..., 0] == 255 for path in paths))
    if options.photos:
        detector = make_detector(options.detector)
        level = detector.level if options.level is None else options.level
        photos = [path for path in sorted(options.photos.iterdir()) if path.suffix in (".jpg", ".png", ".tif")]
        seen = (redust.read_scan(path).pixels for path in photos[:: options.every])
        masks = (cut_for(detector, find_damage(detector, one), one, options.level)[0] for one in seen)
        tell(f"{options.detector} at {level:g}", masks)


if __name__ == "__main__":
    main()
