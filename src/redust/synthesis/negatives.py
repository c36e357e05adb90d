"""Hard negatives: things of the scene that look like damage and are not. They are drawn before the damage."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Light
from redust.synthesis.lettering import text_lines
from redust.synthesis.shapes import cloud_noise, smooth_noise, soften


def lettering(light: Light, rng: np.random.Generator) -> None:
    """Lines of text of any size, face, colour and perspective, in place; `light` is (H, W, 3) in 0..1."""
    height, width = light.shape[:2]
    _mix(light, text_lines((height, width), rng), _colour(rng), rng.uniform(0.5, 1.0), rng.uniform(0.0, 1.0))


def stars(light: Light, rng: np.random.Generator) -> None:
    """A night sky over the scene: points of one point-spread function, very unequal brightness; in place."""
    height, width = light.shape[:2]
    sky = _night(light, rng)
    seeds = np.zeros((height, width), np.float32)
    count = int(np.exp(rng.uniform(np.log(900), np.log(9000))) * height * width / 262144) + 4
    rows, columns = rng.integers(0, height, count), rng.integers(0, width, count)
    seeds[rows, columns] = rng.pareto(1.2, count) + 0.05
    spread = rng.uniform(0.4, 1.6)
    glow = cv2.GaussianBlur(seeds, (0, 0), spread) * (2 * np.pi * spread**2)
    halo = cv2.GaussianBlur(seeds, (0, 0), spread * 4) * 2
    if rng.random() < 0.4:
        _nebula(light, sky, rng)
    _shine(light, sky, glow * rng.uniform(0.15, 0.8) + halo * 0.3 + _spikes(seeds, spread, rng), rng)


def _nebula(light: Light, sky: NDArray[np.float32], rng: np.random.Generator) -> None:
    """Bright and dark clouds of gas of two colours, with fine edges, where the sky is; in place."""
    canvas = light.shape[0], light.shape[1]
    for _ in range(2):
        cloud = np.clip(cloud_noise(canvas, rng.uniform(30, 200), rng) + rng.uniform(-0.5, 0.7), 0, 2.5)
        tint = rng.random(3).astype(np.float32) * np.float32(rng.uniform(0.1, 0.45))
        light += (cloud * sky)[..., None] * tint
    dark = np.clip(1 - 0.5 * np.clip(cloud_noise(canvas, rng.uniform(20, 120), rng), 0, 2) * sky, 0.1, 1)
    light *= dark[..., None]
    np.clip(light, 0, 1, out=light)


def _spikes(seeds: NDArray[np.float32], spread: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """The cross that a telescope's spider draws through the brightest stars, (H, W) in 0..1."""
    crosses = np.zeros_like(seeds)
    if rng.random() < 0.5:
        return crosses
    turn, brightest = rng.uniform(0, np.pi / 2), np.argsort(seeds, axis=None)[-int(rng.integers(1, 12)) :]
    for row, column in zip(*np.unravel_index(brightest, seeds.shape), strict=True):
        reach = spread * rng.uniform(6, 40)
        for angle in turn + np.arange(2) * np.pi / 2:
            step = np.array([np.cos(angle), np.sin(angle)]) * reach
            ends = np.rint((np.array([column, row]) + np.outer([-1, 1], step)) * 16).astype(np.int32)
            cv2.polylines(crosses, [ends], False, rng.uniform(0.3, 1.0), 1, cv2.LINE_AA, 4)
    return cv2.GaussianBlur(crosses, (0, 0), 0.4 + 0.4 * spread).astype(np.float32)


