"""Score detectors on sets of scans with true masks, at their default level or another.

    python benchmarks/detection.py BENCH_DIR [--detector unet] [--sensitivity shy] [--tta 4] [--blur 0.6]
        [--write DIR] [--lines] [--no-frame-scratches]

BENCH_DIR holds one folder per set, each with ``damaged/`` and ``mask/`` (255 damage, 128 not judged, 0 sound).
With ``--write`` the masks and damage maps are also written, ``DIR/<detector>/<set>/{mask,map}/NAME.png``, so that
another scorer can read them. Figures: see :class:`redust.evaluation.metrics.Metrics`.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from redust.detectors.lines import find_lines, mark_lines

import redust
from redust.core.engines import Detector, levels_of
from redust.core.settings import Sensitivity, Weights
from redust.decision.threshold import threshold_for_engine
from redust.detectors import make_detector
from redust.detectors.choose_view import choose_view
from redust.detectors.frame_scratches import find_frame_scratches
from redust.detectors.run_detector import detect_damage
from redust.evaluation.metrics import MetricCounter, format_table, recall_by_size
from redust.files import write_map


def truth_of(path: Path) -> np.ndarray:
    """A true mask with its three values, (H, W) uint8."""
    return redust.read_scan(path).pixels[..., 0]


def score(
    detector: Detector,
    folder: Path,
    level: float | None,
    write: Path | None,
    *,
    tta: int = 1,
    blur: float | None = None,
    lines: bool = False,
    through: bool = True,
) -> tuple[MetricCounter, float]:
    """The tally of one set and the megapixels per second of detection alone."""
    tally, seconds, megapixels = MetricCounter(level=detector.level if level is None else level), 0.0, 0.0
    for path in sorted((folder / "damaged").iterdir()):
        scan = redust.read_scan(path)
        start = time.perf_counter()
        damage = detect_damage(choose_view(detector, scan.pixels, blur=blur, tta=tta), scan.pixels)
        if through:
            mark_lines(damage, find_frame_scratches(scan.pixels))
        if lines:
            mark_lines(damage, find_lines(scan.pixels))
        seconds += time.perf_counter() - start
        megapixels += scan.megapixels
        mask, _ = threshold_for_engine(detector, damage, scan.pixels, level)
        tally.add(truth_of(folder / "mask" / path.name), damage, mask)
        if write:
            for kind in ("mask", "map"):
                (write / folder.name / kind).mkdir(parents=True, exist_ok=True)
            redust.write_mask(mask, write / folder.name / "mask" / path.name, overwrite=True)
            write_map(damage, write / folder.name / "map" / path.name, overwrite=True)
    return tally, megapixels / seconds


def made(name: str, weights: Weights, sensitivity: str | None) -> Detector:
    """A detector at the level for a sensitivity, if it has one."""
    detector: Any = make_detector(name, weights=weights)
    detector.level = levels_of(detector).get(sensitivity or "", detector.level)
    return detector


def main() -> None:
    """Print one table per set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench", type=Path)
    parser.add_argument("--detector", action="append")
    parser.add_argument("--level", type=float)
    parser.add_argument("--sensitivity", choices=list(Sensitivity))
    parser.add_argument("--weights", type=Weights, choices=list(Weights), default=Weights.auto)
    parser.add_argument("--tta", type=int, default=1, help="as for `redust detect`")
    parser.add_argument("--blur", type=float, help="as for `redust detect`")
    parser.add_argument("--write", type=Path)
    parser.add_argument("--lines", action="store_true", help="also look for long faint lines")
    parser.add_argument("--no-frame-scratches", action="store_true", help="do not look for scratches through the frame")
    options = parser.parse_args()
    names = options.detector or ["unet", "tophat"]
    for folder in sorted(path for path in options.bench.iterdir() if (path / "damaged").is_dir()):
        rows, speeds = {}, []
        for name in names:
            detector = made(name, options.weights, options.sensitivity)
            write = options.write / name if options.write else None
            tally, speed = score(
                detector, folder, options.level, write, tta=options.tta, blur=options.blur,
                lines=options.lines, through=not options.no_through,
            )  # fmt: skip
            rows[name] = tally.figures()
            speeds.append(f"{name} {speed:.2f} MP/s")
        print(f"\n{folder.name}: {rows[names[0]].files} scans; {', '.join(speeds)}")
        for row in format_table(rows):
            print("".join(f"{cell:>12}" for cell in row))
        for name, figures in rows.items():
            print(f"{name}: {recall_by_size(figures)}")


if __name__ == "__main__":
    main()
