"""Small scans drawn on the spot."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Pixels


def draw(
    height: int = 48, width: int = 64, *, channels: int = 3, dtype: Any = np.uint8, specks: int = 3, seed: int = 0
) -> Pixels:
    """A smooth picture, no brighter than 0.7, with white specks of 2 x 2 pixels; (H, W, C)."""
    rows, columns = np.mgrid[0:height, 0:width]
    light = 0.2 + 0.3 * rows / height + 0.2 * columns / width
    pixels = np.repeat(light[..., None], channels, axis=2)
    scale = 1.0 if np.dtype(dtype) == np.float32 else float(np.iinfo(dtype).max)
    pixels = (pixels * scale).astype(dtype)
    random = np.random.default_rng(seed)
    for row, column in zip(random.integers(1, height - 3, specks), random.integers(1, width - 3, specks), strict=True):
        pixels[row : row + 2, column : column + 2] = scale
    return pixels


def draw_scene(seed: int = 0) -> NDArray[np.float32]:
    """Encoded light of a scene with soft shapes of all tones, (240, 320, 3)."""
    import cv2

    noise = np.random.default_rng(seed).standard_normal((240, 320, 3)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 12)
    grey = cv2.GaussianBlur(noise[..., 0], (0, 0), 25)[..., None]
    scene = soft / soft.std() * 0.04 + grey / grey.std() * 0.2 + 0.45
    return np.asarray(np.clip(scene, 0, 1), np.float32)


def draw_negative(scene: NDArray[np.float32], gamma: float = 1 / 2.2) -> NDArray[np.float32]:
    """The colour negative of a scene: density linear in log exposure, over an orange base; encoded by `gamma`."""
    exposure = scene**1.5 * 0.98 + 0.02
    density = np.array([0.2, 0.55, 0.85]) + 0.6 * (np.log10(exposure) - np.log10(0.02))
    light = 10**-density
    return np.asarray((light / light.max() * 0.9) ** gamma, np.float32)