def star_trails(light: Light, rng: np.random.Generator) -> None:
    """A long exposure of the night sky: arcs of one angle about one pole; in place."""
    height, width = light.shape[:2]
    sky = _night(light, rng)
    layer = np.zeros((height * 2, width * 2), np.uint8)
    pole = rng.uniform(-1.0, 2.0, 2) * [2 * width, 2 * height]
    sweep = float(np.exp(rng.uniform(np.log(3), np.log(60))))
    for _ in range(int(np.exp(rng.uniform(np.log(40), np.log(500))))):
        star = rng.random(2) * [2 * width, 2 * height] - pole
        start = float(np.degrees(np.arctan2(star[1], star[0])))
        radius = float(np.hypot(*star))
        bright = float(np.clip(rng.pareto(1.5) * 60 + 20, 0, 255))
        thick = 1 if bright < 90 else int(rng.integers(1, 4))
        centre = (round(float(pole[0])), round(float(pole[1])))
        cv2.ellipse(layer, centre, (round(radius), round(radius)), 0, start, start + sweep, bright, thick, cv2.LINE_AA)
    small = cv2.resize(layer, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / np.float32(255)
    _shine(light, sky, small * rng.uniform(0.5, 1.2), rng)


def _night(light: Light, rng: np.random.Generator) -> NDArray[np.float32]:
    """Darken the scene into a silhouette under a night sky, in place; returns where the sky is, (H, W) in 0..1."""
    height, width = light.shape[:2]
    rows = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    horizon = rng.uniform(0.5, 1.6) + 0.12 * smooth_noise((1, width), width / 6, rng)
    sky: NDArray[np.float32] = np.clip((horizon - rows) * 60, 0, 1).astype(np.float32)
    zenith, low = rng.random(3) * rng.uniform(0.02, 0.35), rng.random(3) * rng.uniform(0.05, 0.7)
    milky = np.clip(smooth_noise((height, width), rng.uniform(20, 160), rng), 0, 2) * rng.uniform(0, 0.3)
    fine = 1 + 0.25 * smooth_noise((height, width), rng.uniform(4, 20), rng)
    colour = zenith + (low - zenith) * np.clip(rows, 0, 1)[..., None] ** 2 + (milky * fine)[..., None]
    light *= np.float32(rng.uniform(0.03, 0.8))
    light += sky[..., None] * (colour.astype(np.float32) - light)
    np.clip(light, 0, 1, out=light)
    return sky


def _shine(light: Light, sky: NDArray[np.float32], glow: NDArray[np.float32], rng: np.random.Generator) -> None:
    """Add starlight of slightly varying colour where the sky is, in place."""
    height, width = light.shape[:2]
    tint = np.clip(rng.normal(1, 0.12, 3), 0.6, 1.3).astype(np.float32)
    tints = 1 + np.stack([0.25 * smooth_noise((height, width), 6, rng) * weight for weight in (1, 0.2, -1)], axis=2)
    light += (np.clip(glow, 0, 1) * sky)[..., None] * tint * np.clip(tints, 0.5, 1.5)
    np.clip(light, 0, 1, out=light)


def wires(light: Light, rng: np.random.Generator) -> None:
    """Wires, masts, railings: lines of the scene, blurred with it, ending at things; in place."""
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
    small = cv2.resize(layer, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / np.float32(255)
    _mix(light, small, _colour(rng), rng.uniform(0.5, 1.0), rng.uniform(0.5, 1.4))


def highlights(light: Light, rng: np.random.Generator) -> None:
    """Lamps, catchlights, glints on metal and water: bright cores with a glow of the lens; in place."""
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


def strands(light: Light, rng: np.random.Generator) -> None:
    """Hair of people, grass, fur: many similar curved strands side by side; in place."""
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


def bristles(light: Light, rng: np.random.Generator) -> None:
    """Seed heads, whiskers, sparklers, spokes: fine rays from one hub, near ones sharp, others not; in place."""
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
        _mix(light, layer, colour, rng.uniform(0.4, 1.0), blur)


def stalks(light: Light, rng: np.random.Generator) -> None:
    """Stems, twigs, straws: a few tapering lines in colours of the scene that grow out of a thing; in place."""
    height, width = light.shape[:2]
    ground = light.copy()
    for _ in range(int(rng.integers(1, 4))):
        root, angle = rng.random(2) * [height, width], rng.uniform(0, 2 * np.pi)
        thick, blur = rng.lognormal(np.log(4.0), 0.5), float(rng.uniform(0.5, 2.5))
        layer = _stalk((height, width), root, angle, thick, rng)
        picked = ground[int(rng.integers(height)), int(rng.integers(width))]
        colour = np.clip(picked * rng.uniform(0.4, 1.3) + rng.normal(0, 0.03, 3), 0, 1).astype(np.float32)
        layer *= np.clip(0.9 + 0.3 * smooth_noise((height, width), rng.uniform(2, 10), rng), 0.3, 1)
        _mix(light, layer, colour, rng.uniform(0.7, 1.0), blur)


def _stalk(
    shape: tuple[int, int], root: NDArray[np.float64], angle: float, thick: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """A line that bends and tapers, often out of a bud, a knot, a head; (H, W) float32 in 0..1."""
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


def frame_edge(light: Light, rng: np.random.Generator) -> None:
    """The rim of a frame or print on one or two sides, dark or pale, not quite straight, sharp or soft; in place."""
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
    _mix(light, beyond, colour, rng.uniform(0.8, 1.0), 0)


def catchlights(light: Light, rng: np.random.Generator) -> None:
    """Eyes with the window's reflection in them: a small bright spot in a dark disc in a pale almond; in place."""
    height, width = light.shape[:2]
    size = float(np.exp(rng.uniform(np.log(3), np.log(22))))  # radius of the iris
    for middle in _eyes(height, width, size, rng):
        iris = rng.uniform(0.02, 0.3) * np.array([1.0, rng.uniform(0.6, 1.0), rng.uniform(0.4, 1.1)])
        lid = rng.uniform(0.5, 0.75)
        for colour, axes, shift in (
            (np.full(3, rng.uniform(0.55, 0.9)), (2.1 * size, lid * size * 1.25), (0.0, 0.0)),
            (iris, (size, min(1.0, lid * 1.25) * size), (0.0, 0.0)),
            (iris * 0.2, (0.45 * size, 0.45 * size), (0.0, 0.0)),
            (np.full(3, rng.uniform(0.8, 1.0)), _glint(size, rng), rng.normal(0, 0.22, 2) * size),
        ):
            cover = _disc(height, width, middle + shift, axes)
            _mix(light, cover, colour.astype(np.float32), rng.uniform(0.8, 1.0), max(0.5, 0.06 * size))


def _eyes(height: int, width: int, size: float, rng: np.random.Generator) -> list[NDArray[np.float64]]:
    """Where one eye, or a pair of them, looks out; (row, column)."""
    first = rng.random(2) * [height, width]
    if rng.random() < 0.4:
        return [first]
    return [first, first + np.array([rng.normal(0, 0.4), rng.uniform(5, 7)]) * size]


def _glint(size: float, rng: np.random.Generator) -> tuple[float, float]:
    wide = max(0.6, size * rng.uniform(0.1, 0.3))
    return wide, wide * rng.uniform(0.6, 1.4)


def _disc(height: int, width: int, middle: NDArray[np.float64], axes: tuple[float, float]) -> NDArray[np.float32]:
    """An ellipse of half axes (across, down), anti-aliased; (H, W) float32 in 0..1."""
    cover = np.zeros((height, width), np.uint8)
    centre = (round(float(middle[1]) * 16), round(float(middle[0]) * 16))
    reach = (max(8, round(axes[0] * 16)), max(8, round(axes[1] * 16)))
    cv2.ellipse(cover, centre, reach, 0, 0, 360, 255, -1, cv2.LINE_AA, 4)
    return cover.astype(np.float32) / np.float32(255)


def window_bars(light: Light, rng: np.random.Generator) -> None:
    """The bars of a window or a fence against the light, in perspective; in place."""
    bars = _grid(light.shape[:2], int(rng.integers(2, 9)), int(rng.integers(0, 6)), rng.uniform(0.03, 0.14), rng)
    dark = rng.random() < 0.7
    colour = np.full(3, rng.uniform(0, 0.25) if dark else rng.uniform(0.75, 1.0), np.float32)
    _mix(light, bars, colour, rng.uniform(0.8, 1.0), rng.uniform(0.4, 1.6))


def court_lines(light: Light, rng: np.random.Generator) -> None:
    """White lines painted on the ground, seen at a slant and worn; in place."""
    lines = _grid(light.shape[:2], int(rng.integers(1, 4)), int(rng.integers(1, 4)), rng.uniform(0.01, 0.04), rng)
    # Paint on a rough ground takes on its light: keep some of what lies below.
    shade = 0.75 + 0.25 * light.mean(axis=2)
    colour = np.clip(rng.normal(0.92, 0.06), 0, 1) * np.array([1, 1, rng.choice([1.0, 0.4], p=[0.85, 0.15])])
    _mix(light, (lines * shade).astype(np.float32), colour.astype(np.float32), rng.uniform(0.6, 1.0),
         rng.uniform(0.4, 1.2))  # fmt: skip


def _grid(
    shape: tuple[int, ...], upright: int, level: int, thickness: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Bars of a share `thickness` of the gap, both ways, in perspective; (H, W) float32 in 0..1."""
    height, width = shape[:2]
    side = 512
    flat = np.zeros((side, side), np.uint8)
    for count, across in ((upright, True), (level, False)):
        for at in (np.arange(count) + rng.uniform(0.2, 0.8)) * side / max(count, 1):
            half = max(1.0, thickness * side / max(count, 2) / 2)
            first, last = round(float(at - half)), round(float(at + half))
            flat[:, max(0, first) : last + 1] |= np.uint8(255 * across)
            flat[max(0, first) : last + 1] |= np.uint8(255 * (not across))
    corners = np.array([[0, 0], [side, 0], [side, side], [0, side]], np.float32)
    reach = rng.uniform(0.4, 1.4, (4, 2)) * [[-1, -1], [1, -1], [1, 1], [-1, 1]]
    places = (0.5 + 0.5 * reach + rng.normal(0, 0.1, 2)) * [width, height]
    matrix = cv2.getPerspectiveTransform(corners, places.astype(np.float32))
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), float(rng.normal(0, 12)), 1.0)
    matrix = np.vstack([turn, [0, 0, 1]]) @ matrix
    placed = cv2.warpPerspective(flat, matrix, (width, height), flags=cv2.INTER_AREA)
    return placed.astype(np.float32) / np.float32(255)


def raindrops(light: Light, rng: np.random.Generator) -> None:
    """Drops on a pane or falling rain: each a small lens with a bright and a dark edge, or a streak; in place."""
    height, width = light.shape[:2]
    if rng.random() < 0.4:
        _rain(light, rng)
        return
    crowd = min(40.0, max(1.0, height * width / 65536))
    for _ in range(int(rng.integers(4, 40) * crowd)):
        radius = max(1.0, rng.lognormal(np.log(3.0), 0.6))
        row, column = rng.random(2) * [height, width]
        _drop(light, round(row), round(column), radius, rng.uniform(0.4, 1.0))


def _drop(light: Light, row: int, column: int, radius: float, strength: float) -> None:
    """One drop: the scene upside down in it, dark above, bright below; in place."""
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
    turned = window[::-1] + (shade + glint)[..., None].astype(np.float32)
    alpha = (inside * strength)[..., None].astype(np.float32)
    window += alpha * (np.clip(turned, 0, 1) - window)


def _rain(light: Light, rng: np.random.Generator) -> None:
    """Streaks of falling drops, all one way, of many depths; in place."""
    height, width = light.shape[:2]
    layer = np.zeros((height, width), np.float32)
    lean, length = rng.normal(0, 0.2), rng.uniform(6, 45)
    crowd = min(40.0, max(1.0, height * width / 65536))
    for _ in range(int(rng.integers(30, 250) * crowd)):
        row, column = rng.random(2) * [height, width]
        reach = length * rng.uniform(0.3, 1.2)
        ends = np.rint(np.array([[column, row], [column + lean * reach, row + reach]]) * 16).astype(np.int32)
        cv2.polylines(layer, [ends], False, rng.uniform(0.1, 0.8), 1, cv2.LINE_AA, 4)
    _mix(light, soften(layer, rng.uniform(0.4, 0.9)), np.ones(3, np.float32), rng.uniform(0.3, 0.8), 0)


def _colour(rng: np.random.Generator) -> NDArray[np.float32]:
    """Black, white or any colour."""
    choice = rng.random()
    if choice < 0.35:
        return np.full(3, rng.uniform(0, 0.2), np.float32)
    if choice < 0.7:
        return np.full(3, rng.uniform(0.8, 1), np.float32)
    return rng.random(3).astype(np.float32)


def _mix(light: Light, cover: NDArray[np.float32], colour: NDArray[np.float32], opacity: float, blur: float) -> None:
    """Paint `colour` where `cover` (H, W) says so, softened as the scene is; in place."""
    if blur > 0.25:
        cover = soften(cover, blur)
    alpha = (cover * np.float32(opacity))[..., None]
    light *= 1 - alpha
    light += alpha * colour


NIGHT = ("stars", "star-trails")
NEGATIVES: dict[str, Callable[[Light, np.random.Generator], None]] = {
    "lettering": lettering,
    "stars": stars,
    "star-trails": star_trails,
    "wires": wires,
    "highlights": highlights,
    "strands": strands,
    "stalks": stalks,
    "bristles": bristles,
    "frame-edge": frame_edge,
    "catchlights": catchlights,
    "window-bars": window_bars,
    "court-lines": court_lines,
    "raindrops": raindrops,
}
