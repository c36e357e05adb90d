"""Shapes of specks and spots: dust, dirt, pinholes, round spots."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.synthesis.painting import (
    SUPERSAMPLING,
    Canvas,
    Coverage,
    blur_coverage,
    downsample_coverage,
    object_density,
    scatter_points,
    smooth_noise,
    supersampled_canvas,
    thin_unevenly,
)


def draw_dust(canvas: Canvas, scale: float, rng: np.random.Generator) -> Coverage:
    """Specks of 5 to 50 square pixels at scale 1 (80 % of them; median 15), irregular, clustered, and a few flakes."""
    area_share = canvas[0] * canvas[1] / 65536 / max(scale, 0.3)
    count = 1 + rng.poisson(rng.uniform(1, 14) * min(area_share, 40))
    drawn = supersampled_canvas(canvas)
    for row, column in scatter_points(canvas, count, rng):
        radius = max(0.45, scale * rng.lognormal(np.log(3.6), 0.35) * 0.7)
        if rng.random() < 0.1:  # chips and flakes of emulsion
            radius *= rng.uniform(2.0, 5.0)
        _fill_blot(drawn, row, column, radius, rng)
    specks = blur_coverage(downsample_coverage(drawn, canvas), rng.uniform(0.0, 1.3) * min(1.0, scale + 0.3))
    return thin_unevenly(specks, 1.5 + 2 * scale, rng)


def _fill_blot(drawn: NDArray[np.uint8], row: float, column: float, radius: float, rng: np.random.Generator) -> None:
    """Fill an irregular, often elongated outline on a supersampled canvas, in place."""
    if rng.random() < 0.4:  # pinholes and bubbles are round
        angle = np.linspace(0, 2 * np.pi, 14, endpoint=False)
        reach = radius * rng.uniform(0.92, 1.08, 14)
    else:
        corners = int(rng.integers(6, 12))
        angle = np.sort(rng.uniform(0, 2 * np.pi, corners))
        reach = radius * rng.uniform(0.55, 1.35, corners)
    stretch, turn = rng.uniform(0.45, 1.0), rng.uniform(0, np.pi)
    x, y = reach * np.cos(angle), reach * np.sin(angle) * stretch
    across, down = x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)
    outline = np.stack([column + across, row + down], 1) * SUPERSAMPLING
    cv2.fillPoly(drawn, [np.rint(outline).astype(np.int32)], 255)


def draw_dirt(canvas: Canvas, scale: float, rng: np.random.Generator) -> Coverage:
    """Crumbs: several specks that touch, 4 to 75 square pixels at scale 1 (80 % of them; median 19)."""
    count = 1 + rng.poisson(rng.uniform(0.5, 4) * min(canvas[0] * canvas[1] / 65536, 40))
    drawn = supersampled_canvas(canvas)
    for row, column in scatter_points(canvas, count, rng):
        radius = max(0.6, scale * rng.lognormal(np.log(5.0), 0.4) * 0.7)
        for _ in range(int(rng.integers(1, 6))):
            step = rng.normal(0, radius, 2)
            _fill_blot(drawn, row + step[0], column + step[1], radius * rng.uniform(0.4, 1.0), rng)
    crumbs = blur_coverage(downsample_coverage(drawn, canvas), rng.uniform(0.2, 1.2) * min(1.0, scale + 0.2))
    return thin_unevenly(crumbs, 2 + 3 * scale, rng)


def draw_sprinkle(canvas: Canvas, scale: float, rng: np.random.Generator) -> Coverage:
    """A patch of very small pinholes."""
    density = np.clip(smooth_noise(canvas, 0.35 * min(canvas), rng) - rng.uniform(0.2, 1.2), 0, None)
    chance = density * 0.012 / max(scale, 0.3)
    seeds = (rng.random(canvas) < chance).astype(np.float32)
    size = max(0.55, scale * rng.uniform(0.5, 1.4))
    spread = cv2.GaussianBlur(seeds, (0, 0), size)
    holes: Coverage = np.clip(spread * (2 * np.pi * size**2) * 1.6 - 0.3, 0, 1).astype(np.float32)
    return holes


def draw_spots(canvas: Canvas, scale: float, rng: np.random.Generator) -> Coverage:
    """A few round spots with soft edges, 5 to 28 pixels across at scale 1: bubbles, dust far out of focus."""
    count = 1 + rng.poisson(rng.uniform(0.5, 3) * object_density(canvas))
    rows, columns = np.ogrid[: canvas[0], : canvas[1]]
    covered = np.zeros(canvas, np.float32)
    for row, column in scatter_points(canvas, count, rng):
        radius = max(1.5, scale * rng.lognormal(np.log(5.0), 0.45))
        turn, stretch = rng.uniform(0, np.pi), rng.uniform(0.7, 1.0)
        down, across = rows - row, columns - column
        along = (down * np.sin(turn) + across * np.cos(turn)) * stretch
        distance = np.hypot(along, down * np.cos(turn) - across * np.sin(turn)) / radius
        # From a bell to a disc with a soft edge.
        profile = np.exp(-(distance ** rng.uniform(2, 7)))
        covered = np.maximum(covered, (profile * rng.uniform(0.5, 1.0)).astype(np.float32))
    return thin_unevenly(covered, 3 + 4 * scale, rng)
