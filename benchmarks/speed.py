"""Time and memory of `redust restore` on large scans, start-up included.

    python benchmarks/speed.py [MEGAPIXELS ...] [--grey] [--tear] [--choice] [--folder DIR] [--repeat N]

For each size (24 unless given) it draws a TIFF, 16-bit RGB or 8-bit grey, with 0.5 % damage, restores it as a user
would (a new process), and prints the seconds, the share of each step, the peak memory against its limit (3 times the
decoded pixels plus 500 MB), and the network's GFLOP/s beside the machine's plain float32 matrix product
measured in the same run. With `--tear` the scan is torn from corner to corner, 80 pixels wide, and the tear marked
by hand (`--add-mask`): no fill sees across it, which is what takes the most memory. With `--choice` each restoration
is followed by one with `--blur 0`: what it costs to choose the blur. Needs a POSIX system.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import tifffile

from bench_sets import run_main
from redust.core.tiles import tiles
from redust.detectors.onnx_detector import shipped_unet

COVERAGE = 0.005
TEAR = 80


def draw_scan(path: Path, megapixels: float, grey: bool) -> int:
    """Write a scan of smooth light, grain, specks and hairs, and a mask of a tear; returns the bytes of its pixels."""
    rng = np.random.default_rng(1)
    height = round((megapixels * 1e6 / 1.5) ** 0.5)
    width = round(height * 1.5)
    coarse = rng.random((height // 64, width // 64, 3)).astype(np.float32)
    pixels = (cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 1) * 45000).astype(np.uint16)
    pixels += rng.integers(0, 1500, (height, width, 1), dtype=np.uint16)
    marked = 0
    while marked < COVERAGE * height * width:
        row, column = int(rng.integers(height)), int(rng.integers(width))
        shade = (62000, 62000, 61000) if rng.random() < 0.6 else (2500, 2400, 2300)
        if rng.random() < 0.15:
            steps = np.cumsum(rng.normal(0, 14, (12, 2)), axis=0) + np.array([column, row])
            cv2.polylines(pixels, [steps.astype(np.int32)], False, shade, 4, cv2.LINE_AA)
            marked += 500
        else:
            radius = int(rng.integers(2, 6))
            cv2.circle(pixels, (column, row), radius, shade, -1, cv2.LINE_AA)
            marked += round(3.1 * radius**2)
    if grey:
        pixels = (pixels[..., 1] >> 8).astype(np.uint8)
    tifffile.imwrite(path, pixels, photometric="minisblack" if grey else "rgb")
    tear = np.zeros((height, width), np.uint8)
    cv2.line(tear, (0, 0), (width - 1, height - 1), 255, TEAR)
    cv2.imwrite(str(path.with_suffix(".png")), tear)
    return pixels.nbytes


def draw_in_process(path: Path, megapixels: float, grey: bool) -> int:
    """Draw in a process of its own: the peak memory of a child includes that of its parent when it was started."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(draw_scan, path, megapixels, grey).result()


def peak_bytes(usage: resource.struct_rusage) -> int:
    """The largest resident size; the system counts it in kB, macOS in bytes."""
    return int(usage.ru_maxrss) * (1 if sys.platform == "darwin" else 1024)


def time_matrix_product() -> float:
    """GFLOP/s of a plain float32 matrix product, the best of five."""
    matrix = np.random.default_rng(0).random((2048, 2048), dtype=np.float32)
    best = 1e9
    for _ in range(5):
        start = time.perf_counter()
        matrix @ matrix
        best = min(best, time.perf_counter() - start)
    return 2 * 2048**3 / best / 1e9


def time_restore(source: Path, target: Path, *flags: str) -> tuple[float, float, dict[str, float]]:
    """Seconds, peak bytes, and seconds by step of one restoration in a process of its own."""
    command = [
        sys.executable,
        "-c",
        "from redust.cli.entry import main; main()",
        "restore",
        str(source),
        "-o",
        str(target),
        "--overwrite",
        "--json",
        *flags,
    ]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    answer = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        sys.exit(f"redust restore failed: {answer.decode()}")
    peak, script_peak = peak_bytes(usage), peak_bytes(resource.getrusage(resource.RUSAGE_SELF))
    if peak <= script_peak:
        sys.exit(f"this script has taken {script_peak / 1e6:.0f} MB itself, which hides what redust took")
    return seconds, peak, json.loads(answer.splitlines()[0])["seconds"]


def measure_size(folder: Path, megapixels: float, repeat: int, *, grey: bool, tear: bool, choice: bool) -> None:
    """Print the figures of one size."""
    source, target = folder / "scan.tif", folder / "restored.tif"
    size = draw_in_process(source, megapixels, grey)
    flags = ("--add-mask", str(source.with_suffix(".png"))) if tear else ()
    runs, unblurred = [], []
    for _ in range(repeat):
        runs.append(time_restore(source, target, *flags))
        if choice:
            unblurred.append(time_restore(source, target, *flags, "--blur", "0")[2]["detect"])
    seconds, peak, steps = sorted(runs, key=lambda run: run[0])[len(runs) // 2]
    limit = 3 * size + 500e6
    kind = ("8-bit grey" if grey else "16-bit RGB") + (", torn" if tear else "")
    print(f"\n{megapixels:g} megapixels, {kind}, {size / 1e6:.0f} MB of pixels, median of {repeat}")
    print(
        f"  {seconds:.1f} s ({megapixels / seconds:.2f} MP/s); "
        f"peak memory {peak / 1e6:.0f} MB of {limit / 1e6:.0f} MB allowed"
    )
    print("  " + ", ".join(f"{name} {value:.2f} s ({value / seconds:.0%})" for name, value in steps.items()))
    if unblurred:
        ratios = [run[2]["detect"] / seconds_unblurred for run, seconds_unblurred in zip(runs, unblurred, strict=True)]
        print(f"  detecting takes {statistics.median(ratios):.3f} of what it takes with --blur 0")
    detector = shipped_unet()
    card = detector.card
    if card.gflop_per_megapixel:
        shape = (round((megapixels * 1e6 / 1.5) ** 0.5), round((megapixels * 1e6 / 1.5) ** 0.5 * 1.5))
        side = detector.spec.needs.per_tile or max(shape)
        computed = sum(
            (tile.bottom - tile.top) * (tile.right - tile.left)
            for tile in tiles(shape, side, halo=card.halo, multiple_of=card.stride)
        )
        rate = card.gflop_per_megapixel * computed / 1e6 / steps["detect"]
        plain = statistics.median(time_matrix_product() for _ in range(3))
        print(
            f"  network {rate:.0f} GFLOP/s (halos included), "
            f"plain float32 matrix product {plain:.0f} GFLOP/s: {rate / plain:.2f}"
        )


def main() -> None:
    """Measure each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("megapixels", type=float, nargs="*", default=[24.0])
    parser.add_argument("--grey", action="store_true", help="8-bit grey instead of 16-bit RGB")
    parser.add_argument("--tear", action="store_true", help="torn from corner to corner")
    parser.add_argument("--choice", action="store_true", help="compare with --blur 0")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for megapixels in options.megapixels:
            measure_size(
                Path(folder), megapixels, options.repeat, grey=options.grey, tear=options.tear, choice=options.choice
            )


if __name__ == "__main__":
    run_main(main)
