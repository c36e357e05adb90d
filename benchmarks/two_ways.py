"""Compare two ways of restoring: detect and fill, or blind inpainting by a generator.

    python benchmarks/two_ways.py PHOTOS [--recipe FILE] [--number 30] [--side 384] [--fill NAME|DIR]
        [--generator NAME|DIR] [--sheet FILE.png]

PHOTOS holds undamaged photos that nothing was trained on. Damage is drawn on the middle of each by the recipe (without
the share of undamaged pictures and hard negatives), the same every time. Figures, the mean over pictures unless said
otherwise (dB of 8 bit):

gain     PSNR of the whole picture after minus before
worse    pictures that lost more than 0.01 dB
inside   where damage was drawn, its rim included
outside  where nothing was drawn, at most 99
harm     pixels changed per million, on the same photos without damage
cpu      seconds of all cores together per megapixel: what a busy machine cannot distort

Then the fills alone, with the true mask grown by one pixel: inside and cpu.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import redust
from bench_sets import Picture, join_pictures, psnr, run_main
from redust.core.arrays import Mask, Pixels, from_light, three_channels, to_light
from redust.core.errors import RedustError
from redust.core.labels import Label
from redust.core.scan import Scan
from redust.core.settings import RestoreSettings
from redust.files.pairs import find_photos
from redust.pipeline.pipeline import Pipeline
from redust.synthesis.recipe import Recipe
from redust.synthesis.synthesizer import Synthesizer


@dataclass(frozen=True, eq=False)
class Sample:
    """A picture with drawn damage, without it, and the true mask."""

    damaged: Pixels
    clean: Pixels
    mask: Mask


def draw_samples(folder: Path, recipe: Recipe, number: int, side: int) -> Iterator[Sample]:
    """Pictures with drawn damage."""
    synthesizer = Synthesizer(recipe=recipe, seed=2026)
    for index, photo in enumerate(find_photos(folder)[:number]):
        light = three_channels(to_light(redust.read_scan(photo.picture).pixels))
        top, left = ((length - side) // 2 if length > side else 0 for length in light.shape[:2])
        pair = synthesizer.draw(np.ascontiguousarray(light[top : top + side, left : left + side]), index)
        uint8 = np.dtype(np.uint8)
        yield Sample(from_light(pair.damaged, uint8), from_light(pair.clean, uint8), pair.target != Label.background)


def psnr_gain(restored: Pixels, sample: Sample) -> float:
    """PSNR of the whole picture after minus before, in dB."""
    return psnr(restored, sample.clean) - psnr(sample.damaged, sample.clean)


def score_method(restore: Callable[[Pixels], Pixels], samples: list[Sample]) -> tuple[dict[str, float], list[Pixels]]:
    """The figures of one way, and its pictures."""
    start = time.process_time()
    pictures = [restore(sample.damaged) for sample in samples]
    cpu_seconds = time.process_time() - start
    rows, changed_count, pixel_count = [], 0, 0
    for sample, restored in zip(samples, pictures, strict=True):
        inside, outside = (psnr(restored, sample.clean, mask) for mask in (sample.mask, ~sample.mask))
        rows.append((psnr_gain(restored, sample), inside, outside))
        changed_count += int((restore(sample.clean) != sample.clean).any(axis=2).sum())
        pixel_count += sample.mask.size
    gain, inside, outside = np.mean(rows, axis=0).tolist()
    worse = float(sum(row[0] < -0.01 for row in rows))
    harm, cpu = 1e6 * changed_count / pixel_count, 1e6 * cpu_seconds / pixel_count
    return {"gain": gain, "worse": worse, "inside": inside, "outside": outside, "harm": harm, "cpu": cpu}, pictures


def score_fill(name: str, samples: list[Sample]) -> dict[str, float]:
    """The figures of a fill with the true mask."""
    pipeline = Pipeline(RestoreSettings.of(fill=name, grain=0.0, recover_translucent=False, threads=1))
    rows, cpu_seconds, pixel_count = [], 0.0, 0
    for sample in samples:
        mask = cv2.dilate(sample.mask.view(np.uint8), np.ones((3, 3), np.uint8)).astype(np.bool_)
        start = time.process_time()
        filled = pipeline.repair(Scan(sample.damaged), mask).pixels
        cpu_seconds, pixel_count = cpu_seconds + time.process_time() - start, pixel_count + mask.size
        rows.append(psnr(filled, sample.clean, sample.mask))
    return {"inside": float(np.mean(rows)), "cpu": 1e6 * cpu_seconds / pixel_count}


def make_methods(options: argparse.Namespace) -> dict[str, Callable[[Pixels], Pixels]]:
    """Ways to restore, by name."""
    choices: dict[str, dict[str, Any]] = {
        "mask, kriging": {"fill": "kriging"},
        f"mask, {options.fill}": {"fill": options.fill},
        "generator": {"method": "generator", "generator": options.generator},
    }
    pipelines = {name: Pipeline(RestoreSettings.of(threads=1, **settings)) for name, settings in choices.items()}
    return {name: lambda pixels, pipeline=pipeline: pipeline.restore_scan(Scan(pixels)).pixels
            for name, pipeline in pipelines.items()}  # fmt: skip


def draw_sheet(samples: list[Sample], results: dict[str, list[Pixels]], count: int, side: int = 160) -> Picture:
    """At 1:1: damaged, each way's result, clean; where the generator did best, then where it did worst."""
    last = list(results.values())[-1]
    order = np.argsort([-psnr_gain(restored, sample) for restored, sample in zip(last, samples, strict=True)])
    rows = []
    for index in [*order[: count // 2], *order[-(count - count // 2) :]]:
        sample = samples[index]
        centre = [float(np.median(axis)) for axis in np.nonzero(sample.mask)]
        top, left = (int(np.clip(middle - side / 2, 0, max(0, length - side)))
                     for middle, length in zip(centre, sample.mask.shape, strict=True))  # fmt: skip
        pictures = [sample.damaged, *(restored[index] for restored in results.values()), sample.clean]
        rows.append(join_pictures((picture[top : top + side, left : left + side] for picture in pictures), axis=1))
    return join_pictures(rows, axis=0)


def print_figures(title: str, figures: dict[str, float]) -> None:
    """One line of figures."""
    print(f"{title:<20}" + "".join(f"  {name} {value:.2f}" for name, value in figures.items()), flush=True)


def main() -> None:
    """Print two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--recipe", type=Path)
    parser.add_argument("--number", type=int, default=30)
    parser.add_argument("--side", type=int, default=384)
    parser.add_argument("--fill", default="network")
    parser.add_argument("--generator", default="attentive")
    parser.add_argument("--sheet", type=Path)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    recipe = Recipe.from_preset(options.recipe) if options.recipe else Recipe()
    recipe = recipe.model_copy(update={"clean": 0.0, "negatives": 0.0})
    samples = [sample for sample in draw_samples(options.photos, recipe, options.number, options.side)
               if sample.mask.any()]  # fmt: skip
    print(f"{len(samples)} pictures, {100 * np.mean([sample.mask.mean() for sample in samples]):.2f} % damaged")
    results: dict[str, list[Pixels]] = {}
    for name, restore in make_methods(options).items():
        try:
            figures, results[name] = score_method(restore, samples)
        except RedustError as error:
            print(f"{name:<20} {error}")
        else:
            print_figures(name, figures)
    for name in ("kriging", options.fill):
        print_figures(f"fill {name}", score_fill(name, samples))
    if options.sheet:
        redust.write_scan(Scan(draw_sheet(samples, results, 6)), options.sheet, overwrite=True)


if __name__ == "__main__":
    run_main(main)
