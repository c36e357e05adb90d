"""How much damage is found, by how well it can be seen and by how large it is.

    python benchmarks/visibility.py PAIRS [--detector unet] [--only clear]

PAIRS holds ``images/`` (or ``damaged/``), ``masks/`` (or ``mask/``) and ``clean/`` with files of the same names, as
scripts/draw_pairs.py --clean draws them and as the bench set ``composed`` is made. For each connected spot: its median
change of light, as a multiple of the texture under it (the standard deviation of the undamaged picture over 17 x 17
pixels), and its area. Two rows per kind of pairs (what stands before the first ``-`` of a file's name; all together
where there is none): which share of the damaged pixels lies in spots of each class, and how many of these are marked,
or lie beside a marked one.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

import redust
from redust.core.arrays import Pixels, to_light
from redust.core.engines import Detector
from redust.detectors import make_detector
from redust.detectors.cutting import cut_for
from redust.detectors.running import find_damage
from redust.training.evaluation import DAMAGE, grown
from redust.training.synthesis.synthesizer import texture

TIMES = (0.5, 1.0, 2.0, 4.0, 8.0)  # change of light as a multiple of the texture
AREAS = (16, 64, 256, 1024, 4096)  # pixels
EVEN = 2 / 255  # least texture: nothing is quite even to the eye
Counts = NDArray[np.int64]  # (6, 2): pixels of damage, and those found


def grey_of(pixels: Pixels) -> NDArray[np.float32]:
    """The mean of a picture's channels, (H, W)."""
    return to_light(pixels).mean(axis=2)


def folder_of(pairs: Path, *names: str) -> Path:
    """The first of these folders that is there."""
    return next(pairs / name for name in names if (pairs / name).is_dir())


def count(seen: Counts, size: Counts, path: Path, pairs: Path, detector: Detector) -> None:
    """Add the spots of one picture to both counts, in place."""
    pixels = redust.read_scan(path).pixels
    truth = redust.read_scan(folder_of(pairs, "masks", "mask") / path.name).pixels[..., 0] == DAMAGE
    clean = grey_of(redust.read_scan(pairs / "clean" / path.name).pixels)
    change, busy = np.abs(grey_of(pixels) - clean), texture(clean) + np.float32(EVEN)
    mask, _ = cut_for(detector, find_damage(detector, pixels), pixels)
    found = truth & grown(mask, 1)
    number, labels = cv2.connectedComponents(truth.astype(np.uint8))
    for label in range(1, number):
        spot = labels == label
        size_and_found = (int(spot.sum()), int(found[spot].sum()))
        seen[np.digitize(np.median(change[spot]) / np.median(busy[spot]), TIMES)] += size_and_found
        size[np.digitize(size_and_found[0], AREAS)] += size_and_found


def said(name: str, edges: tuple[float, ...], counts: Counts) -> str:
    """The classes of one count."""
    all_pixels = max(1, counts[:, 0].sum())
    names = [f"< {edges[0]:g}", *(f"{edge:g} +" for edge in edges)]
    parts = [
        f"{one}: {pixels / all_pixels:.0%} found {found / max(1, pixels):.2f}"
        for one, (pixels, found) in zip(names, counts, strict=True)
    ]
    return f"  {name:8}" + "   ".join(parts)


def main() -> None:
    """Print two rows per kind of pairs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--detector", default="unet")
    parser.add_argument("--only", default="", help="files whose names begin so")
    options = parser.parse_args()
    detector = make_detector(options.detector)
    kinds: dict[str, tuple[Counts, Counts]] = defaultdict(lambda: (np.zeros((6, 2), int), np.zeros((6, 2), int)))
    for path in sorted(folder_of(options.pairs, "images", "damaged").glob(f"{options.only}*")):
        kind, dash, _ = path.name.partition("-")
        count(*kinds[kind if dash else "all"], path, options.pairs, detector)
    for kind, (seen, size) in kinds.items():
        print(kind)
        print(said("contrast", TIMES, seen))
        print(said("area", AREAS, size))


if __name__ == "__main__":
    main()
