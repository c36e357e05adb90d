"""Film simulation: tone, colour, lens blur, negative, halftone and film grain of a photograph, before the damage."""

from __future__ import annotations

import cv2
import numpy as np

from redust.core.arrays import LUMA, Light
from redust.synthesis.painting import blur_coverage
from redust.synthesis.recipe import Recipe


def simulate_film(light: Light, rng: np.random.Generator, recipe: Recipe | None = None) -> Light:
    """Turn a digital photo into a photograph on film or paper.

    Parameters
    ----------
    light : (H, W, 3) float32 in 0..1
    rng
        Decides everything random.
    recipe
        How often each change is made; the defaults unless given.

    Returns
    -------
    light : (H, W, 3) float32 in 0..1
        Tone, colour, negative or positive, film grain. Not the scanner's share: see `simulate_scanner`.
    """
    recipe = recipe or Recipe()
    light = _change_tone(light, rng, recipe)
    if rng.random() < recipe.blur:
        light = blur_coverage(light, rng.uniform(0.4, 1.8))
    if rng.random() < recipe.negative:
        light = 1 - light
    if rng.random() < recipe.halftone:
        light = print_halftone(light, rng)
    if rng.random() < recipe.grain:
        light = add_film_grain(light, rng)
    return light


def _change_tone(light: Light, rng: np.random.Generator, recipe: Recipe) -> Light:
    """Exposure, contrast, fading; colour, black-and-white or sepia."""
    light = np.power(light, np.float32(np.exp(rng.normal(0, 0.35))))
    kind = rng.random()
    grey = recipe.black_and_white + recipe.sepia
    if kind < grey:
        light = np.repeat((light @ LUMA)[..., None], 3, axis=2)
        if kind < recipe.sepia:
            light = light ** np.array([0.85, 1.0, 1.25], np.float32)
    elif kind < grey + recipe.cast:
        light = light * np.clip(rng.normal(1, 0.08, 3), 0.8, 1.2).astype(np.float32)
    if rng.random() < recipe.fading:
        black, white = rng.uniform(0, 0.25), rng.uniform(0.75, 1.0)
        light = black + light * (white - black)
    return np.clip(light, 0, 1).astype(np.float32)


def add_film_grain(light: Light, rng: np.random.Generator) -> Light:
    """Film grain: strongest in the mid-tones, of 0.5 to 2 pixels, more or less coloured."""
    size, strength = rng.uniform(0.0, 1.3), np.exp(rng.uniform(np.log(0.008), np.log(0.05)))
    height, width = light.shape[:2]
    common = rng.standard_normal((height, width, 1), dtype=np.float32)
    independent = rng.standard_normal((height, width, 3), dtype=np.float32) if _has_colour(light) else 0.0
    share = rng.uniform(0.2, 0.9)
    noise = np.broadcast_to(share * common + (1 - share) * independent, light.shape)
    if size > 0.3:
        noise = cv2.GaussianBlur(np.ascontiguousarray(noise), (0, 0), size)
    noise = noise / max(float(noise.std()), 1e-6)
    tone = 0.4 + 2.4 * light * (1 - light)
    return np.clip(light + np.float32(strength) * tone * noise, 0, 1).astype(np.float32)


def _has_colour(light: Light) -> bool:
    return bool(np.abs(light[..., 0] - light[..., 2]).max() > 0.02)


def print_halftone(light: Light, rng: np.random.Generator) -> Light:
    """A printed raster of dots, as in newspapers and books."""
    pitch, angle = rng.uniform(2.5, 7), rng.uniform(0, np.pi / 2)
    rows, columns = np.indices(light.shape[:2], dtype=np.float32) * np.float32(2 * np.pi / pitch)
    across = rows * np.sin(angle) + columns * np.cos(angle)
    down = rows * np.cos(angle) - columns * np.sin(angle)
    raster = 0.25 * (np.cos(across) + np.cos(down)) + 0.5
    printed = np.clip((light - raster[..., None]) * rng.uniform(1.5, 6) + 0.5, 0, 1)
    mix = rng.uniform(0.3, 1.0)
    mixed: Light = (mix * printed + (1 - mix) * light).astype(np.float32)
    return mixed
