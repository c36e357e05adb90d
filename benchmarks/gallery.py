"""Draw windows of scans before, with their mask, and after.

    python benchmarks/gallery.py SCAN[@ROW,COLUMN] ... -o FILE.jpg [--side 192] [--zoom 2] [--grain 0.5] [--fill NAME]

ROW,COLUMN is the upper left corner of a window, of which a scan may have several; without one it is where the most
damage was found. Each row shows one window, enlarged without smoothing: before, the mask in red, after.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

import redust
from bench_sets import Picture, enlarge, join_pictures, run_main
from redust.core.settings import RestoreSettings
from redust.pipeline.compare import find_busiest_window
from redust.pipeline.pipeline import Pipeline

_RED = np.array([255, 60, 30], np.float32)


def draw_row(pipeline: Pipeline, name: str, side: int, zoom: int) -> Picture:
    """One window before, marked and after."""
    path, _, corner = name.partition("@")
    scan = redust.read_scan(Path(path))
    mask = pipeline.decide(pipeline.detect(scan), scan)
    restored = pipeline.repair(scan, mask)
    if corner:
        top, left = (int(number) for number in corner.split(","))
        window = slice(top, top + side), slice(left, left + side)
    else:
        window = find_busiest_window(mask, side)
    before = enlarge(scan.pixels[window], zoom)
    marked = before // 2 + 64
    red = mask[window].repeat(zoom, axis=0).repeat(zoom, axis=1)
    marked[red] = (0.25 * marked[red] + 0.75 * _RED).astype(np.uint8)
    return join_pictures([before, marked, enlarge(restored.pixels[window], zoom)], axis=1, gap=6)


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
    sheet = join_pictures(
        (draw_row(pipeline, name, options.side, options.zoom) for name in options.scans), axis=0, gap=6
    )
    cv2.imwrite(str(options.output), sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == "__main__":
    run_main(main)
