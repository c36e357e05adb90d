"""Draw windows of scans before, with what was marked, and after: to look at repairs as they are.

    python benchmarks/gallery.py SCAN[@ROW,COLUMN] ... -o FILE.jpg [--side 192] [--zoom 2] [--grain 0.5] [--fill NAME]

ROW,COLUMN is the upper left corner of a window, of which a scan may have several; without one it is where the most
damage was found. Each row shows one window, enlarged without smoothing: before, the mask in red, after.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

import redust
from redust.core.arrays import Pixels, to_light
from redust.core.settings import RestoreSettings
from redust.pipeline.compare import busiest
from redust.pipeline.pipeline import Pipeline

_GAP = 6
_RED = np.array([255, 60, 30], np.float32)


def eight_bit(pixels: Pixels, zoom: int) -> NDArray[np.uint8]:
    """Pixels (H, W, C) as 8-bit R G B, each `zoom` times as wide and high."""
    large = to_light(pixels).repeat(zoom, axis=0).repeat(zoom, axis=1)
    return np.asarray(np.rint(255 * np.broadcast_to(large, (*large.shape[:2], 3))), np.uint8)


def row(pipeline: Pipeline, name: str, side: int, zoom: int) -> NDArray[np.uint8]:
    """One window before, marked and after."""
    path, _, corner = name.partition("@")
    scan = redust.read_scan(Path(path))
    mask = pipeline.mark(scan)
    after = pipeline.repair(scan, mask)
    if corner:
        top, left = (int(number) for number in corner.split(","))
        place = slice(top, top + side), slice(left, left + side)
    else:
        place = busiest(mask, side)
    before = eight_bit(scan.pixels[place], zoom)
    marked = before // 2 + 64
    red = mask[place].repeat(zoom, axis=0).repeat(zoom, axis=1)
    marked[red] = (0.25 * marked[red] + 0.75 * _RED).astype(np.uint8)
    gap = np.full((before.shape[0], _GAP, 3), 255, np.uint8)
    return np.hstack([before, gap, marked, gap, eight_bit(after.pixels[place], zoom)])


def main() -> None:
    """Write one picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scans", nargs="+", metavar="SCAN[@ROW,COLUMN]")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--side", type=int, default=192)
    parser.add_argument("--zoom", type=int, default=2)
    parser.add_argument("--grain", type=float)
    parser.add_argument("--fill")
    options = parser.parse_args()
    choices = {name: value for name in ("grain", "fill") if (value := getattr(options, name)) is not None}
    pipeline = Pipeline(RestoreSettings.of(**choices))
    rows = [row(pipeline, name, options.side, options.zoom) for name in options.scans]
    gap = np.full((_GAP, rows[0].shape[1], 3), 255, np.uint8)
    picture = np.vstack([part for one in rows for part in (one, gap)][:-1])
    cv2.imwrite(str(options.output), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == "__main__":
    main()
