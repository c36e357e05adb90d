"""How much a detector leans on damage being sharper than the scene.

    python benchmarks/sharpness.py SET_DIR... [--detector unet] [--weights float32] [--sigma 0.6 1 2]

SET_DIR holds ``damaged/``, ``clean/`` and ``mask/`` (255 damage, 128 not judged, 0 sound). First the sharpness of what
damage changes: for spots of 40 to 3,000 pixels that change light by at least 8 %, the steepest slope in light per
pixel over the change (0.5 is a step, less is softer); and of the scene: power of waves of 2 to 3.3 pixels over that of
5 to 10. Then the detector's figures at its level on the set as it is, with the scene softened under the damage, and
with the damage softened over the scene, each by a Gaussian of sigma pixels.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

import redust
from redust.core.arrays import Light, from_light, three_channels, to_light
from redust.core.engines import Detector
from redust.core.settings import Weights
from redust.detectors import make_detector
from redust.detectors.cutting import cut_for
from redust.detectors.running import find_damage
from redust.training.evaluation import DAMAGE, Tally, Truth
from redust.training.synthesis.shapes import soften

Picture = tuple[Light, Light, Truth]
_AREAS = (40, 3000)
_LEAST = 0.08
_MOST = 0.95  # quantile that stands for the steepest and the greatest: one pixel may be noise


def pictures(folder: Path) -> Iterator[Picture]:
    """Damaged and clean light (H, W, 3), and the truth."""
    for path in sorted((folder / "damaged").iterdir()):
        damaged, clean = (
            to_light(three_channels(redust.read_scan(folder / kind / path.name).pixels))
            for kind in ("damaged", "clean")
        )
        yield damaged, clean, redust.read_scan(folder / "mask" / path.name).pixels[..., 0]


def steepness(damaged: Light, clean: Light, truth: Truth) -> list[float]:
    """The steepest slope of each spot's change, as a share of that change."""
    change = (damaged - clean).mean(axis=2)
    slope = np.hypot(*((np.roll(change, -1, axis) - np.roll(change, 1, axis)) / 2 for axis in (0, 1)))
    count, labels, stats, _ = cv2.connectedComponentsWithStats((truth == DAMAGE).astype(np.uint8), connectivity=8)
    found = []
    for one in range(1, count):
        left, top, width, height, area = stats[one]
        if not _AREAS[0] <= area <= _AREAS[1]:
            continue
        window = slice(max(0, top - 2), top + height + 2), slice(max(0, left - 2), left + width + 2)
        spot = cv2.dilate((labels[window] == one).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        greatest = np.quantile(np.abs(change[window][spot]), _MOST)
        if greatest >= _LEAST:
            found.append(float(np.quantile(slope[window][spot], _MOST) / greatest))
    return found


def fineness(light: Light) -> float:
    """Power of the finest waves over that of coarser ones."""
    grey = light.mean(axis=2)
    power = np.abs(np.fft.fft2(grey - grey.mean())) ** 2
    waves = np.hypot(np.fft.fftfreq(grey.shape[0])[:, None], np.fft.fftfreq(grey.shape[1]))
    fine, coarse = (power[(waves > low) & (waves < high)].mean() for low, high in ((0.3, 0.5), (0.1, 0.2)))
    return float(fine / max(coarse, 1e-12))


def quantiles(values: list[float]) -> str:
    """A tenth, half and nine tenths."""
    return ", ".join(f"{value:.3f}" for value in np.quantile(values, (0.1, 0.5, 0.9)))


def score(detector: Detector, some: list[Picture], change: Callable[[Light, Light], Light]) -> str:
    """The figures on changed pictures."""
    tally = Tally(level=detector.level)
    for damaged, clean, truth in some:
        seen = from_light(np.clip(change(damaged, clean), 0, 1).astype(np.float32), np.dtype(np.uint8))
        damage = find_damage(detector, seen)
        tally.add(truth, damage, cut_for(detector, damage, seen)[0])
    figures = tally.figures()
    return f"f1 {figures.f1:.3f} / {figures.f1_strict:.3f}, ap {figures.ap:.3f}"


def main() -> None:
    """Print both sharpnesses and the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", type=Path, nargs="+")
    parser.add_argument("--detector", default="unet")
    parser.add_argument("--weights", type=Weights, choices=list(Weights), default=Weights.float32)
    parser.add_argument("--sigma", type=float, nargs="+", default=[0.6, 1.0, 2.0])
    options = parser.parse_args()
    detector = make_detector(options.detector, weights=options.weights)
    for folder in options.sets:
        some = list(pictures(folder))
        steep = [value for one in some for value in steepness(*one)]
        print(f"{folder.name}: damage {quantiles(steep)} ({len(steep)} spots), scenes "
              f"{quantiles([fineness(clean) for _, clean, _ in some])}")  # fmt: skip
        print(f"as it is: {score(detector, some, lambda damaged, _: damaged)}")
        for sigma in options.sigma:
            scene = score(detector, some, lambda damaged, clean, by=sigma: soften(clean, by) + damaged - clean)
            print(f"scene softened by {sigma:g}: {scene}")
            damage = score(detector, some, lambda damaged, clean, by=sigma: clean + soften(damaged - clean, by))
            print(f"damage softened by {sigma:g}: {damage}")


if __name__ == "__main__":
    main()
