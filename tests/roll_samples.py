"""A drawn roll: frames of different scenes, each with dust of its own, and what they have in common."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Light, Mask, Pixels
from redust.synthesis.recipe import Recipe
from redust.synthesis.synthesizer import Synthesizer

SIZE = 600, 800
_PLAIN = Recipe.of(clean=0.0, negatives=0.0, negative=0.0, black_and_white=0.0, sepia=0.0)


@dataclass(frozen=True, eq=False)
class DrawnMarks:
    """Marks that all frames have: what share of light they let through, and where they are."""

    light: NDArray[np.float32]
    discs: list[Mask]
    scratch: Mask

    @property
    def area(self) -> Mask:
        """Where light is changed by at least 1 percent, (H, W)."""
        return np.asarray(np.abs(self.light - 1) >= 0.01)


def draw_marks(seed: int = 0, discs: int = 25) -> DrawnMarks:
    """Soft discs, 4 to 12 pixels in radius, that take 3 to 9 percent of the light, and a scratch down the frame."""
    random, (rows, columns) = np.random.default_rng(seed), np.mgrid[0 : SIZE[0], 0 : SIZE[1]]
    light, masks = np.ones(SIZE, np.float32), []
    centres = random.permutation([(row, column) for row in range(60, 560, 80) for column in range(60, 760, 80)])[:discs]
    for centre in centres:
        distance = np.hypot(rows - centre[0], columns - centre[1])
        radius, loss = random.uniform(4, 12), random.uniform(0.03, 0.09)
        light *= 1 - loss / (1 + np.exp(np.clip((distance - radius) / (0.15 * radius), -50, 50))).astype(np.float32)
        masks.append(np.asarray(distance < radius))
    scratch = np.asarray((columns == 415) | (columns == 416))
    light[scratch] *= 1.05
    return DrawnMarks(light, masks, scratch)


def draw_frame(number: int, marks: DrawnMarks | None = None, *, dust: bool = True) -> Pixels:
    """A frame of the roll, (600, 800, 3) uint8: sky with clouds, hills, grain; dust of its own, and the marks."""
    light = _draw_scene(number, dust)
    light = light if marks is None else light * marks.light[..., None]
    grain = np.random.default_rng([8, number]).normal(0, 0.008, light.shape)
    return np.clip(255 * (light + grain), 0, 255).astype(np.uint8)


@cache
def _draw_scene(number: int, dust: bool) -> Light:
    random = np.random.default_rng([7, number])
    clouds = cv2.resize(random.random((6, 8)).astype(np.float32), SIZE[::-1], interpolation=cv2.INTER_CUBIC)
    light = (0.45 + 0.3 * clouds)[..., None] * random.uniform(0.7, 1.0, 3).astype(np.float32)
    hills = SIZE[0] * (0.8 + 0.08 * np.sin(np.arange(SIZE[1]) / random.uniform(50, 150) + random.uniform(0, 6)))
    below = np.arange(SIZE[0])[:, None] > hills
    texture = cv2.GaussianBlur(random.random(SIZE).astype(np.float32), (0, 0), 1.5)
    light[below] = (0.1 + 0.5 * texture[below])[:, None]
    light = np.clip(light, 0, 1).astype(np.float32)
    return Synthesizer(_PLAIN, seed=3).draw(light, number).damaged if dust else light
