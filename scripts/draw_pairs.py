"""Draw the pairs that the shipped networks are trained on, as a plan says.

    python scripts/draw_pairs.py MATERIAL configs/unet-pairs.toml -o PAIRS [--clean] [--share 0.1] [--workers 2]
        [--seed 0] [--detector unet]

MATERIAL holds ``photos/`` and, as far as there are any, ``plates/`` (NAME.jpg beside NAME_mask.png),
``overlays/``, ``outlines/*.json``, ``cracks/cracks.npz`` and ``folds/``. A plan is a list of portions::

    side = 288                  # of the square pairs, in pixels

    [[portion]]
    name = "photos"             # begins the file names
    count = 7000
    ground = "photos"           # or "plates", with their masks; or "mistakes": photos where the detector errs
    recipe = "unet-recipe.toml" # beside the plan; without one the ground stays as it is
    shrink = [1.0, 3.3]         # the ground is shrunk by a factor between these first
    smoothest_of = 5            # four of five times the smoothest of so many windows
    most_damaged_of = 8         # the most damaged of so many windows of plates
    negative = 0.3              # share of grounds turned into negatives
    crisp = 0.5                 # share of photos that are sharpened first, as cameras do
    vivid = 0.7                 # share of photos whose colours are made stronger, and exchanged
    scale = [1.0, 1.0]          # least and greatest resolution of the damage, instead of the recipe's

The same seed and detector (a name, or a model folder: give the state that is to learn from its mistakes) draw the same
pairs, whatever the number of workers. Pairs lie in PAIRS/images and PAIRS/masks; with
--clean what they were drawn on lies in PAIRS/clean, for the task blind.
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from rich.progress import track

import plainly
from redust.core.arrays import Light, Pixels, from_light, three_channels, to_light
from redust.core.engines import Detector
from redust.core.errors import TrainingError
from redust.core.scan import Scan
from redust.detectors import make_detector
from redust.detectors.running import find_damage
from redust.files import write_scan
from redust.training.config import DataConfig
from redust.training.data import make_synthesizer
from redust.training.pairs import Library, find_photos, find_splits
from redust.training.synthesis.ground import sharpened
from redust.training.synthesis.recipe import Recipe
from redust.training.synthesis.synthesizer import DAMAGE, UNJUDGED

Target = NDArray[np.uint8]
UNJUDGED_AT_MOST = 0.25  # of a window of a plate: masks of busy places are poor
MISTAKE = 0.2  # from which probability a mark on an undamaged photo counts as a mistake
TRIES = 20


class Portion(BaseModel):
    """One kind of pairs; see the head of this file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    count: int
    ground: Literal["photos", "plates", "mistakes"] = "photos"
    recipe: str | None = None
    shrink: tuple[float, float] = (1.0, 1.0)
    smoothest_of: int = 1
    most_damaged_of: int = 1
    negative: float = 0.0
    crisp: float = 0.0
    vivid: float = 0.0
    scale: tuple[float, float] | None = None


