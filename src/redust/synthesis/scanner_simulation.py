"""Scanner simulation: blur or sharpening, noise and JPEG, after the damage."""

from __future__ import annotations

import cv2
import numpy as np

from redust.core.arrays import Light
from redust.synthesis.painting import blur_coverage
from redust.synthesis.recipe import Recipe


def simulate_scanner(light: Light, rng: np.random.Generator, recipe: Recipe | None = None) -> Light:
    """Add what the scanner and the file add: blur or sharpening, noise, JPEG; in and out as `simulate_film`."""
    recipe = recipe or Recipe()
    choice = rng.random()
    if choice < recipe.soft_scan:
        light = blur_coverage(light, rng.uniform(0.3, 0.8))
    elif choice < recipe.soft_scan + recipe.sharpened:
        light = sharpen(light, rng.uniform(0.6, 1.2), rng.uniform(0.3, 1.2))
    if rng.random() < recipe.noise:
        strength = rng.uniform(0.002, 0.02)
        light = light + rng.standard_normal(light.shape, dtype=np.float32) * np.float32(strength)
    if rng.random() < recipe.jpeg:
        light = compress_jpeg(light, int(rng.integers(60, 97)))
    return np.clip(light, 0, 1).astype(np.float32)


def sharpen(light: Light, sigma: float, amount: float) -> Light:
    """An unsharp mask over `sigma` pixels, of strength `amount`."""
    blurred = cv2.GaussianBlur(light, (0, 0), sigma)
    sharp: Light = np.clip(light + amount * (light - blurred), 0, 1)
    return sharp


def compress_jpeg(light: Light, quality: int) -> Light:
    """Compress as JPEG of the given quality and decode again."""
    eight = np.rint(np.clip(light[..., ::-1], 0, 1) * 255).astype(np.uint8)  # noise may have left 0..1
    packed = cv2.imencode(".jpg", eight, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    decoded = cv2.imdecode(packed, cv2.IMREAD_COLOR)
    assert decoded is not None  # it was packed one line above
    return decoded[..., ::-1].astype(np.float32) / np.float32(255)
