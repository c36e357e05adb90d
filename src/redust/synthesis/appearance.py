"""How damage changes light: what covers the film multiplies or adds, in linear light, in all three channels."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Light
from redust.synthesis.recipe import Recipe
from redust.synthesis.shapes import Coverage

GAMMA = 2.2


@dataclass(frozen=True)
class Look:
    """One layer of damage as light sees it.

    Parameters
    ----------
    colour : (3,) float32 in 0..1, linear
        What shows where the coverage is 1 and the opacity 1: near white for dust on a negative, near
        black for dust on a slide or print, any colour for a torn emulsion layer.
    opacity
        0..1; most real dust lets some of the picture through.
    multiply
        True: `colour` is a transmittance (dust in the light path). False: `colour` replaces the light.
    """

    colour: NDArray[np.float32]
    opacity: float
    multiply: bool


def to_linear(light: Light) -> Light:
    """Encoded light to linear, by a plain power of 2.2."""
    return np.power(np.maximum(light, 0), GAMMA, dtype=np.float32)


def to_encoded(light: Light) -> Light:
    """Linear light to encoded."""
    return np.power(np.maximum(light, 0), 1 / GAMMA, dtype=np.float32)


STAINS = ("stain", "coffee-ring", "fingerprint", "mould")
RAISED = ("dust", "dirt", "hair-short", "hair", "lint", "scratch", "outlines")
LINES = ("hair-short", "hair", "lint", "scratch", "tramline", "crack", "crease")
# Greatest transmittance of dark damage, and of what lets next to no light through; greatest light of what covers a
# print: about as dark as the print can be.
DARK, DENSE, COVER = 0.25, 0.05, 0.12
DENSE_OPACITY = 0.92  # at least
TORN = ("scratch", "tramline", "crack", "missing")


def random_look(rng: np.random.Generator, kind: str, recipe: Recipe | None = None) -> Look:
    """Draw a look that is usual for a kind of damage, within the recipe's opacities."""
    recipe = recipe or Recipe()
    if kind == "light-leak":
        colour = np.array([1.0, rng.uniform(0.3, 0.8), rng.uniform(0.0, 0.4)])
        return Look(colour.astype(np.float32), rng.uniform(0.3, 1.0), False)
    opacity = float(recipe.opacity_high - rng.beta(1.0, 2.2) * (recipe.opacity_high - recipe.opacity_low))
    if recipe.translucent and rng.random() < recipe.translucent:
        opacity = float(rng.uniform(recipe.opacity_low, recipe.opacity_high))
    if kind not in LINES and rng.random() < recipe.faint:
        opacity *= float(np.exp(rng.uniform(np.log(0.06), np.log(0.6))))
    if kind in STAINS:
        tint = np.clip(rng.normal([0.75, 0.62, 0.45], 0.15), 0.05, 1.0)
        if rng.random() < 0.75:
            return Look(tint.astype(np.float32), opacity, True)
        return Look(np.clip(tint + 0.25, 0, 1).astype(np.float32), opacity * 0.7, False)
    if kind in TORN and rng.random() < 0.25:
        return Look(rng.random(3).astype(np.float32) ** 2, opacity, rng.random() < 0.5)
    if rng.random() < recipe.bright:
        white = np.clip(rng.normal(rng.uniform(0.55, 1.0), 0.02, 3), 0, 1)
        return Look(white.astype(np.float32), opacity, False)
    # The dice of the rarer two are thrown only if they are asked for: older recipes draw what they drew.
    dense = recipe.dense and rng.random() < recipe.dense
    covers = recipe.covering and rng.random() < recipe.covering
    if dense:
        opacity = float(rng.uniform(DENSE_OPACITY, 1.0))
    darkest = DENSE if dense else COVER if covers else DARK
    dark = np.clip(rng.normal(rng.uniform(0.0, darkest), 0.015, 3), 0, 1)
    return Look(dark.astype(np.float32), opacity, not covers)


def lay_over(encoded: Light, coverage: Coverage, look: Look) -> None:
    """Lay one layer of damage over a picture, in place.

    Parameters
    ----------
    encoded : (H, W, 3) float32 in 0..1
        Encoded light; only pixels with coverage are touched.
    coverage : (H, W) float32 in 0..1
    look
        How it looks.
    """
    at = coverage > 0.004
    if not at.any():
        return
    alpha = (coverage[at] * np.float32(look.opacity))[:, None]
    light = to_linear(encoded[at])
    other = light * look.colour if look.multiply else look.colour
    encoded[at] = to_encoded(light * (1 - alpha) + other * alpha)


def relief(coverage: Coverage, rng: np.random.Generator) -> NDArray[np.float32]:
    """What raised or lifted emulsion does to light: one flank brighter, the other darker.

    Parameters
    ----------
    coverage : (H, W) float32 in 0..1
        Where it lies.

    Returns
    -------
    log_ratio : (H, W) float32
        Natural logarithm of the factor on linear light, for `multiply_by`.
    """
    angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.8)
    shift = np.array([[1, 0, reach * np.cos(angle)], [0, 1, reach * np.sin(angle)]])
    size = (coverage.shape[1], coverage.shape[0])
    slope = coverage - cv2.warpAffine(coverage, shift, size, borderMode=cv2.BORDER_REPLICATE)
    strength = np.exp(rng.uniform(np.log(0.1), np.log(1.2)))
    log_ratio: NDArray[np.float32] = (strength * (slope + rng.normal(0, 0.5) * coverage)).astype(np.float32)
    return log_ratio


def multiply_by(encoded: Light, log_ratio: NDArray[np.float32]) -> None:
    """Multiply a picture's light as a layer of known transmittance does, in place.

    Parameters
    ----------
    encoded : (H, W, 3) float32 in 0..1
        Encoded light; only pixels where the ratio is not 1 are touched.
    log_ratio : (H, W) or (H, W, 3) float32
        Natural logarithm of the factor on linear light.
    """
    ratio = log_ratio if log_ratio.ndim == 3 else log_ratio[..., None]
    at = np.any(np.abs(ratio) > 0.004, axis=2)
    if at.any():
        light = to_linear(encoded[at]) * np.exp(ratio[at])
        encoded[at] = np.minimum(to_encoded(light.astype(np.float32)), 1)