class Plan(BaseModel):
    """What is drawn."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    side: int
    portion: tuple[Portion, ...]


def there(path: Path) -> Path | None:
    """The path, if there is anything."""
    return path if path.exists() else None


def read_plan(path: Path, material: Path) -> Plan:
    """A plan of a TOML file, for which there is material."""
    plan = plainly.read(Plan, path)
    if any(one.ground == "plates" for one in plan.portion) and not (material / "plates").exists():
        raise TrainingError(f"{path} draws on plates: put scans with masks into {material / 'plates'}.")
    return plan


def recipe_of(portion: Portion, folder: Path) -> Recipe:
    """The recipe of a portion, at its own scales if it names some."""
    recipe = Recipe.from_preset(folder / str(portion.recipe))
    if portion.scale is None:
        return recipe
    return recipe.model_copy(update=dict(zip(("scale_low", "scale_high"), portion.scale, strict=True)))


class Painter:
    """Draws the pairs of a plan."""

    def __init__(self, material: Path, plan: Path, seed: int, detector: str = "unet", megabytes: float = 500) -> None:
        self.plan = read_plan(plan, material)
        self.seed, self.asked = seed, detector
        self.photos = Library(find_photos(material / "photos"), None, megabytes)
        plates = there(material / "plates")
        self.plates = Library(find_splits(plates).train if plates else (), None)
        shapes = make_synthesizer(
            DataConfig(
                overlays=there(material / "overlays"),
                outlines=tuple(sorted((material / "outlines").glob("*.json"))),
                cracks=there(material / "cracks" / "cracks.npz"),
                folds=there(material / "folds"),
                transplant=plates,
            ),
            seed,
        )
        self.synthesizers = [
            replace(shapes, recipe=recipe_of(one, plan.parent)) if one.recipe else None for one in self.plan.portion
        ]

    @cached_property
    def detector(self) -> Detector:
        """Opened when the first mistake is looked for."""
        return make_detector(self.asked)

    def pair(self, which: int, number: int) -> tuple[Light, Light, Target]:
        """Pair `number` of portion `which`: damaged and as it was before, (side, side, 3) float32 in 0..1, and what is
        damaged, (side, side)."""
        portion = self.plan.portion[which]
        rng = np.random.default_rng([self.seed, which, number])
        light, known = self._ground(portion, rng)
        if rng.random() < portion.negative:
            light = 1 - light
        synthesizer = self.synthesizers[which]
        if synthesizer is None:
            return light, light, np.zeros(light.shape[:2], np.uint8) if known is None else known
        pair = synthesizer.draw(light, 10**6 * which + number, known)
        return pair.damaged, pair.clean, pair.target

    def _ground(self, portion: Portion, rng: np.random.Generator) -> tuple[Light, Target | None]:
        """What is drawn on, (side, side, 3) float32 in 0..1, and what is known to be damaged there."""
        side = self.plan.side
        if portion.ground == "plates":
            masked = [self._plate(portion, rng) for _ in range(portion.most_damaged_of)]
            return max(masked, key=lambda one: int((one[1] == DAMAGE).sum()))
        pixels, _ = self.photos[int(rng.integers(len(self.photos)))]
        factor = float(np.exp(rng.uniform(*np.log(portion.shrink))))
        light = _shrunk_photo(pixels, factor, side)
        if portion.crisp and rng.random() < portion.crisp:
            light = sharpened(light, rng.uniform(0.5, 0.9), rng.uniform(0.3, 1.2))
        if portion.vivid and rng.random() < portion.vivid:
            light = _vivid(light, rng)
        if portion.ground == "mistakes":
            places = np.argwhere(self._mistakes(light))
            if len(places):
                middle = places[int(rng.integers(len(places)))] + rng.integers(-side // 3, side // 3, 2)
                return _window(light, middle - side // 2, side), None
        windows = [_window(light, _corner(light, side, rng), side) for _ in range(portion.smoothest_of)]
        busy = [float(np.abs(one - np.asarray(cv2.blur(one, (9, 9)))).mean()) for one in windows]
        return windows[int(np.argmin(busy)) if rng.random() < 0.8 else 0], None

    def _plate(self, portion: Portion, rng: np.random.Generator) -> tuple[Light, Target]:
        """A window of a plate of which most is judged, with its mask."""
        side = self.plan.side
        for _ in range(TRIES):
            pixels, truth = self.plates[int(rng.integers(len(self.plates)))]
            factor = min(float(np.exp(rng.uniform(*np.log(portion.shrink)))), min(truth.shape) / side)
            reach = round(side * factor)
            corner = _corner(truth, reach, rng)
            target = _window(truth, corner, reach)
            if (target == UNJUDGED).mean() <= UNJUDGED_AT_MOST:
                break
        light = three_channels(to_light(_window(pixels, corner, reach)))
        return _resized(light, (side, side)), _shrunk(target, side)

    def _mistakes(self, light: Light) -> NDArray[np.bool_]:
        """Where the detector marks an undamaged photo, (H, W) bool."""
        return find_damage(self.detector, from_light(light, np.dtype(np.uint8))) >= MISTAKE


def _picture(light: Light) -> Scan:
    return Scan(from_light(light, np.dtype(np.uint8)))


def _corner(picture: NDArray[Any], side: int, rng: np.random.Generator) -> NDArray[np.int64]:
    return np.array([rng.integers(length - side + 1) for length in picture.shape[:2]])


def _window(picture: NDArray[Any], corner: NDArray[np.int64], side: int) -> NDArray[Any]:
    row, column = (int(np.clip(one, 0, length - side)) for one, length in zip(corner, picture.shape, strict=False))
    return picture[row : row + side, column : column + side]


def _shrunk(target: Target, side: int) -> Target:
    """A mask of another size: damaged where half of a pixel is, not judged where an eighth is either."""
    if target.shape[0] == side:
        return target
    damage, unsure = (_resized((target >= least).astype(np.float32), (side, side)) for least in (255, UNJUDGED))
    return np.where(damage >= 0.5, 255, np.where(unsure >= 0.125, UNJUDGED, 0)).astype(np.uint8)


def _shrunk_photo(pixels: Pixels, factor: float, side: int) -> Light:
    """A photo shrunk by `factor`, less where a window would not fit."""
    light = three_channels(to_light(pixels))
    factor = min(factor, min(light.shape[:2]) / side)
    height, width = (max(side, round(length / factor)) for length in light.shape[:2])
    return _resized(light, (width, height))


def _vivid(light: Light, rng: np.random.Generator) -> Light:
    """A photo in other, stronger colours: red, green and blue exchanged, further from grey."""
    light = light[..., rng.permutation(3)]
    grey = light.mean(axis=2, keepdims=True)
    vivid: Light = np.clip(grey + (light - grey) * np.float32(rng.uniform(1.2, 3.0)), 0, 1)
    return vivid


def _resized(planes: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Planes (H, W, ...) at another width and height."""
    return np.asarray(cv2.resize(planes, size, interpolation=cv2.INTER_AREA), np.float32)


