"""Draw hairs across windows of photos, restore them, and show them at 200 %: repairs where eyes look first.

    python benchmarks/hairs.py PHOTO@ROW,COLUMN ... -o FILE.png [--side 128] [--zoom 2] [--fill NAME] [--seed 0]
        [--scale 0.3 0.6] [--opacity 0.7 0.95] [--detector NAME] [--sensitivity normal]

PHOTO is undamaged; ROW,COLUMN is the upper left corner of a window in which three hairs are drawn, the same for the
same seed and place among the arguments: --scale is their least and greatest width (0.3: 2 pixels, 0.6: 5), --opacity
how much of the light they hide. Each row shows one window, enlarged without smoothing: damaged, restored with
the defaults, filled by the true mask grown by one pixel (what the fill alone makes of it), undamaged. Printed, in dB of
8 bit, for the hairs and their rims: before, restored, filled; and the share of the hairs that was found.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

import redust
from gallery import eight_bit
from redust.core.arrays import Light, Mask, Pixels, from_light, three_channels, to_light
from redust.core.settings import RestoreSettings
from redust.inpainters.fill_damage import fill_damage
from redust.pipeline.pipeline import Pipeline
from redust.synthesis.shapes import SHAPES
from two_ways import decibels

Range = tuple[float, float]

_GAP = 4
_HAIRS = 3
_DARK, _BRIGHT = (0.02, 0.2), (0.75, 0.95)
_SOFT = 0.6  # pixels: scanners are not sharper


def haired(light: Light, rng: np.random.Generator, scale: Range, opacity: Range) -> tuple[Light, Mask]:
    """Light (H, W, 3) with hairs, and where they are."""
    drawn, where = light.copy(), np.zeros(light.shape[:2], np.bool_)
    for _ in range(_HAIRS):
        coverage = SHAPES["hair"](light.shape[:2], float(rng.uniform(*scale)), rng)
        coverage = cv2.GaussianBlur(coverage.astype(np.float32), (0, 0), _SOFT)
        share = (coverage * rng.uniform(*opacity))[..., None]
        drawn = drawn * (1 - share) + share * float(rng.uniform(*(_DARK if rng.random() < 0.5 else _BRIGHT)))
        where |= coverage > 0.1
    return drawn.astype(np.float32), where


def row(pipeline: Pipeline, name: str, place: int, options: argparse.Namespace) -> NDArray[np.uint8]:
    """One window: damaged, restored, filled by the true mask, undamaged; its figures are printed."""
    path, _, corner = name.partition("@")
    clean = three_channels(redust.read_scan(Path(path)).pixels)
    top, left = (int(number) for number in corner.split(",")) if corner else (0, 0)
    window = slice(top, top + options.side), slice(left, left + options.side)
    light, where = to_light(clean), np.zeros(clean.shape[:2], np.bool_)
    rng = np.random.default_rng([options.seed, place])
    light[window], where[window] = haired(light[window], rng, tuple(options.scale), tuple(options.opacity))
    damaged = from_light(light, clean.dtype)
    scan = redust.Scan(damaged)
    mask = pipeline.mark(scan)
    restored = pipeline.repair(scan, mask).pixels
    grown = cv2.dilate(where.view(np.uint8), np.ones((3, 3), np.uint8)).view(np.bool_)
    how = pipeline.settings
    filled = fill_damage(pipeline.inpainter, damaged, grown, recover=how.recover, grain=how.grain)
    before, after, alone = (decibels(one, clean, where) for one in (damaged, restored, filled))
    print(f"{name}: {before:.1f} dB, {after:.1f} restored, {alone:.1f} filled; {mask[where].mean():.2f} found")
    panels: list[Pixels] = [damaged, restored, filled, clean]
    bar = np.full((options.side * options.zoom, _GAP, 3), 255, np.uint8)
    shown = [part for one in panels for part in (eight_bit(one[window], options.zoom), bar)]
    return np.concatenate(shown[:-1], axis=1)


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
    usual = {"fill": options.fill, "detector": options.detector, "sensitivity": options.sensitivity}
    pipeline = Pipeline(RestoreSettings.model_validate(usual))
    rows = [row(pipeline, name, place, options) for place, name in enumerate(options.photos)]
    between = np.full((_GAP, rows[0].shape[1], 3), 255, np.uint8)
    sheet = np.concatenate([part for one in rows for part in (one, between)][:-1])
    redust.write_scan(redust.Scan(sheet), options.output, overwrite=True)


if __name__ == "__main__":
    main()
