"""Small scans drawn on the spot."""

from __future__ import annotations

from typing import Any

import numpy as np

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
