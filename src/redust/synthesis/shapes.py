"""Procedural damage: where it lies and how much light it hides, from random numbers alone.

Every function takes the canvas (height, width), the `scale` in pixels per 7 micrometres (1 = a 35 mm frame at
about 3,500 dpi; sizes follow the census of 12,135 artefacts) and a random generator, and returns the
coverage: (H, W) float32 in 0..1, where 1 hides the light completely. Rims are soft.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Coverage = NDArray[np.float32]
Canvas = tuple[int, int]
Shape = Callable[[Canvas, float, np.random.Generator], Coverage]

_FINE = 4  # supersampling: a line of 0.7 pixels needs it


def smooth_noise(canvas: Canvas, cell: float, rng: np.random.Generator) -> Coverage:
    """Noise (H, W) float32 of mean 0 and deviation about 1 that varies over about `cell` pixels."""
    rows, columns = (max(2, round(side / max(cell, 1.0)) + 1) for side in canvas)
    coarse = rng.standard_normal((rows, columns)).astype(np.float32)
    fine: Coverage = cv2.resize(coarse, (canvas[1], canvas[0]), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    return fine


def cloud_noise(canvas: Canvas, cell: float, rng: np.random.Generator) -> Coverage:
    """Like :func:`smooth_noise`, with finer and weaker noise on top: no lattice is to be seen in it."""
    total, weight = np.zeros(canvas, np.float32), 1.0
    for _ in range(4):
        # A random turn by half a cell, so that the octaves' lattices do not fall together.
        octave = smooth_noise((canvas[0] + round(cell), canvas[1] + round(cell)), cell, rng)
        row, column = (int(rng.integers(round(cell) + 1)) for _ in range(2))
        total += np.float32(weight) * octave[row : row + canvas[0], column : column + canvas[1]]
        cell, weight = cell * 0.45, weight * 0.55
        if cell < 1.5:
            break
    return total


def crowd(canvas: Canvas) -> float:
    """How many times more objects than on 256 x 256 pixels belong on this canvas, 1..40."""
    return float(np.clip(canvas[0] * canvas[1] / 65536, 1, 40))


def soften(coverage: Coverage, sigma: float) -> Coverage:
    """Blur by `sigma` pixels, as a lens and the distance from the focal plane do."""
    return coverage if sigma < 0.2 else cv2.GaussianBlur(coverage, (0, 0), sigma).astype(np.float32)


def _places(canvas: Canvas, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """`count` points (row, column), clustered around a few centres as real dust is."""
    if count == 0:
        return np.zeros((0, 2))
    centres = rng.random((max(1, count // 6), 2)) * canvas
    near = centres[rng.integers(len(centres), size=count)] + rng.normal(0, 0.12 * min(canvas), (count, 2))
    loose = rng.random((count, 2)) * canvas
    return np.where(rng.random((count, 1)) < 0.4, near, loose)


def _paint_lines(
    canvas: Canvas, paths: list[NDArray[np.float64]], widths: list[float], values: list[float] | None = None
) -> Coverage:
    """Paint polylines of (row, column) points, each of its own width in pixels, anti-aliased."""
    drawn = _fine(canvas)
    for index, (path, width) in enumerate(zip(paths, widths, strict=True)):
        points = np.rint(path[:, ::-1] * _FINE).astype(np.int32)
        value = 255 if values is None else round(255 * values[index])
        cv2.polylines(drawn, [points], False, value, max(1, round(width * _FINE)))
    return _shrink(drawn, canvas)


def _paint_fibres(
    canvas: Canvas, paths: list[NDArray[np.float64]], widths: list[float], rng: np.random.Generator
) -> Coverage:
    """Paint paths whose width wavers by a fifth and tapers at the ends, as fibres do."""
    drawn = _fine(canvas)
    for path, width in zip(paths, widths, strict=True):
        points = np.rint(path[:, ::-1] * _FINE).astype(np.int32)
        knots = rng.normal(1.0, 0.12, 6)
        wavering = width * np.interp(np.linspace(0, 5, len(points) - 1), np.arange(6), knots)
        along = np.linspace(0, 1, len(wavering))
        ends = np.minimum(1, 0.65 + 5 * np.minimum(along, 1 - along))
        for index, thick in enumerate(wavering * ends):
            cv2.line(drawn, points[index], points[index + 1], 255, max(1, round(thick * _FINE)))
    return _shrink(drawn, canvas)


def _fine(canvas: Canvas) -> NDArray[np.uint8]:
    """An empty canvas, finer than the picture."""
    return np.zeros((canvas[0] * _FINE, canvas[1] * _FINE), np.uint8)


def _shrink(drawn: NDArray[np.uint8], canvas: Canvas) -> Coverage:
    """What was drawn on the fine canvas, as a coverage."""
    small = cv2.resize(drawn, (canvas[1], canvas[0]), interpolation=cv2.INTER_AREA)
    return small.astype(np.float32) / np.float32(255)


def _uneven(coverage: Coverage, cell: float, rng: np.random.Generator) -> Coverage:
    """Let a coverage be thinner here and there by up to a half: no speck is of one grey."""
    thin = np.clip(0.92 + 0.22 * smooth_noise(coverage.shape[:2], cell, rng), 0.5, 1)
    uneven: Coverage = coverage * thin.astype(np.float32)
    return uneven


def _wander(start: NDArray[np.float64], length: float, bend: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """A path of about `length` pixels whose direction drifts by `bend` radians per tenth of it."""
    steps = max(4, int(length / 3))
    drift = rng.normal(0, bend * np.sqrt(10 / steps), steps)
    # A constant curl on top: hairs are arcs more often than random walks.
    angle = rng.uniform(0, 2 * np.pi) + np.cumsum(drift + rng.normal(0, bend * 3 / steps))
    stride = length / steps
    return start + np.cumsum(np.stack([np.sin(angle), np.cos(angle)], 1) * stride, axis=0)


def dust(canvas: Canvas, scale: float, rng: np.random.Generator) -> Coverage:
    """Specks of 40 to 130 square pixels at scale 1, irregular, clustered."""
    area_share = canvas[0] * canvas[1] / 65536 / max(scale, 0.3)
    count = 1 + rng.poisson(rng.uniform(1, 14) * min(area_share, 40))
    drawn = _fine(canvas)
    for row, column in _places(canvas, count, rng):
        radius = max(0.45, scale * rng.lognormal(np.log(3.6), 0.35) * 0.7)
        if rng.random() < 0.1:  # chips and flakes of emulsion
            radius *= rng.uniform(2.0, 5.0)
        _blot(drawn, row, column, radius, rng)
    specks = soften(_shrink(drawn, canvas), rng.uniform(0.0, 1.3) * min(1.0, scale + 0.3))
    return _uneven(specks, 1.5 + 2 * scale, rng)


def _blot(drawn: NDArray[np.uint8], row: float, column: float, radius: float, rng: np.random.Generator) -> None:
    """Fill one irregular, often elongated outline."""
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
    outline = np.stack([column + across, row + down], 1) * _FINE
    cv2.fillPoly(drawn, [np.rint(outline).astype(np.int32)], 255)


def dirt(canvas: Canvas, scale: float, rng: np.random.Generator) -> Coverage:
    """Crumbs: several specks stuck together, 56 to 400 square pixels at scale 1."""
    count = 1 + rng.poisson(rng.uniform(0.5, 4) * min(canvas[0] * canvas[1] / 65536, 40))
    drawn = _fine(canvas)
    for row, column in _places(canvas, count, rng):
        radius = max(0.6, scale * rng.lognormal(np.log(5.0), 0.4) * 0.7)
        for _ in range(int(rng.integers(1, 6))):
            step = rng.normal(0, radius, 2)
            _blot(drawn, row + step[0], column + step[1], radius * rng.uniform(0.4, 1.0), rng)
    crumbs = soften(_shrink(drawn, canvas), rng.uniform(0.2, 1.2) * min(1.0, scale + 0.2))
    return _uneven(crumbs, 2 + 3 * scale, rng)


def hair_short(canvas: Canvas, scale: float, rng: np.random.Generator) -> Coverage:
    """Fibres of 20 to 90 pixels at scale 1."""
    return _hairs(canvas, scale, rng, count=1 + rng.poisson(1.5 * crowd(canvas) ** 0.8), lengths=(18, 90))


def hair(canvas: Canvas, scale: float, rng: np.random.Generator) -> Coverage:
    """Long hairs, 90 to 420 pixels at scale 1, as arcs and loops."""
    return _hairs(canvas, scale, rng, count=1 + rng.poisson(0.4 * crowd(canvas) ** 0.8), lengths=(90, 420))


def lint(canvas: Canvas, scale: float, rng: np.random.Generator) -> Coverage:
    """A knot of fibres that start at one place."""
    centre = rng.random(2) * canvas
    paths, widths = [], []
    for _ in range(int(rng.integers(3, 10))):
        start = centre + rng.normal(0, 10 * scale, 2)
        paths.append(_wander(start, scale * rng.uniform(30, 140), rng.uniform(0.2, 0.6), rng))
        widths.append(max(0.5, scale * rng.uniform(1.2, 4.0)))
    return soften(_paint_fibres(canvas, paths, widths, rng), rng.uniform(0.2, 1.0) * scale)


def _hairs(
    canvas: Canvas, scale: float, rng: np.random.Generator, count: int, lengths: tuple[float, float]
) -> Coverage:
    paths, widths = [], []
    for _ in range(count):
        length = scale * rng.uniform(*lengths)
        paths.append(_wander(rng.random(2) * canvas, length, rng.uniform(0.05, 0.45), rng))
        widths.append(max(0.5, scale * rng.lognormal(np.log(4.2), 0.35) * 0.8))
    fibres = soften(_paint_fibres(canvas, paths, widths, rng), rng.uniform(0.0, 1.0) * min(1.0, scale + 0.2))
    return _uneven(fibres, 4 + 6 * scale, rng)


def scratch(canvas: Canvas, scale: float, rng: np.random.Generator) -> Coverage:
    """A few oblique scratches of any length, tapering and interrupted."""
    paths, widths, values = [], [], []
    angle = rng.uniform(0, np.pi)
    for _ in range(int(rng.integers(1, 6))):
        length = rng.uniform(0.1, 1.4) * max(canvas)
        turn = angle + rng.normal(0, 0.15)
        start = rng.random(2) * canvas
        along = np.linspace(-0.5, 0.5, 12)[:, None] * length * np.array([np.sin(turn), np.cos(turn)])
        bow = rng.normal(0, 0.01) * length * np.cos(np.linspace(-1.5, 1.5, 12))
        paths.append(start + along + bow[:, None] * np.array([np.cos(turn), -np.sin(turn)]))
        widths.append(max(0.4, scale * rng.lognormal(np.log(2.2), 0.6)))
        values.append(rng.uniform(0.4, 1.0))
    lines = soften(_paint_lines(canvas, paths, widths, values), rng.uniform(0, 0.6))
    return _interrupt(lines, rng.uniform(8, 60), rng) if rng.random() < 0.5 else lines


def tramline(canvas: Canvas, scale: float, rng: np.random.Generator) -> Coverage:
    """Straight base scratches along the travel of the film: thin, parallel, right across the frame."""
    upright = rng.random() < 0.7
    side = canvas[1] if upright else canvas[0]
    length = canvas[0] if upright else canvas[1]
    paths, widths, values = [], [], []
    first = rng.uniform(0, side)
    for number in range(int(rng.integers(1, 5))):
        at = first if number == 0 else first + rng.normal(0, 30 * scale)
        lean = rng.normal(0, 0.004) * length
        begin, end = (0.0, 1.0) if rng.random() < 0.7 else np.sort(rng.random(2))
        sway = rng.normal(0, 0.3 * scale) * np.sin(np.linspace(0, rng.uniform(1, 6), 24))
        across = at + lean * np.linspace(begin, end, 24) + sway
        along = np.linspace(begin, end, 24) * length
        path = np.stack([along, across] if upright else [across, along], 1)
        paths.append(path)
        widths.append(max(0.4, rng.lognormal(np.log(1.2), 0.45) * max(scale, 0.5)))
        values.append(rng.uniform(0.3, 1.0))
    lines = soften(_paint_lines(canvas, paths, widths, values), rng.uniform(0, 0.4))
    return _interrupt(lines, rng.uniform(20, 120), rng) if rng.random() < 0.4 else lines


def _interrupt(lines: Coverage, cell: float, rng: np.random.Generator) -> Coverage:
    """Let lines fade in and out over about `cell` pixels."""
    gate = np.clip(0.6 + smooth_noise(lines.shape[:2], cell, rng), 0, 1)
    faded: Coverage = (lines * gate).astype(np.float32)
    return faded


def crack(canvas: Canvas, scale: float, rng: np.random.Generator) -> Coverage:
    """A branching, angular crack of the emulsion."""
    paths: list[NDArray[np.float64]] = []
    widths: list[float] = []
    width = max(0.6, scale * rng.uniform(1.0, 6.0))
    _grow_crack(rng.random(2) * canvas, rng.uniform(0, 2 * np.pi), max(canvas) * rng.uniform(0.3, 1.2), width, 0,
                paths, widths, rng)  # fmt: skip
    return soften(_paint_lines(canvas, paths, widths), rng.uniform(0.1, 0.7))


def _grow_crack(
    start: NDArray[np.float64], angle: float, length: float, width: float, depth: int,
    paths: list[NDArray[np.float64]], widths: list[float], rng: np.random.Generator,
) -> None:  # fmt: skip
    """Add one branch, and the branches that leave it."""
    steps = max(3, int(length / 9))
    # Mostly straight with a sharp kink now and then: brittle layers break so.
    kinks = np.where(rng.random(steps) < 0.3, rng.normal(0, 0.55, steps), rng.normal(0, 0.08, steps))
    turns = angle + np.cumsum(kinks)
    path = start + np.cumsum(np.stack([np.sin(turns), np.cos(turns)], 1) * length / steps, axis=0)
    paths.append(path)
    widths.append(width)
    for index in range(steps):
        if depth < 2 and rng.random() < 0.07:
            side = float(rng.choice([-1, 1])) * rng.uniform(0.5, 1.4)
            _grow_crack(path[index], turns[index] + side, length * rng.uniform(0.2, 0.6), width * 0.7, depth + 1,
                        paths, widths, rng)  # fmt: skip


def sprinkle(canvas: Canvas, scale: float, rng: np.random.Generator) -> Coverage:
    """A patch of very small pinholes."""
    density = np.clip(smooth_noise(canvas, 0.35 * min(canvas), rng) - rng.uniform(0.2, 1.2), 0, None)
    chance = density * 0.012 / max(scale, 0.3)
    seeds = (rng.random(canvas) < chance).astype(np.float32)
    size = max(0.55, scale * rng.uniform(0.5, 1.4))
    spread = cv2.GaussianBlur(seeds, (0, 0), size)
    holes: Coverage = np.clip(spread * (2 * np.pi * size**2) * 1.6 - 0.3, 0, 1).astype(np.float32)
    return holes


def spot(canvas: Canvas, scale: float, rng: np.random.Generator) -> Coverage:
    """A few round spots without a sharp rim, 5 to 28 pixels across at scale 1: bubbles, dust far out of focus."""
    count = 1 + rng.poisson(rng.uniform(0.5, 3) * crowd(canvas))
    rows, columns = np.ogrid[: canvas[0], : canvas[1]]
    covered = np.zeros(canvas, np.float32)
    for row, column in _places(canvas, count, rng):
        radius = max(1.5, scale * rng.lognormal(np.log(5.0), 0.45))
        turn, stretch = rng.uniform(0, np.pi), rng.uniform(0.7, 1.0)
        down, across = rows - row, columns - column
        along = (down * np.sin(turn) + across * np.cos(turn)) * stretch
        distance = np.hypot(along, down * np.cos(turn) - across * np.sin(turn)) / radius
        # From a bell to a disc with a soft rim.
        profile = np.exp(-(distance ** rng.uniform(2, 7)))
        covered = np.maximum(covered, (profile * rng.uniform(0.5, 1.0)).astype(np.float32))
    return _uneven(covered, 3 + 4 * scale, rng)


def stain(canvas: Canvas, scale: float, rng: np.random.Generator) -> Coverage:
    """A blotch of 10 to 150 pixels with an uneven inside and often a darker edge (drying mark)."""
    radius = min(scale * rng.uniform(10, 110), 0.6 * max(canvas))
    row, column = rng.random(2) * canvas
    rows, columns = np.ogrid[: canvas[0], : canvas[1]]
    distance = np.hypot(rows - row, (columns - column) * rng.uniform(0.6, 1.6)).astype(np.float32)
    edge = radius * (1 + 0.25 * smooth_noise(canvas, radius * 0.7, rng) + 0.04 * cloud_noise(canvas, 8, rng))
    inside = np.clip((edge - distance) / rng.uniform(1.0, 5.0), 0, 1)
    if rng.random() < 0.5:
        rim = np.exp(-(((edge - distance) / max(1.5, radius * 0.08)) ** 2))
        inside = np.clip(inside * rng.uniform(0.0, 0.5) + rim, 0, 1)
    texture = np.clip(0.85 + 0.15 * cloud_noise(canvas, radius * 0.4, rng), 0.35, 1)
    blotch: Coverage = (inside * texture).astype(np.float32)
    return blotch


def coffee_ring(canvas: Canvas, scale: float, rng: np.random.Generator) -> Coverage:
    """The ring a drop or a cup leaves when it dries: dark at the edge, faint inside, open here and there."""
    radius = min(scale * rng.uniform(25, 160), 0.6 * max(canvas))
    row, column = rng.random(2) * canvas
    rows, columns = np.ogrid[: canvas[0], : canvas[1]]
    distance = np.hypot(rows - row, (columns - column) * rng.uniform(0.85, 1.18)).astype(np.float32)
    distance = distance + 0.05 * radius * smooth_noise(canvas, radius, rng) + 0.4 * cloud_noise(canvas, 6, rng)
    width = max(1.2, radius * rng.uniform(0.03, 0.12))
    outer = np.clip((radius - distance) / max(0.8, 0.25 * width), 0, 1)
    rim = np.exp(-np.clip(radius - distance, 0, None) / width)
    worn = np.clip(0.95 + 0.4 * smooth_noise(canvas, radius * 0.6, rng), 0.1, 1)
    ring: Coverage = (outer * np.maximum(rim * worn, 0.05)).clip(0, 1).astype(np.float32)
    return ring


def mould(canvas: Canvas, scale: float, rng: np.random.Generator) -> Coverage:
    """Threads that branch out of a spore, thin and many."""
    paths: list[NDArray[np.float64]] = []
    widths: list[float] = []
    for _ in range(int(rng.integers(1, 4) * crowd(canvas) ** 0.5)):
        centre = rng.random(2) * canvas
        reach = scale * rng.uniform(15, 60)
        for _ in range(int(rng.integers(6, 16))):
            paths.append(_wander(centre, reach * rng.uniform(0.4, 1.0), 0.25, rng))
            widths.append(max(0.5, scale * rng.uniform(0.6, 1.6)))
    return soften(_paint_lines(canvas, paths, widths), 0.4 + 0.3 * scale)


def crease(canvas: Canvas, scale: float, rng: np.random.Generator) -> Coverage:
    """A fold right across a print: a ragged line where the emulsion has flaked."""
    angle, middle = rng.uniform(0, np.pi), rng.random(2) * canvas
    reach = 1.5 * max(canvas)
    along = np.linspace(-0.5, 0.5, 80)[:, None] * reach * np.array([np.sin(angle), np.cos(angle)])
    bend = np.cumsum(rng.normal(0, 0.5 * scale, (80, 1)), axis=0) * np.array([np.cos(angle), -np.sin(angle)])
    path = middle + along + bend + rng.normal(0, 0.5 * scale, (80, 2))
    line = _paint_lines(canvas, [path], [max(0.8, scale * rng.uniform(1.5, 9))])
    # Flakes of several sizes are gone from the ridge; between them a hairline remains.
    flakes = line * np.clip(0.55 + 0.8 * cloud_noise(canvas, 6 + 14 * scale, rng), 0, 1)
    ridge = _paint_lines(canvas, [path], [max(0.4, 0.8 * scale)]) * rng.uniform(0.2, 0.9)
    return soften(np.maximum(flakes, ridge).astype(np.float32), rng.uniform(0.2, 0.8))


def missing(canvas: Canvas, scale: float, rng: np.random.Generator) -> Coverage:
    """A torn corner or a missing piece with a sharp, ragged rim."""
    corner = np.array([rng.choice([0.0, canvas[0]]), rng.choice([0.0, canvas[1]])])
    if rng.random() < 0.5:
        corner = rng.random(2) * canvas
    radius = min(scale * rng.uniform(12, 120), 0.45 * max(canvas))
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    ragged = radius * np.clip(1 + 0.3 * np.interp(angle, np.linspace(0, 2 * np.pi, 9), _ring(8, rng)), 0.2, 2)
    ragged *= 1 + rng.normal(0, 0.03, 64)
    outline = corner[::-1] + np.stack([np.cos(angle), np.sin(angle)], 1) * ragged[:, None]
    drawn = np.zeros(canvas, np.uint8)
    cv2.fillPoly(drawn, [np.rint(outline * 8).astype(np.int32)], 255, cv2.LINE_AA, 3)
    return soften(drawn.astype(np.float32) / np.float32(255), rng.uniform(0.0, 0.7))


def _ring(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Random values whose last equals the first, for closed outlines."""
    values = rng.standard_normal(count)
    return np.append(values, values[0])


