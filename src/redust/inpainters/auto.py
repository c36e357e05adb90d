"""The fill ``auto``: what fills each region best, by its shape.

Regions are told apart by how wide they are where they are widest. For each shape a table lists what may fill it, the
best first; of these the first one is taken whose engines are all installed. Where several engines are named, the
mean of their answers is: they err in different places. See
``docs/decisions/0003-default-fill.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Mask, Pixels
from redust.core.engines import Inpainter, Needs
from redust.core.errors import EngineError, ModelError, UnknownEngine
from redust.inpainters import make_inpainter
from redust.inpainters.fill_damage import fill_damage

Together: TypeAlias = tuple[str, ...]


class Shape(StrEnum):
    """What a region is to a fill."""

    thin = "thin"  # specks, hairs, scratches
    wide = "wide"  # chips, wide scratches, tears
    missing = "missing"  # parts of which nothing is left


WIDEST = {Shape.thin: 13.0, Shape.wide: 29.0}  # pixels
CHOICES: Mapping[Shape, tuple[Together, ...]] = {
    Shape.thin: (("network", "fsr"), ("kriging", "fsr"), ("kriging",)),
    Shape.wide: (("network", "fsr"), ("kriging", "fsr"), ("kriging",)),
    Shape.missing: (("network", "fsr"), ("kriging", "fsr"), ("kriging",)),
}


class AutoInpainter:
    """Fills each region with what is best for its shape.

    Parameters
    ----------
    choices
        For each shape what may fill it, the best first: names of fills, several for the mean of their answers.

    Raises
    ------
    EngineError
        If for some shape none of it is installed.
    """

    name = "auto"

    def __init__(self, choices: Mapping[Shape, tuple[Together, ...]] = CHOICES) -> None:
        self._engines: dict[str, Inpainter] = {}
        self._chosen = {shape: self._installed(shape, choices[shape]) for shape in Shape}
        safe = all(engine.needs.threadsafe for engine in self._engines.values())
        self.needs = Needs(multiple_of=16, context=32, per_tile=512, threadsafe=safe)

    def _installed(self, shape: Shape, choices: tuple[Together, ...]) -> Together:
        missed = ""
        for names in choices:
            try:
                self._engines |= {name: make_inpainter(name) for name in names if name not in self._engines}
            except (EngineError, ModelError, UnknownEngine) as error:
                missed = str(error)
            else:
                return names
        raise EngineError(f"Nothing that the fill `auto` knows for {shape} damage is installed. {missed}")

    def choice(self, width: float) -> str:
        """What fills a region that is so many pixels wide where it is widest."""
        return " + ".join(self._chosen[shape_of(width)])

    def fill(self, pixels: Pixels, mask: Mask) -> Pixels:
        """Fill the masked pixels of one window; see :class:`redust.core.engines.Inpainter`."""
        _, labels = cv2.connectedComponents(mask.view(np.uint8), connectivity=8)
        wide = widths(mask, np.asarray(labels, np.int32))
        shapes = np.array([list(Shape).index(shape_of(width)) for width in wide])[labels]
        answers: dict[str, Pixels] = {}
        filled = pixels.copy()
        for place, names in enumerate(self._chosen.values()):
            own = mask & (shapes == place)
            if own.any():
                for name in names:
                    if name not in answers:
                        answers[name] = fill_damage(self._engines[name], pixels, mask, threads=1)
                filled[own] = _mean([answers[name][own] for name in names])
        return filled


def shape_of(width: float) -> Shape:
    """What a region is that is so many pixels wide where it is widest."""
    return next((shape for shape, widest in WIDEST.items() if width <= widest), Shape.missing)


def widths(mask: Mask, labels: NDArray[np.int32]) -> NDArray[np.float64]:
    """How wide each label (H, W) is where it is widest, in pixels: 0 for the background, then 1..count."""
    inner = cv2.distanceTransform(mask.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    widest = np.zeros(int(labels.max(initial=0)) + 1)
    np.maximum.at(widest, labels[mask], 2.0 * inner[mask] - 1)
    return widest


def _mean(answers: list[Pixels]) -> Pixels:
    """The mean of several answers (n, C), in their own depth."""
    if len(answers) == 1:
        return answers[0]
    mean = np.mean(answers, axis=0, dtype=np.float64)
    return np.asarray(mean if answers[0].dtype == np.float32 else np.rint(mean), answers[0].dtype)
