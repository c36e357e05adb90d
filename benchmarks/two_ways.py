"""Compare two ways of restoring: find damage and fill it, or let a generator restore without a mask.

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
from numpy.typing import NDArray

import redust
from redust.core.arrays import Mask, Pixels, from_light, three_channels, to_light
from redust.core.errors import RedustError
from redust.core.labels import Label
from redust.core.scan import Scan
from redust.core.settings import RestoreSettings
from redust.files.pairs import find_photos
from redust.inpainters import make_inpainter
from redust.inpainters.fill_damage import fill_damage
from redust.pipeline.pipeline import Pipeline
from redust.synthesis.recipe import Recipe
from redust.synthesis.synthesizer import Synthesizer

CAP = 99.0


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture with drawn damage."""

    damaged: Pixels
    clean: Pixels
    where: Mask


def decibels(restored: Pixels, clean: Pixels, where: Mask | None = None) -> float:
    """PSNR for 8 bit."""
    square = np.square(restored.astype(np.float64) - clean)
    mean = float((square if where is None else square[where]).mean())
    return min(CAP, float(10 * np.log10(255**2 / max(mean, 1e-9))))


def drawn(folder: Path, recipe: Recipe, number: int, side: int) -> Iterator[Picture]:
    """Pictures with drawn damage."""
    synthesizer = Synthesizer(recipe=recipe, seed=2026)
    for index, photo in enumerate(find_photos(folder)[:number]):
        light = three_channels(to_light(redust.read_scan(photo.picture).pixels))
        top, left = ((length - side) // 2 if length > side else 0 for length in light.shape[:2])
        pair = synthesizer.draw(np.ascontiguousarray(light[top : top + side, left : left + side]), index)
        eight = np.dtype(np.uint8)
        yield Picture(from_light(pair.damaged, eight), from_light(pair.clean, eight), pair.target != Label.background)


def score(restore: Callable[[Pixels], Pixels], pictures: list[Picture]) -> tuple[dict[str, float], list[Pixels]]:
    """The figures of one way, and its pictures."""
    rows, made, changed, total = [], [], 0, 0
    start = time.process_time()
    made = [restore(one.damaged) for one in pictures]
    used = time.process_time() - start
    for one, restored in zip(pictures, made, strict=True):
        whole = decibels(restored, one.clean) - decibels(one.damaged, one.clean)
        rows.append((whole, decibels(restored, one.clean, one.where), decibels(restored, one.clean, ~one.where)))
        changed += int((restore(one.clean) != one.clean).any(axis=2).sum())
        total += one.where.size
    gain, inside, outside = np.mean(rows, axis=0).tolist()
    worse = sum(row[0] < -0.01 for row in rows)
    return {
        "gain": gain, "worse": float(worse), "inside": inside, "outside": outside, "harm": 1e6 * changed / total,
        "cpu": 1e6 * used / total,
    }, made  # fmt: skip


def score_fill(name: str, pictures: list[Picture]) -> dict[str, float]:
    """The figures of a fill with the true mask."""
    inpainter, rows, used, total = make_inpainter(name), [], 0.0, 0
    for one in pictures:
        mask = cv2.dilate(one.where.view(np.uint8), np.ones((3, 3), np.uint8)).astype(np.bool_)
        start = time.process_time()
        filled = fill_damage(inpainter, one.damaged, mask, threads=1)
        used, total = used + time.process_time() - start, total + mask.size
        rows.append(decibels(filled, one.clean, one.where))
    return {"inside": float(np.mean(rows)), "cpu": 1e6 * used / total}


def ways(options: argparse.Namespace) -> dict[str, Callable[[Pixels], Pixels]]:
    """Ways to restore, by name."""
    choices: dict[str, dict[str, Any]] = {
        "mask, kriging": {"fill": "kriging"},
        "mask, network": {"fill": options.fill},
        "generator": {"method": "generator", "generator": options.generator},
    }
    return {name: _way(Pipeline(RestoreSettings.of(threads=1, **chosen))) for name, chosen in choices.items()}


def _way(pipeline: Pipeline) -> Callable[[Pixels], Pixels]:
    return lambda pixels: pipeline.mend(Scan(pixels)).pixels


def sheet(pictures: list[Picture], answers: dict[str, list[Pixels]], number: int, side: int = 160) -> NDArray[np.uint8]:
    """At 1:1 about the damage: damaged, each way's answer, clean; where blind did best, then where it did worst."""
    last = list(answers.values())[-1]
    gains = [decibels(made, one.clean) - decibels(one.damaged, one.clean)
             for made, one in zip(last, pictures, strict=True)]  # fmt: skip
    order = np.argsort(gains)[::-1]
    rows = []
    for index in [*order[: number // 2], *order[-(number - number // 2) :]]:
        one = pictures[index]
        places = [np.median(places) for places in np.nonzero(one.where)]
        top, left = (int(np.clip(place - side / 2, 0, max(0, length - side)))
                     for place, length in zip(places, one.where.shape, strict=True))  # fmt: skip
        views = [one.damaged, *(made[index] for made in answers.values()), one.clean]
        rows.append(np.hstack([np.pad(view[top : top + side, left : left + side], ((2, 2), (2, 2), (0, 0)))
                               for view in views]))  # fmt: skip
    return np.vstack(rows)


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
    pictures = [one for one in drawn(options.photos, recipe, options.number, options.side) if one.where.any()]
    print(f"{len(pictures)} pictures, {100 * np.mean([one.where.mean() for one in pictures]):.2f} % damaged")
    answers: dict[str, list[Pixels]] = {}
    for name, restore in ways(options).items():
        try:
            figures, answers[name] = score(restore, pictures)
        except RedustError as error:
            print(f"{name:<15} {error}")
            continue
        print(f"{name:<15}" + "".join(f"  {what} {value:.2f}" for what, value in figures.items()), flush=True)
    for name in ("kriging", options.fill):
        try:
            figures = score_fill(name, pictures)
        except RedustError as error:
            print(f"fill {name:<20} {error}")
            continue
        print(f"fill {name:<20}" + "".join(f"  {what} {value:.2f}" for what, value in figures.items()), flush=True)
    if options.sheet:
        redust.write_scan(Scan(sheet(pictures, answers, 6)), options.sheet, overwrite=True)


if __name__ == "__main__":
    main()