def fingerprint(canvas: Canvas, scale: float, rng: np.random.Generator) -> Coverage:
    """Ridges of a finger: wavy rings about 12 pixels apart at scale 1, inside an oval."""
    row, column = rng.random(2) * canvas
    rows, columns = np.ogrid[: canvas[0], : canvas[1]]
    down, across = (rows - row).astype(np.float32), (columns - column).astype(np.float32)
    reach = max(24.0, scale * rng.uniform(60, 160))
    swirl = np.hypot(down * rng.uniform(0.6, 1.0), across) + 6 * scale * smooth_noise(canvas, reach / 3, rng)
    ridges = np.clip(np.sin(swirl * 2 * np.pi / max(4.0, 12 * scale)) * 1.5, 0, 1)
    oval = np.clip(1.2 - np.hypot(down / reach, across / (0.7 * reach)), 0, 1)
    worn = np.clip(0.55 + 0.5 * cloud_noise(canvas, 16 * max(scale, 0.4), rng), 0, 1)
    marks: Coverage = (ridges * np.minimum(oval * 3, 1) * worn).astype(np.float32)
    return marks


def light_leak(canvas: Canvas, scale: float, rng: np.random.Generator) -> Coverage:
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


SHAPES: dict[str, Shape] = {
    "dust": dust,
    "dirt": dirt,
    "hair-short": hair_short,
    "hair": hair,
    "lint": lint,
    "scratch": scratch,
    "tramline": tramline,
    "crack": crack,
    "sprinkle": sprinkle,
    "spot": spot,
    "stain": stain,
    "coffee-ring": coffee_ring,
    "mould": mould,
    "crease": crease,
    "missing": missing,
    "fingerprint": fingerprint,
    "light-leak": light_leak,
}
