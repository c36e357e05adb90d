"""Small data for training tests: pictures of 40 x 48 with white dots, and their masks."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray
from typer.testing import CliRunner

from redust.training.config import TrainConfig, find_field

if TYPE_CHECKING:  # torch is not loaded for tests of other rooms
    from redust.training.checkpoint import TrainingProgress


def picture(number: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A soft ramp with a few white spots: pixels (40, 48, 3) uint8 and truth (40, 48) in 0, 255."""
    rng = np.random.default_rng(number)
    ramp = np.linspace(30, 150, 48, dtype=np.float32)[None, :, None] + rng.uniform(-20, 20, 3)
    pixels = np.repeat(ramp, 40, axis=0) + rng.normal(0, 4, (40, 48, 3))
    truth = np.zeros((40, 48), np.uint8)
    for row, column in zip(rng.integers(0, 37, 9), rng.integers(0, 45, 9), strict=True):
        truth[row : row + 3, column : column + 3] = 255
    pixels[truth == 255] = 250
    return pixels.clip(0, 255).astype(np.uint8), truth


def write_pairs(pictures: Path, masks: Path, numbers: range) -> None:
    pictures.mkdir(parents=True)
    masks.mkdir(parents=True)
    for number in numbers:
        pixels, truth = picture(number)
        cv2.imwrite(str(pictures / f"{number}.png"), pixels[..., ::-1])
        cv2.imwrite(str(masks / f"{number}.png"), truth)


def write_restored(folder: Path, number: int, *, masks: bool = True) -> Path:
    """Pictures of 40 x 48 with spots in ``images/``, the same without in ``clean/``."""
    write_pairs(folder / "images", folder / "masks", range(number))
    (folder / "clean").mkdir()
    for one in range(number):
        pixels, truth = picture(one)
        sound = np.where(truth[..., None] > 0, np.uint8(90), pixels)
        cv2.imwrite(str(folder / "clean" / f"{one}.png"), sound[..., ::-1])
    if not masks:
        shutil.rmtree(folder / "masks")
    return folder


def interrupt_at(*steps: int) -> Callable[[TrainingProgress], None]:
    """A progress callback that interrupts the run once at each of these steps."""
    left = set(steps)

    def interrupt(progress: TrainingProgress) -> None:
        if progress.step in left:
            left.remove(progress.step)
            raise KeyboardInterrupt

    return interrupt


def changed(config: TrainConfig, **flags: object) -> TrainConfig:
    """`config` with some fields changed, by their names."""
    tables = config.model_dump()
    for name, value in flags.items():
        tables[find_field(name)[0]][name] = value
    return TrainConfig(**tables)


def write_photos(folder: Path, number: int) -> Path:
    """Sound photos of 64 x 80: ramps with noise."""
    folder.mkdir(parents=True)
    for one in range(number):
        rng = np.random.default_rng(one)
        ramp = np.linspace(30, 200, 80, dtype=np.float32)[None, :, None] + rng.uniform(-20, 20, 3)
        pixels = np.repeat(ramp, 64, axis=0) + rng.normal(0, 6, (64, 80, 3))
        cv2.imwrite(str(folder / f"{one}.png"), pixels.clip(0, 255).astype(np.uint8)[..., ::-1])
    return folder


def run(*arguments: object) -> str:
    """What a command prints; what it raises, where it fails."""
    from redust.cli.app import app

    result = CliRunner().invoke(app, [str(one) for one in arguments])
    if result.exception is not None:
        raise result.exception
    return result.output


def write_material(folder: Path) -> Path:
    """A folder of material: five frames of three rolls, two plates, two sound frames (128 x 144), photos, skies."""
    for kind, names in (("film", ("a-1", "a-2", "b-1", "c-1", "c-2")), ("plates", ("d_R", "e_R"))):
        (folder / kind).mkdir(parents=True)
        for number, name in enumerate(names):
            pixels, truth = _frame(number, specks=14)
            cv2.imwrite(str(folder / kind / f"{name}.png"), pixels[..., ::-1])
            cv2.imwrite(str(folder / kind / f"{name}_mask.png"), truth)
    (folder / "film_sound").mkdir()
    for name in ("s-1", "s-2"):
        cv2.imwrite(str(folder / "film_sound" / f"{name}.png"), _frame(len(name), specks=0)[0][..., ::-1])
    write_photos(folder / "photos", 3)
    write_photos(folder / "skies", 2)
    return folder


def _frame(number: int, specks: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """An even frame with grain, black specks of 4 x 4 and a strip that is not judged."""
    rng = np.random.default_rng(number)
    pixels = rng.normal(150, 3, (128, 144, 3))
    truth = np.zeros((128, 144), np.uint8)
    truth[:, -8:] = 128
    for row, column in zip(rng.integers(12, 110, specks), rng.integers(12, 110, specks), strict=True):
        truth[row : row + 4, column : column + 4] = 255
    pixels[truth == 255] = 20
    return pixels.clip(0, 255).astype(np.uint8), truth
