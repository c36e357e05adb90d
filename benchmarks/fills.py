"""Score fills on a set of damaged scans with true masks.

    python benchmarks/fills.py SET_DIR [--fill kriging --fill telea] [--grow 1] [--grain 0] [--threads 1]

SET_DIR holds ``damaged/``, ``clean/`` and ``mask/`` (255 damage, 128 not judged, 0 sound), files of one name in
each. The true mask, grown, is filled. Figures, the mean over scans unless said otherwise (dB of 8 bit):

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
from redust.core.arrays import Mask, Pixels
from redust.core.engines import Inpainter
from redust.core.errors import EngineError
from redust.inpainters import catalogue, make_inpainter
from redust.inpainters.running import fill_damage


def decibels(difference: NDArray[np.float64]) -> float:
    """PSNR for 8 bit."""
    return float(10 * np.log10(255**2 / max(float(np.square(difference).mean()), 1e-12)))


def highpass(pixels: Pixels) -> NDArray[np.float32]:
    """What a blur of 1.5 pixels takes away, of the mean of the channels."""
    grey = pixels.astype(np.float32).mean(axis=2)
    return np.asarray(grey - cv2.GaussianBlur(grey, (0, 0), 1.5))


def grown(mask: Mask, pixels: int) -> Mask:
    """The mask widened by `pixels` on each side."""
    square = np.ones((2 * pixels + 1, 2 * pixels + 1), np.uint8)
    return cv2.dilate(mask.view(np.uint8), square).astype(np.bool_)


def score(inpainter: Inpainter, folder: Path, grow: int, grain: float, threads: int) -> list[float]:
    """Inside, whole, grain, wall and cpu seconds, and microseconds per filled pixel."""
    rows, wall, cpu, filled = [], 0.0, 0.0, 0
    for path in sorted((folder / "clean").iterdir()):
        clean = redust.read_scan(path).pixels
        damaged = redust.read_scan(folder / "damaged" / path.name).pixels
        true = redust.read_scan(folder / "mask" / path.name).pixels[..., 0] == 255
        mask = grown(true, grow)
        start, used = time.perf_counter(), time.process_time()
        result = fill_damage(inpainter, damaged, mask, grain=grain, threads=threads)
        wall, cpu = wall + time.perf_counter() - start, cpu + time.process_time() - used
        filled += int(mask.sum())
        off = result.astype(np.float64) - clean
        kept = highpass(result)[true].std() / max(float(highpass(clean)[true].std()), 1e-6)
        rows.append((decibels(off[true]), decibels(off), float(kept)))
    return [*np.mean(rows, axis=0).tolist(), wall, cpu, 1e6 * cpu / filled]


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", type=Path)
    parser.add_argument("--fill", action="append")
    parser.add_argument("--grow", type=int, default=1, help="pixels by which the true mask is grown")
    parser.add_argument("--grain", type=float, default=0.0, help="as the setting: 0 to 1")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    cv2.setNumThreads(options.threads)
    print(f"{'fill':<15}" + "".join(f"{name:>9}" for name in ("inside", "whole", "grain", "wall", "cpu", "us/px")))
    for name in options.fill or catalogue.names():
        try:
            inpainter = make_inpainter(name)
        except EngineError as error:
            print(f"{name:<15} {error}")
            continue
        figures = score(inpainter, options.set, options.grow, options.grain, options.threads)
        print(f"{name:<15}" + "".join(f"{figure:9.2f}" for figure in figures), flush=True)


if __name__ == "__main__":
    main()
