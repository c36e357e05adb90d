"""Hard negatives: lines of the scene. Each function draws on light (H, W, 3) float32 in 0..1, in place."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Light
from redust.synthesis.painting import bytes_to_coverage, downsample_coverage, paint_colour, random_colour, smooth_noise


def draw_wires(light: Light, rng: np.random.Generator) -> None:
    """Wires, masts, railings: lines of the scene, blurred with it."""
    height, width = light.shape[:2]
    layer = np.zeros((height * 2, width * 2), np.uint8)
    angle, gap = rng.uniform(0, np.pi), rng.uniform(6, 60)
    sag, thick = rng.normal(0, 0.08), max(1, round(rng.lognormal(np.log(3), 0.5)))
    along = np.linspace(-1.2, 1.2, 30)
    for number in range(int(rng.integers(2, 8))):
        off = (number - 3) * gap * rng.uniform(0.9, 1.1)
        x, y = along * width, off + sag * width * along**2
        points = np.stack([width + 2 * (x * np.cos(angle) - y * np.sin(angle)) / 1.5,
                           height + 2 * (x * np.sin(angle) + y * np.cos(angle)) / 1.5], 1)  # fmt: skip
        cv2.polylines(layer, [np.rint(points).astype(np.int32)], False, 255, thick, cv2.LINE_AA)
    wires = downsample_coverage(layer, (height, width))
    paint_colour(light, wires, random_colour(rng), rng.uniform(0.5, 1.0), rng.uniform(0.5, 1.4))


def draw_strands(light: Light, rng: np.random.Generator) -> None:
    """Hair of people, grass, fur: many similar curved strands in parallel."""
    height, width = light.shape[:2]
    layer = np.zeros((height, width), np.float32)
    root, angle = rng.random(2) * [height, width], rng.uniform(0, 2 * np.pi)
    along = np.linspace(0, 1, 24)
    for _ in range(int(rng.integers(40, 220))):
        start = root + rng.normal(0, 0.12 * width, 2)
        bend = rng.normal(0.6, 0.35)
        turns = angle + rng.normal(0, 0.18) + bend * along
        path = start + np.cumsum(np.stack([np.sin(turns), np.cos(turns)], 1), 0) * rng.uniform(1, 7)
        points = np.rint(path[:, ::-1] * 16).astype(np.int32)
        cv2.polylines(layer, [points], False, rng.uniform(-1, 1), int(rng.integers(1, 3)), cv2.LINE_AA, 4)
    layer = cv2.GaussianBlur(layer, (0, 0), rng.uniform(0.4, 1.0)) * np.float32(rng.uniform(0.08, 0.4))
    light += layer[..., None]
    np.clip(light, 0, 1, out=light)


def draw_bristles(light: Light, rng: np.random.Generator) -> None:
    """Seed heads, whiskers, sparklers, spokes: fine rays from a common centre, sharp and out of focus."""
    height, width = light.shape[:2]
    hub = rng.uniform(-0.3, 1.3, 2) * [height, width]
    middle, fan = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, np.pi)
    reach = max(height, width) * rng.uniform(0.3, 1.3)
    colour = np.clip(rng.uniform(0.0, 1.0) + rng.normal(0, 0.06, 3), 0, 1).astype(np.float32)
    for blur in (rng.uniform(2.0, 6.0), rng.uniform(0.8, 2.0), rng.uniform(0.0, 0.7)):
        layer = np.zeros((height, width), np.float32)
        for _ in range(int(rng.integers(3, 40))):
            angle, bend = middle + rng.uniform(-fan, fan), rng.normal(0, 0.15)
            along = np.linspace(rng.uniform(0, 0.3), rng.uniform(0.4, 1.0), 24)
            turn = angle + bend * along
            path = hub + (along * reach)[:, None] * np.stack([np.sin(turn), np.cos(turn)], 1)
            points = np.rint(path[:, ::-1] * 16).astype(np.int32)
            cv2.polylines(layer, [points], False, rng.uniform(0.3, 1.0), int(rng.integers(1, 4)), cv2.LINE_AA, 4)
        layer *= np.clip(0.9 + 0.4 * smooth_noise((height, width), rng.uniform(3, 12), rng), 0.2, 1)  # barbs and beads
        paint_colour(light, layer, colour, rng.uniform(0.4, 1.0), blur)


def draw_stalks(light: Light, rng: np.random.Generator) -> None:
    """Stems, twigs, straws: a few tapering lines in colours of the scene."""
    height, width = light.shape[:2]
    ground = light.copy()
    for _ in range(int(rng.integers(1, 4))):
        root, angle = rng.random(2) * [height, width], rng.uniform(0, 2 * np.pi)
        thick, blur = rng.lognormal(np.log(4.0), 0.5), float(rng.uniform(0.5, 2.5))
        layer = _draw_stalk((height, width), root, angle, thick, rng)
        picked = ground[int(rng.integers(height)), int(rng.integers(width))]
        colour = np.clip(picked * rng.uniform(0.4, 1.3) + rng.normal(0, 0.03, 3), 0, 1).astype(np.float32)
        layer *= np.clip(0.9 + 0.3 * smooth_noise((height, width), rng.uniform(2, 10), rng), 0.3, 1)
        paint_colour(light, layer, colour, rng.uniform(0.7, 1.0), blur)


def _draw_stalk(
    shape: tuple[int, int], root: NDArray[np.float64], angle: float, thick: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """A line that bends and tapers, often out of a bud or knot; (H, W) float32 in 0..1."""
    layer = np.zeros(shape, np.float32)
    turns = angle + rng.normal(0, 0.25) * np.linspace(0, 1, 24)
    steps = np.stack([np.sin(turns), np.cos(turns)], 1) * max(shape) * rng.uniform(0.01, 0.05)
    points = [(round(16 * column), round(16 * row)) for row, column in root + np.cumsum(steps, 0)]
    for start, end, taper in zip(points[:-1], points[1:], np.linspace(1.0, rng.uniform(0.3, 1.0), 23), strict=True):
        cv2.line(layer, start, end, 1.0, max(1, round(thick * taper)), cv2.LINE_AA, 4)
    if rng.random() < 0.6:
        across, along = (round(16 * thick * rng.uniform(1.0, 4.0)) for _ in range(2))
        cv2.ellipse(layer, points[0], (across, along), float(np.degrees(angle)), 0, 360, 1.0, -1, cv2.LINE_AA, 4)
    return layer


def draw_frame_edge(light: Light, rng: np.random.Generator) -> None:
    """The edge of a frame or print on one or two sides, dark or pale, not quite straight, sharp or soft."""
    height, width = light.shape[:2]
    rows, columns = np.ogrid[:height, :width]
    inside = np.full((height, width), np.inf, np.float32)
    for side in rng.permutation(4)[: int(rng.integers(1, 3))]:
        depth = [rows, height - 1 - rows, columns, width - 1 - columns][side]
        along = [columns, columns, rows, rows][side]
        edge = rng.uniform(1, 0.2 * min(height, width)) + rng.normal(0, 0.006) * along
        inside = np.minimum(inside, (depth - edge).astype(np.float32))
    inside += 0.5 * smooth_noise((height, width), rng.uniform(4, 30), rng)
    colour = np.clip(rng.choice([0.04, 0.95]) + rng.normal(0, 0.04, 3), 0, 1).astype(np.float32)
    beyond = np.clip(0.5 - inside / rng.uniform(0.7, 4.0), 0, 1).astype(np.float32)
    paint_colour(light, beyond, colour, rng.uniform(0.8, 1.0), 0)


def draw_window_bars(light: Light, rng: np.random.Generator) -> None:
    """The bars of a window or a fence against the light, in perspective."""
    bars = _draw_grid(light.shape[:2], int(rng.integers(2, 9)), int(rng.integers(0, 6)), rng.uniform(0.03, 0.14), rng)
    dark = rng.random() < 0.7
    colour = np.full(3, rng.uniform(0, 0.25) if dark else rng.uniform(0.75, 1.0), np.float32)
    paint_colour(light, bars, colour, rng.uniform(0.8, 1.0), rng.uniform(0.4, 1.6))


def draw_court_lines(light: Light, rng: np.random.Generator) -> None:
    """White lines painted on the ground, in perspective and worn."""
    lines = _draw_grid(light.shape[:2], int(rng.integers(1, 4)), int(rng.integers(1, 4)), rng.uniform(0.01, 0.04), rng)
    # Paint on rough ground is shaded like it: keep some of the light below.
    shade = 0.75 + 0.25 * light.mean(axis=2)
    colour = np.clip(rng.normal(0.92, 0.06), 0, 1) * np.array([1, 1, rng.choice([1.0, 0.4], p=[0.85, 0.15])])
    paint_colour(light, (lines * shade).astype(np.float32), colour.astype(np.float32), rng.uniform(0.6, 1.0),
         rng.uniform(0.4, 1.2))  # fmt: skip


def _draw_grid(
    shape: tuple[int, ...], upright: int, level: int, thickness: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Upright and level bars, `thickness` as a share of the gap, in perspective; (H, W) float32 in 0..1."""
    height, width = shape[:2]
    side = 512
    flat = np.zeros((side, side), np.uint8)
    for count, across in ((upright, True), (level, False)):
        for position in (np.arange(count) + rng.uniform(0.2, 0.8)) * side / max(count, 1):
            half = max(1.0, thickness * side / max(count, 2) / 2)
            first, last = round(float(position - half)), round(float(position + half))
            flat[:, max(0, first) : last + 1] |= np.uint8(255 * across)
            flat[max(0, first) : last + 1] |= np.uint8(255 * (not across))
    corners = np.array([[0, 0], [side, 0], [side, side], [0, side]], np.float32)
    reach = rng.uniform(0.4, 1.4, (4, 2)) * [[-1, -1], [1, -1], [1, 1], [-1, 1]]
    targets = (0.5 + 0.5 * reach + rng.normal(0, 0.1, 2)) * [width, height]
    matrix = cv2.getPerspectiveTransform(corners, targets.astype(np.float32))
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), float(rng.normal(0, 12)), 1.0)
    matrix = np.vstack([turn, [0, 0, 1]]) @ matrix
    warped = cv2.warpPerspective(flat, matrix, (width, height), flags=cv2.INTER_AREA)
    return bytes_to_coverage(warped)
