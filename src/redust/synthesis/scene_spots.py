"""Hard negatives: lettering and spots of the scene. Each draws on light (H, W, 3) float32 in 0..1, in place."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Light
from redust.synthesis.lettering import draw_text
from redust.synthesis.painting import blur_coverage, bytes_to_coverage, object_density, paint_colour, random_colour


def draw_lettering(light: Light, rng: np.random.Generator) -> None:
    """Lines of text of any size, face, colour and perspective."""
    height, width = light.shape[:2]
    paint_colour(
        light, draw_text((height, width), rng), random_colour(rng), rng.uniform(0.5, 1.0), rng.uniform(0.0, 1.0)
    )


def draw_highlights(light: Light, rng: np.random.Generator) -> None:
    """Lamps, catchlights, glints on metal and water: bright cores with a glow of the lens."""
    height, width = light.shape[:2]
    layer = np.zeros((height, width), np.float32)
    for _ in range(int(rng.integers(1, 10))):
        axes = np.maximum(1, rng.lognormal(np.log(2.0), 0.7, 2))
        centre = (int(rng.integers(width)) * 16, int(rng.integers(height)) * 16)
        reach = (round(axes[0] * 16), round(axes[1] * 16))
        cv2.ellipse(layer, centre, reach, rng.uniform(0, 180), 0, 360, rng.uniform(0.6, 1.0), -1, cv2.LINE_AA, 4)
    glow = cv2.GaussianBlur(layer, (0, 0), rng.uniform(3, 9)) * 1.5
    core = cv2.GaussianBlur(layer, (0, 0), rng.uniform(0.7, 1.6))
    warm = np.array([1.0, rng.uniform(0.8, 1.0), rng.uniform(0.6, 1.0)], np.float32)
    light += np.clip(core + glow, 0, 1)[..., None] * warm * (1 - light)
    np.clip(light, 0, 1, out=light)


def draw_catchlights(light: Light, rng: np.random.Generator) -> None:
    """Eyes with the window's reflection in them: a small bright spot in a dark disc in a pale ellipse."""
    height, width = light.shape[:2]
    size = float(np.exp(rng.uniform(np.log(3), np.log(22))))  # radius of the iris
    for middle in _eye_centres(height, width, size, rng):
        iris = rng.uniform(0.02, 0.3) * np.array([1.0, rng.uniform(0.6, 1.0), rng.uniform(0.4, 1.1)])
        lid = rng.uniform(0.5, 0.75)
        for colour, axes, shift in (
            (np.full(3, rng.uniform(0.55, 0.9)), (2.1 * size, lid * size * 1.25), (0.0, 0.0)),
            (iris, (size, min(1.0, lid * 1.25) * size), (0.0, 0.0)),
            (iris * 0.2, (0.45 * size, 0.45 * size), (0.0, 0.0)),
            (np.full(3, rng.uniform(0.8, 1.0)), _glint_axes(size, rng), rng.normal(0, 0.22, 2) * size),
        ):
            cover = _draw_ellipse(height, width, middle + shift, axes)
            paint_colour(light, cover, colour.astype(np.float32), rng.uniform(0.8, 1.0), max(0.5, 0.06 * size))


def _eye_centres(height: int, width: int, size: float, rng: np.random.Generator) -> list[NDArray[np.float64]]:
    """The centres (row, column) of an eye or a pair of eyes."""
    first = rng.random(2) * [height, width]
    if rng.random() < 0.4:
        return [first]
    return [first, first + np.array([rng.normal(0, 0.4), rng.uniform(5, 7)]) * size]


def _glint_axes(size: float, rng: np.random.Generator) -> tuple[float, float]:
    wide = max(0.6, size * rng.uniform(0.1, 0.3))
    return wide, wide * rng.uniform(0.6, 1.4)


def _draw_ellipse(
    height: int, width: int, middle: NDArray[np.float64], axes: tuple[float, float]
) -> NDArray[np.float32]:
    """An ellipse of half axes (across, down), anti-aliased; (H, W) float32 in 0..1."""
    cover = np.zeros((height, width), np.uint8)
    centre = (round(float(middle[1]) * 16), round(float(middle[0]) * 16))
    reach = (max(8, round(axes[0] * 16)), max(8, round(axes[1] * 16)))
    cv2.ellipse(cover, centre, reach, 0, 0, 360, 255, -1, cv2.LINE_AA, 4)
    return bytes_to_coverage(cover)


def draw_raindrops(light: Light, rng: np.random.Generator) -> None:
    """Drops on a window, each a small lens with a bright and a dark edge, or streaks of falling rain."""
    height, width = light.shape[:2]
    if rng.random() < 0.4:
        _draw_rain(light, rng)
        return
    density = object_density((height, width))
    for _ in range(int(rng.integers(4, 40) * density)):
        radius = max(1.0, rng.lognormal(np.log(3.0), 0.6))
        row, column = rng.random(2) * [height, width]
        _draw_drop(light, round(row), round(column), radius, rng.uniform(0.4, 1.0))


def _draw_drop(light: Light, row: int, column: int, radius: float, strength: float) -> None:
    """A drop: the scene upside down in it, dark above, bright below."""
    reach = int(np.ceil(radius)) + 1
    top, left = max(0, row - reach), max(0, column - reach)
    window = light[top : row + reach + 1, left : column + reach + 1]
    if min(window.shape[:2]) < 3:
        return
    rows, columns = np.ogrid[: window.shape[0], : window.shape[1]]
    down, across = (rows - (row - top)) / radius, (columns - (column - left)) / radius
    inside = np.clip((1 - np.hypot(down, across)) * radius + 0.5, 0, 1)
    shade = np.clip(0.55 * down * np.hypot(down, across), -0.5, 0.5)
    glint = 0.8 * np.exp(-(((down + 0.45) / 0.2) ** 2) - ((across + 0.2) / 0.2) ** 2)
    refracted = window[::-1] + (shade + glint)[..., None].astype(np.float32)
    alpha = (inside * strength)[..., None].astype(np.float32)
    window += alpha * (np.clip(refracted, 0, 1) - window)


def _draw_rain(light: Light, rng: np.random.Generator) -> None:
    """Parallel streaks of falling drops of many brightnesses."""
    height, width = light.shape[:2]
    layer = np.zeros((height, width), np.float32)
    lean, length = rng.normal(0, 0.2), rng.uniform(6, 45)
    density = object_density((height, width))
    for _ in range(int(rng.integers(30, 250) * density)):
        row, column = rng.random(2) * [height, width]
        reach = length * rng.uniform(0.3, 1.2)
        ends = np.rint(np.array([[column, row], [column + lean * reach, row + reach]]) * 16).astype(np.int32)
        cv2.polylines(layer, [ends], False, rng.uniform(0.1, 0.8), 1, cv2.LINE_AA, 4)
    paint_colour(light, blur_coverage(layer, rng.uniform(0.4, 0.9)), np.ones(3, np.float32), rng.uniform(0.3, 0.8), 0)
