"""The cheapest path along a scratch between two clicks: dynamic programming in a corridor between them.

The corridor is turned so that it runs from left to right; in each column the path moves by one pixel at most, as in
seam carving (Avidan and Shamir, 2007). A pixel is cheap where it is a ridge or a furrow of light, or on the damage map.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import LUMA, Pixels, to_light
from redust.core.logits import LogitBins

Floats: TypeAlias = NDArray[np.float32]

_MIN_HALF, _MAX_HALF = 16, 256  # pixels to either side of the straight line
_HALF_SHARE = 0.15  # of the length
_BENDING = 0.08  # cost of moving sideways by a pixel
_BASE_COST = 0.08
MAX_LENGTH = 40_000  # pixels


def measure_ridges(pixels: Pixels, map_bins: LogitBins, width: float) -> Floats:
    """How much each pixel of a window resembles a scratch of this width, (h, w) float32, 0 and more.

    Parameters
    ----------
    pixels : (h, w, C)
    map_bins : (h, w) uint8
        The damage map; see :class:`redust.core.logits.QuantisedMap`.
    width
        Of the scratch, in pixels.
    """
    light = to_light(pixels)
    grey = np.asarray(light[..., 0] if light.shape[2] == 1 else light @ LUMA, np.float32)
    grey = np.asarray(cv2.GaussianBlur(grey, (0, 0), max(0.6, width / 4)), np.float32)
    side = 2 * round(width) + 3
    element = np.ones((side, side), np.uint8)
    bright = cv2.morphologyEx(grey, cv2.MORPH_TOPHAT, element)
    dark = cv2.morphologyEx(grey, cv2.MORPH_BLACKHAT, element)
    ridge = np.maximum(bright, dark)
    scale = float(np.percentile(ridge, 95)) + 1e-4
    return np.asarray(np.minimum(ridge / scale, 2) + map_bins.astype(np.float32) / 80, np.float32)


def trace_scratch(
    read_ridges: Callable[[slice, slice], Floats], start: tuple[float, float], end: tuple[float, float],
    shape: tuple[int, int],
) -> list[tuple[float, float]]:  # fmt: skip
    """The cheapest path between two points, as points x, y a pixel apart.

    Parameters
    ----------
    read_ridges
        The ridges in a window of rows and columns; see :func:`measure_ridges`.
    shape : (height, width)
        Of the scan.
    """
    first, last = np.array(start, np.float64), np.array(end, np.float64)
    length = float(np.hypot(*(last - first)))
    if length < 2:
        return [start, end]
    count = max(3, round(length) + 1)
    half = int(np.clip(_HALF_SHARE * length, _MIN_HALF, _MAX_HALF))
    along = (last - first) / length
    across = np.array([-along[1], along[0]])
    stations = first + np.linspace(0, length, count)[:, None] * along
    offsets = np.arange(-half, half + 1)
    corridor = stations[None] + offsets[:, None, None] * across  # (2 * half + 1, count, 2)
    low = np.clip(np.floor(corridor.min(axis=(0, 1))) - 2, 0, None).astype(int)
    high = np.minimum(np.ceil(corridor.max(axis=(0, 1))) + 3, shape[::-1]).astype(int)
    ridges = read_ridges(slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0])))
    samples = (corridor - low).astype(np.float32)
    cost = 1 / (_BASE_COST + _sample(ridges, samples))
    rows = _cheapest_rows(np.asarray(cost, np.float32), half)
    path = corridor[rows, np.arange(count)]
    return [(float(x), float(y)) for x, y in path]


def _sample(ridges: Floats, positions: NDArray[np.float32]) -> Floats:
    """The ridges at positions x, y, (h, w, 2); 0 outside. In pieces, since OpenCV takes no more than 32767 a side."""
    pieces = [
        cv2.remap(ridges, piece[..., 0].copy(), piece[..., 1].copy(), cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        for piece in np.array_split(positions, -(-positions.shape[1] // 16_000), axis=1)
    ]
    return np.asarray(np.concatenate(pieces, axis=1), np.float32)


def _cheapest_rows(cost: Floats, middle: int) -> NDArray[np.int64]:
    """The row of the cheapest path in each column of a cost (h, w); it starts and ends in the row `middle`."""
    height, width = cost.shape
    moves = np.zeros((height, width), np.int8)
    total = np.full(height + 2, np.inf, np.float64)
    total[middle + 1] = cost[middle, 0]
    for column in range(1, width):
        options = np.stack([total[1:-1], total[:-2] + _BENDING, total[2:] + _BENDING])
        best = np.argmin(options, axis=0)
        moves[:, column] = np.array([0, -1, 1], np.int8)[best]
        total[1:-1] = options[best, np.arange(height)] + cost[:, column]
    rows = np.empty(width, np.int64)
    rows[-1] = middle
    for column in range(width - 1, 0, -1):
        rows[column - 1] = rows[column] + moves[rows[column], column]
    return rows
