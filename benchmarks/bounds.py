"""How far a detector's figures could rise if somebody who knows the truth chose among what it suspects.

    python benchmarks/bounds.py BENCH_DIR [--detector unet] [--weights float32]

BENCH_DIR holds one folder per set, each with ``damaged/`` and ``mask/`` (255 damage, 128 not judged, 0 sound). For each
set: the mask at the default level; at the level that is best for each picture, by that picture's own f1; and at some
levels all connected pieces, and of these the ones that are at least half damage (with tolerance), as if each piece were
judged rightly as a whole. What is missed even then the detector does not suspect. The last figure of a row is the
share of the missed pixels that lie in spots of which another part is found: rims, and gaps in hairs and scratches.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

import redust
from detection import truth_of
from redust.core.arrays import DamageMap, Mask, Pixels
from redust.core.engines import Detector
from redust.core.grades import adaptation_of
from redust.core.settings import Weights
from redust.detectors import make_detector
from redust.detectors.cutting import cut_following, cut_for
from redust.detectors.running import find_damage
from redust.detectors.seeing import seeing
from redust.training.evaluation import DAMAGE, IGNORED, Figures, Tally, Truth, grown

LEVELS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
PIECES = (0.02, 0.05, 0.1)  # levels at which pieces are judged
TOLERANCE = 2  # pixels


def rightly_judged(mask: Mask, truth: Truth) -> Mask:
    """The connected pieces of a mask (H, W) at least half of whose judged pixels are damage, with tolerance."""
    number, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    judged = mask & (truth != IGNORED)
    near = judged & grown(truth == DAMAGE, TOLERANCE)
    size, right = (np.bincount(labels[some], minlength=number) for some in (judged, near))
    return np.asarray(((size > 0) & (2 * right >= size))[labels])  # what is no piece has no size


def figures_of(truth: Truth, damage: DamageMap, mask: Mask) -> Figures:
    """The figures of one picture."""
    tally = Tally(tolerance=TOLERANCE)
    tally.add(truth, damage, mask)
    return tally.figures()


def ways(detector: Detector, pixels: Pixels, truth: Truth) -> Iterator[tuple[str, DamageMap, Mask]]:
    """The damage map of a scan and the mask that comes of it, in each way."""
    damage = find_damage(seeing(detector, pixels), pixels)
    follows = adaptation_of(detector)
    masks = {level: cut_following(follows, damage, pixels, level)[0] for level in LEVELS}
    yield "default level", damage, cut_for(detector, damage, pixels)[0]
    yield "best level of each", damage, max(masks.values(), key=lambda mask: figures_of(truth, damage, mask).f1)
    for level in PIECES:
        yield f"all above {level:g}", damage, masks[level]
        yield f"  {level:g}, rightly judged", damage, rightly_judged(masks[level], truth)


def missed(mask: Mask, truth: Truth) -> tuple[int, int]:
    """Damaged pixels farther than the tolerance from a mask, and how many of them are in spots it touches."""
    true = truth == DAMAGE
    number, labels = cv2.connectedComponents(true.astype(np.uint8), connectivity=8)
    touched = np.bincount(labels[mask & true], minlength=number) > 0
    lost = true & ~grown(mask & (truth != IGNORED), TOLERANCE)
    return int(lost.sum()), int((lost & touched[labels]).sum())


def show(detector: Detector, folder: Path) -> None:
    """Print the rows of one set."""
    tallies: dict[str, Tally] = {}
    losses: dict[str, list[tuple[int, int]]] = {}
    for path in sorted((folder / "damaged").iterdir()):
        pixels, truth = redust.read_scan(path).pixels, truth_of(folder / "mask" / path.name)
        for name, damage, mask in ways(detector, pixels, truth):
            tallies.setdefault(name, Tally(tolerance=TOLERANCE)).add(truth, damage, mask)
            losses.setdefault(name, []).append(missed(mask, truth))
    print(f"\n{folder.name:28}f1 / strict  precision  recall  missed in spots that are found")
    for name, tally in tallies.items():
        found = tally.figures()
        lost, touched = np.sum(losses[name], axis=0)
        print(
            f"{name:24}{found.f1:.3f} / {found.f1_strict:.3f}  {found.precision:9.3f}  {found.recall:6.3f}"
            f"  {touched / max(1, lost):.0%}"
        )


def main() -> None:
    """Print one table per set that has damage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench", type=Path)
    parser.add_argument("--detector", default="unet")
    parser.add_argument("--weights", type=Weights, choices=list(Weights), default=Weights.auto)
    options = parser.parse_args()
    detector = make_detector(options.detector, weights=options.weights)
    for folder in sorted(path for path in options.bench.iterdir() if (path / "damaged").is_dir()):
        if any((truth_of(path) == DAMAGE).any() for path in (folder / "mask").iterdir()):
            show(detector, folder)


if __name__ == "__main__":
    main()
