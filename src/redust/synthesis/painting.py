"""Tools to draw coverages: noise, points, lines and fibres.

A coverage is an array (H, W) float32 in 0..1: the share of light that is hidden at each pixel. A canvas is the (height,
width) of a picture. Points are (row, column).
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Light

Coverage = NDArray[np.float32]
Canvas = tuple[int, int]
Points = NDArray[np.float64]

SUPERSAMPLING = 4  # a line of 0.7 pixels needs it


def smooth_noise(canvas: Canvas, cell: float, rng: np.random.Generator) -> Coverage:
    """Noise (H, W) float32 of mean 0 and standard deviation about 1 that varies over about `cell` pixels."""
    rows, columns = (max(2, round(side / max(cell, 1.0)) + 1) for side in canvas)
    coarse = rng.standard_normal((rows, columns)).astype(np.float32)
    fine: Coverage = cv2.resize(coarse, (canvas[1], canvas[0]), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    return fine


def fractal_noise(canvas: Canvas, cell: float, rng: np.random.Generator) -> Coverage:
    """Sum of up to four octaves of :func:`smooth_noise`, finer and weaker each, so that no lattice is visible."""
    total, weight = np.zeros(canvas, np.float32), 1.0
    for _ in range(4):
        # A random offset of up to a cell, so that the octaves' lattices do not coincide.
        octave = smooth_noise((canvas[0] + round(cell), canvas[1] + round(cell)), cell, rng)
        row, column = (int(rng.integers(round(cell) + 1)) for _ in range(2))
        total += np.float32(weight) * octave[row : row + canvas[0], column : column + canvas[1]]
        cell, weight = cell * 0.45, weight * 0.55
        if cell < 1.5:
            break
    return total


def object_density(canvas: Canvas) -> float:
    """How many times more objects this canvas gets than one of 256 x 256 pixels, 1..40."""
    return float(np.clip(canvas[0] * canvas[1] / 65536, 1, 40))


def blur_coverage(coverage: Coverage, sigma: float) -> Coverage:
    """Gaussian blur by `sigma` pixels, as by a lens and by distance from the focal plane; below 0.2 unchanged."""
    return coverage if sigma < 0.2 else cv2.GaussianBlur(coverage, (0, 0), sigma).astype(np.float32)


def scatter_points(canvas: Canvas, count: int, rng: np.random.Generator) -> Points:
    """`count` points (n, 2), clustered around a few centres as real dust is."""
    if count == 0:
        return np.zeros((0, 2))
    centres = rng.random((max(1, count // 6), 2)) * canvas
    clustered = centres[rng.integers(len(centres), size=count)] + rng.normal(0, 0.12 * min(canvas), (count, 2))
    uniform = rng.random((count, 2)) * canvas
    return np.where(rng.random((count, 1)) < 0.4, clustered, uniform)


def paint_lines(
    canvas: Canvas, paths: list[Points], widths: list[float], values: list[float] | None = None
) -> Coverage:
    """Paint anti-aliased polylines, each of its own width in pixels and coverage (1 unless given)."""
    drawn = supersampled_canvas(canvas)
    for index, (path, width) in enumerate(zip(paths, widths, strict=True)):
        points = np.rint(path[:, ::-1] * SUPERSAMPLING).astype(np.int32)
        value = 255 if values is None else round(255 * values[index])
        cv2.polylines(drawn, [points], False, value, max(1, round(width * SUPERSAMPLING)))
    return downsample_coverage(drawn, canvas)


def paint_fibres(canvas: Canvas, paths: list[Points], widths: list[float], rng: np.random.Generator) -> Coverage:
    """Paint paths whose width varies by a fifth and tapers at the ends, as fibres do."""
    drawn = supersampled_canvas(canvas)
    for path, width in zip(paths, widths, strict=True):
        points = np.rint(path[:, ::-1] * SUPERSAMPLING).astype(np.int32)
        knots = rng.normal(1.0, 0.12, 6)
        varying = width * np.interp(np.linspace(0, 5, len(points) - 1), np.arange(6), knots)
        along = np.linspace(0, 1, len(varying))
        taper = np.minimum(1, 0.65 + 5 * np.minimum(along, 1 - along))
        for index, thickness in enumerate(varying * taper):
            cv2.line(drawn, points[index], points[index + 1], 255, max(1, round(thickness * SUPERSAMPLING)))
    return downsample_coverage(drawn, canvas)


def supersampled_canvas(canvas: Canvas) -> NDArray[np.uint8]:
    """An empty canvas of four times the size."""
    return np.zeros((canvas[0] * SUPERSAMPLING, canvas[1] * SUPERSAMPLING), np.uint8)


def downsample_coverage(drawn: NDArray[np.uint8], canvas: Canvas) -> Coverage:
    """A larger drawing (uint8) as a coverage of the canvas, by area averaging."""
    return bytes_to_coverage(cv2.resize(drawn, (canvas[1], canvas[0]), interpolation=cv2.INTER_AREA))


def bytes_to_coverage(drawn: NDArray[Any]) -> Coverage:
    """Integers 0..255 as float32 in 0..1."""
    return drawn.astype(np.float32) / np.float32(255)


def thin_unevenly(coverage: Coverage, cell: float, rng: np.random.Generator) -> Coverage:
    """Reduce a coverage by up to a half, varying over `cell` pixels: no speck is of a single grey."""
    factor = np.clip(0.92 + 0.22 * smooth_noise(coverage.shape[:2], cell, rng), 0.5, 1)
    uneven: Coverage = coverage * factor.astype(np.float32)
    return uneven


def random_path(start: Points, length: float, bend: float, rng: np.random.Generator) -> Points:
    """A path (n, 2) of about `length` pixels whose direction drifts by `bend` radians per tenth of it."""
    steps = max(4, int(length / 3))
    drift = rng.normal(0, bend * np.sqrt(10 / steps), steps)
    # With a constant curvature added: hairs are arcs more often than random walks.
    angle = rng.uniform(0, 2 * np.pi) + np.cumsum(drift + rng.normal(0, bend * 3 / steps))
    stride = length / steps
    return start + np.cumsum(np.stack([np.sin(angle), np.cos(angle)], 1) * stride, axis=0)


def random_colour(rng: np.random.Generator) -> NDArray[np.float32]:
    """A near black, near white or arbitrary colour: (3,) in 0..1."""
    choice = rng.random()
    if choice < 0.35:
        return np.full(3, rng.uniform(0, 0.2), np.float32)
    if choice < 0.7:
        return np.full(3, rng.uniform(0.8, 1), np.float32)
    return rng.random(3).astype(np.float32)


def paint_colour(light: Light, coverage: Coverage, colour: NDArray[np.float32], opacity: float, sigma: float) -> None:
    """Blend `colour` over light (H, W, 3), in place, with a coverage (H, W) blurred by `sigma` pixels."""
    if sigma > 0.25:
        coverage = blur_coverage(coverage, sigma)
    alpha = (coverage * np.float32(opacity))[..., None]
    light *= 1 - alpha
    light += alpha * colour
