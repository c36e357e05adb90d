"""Score fills on bench sets of damaged scans with true masks.

    python benchmarks/fills.py SET_DIR... [--fill kriging] [--grow 1] [--grain 0] [--recover] [--threads 1]

SET_DIR holds ``damaged/``, ``clean/`` and ``mask/`` (255 damage, 128 not judged, 0 background). The true mask,
grown, is filled. Figures, the mean over scans unless said otherwise (dB of 8 bit):

inside   where the true mask is 255
whole    the whole scan
grain    high-pass deviation of the result over that of the clean scan, inside the damage (1 = grain kept)
wall     seconds for the set, fill and grain
cpu      seconds of all cores together: what a busy machine cannot distort
us/px    microseconds of cpu per filled pixel
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

import redust
from bench_sets import find_sets, psnr, read_truth, run_main
from redust.core.arrays import Mask, Pixels
from redust.core.errors import RedustError
from redust.core.scan import Scan
from redust.core.settings import RestoreSettings
from redust.inpainters import catalogue
from redust.pipeline.pipeline import Pipeline

COLUMNS = ("inside", "whole", "grain", "wall", "cpu", "us/px")


def high_pass(pixels: Pixels) -> NDArray[np.float32]:
    """What a blur of 1.5 pixels takes away, of the mean of the channels."""
    grey = pixels.astype(np.float32).mean(axis=2)
    return np.asarray(grey - cv2.GaussianBlur(grey, (0, 0), 1.5))


def grow_mask(mask: Mask, pixels: int) -> Mask:
    """The mask widened by `pixels` on each side."""
    square = np.ones((2 * pixels + 1, 2 * pixels + 1), np.uint8)
    return cv2.dilate(mask.view(np.uint8), square).astype(np.bool_)


def score_fill(pipeline: Pipeline, folder: Path, grow: int) -> list[float]:
    """The figures of one fill on one set, in the order of `COLUMNS`."""
    rows, wall, cpu, pixel_count = [], 0.0, 0.0, 0
    for path in sorted((folder / "clean").iterdir()):
        clean = redust.read_scan(path).pixels
        damaged = redust.read_scan(folder / "damaged" / path.name).pixels
        truth = read_truth(folder / "mask" / path.name) == 255
        mask = grow_mask(truth, grow)
        start, cpu_start = time.perf_counter(), time.process_time()
        filled = pipeline.repair(Scan(damaged), mask).pixels
        wall, cpu = wall + time.perf_counter() - start, cpu + time.process_time() - cpu_start
        pixel_count += int(mask.sum())
        if truth.any():
            grain = high_pass(filled)[truth].std() / max(float(high_pass(clean)[truth].std()), 1e-6)
            rows.append((psnr(filled, clean, truth), psnr(filled, clean), float(grain)))
    return [*np.mean(rows, axis=0).tolist(), wall, cpu, 1e6 * cpu / max(pixel_count, 1)]


def make_pipelines(options: argparse.Namespace) -> dict[str, Pipeline]:
    """A pipeline for each fill that is installed; of the others the reason is printed."""
    pipelines = {}
    for name in options.fill or catalogue.names():
        settings = RestoreSettings.of(
            fill=name, grain=options.grain, recover_translucent=options.recover, threads=options.threads
        )
        try:
            pipelines[name] = Pipeline(settings)
            pipelines[name].inpainter  # noqa: B018 - loads it
        except RedustError as error:
            pipelines.pop(name, None)
            print(f"{name:<15} {error}")
    return pipelines


def main() -> None:
    """Print one table per set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", type=Path, nargs="+", metavar="SET_DIR")
    parser.add_argument("--fill", action="append")
    parser.add_argument("--grow", type=int, default=1, help="pixels by which the true mask is grown")
    parser.add_argument("--grain", type=float, default=0.0, help="as the setting: 0 to 1")
    parser.add_argument("--recover", action="store_true", help="as `--recover-translucent` of `redust repair`")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    cv2.setNumThreads(options.threads)
    folders = [folder for path in options.sets for folder in find_sets(path, "damaged", "clean", "mask")]
    pipelines = make_pipelines(options)
    for folder in folders:
        print(f"{folder.name:<15}" + "".join(f"{column:>9}" for column in COLUMNS))
        for name, pipeline in pipelines.items():
            figures = score_fill(pipeline, folder, options.grow)
            print(f"{name:<15}" + "".join(f"{figure:9.2f}" for figure in figures), flush=True)


if __name__ == "__main__":
    run_main(main)
