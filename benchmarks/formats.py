"""Time to read, and memory to restore, for each format.

    python benchmarks/formats.py [--megapixels 24] [--beside CHECKOUT] [--rounds 7]

Draws one scan with grain, writes it in each format, and prints for each the processor's seconds that reading takes (the
median of the rounds) and the peak of resident memory of a fresh process that restores it, in MB. With the path of
another checkout of ReDust its reading is timed in turn with this one's, and the ratio of the medians printed. Where a
format decodes on two threads, the time by the clock is shorter.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from redust.core.scan import Scan
from redust.files import write_scan

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("scan.tif", "deflate.tif", "scan.png", "scan.jpg", "progressive.jpg", "scan.webp", "scan.jp2")

_READ = """
import sys, time
from pathlib import Path
from redust.files import read_scan
read_scan(Path(sys.argv[1]))
start, clock = time.process_time(), time.perf_counter()
read_scan(Path(sys.argv[1]))
print(time.process_time() - start, time.perf_counter() - clock)
"""
_RESTORE = """
import json, sys
from pathlib import Path
from redust.cli.entry import main
try:
    main(json.loads(sys.argv[1]))
finally:
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    print("PEAK", int(lines["VmHWM"].split()[0]) * 1024 / 1e6)
"""


def draw_scan(megapixels: float) -> Scan:
    """A smooth picture with grain and specks, 8-bit R G B."""
    width = round((megapixels * 1e6 * 3 / 2) ** 0.5)
    rng, height = np.random.default_rng(0), round(megapixels * 1e6 / width)
    ramp = 40 + 150 * np.linspace(0, 1, width)[None, :, None] * np.linspace(0.5, 1, height)[:, None, None]
    pixels = np.clip(ramp + rng.normal(0, 3, (height, width, 3)), 0, 255).astype(np.uint8)
    for row, column in rng.integers(0, (height - 6, width - 6), (200, 2)):
        pixels[row : row + 5, column : column + 5] = 245
    return Scan(pixels)


def write_formats(scan: Scan, folder: Path) -> list[Path]:
    """The scan in each format."""
    from PIL import Image
    from tifffile import imwrite

    paths = [folder / name for name in NAMES]
    for path in paths:
        if path.name == "deflate.tif":
            imwrite(path, scan.pixels, compression="zlib", predictor=True, photometric="rgb", metadata=None)
        elif path.name == "progressive.jpg":
            Image.fromarray(scan.pixels).save(path, progressive=True, quality=95)
        elif path.suffix == ".webp":
            Image.fromarray(scan.pixels).save(path, lossless=True, method=0)
        else:
            write_scan(scan, path)
    return paths


def run_python(program: str, argument: str, checkout: Path) -> str:
    """What a program prints with the ReDust of a checkout."""
    environment = os.environ | {"PYTHONPATH": str(checkout / "src")}
    command = [sys.executable, "-c", program, argument]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment).stdout


def time_reading(path: Path, checkout: Path) -> tuple[float, float]:
    """Seconds of the processor and by the clock; not numbers where the checkout refuses the file."""
    words = run_python(_READ, str(path), checkout).split()
    return (float(words[0]), float(words[1])) if len(words) == 2 else (float("nan"), float("nan"))


def measure_memory(path: Path, flags: list[str]) -> str:
    """The peak of a process that restores a scan, in MB; why it does not, where it refuses."""
    target = path.with_name(f"restored-{path.name}")
    words = run_python(_RESTORE, json.dumps(["restore", str(path), "-o", str(target), *flags]), ROOT).split()
    return f"{float(words[-1]):.0f}" + ("" if target.exists() else " (refused to write)")


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megapixels", type=float, default=24.0)
    parser.add_argument("--beside", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--no-memory", action="store_true")
    arguments = parser.parse_args()
    checkouts = [ROOT, *([arguments.beside] if arguments.beside else [])]
    with tempfile.TemporaryDirectory() as folder:
        scan = draw_scan(arguments.megapixels)
        print(f"limit {3 * scan.pixels.nbytes / 1e6 + 500:.0f} MB", flush=True)
        for path in write_formats(scan, Path(folder)):
            rounds = [[time_reading(path, checkout) for checkout in checkouts] for _ in range(arguments.rounds)]
            medians = [
                [statistics.median(values) for values in zip(*times, strict=True)]
                for times in zip(*rounds, strict=True)
            ]
            line = f"{path.name:16} reading {medians[0][0]:.2f} s of the processor, {medians[0][1]:.2f} s by the clock"
            if arguments.beside:
                line += f", {medians[0][0] / medians[1][0]:.2f} times the other's"
            memory = "" if arguments.no_memory else f", restoring {measure_memory(path, ['--detector', 'unet'])} MB"
            print(line + memory, flush=True)


if __name__ == "__main__":
    main()
