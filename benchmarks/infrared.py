"""What infrared costs, and what it finds: a drawn scan restored with its infrared plane and without.

    python benchmarks/infrared.py [--megapixels 24] [--repeat 3]

It draws a 16-bit RGBI TIFF of colour film with dust, and restores it as a user would, in a new process each time, by
turns with ``--infrared auto`` and ``--infrared off``. Printed are the median seconds of both and their ratio, and of
the masks, recall and precision within two pixels of the true ones.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
import tifffile

from bench_sets import run_main
from redust.core.arrays import Mask
from redust.files import read_mask
from redust.synthesis.infrared_film import InfraredScanner, draw_infrared_frame

FRAME = 1000, 1500  # drawn once, and repeated to the size: drawing takes longer than restoring


def draw_scan(path: Path, megapixels: float) -> Mask:
    """Write an RGBI TIFF; returns where it is damaged."""
    frame = draw_infrared_frame(FRAME, InfraredScanner(shift=(1.5, -1.5)), seed=1)
    times = max(1, round((megapixels * 1e6 / (FRAME[0] * FRAME[1])) ** 0.5))
    samples = np.dstack([frame.pixels, frame.infrared, np.where(frame.damage, np.uint16(1), np.uint16(0))])
    both = np.concatenate([samples, samples[:, ::-1]], axis=1)
    quad = np.concatenate([both, both[::-1]])  # mirrored, so that no seam is an edge
    tiled = np.tile(quad, (-(-times // 2), -(-times // 2), 1))[: FRAME[0] * times, : FRAME[1] * times]
    tifffile.imwrite(path, tiled[..., :4], photometric="rgb", extrasamples=["unspecified"], metadata=None)
    return tiled[..., 4] > 0


def restore(scan: Path, choice: str) -> tuple[float, Path]:
    """Restore once; the seconds of all steps, and the mask that was written."""
    mask = scan.with_name(f"{choice}.png")
    program = "from redust.cli.entry import main; main()"
    command = [
        sys.executable, "-c", program, "restore", str(scan), "-o", str(scan.with_name(f"{choice}.tif")),
        "--mask-out", str(mask), "--grow", "0", "--overwrite", "--json", "--infrared", choice,
    ]  # fmt: skip
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    return sum(json.loads(answer.stdout)["seconds"].values()), mask


def share_near(marked: Mask, reference: Mask) -> float:
    """Share of the marked pixels within two pixels of the reference."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    near = cv2.dilate(reference.astype(np.uint8), disc).astype(np.bool_)
    return float(near[marked].mean()) if marked.any() else 1.0


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megapixels", type=float, default=24.0)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scan = Path(folder) / "scan.tif"
        truth = draw_scan(scan, options.megapixels)
        seconds: dict[str, list[float]] = {"auto": [], "off": []}
        for _ in range(options.repeat):
            for choice, times in seconds.items():
                elapsed, _ = restore(scan, choice)
                times.append(elapsed)
        for choice, times in seconds.items():
            mask = read_mask(scan.with_name(f"{choice}.png"), (truth.shape[0], truth.shape[1]))
            recall, precision = share_near(truth, mask), share_near(mask, truth)
            print(
                f"--infrared {choice:4}  {statistics.median(times):6.1f} s  recall {recall:.3f}  "
                f"precision {precision:.3f}"
            )
    ratio = statistics.median(seconds["auto"]) / statistics.median(seconds["off"])
    print(f"{truth.size / 1e6:.0f} megapixels: {ratio:.2f} times the time without the plane")


if __name__ == "__main__":
    run_main(main)
