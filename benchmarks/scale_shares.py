"""How much the scan at full size should count against the scan shrunk, for a detector that looks at both.

    python benchmarks/scale_shares.py BENCH_DIR [MODEL] [--ppm 95]

For each share of the full size: the level that marks --ppm pixels per million of BENCH_DIR/clean, levels following the
scan as the card says, and there f1 with 2 pixels of tolerance / without, and average precision, of the other sets.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

import redust
from redust.core.arrays import DamageMap
from redust.core.settings import Weights
from redust.detectors.cutting import adapted
from redust.detectors.network import NetworkDetector
from redust.detectors.running import find_damage
from redust.models import shipped_folder
from redust.training.evaluation import Tally

SHARES = (0.35, 0.5, 0.6, 0.65, 0.7, 0.8, 0.9)


def maps_of(detector: NetworkDetector, folder: Path) -> list[tuple[DamageMap, DamageMap]]:
    """Damage maps of a set, as they are and as the card's levels are for."""
    found = []
    for path in sorted((folder / "damaged").iterdir()):
        pixels = redust.read_scan(path).pixels
        damage = find_damage(detector, pixels)
        found.append((damage, adapted(detector.adaptation, damage, pixels)))
    return found


def main() -> None:
    """Print a row per share."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench", type=Path)
    parser.add_argument("model", type=Path, nargs="?", default=shipped_folder("unet"))
    parser.add_argument("--ppm", type=float, default=95.0)
    parser.add_argument("--weights", type=Weights, choices=list(Weights), default=Weights.auto)
    options = parser.parse_args()
    detector = NetworkDetector(options.model, weights=options.weights)
    sets = sorted(path for path in options.bench.iterdir() if (path / "damaged").is_dir() and path.name != "clean")
    for share in SHARES:
        detector.needs = replace(detector.needs, scale_shares=(share, 1 - share))
        sound = np.concatenate([one.ravel() for _, one in maps_of(detector, options.bench / "clean")])
        level = float(np.quantile(sound, 1 - options.ppm * 1e-6))
        row = f"{share:.2f} to {1 - share:.2f}  level {level:.3f}"
        for folder in sets:
            tally = Tally(level=level)
            truths = [redust.read_scan(path).pixels[..., 0] for path in sorted((folder / "mask").iterdir())]
            for truth, (damage, followed) in zip(truths, maps_of(detector, folder), strict=True):
                tally.add(truth, damage, followed >= level)
            figures = tally.figures()
            row += f"  {folder.name} {figures.f1:.3f} / {figures.f1_strict:.3f}, ap {figures.ap:.3f}"
        print(row, flush=True)


if __name__ == "__main__":
    main()
