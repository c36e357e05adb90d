"""How damage changes light: it multiplies or replaces linear light, in all three channels."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Light
from redust.synthesis.painting import Coverage
from redust.synthesis.recipe import Recipe

GAMMA = 2.2

STAINS = ("stain", "coffee-ring", "fingerprint", "mould")
RAISED = ("dust", "dirt", "hair-short", "hair", "lint", "scratch", "outlines")
LINES = ("hair-short", "hair", "lint", "scratch", "tramline", "crack", "crease")
TORN = ("scratch", "tramline", "crack", "missing")
# Greatest transmittance of dark damage, and of damage that transmits next to no light; greatest light of what covers a
# print: about as dark as the print can be.
DARK, DENSE, COVER = 0.25, 0.05, 0.12
DENSE_OPACITY = 0.92  # at least
_INVISIBLE = 0.004  # coverage, and change of the logarithm of light: below it pixels are not touched


@dataclass(frozen=True)
class Appearance:
    """Colour, opacity and blend mode of one layer of damage.

    Parameters
    ----------
    colour : (3,) float32 in 0..1, linear
        What shows where coverage and opacity are 1: near white for dust on a negative, near black for dust on a slide
        or print, any colour for a torn emulsion layer.
    opacity
        0..1; most real dust transmits some of the picture.
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


def random_appearance(rng: np.random.Generator, kind: str, recipe: Recipe | None = None) -> Appearance:
    """Draw an appearance that is usual for a kind of damage, within the recipe's opacities."""
    recipe = recipe or Recipe()
    if kind == "light-leak":
        colour = np.array([1.0, rng.uniform(0.3, 0.8), rng.uniform(0.0, 0.4)])
        return Appearance(colour.astype(np.float32), rng.uniform(0.3, 1.0), False)
    opacity = _random_opacity(rng, kind, recipe)
    if kind in STAINS:
        return _random_stain(rng, opacity)
    if kind in TORN and rng.random() < 0.25:
        return Appearance(rng.random(3).astype(np.float32) ** 2, opacity, rng.random() < 0.5)
    if rng.random() < recipe.bright:
        white = np.clip(rng.normal(rng.uniform(0.55, 1.0), 0.02, 3), 0, 1)
        return Appearance(white.astype(np.float32), opacity, False)
    return _random_dark(rng, opacity, recipe)


def _random_opacity(rng: np.random.Generator, kind: str, recipe: Recipe) -> float:
    opacity = float(recipe.opacity_high - rng.beta(1.0, 2.2) * (recipe.opacity_high - recipe.opacity_low))
    if recipe.translucent and rng.random() < recipe.translucent:
        opacity = float(rng.uniform(recipe.opacity_low, recipe.opacity_high))
    if kind not in LINES and rng.random() < recipe.faint:
        opacity *= float(np.exp(rng.uniform(np.log(0.06), np.log(0.6))))
    return opacity


def _random_stain(rng: np.random.Generator, opacity: float) -> Appearance:
    """A brownish transmittance, or now and then a pale layer on top."""
    tint = np.clip(rng.normal([0.75, 0.62, 0.45], 0.15), 0.05, 1.0)
    if rng.random() < 0.75:
        return Appearance(tint.astype(np.float32), opacity, True)
    return Appearance(np.clip(tint + 0.25, 0, 1).astype(np.float32), opacity * 0.7, False)


def _random_dark(rng: np.random.Generator, opacity: float, recipe: Recipe) -> Appearance:
    # Random numbers for the two rare cases are drawn only if their share is above 0: other recipes stay reproducible.
    dense = recipe.dense and rng.random() < recipe.dense
    covers = recipe.covering and rng.random() < recipe.covering
    if dense:
        opacity = float(rng.uniform(DENSE_OPACITY, 1.0))
    darkest = DENSE if dense else COVER if covers else DARK
    dark = np.clip(rng.normal(rng.uniform(0.0, darkest), 0.015, 3), 0, 1)
    return Appearance(dark.astype(np.float32), opacity, not covers)


def apply_appearance(encoded: Light, coverage: Coverage, appearance: Appearance) -> None:
    """Blend one layer of damage over a picture, in place.

    Parameters
    ----------
    encoded : (H, W, 3) float32 in 0..1
        Encoded light; only pixels with coverage are changed.
    coverage : (H, W) float32 in 0..1
    appearance
        Colour, opacity and blend mode.
    """
    covered = coverage > _INVISIBLE
    if not covered.any():
        return
    alpha = (coverage[covered] * np.float32(appearance.opacity))[:, None]
    light = to_linear(encoded[covered])
    damage = light * appearance.colour if appearance.multiply else appearance.colour
    encoded[covered] = to_encoded(light * (1 - alpha) + damage * alpha)


def draw_relief(coverage: Coverage, rng: np.random.Generator) -> NDArray[np.float32]:
    """The shading of raised or lifted emulsion: one flank brighter, the opposite one darker.

    Parameters
    ----------
    coverage : (H, W) float32 in 0..1

    Returns
    -------
    log_ratio : (H, W) float32
        Natural logarithm of the factor on linear light, for `multiply_light`.
    """
    angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.8)
    shift = np.array([[1, 0, reach * np.cos(angle)], [0, 1, reach * np.sin(angle)]])
    size = (coverage.shape[1], coverage.shape[0])
    slope = coverage - cv2.warpAffine(coverage, shift, size, borderMode=cv2.BORDER_REPLICATE)
    strength = np.exp(rng.uniform(np.log(0.1), np.log(1.2)))
    log_ratio: NDArray[np.float32] = (strength * (slope + rng.normal(0, 0.5) * coverage)).astype(np.float32)
    return log_ratio


def multiply_light(encoded: Light, log_ratio: NDArray[np.float32]) -> None:
    """Multiply a picture's linear light by a factor, in place.

    Parameters
    ----------
    encoded : (H, W, 3) float32 in 0..1
        Encoded light; only pixels where the factor is not 1 are changed.
    log_ratio : (H, W) or (H, W, 3) float32
        Natural logarithm of the factor.
    """
    ratio = log_ratio if log_ratio.ndim == 3 else log_ratio[..., None]
    changed = np.any(np.abs(ratio) > _INVISIBLE, axis=2)
    if changed.any():
        light = to_linear(encoded[changed]) * np.exp(ratio[changed])
        encoded[changed] = np.minimum(to_encoded(light.astype(np.float32)), 1)