def write(painter: Painter, output: Path, clean: bool, which: int, number: int) -> None:
    """Write pair `number` of portion `which`; with `clean` what it was drawn on too."""
    damaged, before, target = painter.pair(which, number)
    name = f"{painter.plan.portion[which].name}-{number:05d}.png"
    write_scan(_picture(damaged), output / "images" / name, overwrite=True)
    write_scan(Scan(target[..., None]), output / "masks" / name, overwrite=True)
    if clean:
        write_scan(_picture(before), output / "clean" / name, overwrite=True)


_write: Callable[[int, int], None] | None = None  # of a worker process


def _settle(material: Path, plan: Path, output: Path, seed: int, clean: bool, detector: str) -> None:
    global _write
    cv2.setNumThreads(1)
    _write = partial(write, Painter(material, plan, seed, detector), output, clean)


def _draw(task: tuple[int, int]) -> None:
    assert _write is not None
    _write(*task)


def main() -> None:
    """Draw all portions, each to its count or the share of it that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("material", type=Path)
    parser.add_argument("plan", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--detector", default="unet")
    parser.add_argument("--clean", action="store_true")
    options = parser.parse_args()
    plan = read_plan(options.plan, options.material)
    for part in ("images", "masks", *(["clean"] if options.clean else [])):
        (options.output / part).mkdir(parents=True, exist_ok=True)
    tasks = [(which, n) for which, one in enumerate(plan.portion) for n in range(round(one.count * options.share))]
    given = (options.material, options.plan, options.output, options.seed, options.clean, options.detector)
    with ProcessPoolExecutor(options.workers, multiprocessing.get_context("spawn"), _settle, given) as pool:
        for _ in track(pool.map(_draw, tasks, chunksize=16), total=len(tasks), description="Drawing"):
            pass


if __name__ == "__main__":
    plainly.run(main)
