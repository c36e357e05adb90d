"""One layer of damage: its coverage or its known effect on light, and which pixels of it count as damaged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Light, Mask
from redust.synthesis.appearance import RAISED, apply_appearance, draw_relief, multiply_light, random_appearance
from redust.synthesis.painting import Coverage
from redust.synthesis.recipe import Recipe

VISIBLE, EDGE = 0.28, 0.08  # coverage from which a pixel is damaged, and from which it is at least ignored
_VISIBLE_CHANGE, _EDGE_CHANGE = 0.35, 0.10  # the same for a change of linear light, as a natural logarithm
MAX_SHARE = 0.3  # of a picture: a layer that covers more leaves too little context to learn from


@dataclass(frozen=True)
class Layer:
    """One layer of damage.

    Parameters
    ----------
    kind
        Kind of damage, which decides its appearance.
    coverage : (H, W) float32 in 0..1
        The share of light it hides; all 0 where `log_ratio` is given.
    damaged, edge : (H, W) bool
        The pixels that count as damaged, and those that are at least ignored.
    log_ratio : (H, W) or (H, W, 3) float32, optional
        For damage whose effect on light is known: natural logarithm of the factor on linear light.
    """

    kind: str
    coverage: Coverage
    damaged: Mask
    edge: Mask
    log_ratio: NDArray[np.float32] | None = None

    @classmethod
    def from_coverage(cls, kind: str, coverage: Coverage) -> Layer:
        """A layer whose mask follows from its coverage."""
        return cls(kind, coverage, coverage >= VISIBLE, coverage >= EDGE)

    @classmethod
    def from_ratio(cls, kind: str, log_ratio: NDArray[np.float32], damaged: Mask | None = None) -> Layer:
        """A layer that changes light by a known factor; `damaged` follows from it unless given."""
        change = np.abs(log_ratio) if log_ratio.ndim == 2 else np.abs(log_ratio).max(axis=2)
        damaged = change >= _VISIBLE_CHANGE if damaged is None else damaged
        return cls(kind, np.zeros_like(change), damaged, change >= _EDGE_CHANGE, log_ratio)

    def blend_over(self, encoded: Light, rng: np.random.Generator, recipe: Recipe) -> None:
        """Change encoded light (H, W, 3) as this layer does, in place."""
        if self.log_ratio is None and self.kind in RAISED and rng.random() < recipe.relief:
            multiply_light(encoded, draw_relief(self.coverage, rng))
        elif self.log_ratio is None:
            apply_appearance(encoded, self.coverage, random_appearance(rng, self.kind, recipe))
        else:
            multiply_light(encoded, self.log_ratio)
