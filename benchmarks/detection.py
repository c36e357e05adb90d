"""Score detectors on bench sets with true masks, at their default level or another.

    python benchmarks/detection.py BENCH_DIR [--detector unet] [--sensitivity shy] [--tta 4] [--blur 0.6] [--write DIR]

BENCH_DIR is a set (``damaged/``, ``mask/``: 255 damage, 128 not judged, 0 background) or holds several. Measured is
what `redust detect` marks, without growing and without the guard against over-detection. Figures: see
:class:`redust.evaluation.metrics.Metrics`; MP/s is megapixels per second of detection alone. With ``--write`` masks and
damage maps are written as ``DIR/DETECTOR/SET/{mask,map}/NAME.png``, so that another scorer can read them.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import redust
from bench_sets import find_sets, read_truth, run_main
from redust.core.arrays import DamageMap, Mask
from redust.core.settings import RestoreSettings, Sensitivity, Weights
from redust.evaluation.metrics import MetricCounter, Metrics, format_table, recall_by_size
from redust.files import write_map
from redust.pipeline.pipeline import Pipeline


def score_set(pipeline: Pipeline, folder: Path, target: Path | None) -> tuple[Metrics, float]:
    """The figures of one set, and the megapixels per second of detection alone."""
    counter, seconds, megapixels = MetricCounter(level=pipeline.method.threshold.level), 0.0, 0.0
    for path in sorted((folder / "damaged").iterdir()):
        scan = redust.read_scan(path)
        start = time.perf_counter()
        damage = pipeline.detect(scan)
        seconds += time.perf_counter() - start
        megapixels += scan.megapixels
        mask = pipeline.decide(damage, scan)
        counter.add(read_truth(folder / "mask" / path.name), damage, mask)
        if target:
            write_results(target / folder.name, path.name, damage, mask)
    return counter.figures(), megapixels / seconds


def write_results(folder: Path, name: str, damage: DamageMap, mask: Mask) -> None:
    """Write a mask and a damage map for another scorer."""
    for kind in ("mask", "map"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    redust.write_mask(mask, folder / "mask" / name, overwrite=True)
    write_map(damage, folder / "map" / name, overwrite=True)


def make_pipeline(detector: str, options: argparse.Namespace) -> Pipeline:
    """The pipeline of a detector with the options' settings, without growing and guard."""
    names = ("level", "sensitivity", "weights", "tta", "blur", "frame_scratches")
    choices = {name: value for name in names if (value := getattr(options, name)) is not None}
    return Pipeline(RestoreSettings.of(detector=detector, grow=0, max_tile_coverage=1.0, **choices))


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
    parser.add_argument("--frame-scratches", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    pipelines = {name: make_pipeline(name, options) for name in options.detector or ["unet", "tophat"]}
    for folder in find_sets(options.bench, "damaged", "mask"):
        rows, speeds = {}, []
        for name, pipeline in pipelines.items():
            rows[name], speed = score_set(pipeline, folder, options.write / name if options.write else None)
            speeds.append(f"{name} {speed:.2f} MP/s")
        print(f"\n{folder.name}: {next(iter(rows.values())).files} scans; {', '.join(speeds)}")
        for row in format_table(rows):
            print("".join(f"{cell:>12}" for cell in row))
        for name, figures in rows.items():
            print(f"{name}: {recall_by_size(figures)}", flush=True)


if __name__ == "__main__":
    run_main(main)
