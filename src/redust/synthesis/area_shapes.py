"""Shapes of large damage: stains, rings, missing pieces, fingerprints, light leaks."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.synthesis.painting import Canvas, Coverage, blur_coverage, bytes_to_coverage, fractal_noise, smooth_noise


def draw_stain(canvas: Canvas, scale: float, rng: np.random.Generator) -> Coverage:
    """A blotch of radius 10 to 110 pixels at scale 1, uneven inside and often darker at the edge (drying mark)."""
    radius = min(scale * rng.uniform(10, 110), 0.6 * max(canvas))
    row, column = rng.random(2) * canvas
    rows, columns = np.ogrid[: canvas[0], : canvas[1]]
    distance = np.hypot(rows - row, (columns - column) * rng.uniform(0.6, 1.6)).astype(np.float32)
    edge = radius * (1 + 0.25 * smooth_noise(canvas, radius * 0.7, rng) + 0.04 * fractal_noise(canvas, 8, rng))
    inside = np.clip((edge - distance) / rng.uniform(1.0, 5.0), 0, 1)
    if rng.random() < 0.5:
        edge_profile = np.exp(-(((edge - distance) / max(1.5, radius * 0.08)) ** 2))
        inside = np.clip(inside * rng.uniform(0.0, 0.5) + edge_profile, 0, 1)
    texture = np.clip(0.85 + 0.15 * fractal_noise(canvas, radius * 0.4, rng), 0.35, 1)
    blotch: Coverage = (inside * texture).astype(np.float32)
    return blotch


def draw_coffee_ring(canvas: Canvas, scale: float, rng: np.random.Generator) -> Coverage:
    """The ring that a drop or a cup leaves when it dries: dark at the edge, faint inside, with gaps."""
    radius = min(scale * rng.uniform(25, 160), 0.6 * max(canvas))
    row, column = rng.random(2) * canvas
    rows, columns = np.ogrid[: canvas[0], : canvas[1]]
    distance = np.hypot(rows - row, (columns - column) * rng.uniform(0.85, 1.18)).astype(np.float32)
    distance = distance + 0.05 * radius * smooth_noise(canvas, radius, rng) + 0.4 * fractal_noise(canvas, 6, rng)
    width = max(1.2, radius * rng.uniform(0.03, 0.12))
    outer = np.clip((radius - distance) / max(0.8, 0.25 * width), 0, 1)
    rim = np.exp(-np.clip(radius - distance, 0, None) / width)
    wear = np.clip(0.95 + 0.4 * smooth_noise(canvas, radius * 0.6, rng), 0.1, 1)
    ring: Coverage = (outer * np.maximum(rim * wear, 0.05)).clip(0, 1).astype(np.float32)
    return ring


def draw_missing_piece(canvas: Canvas, scale: float, rng: np.random.Generator) -> Coverage:
    """A torn corner or a missing piece with a sharp, ragged edge."""
    corner = np.array([rng.choice([0.0, canvas[0]]), rng.choice([0.0, canvas[1]])])
    if rng.random() < 0.5:
        corner = rng.random(2) * canvas
    radius = min(scale * rng.uniform(12, 120), 0.45 * max(canvas))
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    ragged = radius * np.clip(1 + 0.3 * np.interp(angle, np.linspace(0, 2 * np.pi, 9), _closed_noise(8, rng)), 0.2, 2)
    ragged *= 1 + rng.normal(0, 0.03, 64)
    outline = corner[::-1] + np.stack([np.cos(angle), np.sin(angle)], 1) * ragged[:, None]
    drawn = np.zeros(canvas, np.uint8)
    cv2.fillPoly(drawn, [np.rint(outline * 8).astype(np.int32)], 255, cv2.LINE_AA, 3)
    return blur_coverage(bytes_to_coverage(drawn), rng.uniform(0.0, 0.7))


def _closed_noise(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Random values (count + 1,) whose last equals the first, for closed outlines."""
    values = rng.standard_normal(count)
    return np.append(values, values[0])


def draw_fingerprint(canvas: Canvas, scale: float, rng: np.random.Generator) -> Coverage:
    """Ridges of a finger: wavy rings about 12 pixels apart at scale 1, inside an oval."""
    row, column = rng.random(2) * canvas
    rows, columns = np.ogrid[: canvas[0], : canvas[1]]
    down, across = (rows - row).astype(np.float32), (columns - column).astype(np.float32)
    reach = max(24.0, scale * rng.uniform(60, 160))
    swirl = np.hypot(down * rng.uniform(0.6, 1.0), across) + 6 * scale * smooth_noise(canvas, reach / 3, rng)
    ridges = np.clip(np.sin(swirl * 2 * np.pi / max(4.0, 12 * scale)) * 1.5, 0, 1)
    oval = np.clip(1.2 - np.hypot(down / reach, across / (0.7 * reach)), 0, 1)
    wear = np.clip(0.55 + 0.5 * fractal_noise(canvas, 16 * max(scale, 0.4), rng), 0, 1)
    marks: Coverage = (ridges * np.minimum(oval * 3, 1) * wear).astype(np.float32)
    return marks


def draw_light_leak(canvas: Canvas, scale: float, rng: np.random.Generator) -> Coverage:
    """A soft flare that enters from one edge."""
    side = int(rng.integers(4))
    rows, columns = np.ogrid[: canvas[0], : canvas[1]]
    depth = [rows, canvas[0] - rows, columns, canvas[1] - columns][side].astype(np.float32)
    along = [columns, columns, rows, rows][side].astype(np.float32)
    length = canvas[1] if side < 2 else canvas[0]
    middle, spread = rng.uniform(0, length), rng.uniform(0.1, 0.5) * length
    reach = rng.uniform(0.05, 0.4) * max(canvas) * min(1.0, 0.5 + scale)
    flare: Coverage = (np.exp(-(((along - middle) / spread) ** 2)) * np.exp(-depth / reach)).astype(np.float32)
    return flare
