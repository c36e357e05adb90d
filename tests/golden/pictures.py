"""The picture all golden scans show, at every depth."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

HEIGHT, WIDTH = 37, 53


def picture(channels: int = 3, dtype: Any = np.uint8, *, seed: int = 0) -> NDArray[Any]:
    """A gradient with grain and a few specks, (H, W, C); all values of the type may occur."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    light = 0.2 + 0.3 * rows[..., None] / HEIGHT + 0.3 * columns[..., None] / WIDTH * np.linspace(0.4, 1, channels)
    light = (light + random.normal(0, 0.02, light.shape)).clip(0, 1)
    light[random.random((HEIGHT, WIDTH)) < 0.01] = 1.0
    if np.dtype(dtype) == np.float32:
        return light.astype(np.float32)
    return np.asarray((light * np.iinfo(dtype).max).astype(dtype))
