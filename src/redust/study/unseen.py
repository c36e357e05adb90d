"""Disturbances and damage that a network was not trained with, and the thesis's first loss on its masks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from redust.core.arrays import Light, Pixels, from_light, three_channels, to_light
from redust.core.labels import Label, Truth
from redust.files.pairs import Pictures
from redust.synthesis.recipe import Recipe
from redust.synthesis.synthesizer import Synthesizer
from redust.training.augmentation import compress_jpeg


@dataclass(frozen=True)
class DisturbedPictures:
    """Test pictures under noise that the network was not trained with; the truth stays."""

    pictures: Pictures
    kind: str

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> tuple[Pixels, Truth]:
        pixels, truth = self.pictures[index]
        rng = np.random.default_rng([index, len(self.kind)])
        light = np.clip(DISTURBANCES[self.kind](three_channels(to_light(pixels)), rng), 0, 1).astype(np.float32)
        return from_light(light, pixels.dtype), truth


def _add_salt(light: Light, rng: np.random.Generator) -> Light:
    drawn = rng.random(light.shape[:2])
    disturbed = light.copy()
    disturbed[drawn < 0.005], disturbed[drawn > 0.995] = 0.0, 1.0
    return disturbed


def _blur_light(light: Light, _: np.random.Generator) -> Light:
    return cv2.GaussianBlur(light, (0, 0), 1.0).astype(np.float32, copy=False)


DISTURBANCES: dict[str, Callable[[Light, np.random.Generator], Light]] = {
    "none": lambda light, _: light,
    "Gaussian noise, 5 %": lambda light, rng: light + 0.05 * rng.standard_normal(light.shape, dtype=np.float32),
    "speckle, 10 %": lambda light, rng: light * (1 + 0.1 * rng.standard_normal(light.shape, dtype=np.float32)),
    "salt and pepper, 1 %": _add_salt,
    "JPEG quality 30": lambda light, _: compress_jpeg(light, 30),
    "blur, 1 pixel": _blur_light,
}


@dataclass(frozen=True)
class OtherDamage:
    """Test pictures with one more kind of damage drawn on them; the truth is that damage alone."""

    pictures: Pictures
    kind: str

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> tuple[Pixels, Truth]:
        pixels, truth = self.pictures[index]
        recipe = Recipe(clean=0.0, negatives=0.0, layers=1, kinds={self.kind: 1.0})
        pair = Synthesizer(recipe, seed=1).draw(three_channels(to_light(pixels)), index)
        # What was damaged before is ignored.
        earlier = (truth == Label.damage) & (pair.target != Label.damage)
        return from_light(pair.damaged, pixels.dtype), np.where(earlier, np.uint8(Label.ignore), pair.target)


OTHER_KINDS = ("dust", "hair", "scratch", "crack", "stain")


def measure_thesis_loss(truths: Sequence[Truth]) -> dict[str, float]:
    """What the thesis's first loss and accuracy give a perfect answer.

    Its plain CNN was compiled with Keras's categorical cross-entropy and "accuracy" over masks of 100 x 100, so
    each row of pixels was taken for one sample of 100 classes: the loss divides a row by its sum, and accuracy
    only compares the brightest pixels of the row. ``zero_to_255`` is the same with masks that
    were not divided by 255.

    Returns
    -------
    figures
        Mean loss of the perfect answer and of a grey one, their row accuracy, and all again for 0..255.
    """
    rows = np.concatenate([truth == Label.damage for truth in truths]).astype(np.float64)
    grey = np.full_like(rows, 0.5)
    figures: dict[str, float] = {}
    for name, answer in (("perfect", rows), ("grey", grey)):
        share = np.clip(answer / np.maximum(answer.sum(axis=1, keepdims=True), 1e-7), 1e-7, 1 - 1e-7)
        loss = float(-(rows * np.log(share)).sum(axis=1).mean())
        figures[f"{name}_loss"], figures[f"{name}_loss_zero_to_255"] = loss, 255 * loss
        figures[f"{name}_row_accuracy"] = float((answer.argmax(axis=1) == rows.argmax(axis=1)).mean())
    return figures
