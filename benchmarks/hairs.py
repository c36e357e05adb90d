"""Draw hairs across windows of photos, restore them, and show them enlarged.

    python benchmarks/hairs.py PHOTO@ROW,COLUMN ... -o FILE.png [--side 128] [--zoom 2] [--fill NAME] [--seed 0]
        [--scale 0.3 0.6] [--opacity 0.7 0.95] [--detector NAME] [--sensitivity normal]

PHOTO is undamaged; ROW,COLUMN is the upper left corner of a window in which three hairs are drawn, the same for the
same seed and position among the arguments: --scale is their least and greatest width (0.3: 2 pixels, 0.6: 5), --opacity
how much of the light they hide. Each row shows one window, enlarged without smoothing: damaged, restored with
the defaults, filled by the true mask grown by one pixel (what the fill alone makes of it), undamaged. Printed, in dB of
8 bit, for the hairs and their rims: before, restored, filled; and the share of the hairs that was found.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

import redust
from bench_sets import Picture, enlarge, join_pictures, psnr, run_main
from redust.core.arrays import Light, Mask, from_light, three_channels, to_light
from redust.core.settings import RestoreSettings
from redust.pipeline.pipeline import Pipeline
from redust.synthesis.shapes import SHAPES

Range = tuple[float, float]

_HAIRS = 3
_DARK, _BRIGHT = (0.02, 0.2), (0.75, 0.95)
_BLUR = 0.6  # pixels: scanners are not sharper


def draw_hairs(light: Light, rng: np.random.Generator, scale: Range, opacity: Range) -> tuple[Light, Mask]:
    """Light (H, W, 3) with hairs, and their true mask."""
    drawn, mask = light.copy(), np.zeros(light.shape[:2], np.bool_)
    for _ in range(_HAIRS):
        coverage = SHAPES["hair"](light.shape[:2], float(rng.uniform(*scale)), rng)
        coverage = cv2.GaussianBlur(coverage.astype(np.float32), (0, 0), _BLUR)
        share = (coverage * rng.uniform(*opacity))[..., None]
        drawn = drawn * (1 - share) + share * float(rng.uniform(*(_DARK if rng.random() < 0.5 else _BRIGHT)))
        mask |= coverage > 0.1
    return drawn.astype(np.float32), mask


def draw_row(pipeline: Pipeline, name: str, index: int, options: argparse.Namespace) -> Picture:
    """One window: damaged, restored, filled by the true mask, undamaged; its figures are printed."""
    path, _, corner = name.partition("@")
    clean = three_channels(redust.read_scan(Path(path)).pixels)
    top, left = (int(number) for number in corner.split(",")) if corner else (0, 0)
    window = slice(top, top + options.side), slice(left, left + options.side)
    light, truth = to_light(clean), np.zeros(clean.shape[:2], np.bool_)
    rng = np.random.default_rng([options.seed, index])
    light[window], truth[window] = draw_hairs(light[window], rng, tuple(options.scale), tuple(options.opacity))
    scan = redust.Scan(from_light(light, clean.dtype))
    mask = pipeline.decide(pipeline.detect(scan), scan)
    restored = pipeline.repair(scan, mask).pixels
    grown = cv2.dilate(truth.view(np.uint8), np.ones((3, 3), np.uint8)).view(np.bool_)
    filled = pipeline.repair(scan, grown).pixels
    before, after, fill_alone = (psnr(pixels, clean, truth) for pixels in (scan.pixels, restored, filled))
    print(f"{name}: {before:.1f} dB, {after:.1f} restored, {fill_alone:.1f} filled; {mask[truth].mean():.2f} found")
    panels = (scan.pixels, restored, filled, clean)
    return join_pictures((enlarge(pixels[window], options.zoom) for pixels in panels), axis=1)


def main() -> None:
    """Write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="+")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--zoom", type=int, default=2)
    parser.add_argument("--fill", default=RestoreSettings().fill)
    parser.add_argument("--scale", type=float, nargs=2, default=(0.3, 0.6))
    parser.add_argument("--opacity", type=float, nargs=2, default=(0.7, 0.95))
    parser.add_argument("--detector", default=RestoreSettings().detector)
    parser.add_argument("--sensitivity")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    choices = {"fill": options.fill, "detector": options.detector, "sensitivity": options.sensitivity}
    pipeline = Pipeline(RestoreSettings.model_validate(choices))
    rows = [draw_row(pipeline, name, index, options) for index, name in enumerate(options.photos)]
    redust.write_scan(redust.Scan(join_pictures(rows, axis=0)), options.output, overwrite=True)


if __name__ == "__main__":
    run_main(main)
