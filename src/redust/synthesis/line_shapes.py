"""Shapes of long, thin damage: hairs, lint, scratches, cracks, mould threads, creases."""

from __future__ import annotations

import numpy as np

from redust.synthesis.painting import (
    Canvas,
    Coverage,
    Points,
    blur_coverage,
    fractal_noise,
    object_density,
    paint_fibres,
    paint_lines,
    random_path,
    smooth_noise,
    thin_unevenly,
)


def draw_short_hairs(canvas: Canvas, scale: float, rng: np.random.Generator) -> Coverage:
    """Fibres of 20 to 90 pixels at scale 1."""
    return _draw_fibres(
        canvas, scale, rng, count=1 + rng.poisson(1.5 * object_density(canvas) ** 0.8), lengths=(18, 90)
    )


def draw_long_hairs(canvas: Canvas, scale: float, rng: np.random.Generator) -> Coverage:
    """Long hairs, 90 to 420 pixels at scale 1, as arcs and loops."""
    return _draw_fibres(
        canvas, scale, rng, count=1 + rng.poisson(0.4 * object_density(canvas) ** 0.8), lengths=(90, 420)
    )


def draw_lint(canvas: Canvas, scale: float, rng: np.random.Generator) -> Coverage:
    """A knot of fibres with a common origin."""
    centre = rng.random(2) * canvas
    paths, widths = [], []
    for _ in range(int(rng.integers(3, 10))):
        start = centre + rng.normal(0, 10 * scale, 2)
        paths.append(random_path(start, scale * rng.uniform(30, 140), rng.uniform(0.2, 0.6), rng))
        widths.append(max(0.5, scale * rng.uniform(1.2, 4.0)))
    return blur_coverage(paint_fibres(canvas, paths, widths, rng), rng.uniform(0.2, 1.0) * scale)


def _draw_fibres(
    canvas: Canvas, scale: float, rng: np.random.Generator, count: int, lengths: tuple[float, float]
) -> Coverage:
    """`count` fibres whose lengths at scale 1 lie between two bounds."""
    paths, widths = [], []
    for _ in range(count):
        length = scale * rng.uniform(*lengths)
        paths.append(random_path(rng.random(2) * canvas, length, rng.uniform(0.05, 0.45), rng))
        widths.append(max(0.5, scale * rng.lognormal(np.log(4.2), 0.35) * 0.8))
    fibres = blur_coverage(paint_fibres(canvas, paths, widths, rng), rng.uniform(0.0, 1.0) * min(1.0, scale + 0.2))
    return thin_unevenly(fibres, 4 + 6 * scale, rng)


def draw_scratches(canvas: Canvas, scale: float, rng: np.random.Generator) -> Coverage:
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
    lines = blur_coverage(paint_lines(canvas, paths, widths, values), rng.uniform(0, 0.6))
    return _interrupt_lines(lines, rng.uniform(8, 60), rng) if rng.random() < 0.5 else lines


def draw_tramlines(canvas: Canvas, scale: float, rng: np.random.Generator) -> Coverage:
    """Straight base scratches along the travel of the film: thin, parallel, right across the frame."""
    upright = rng.random() < 0.7
    side = canvas[1] if upright else canvas[0]
    length = canvas[0] if upright else canvas[1]
    paths, widths, values = [], [], []
    first = rng.uniform(0, side)
    for number in range(int(rng.integers(1, 5))):
        offset = first if number == 0 else first + rng.normal(0, 30 * scale)
        lean = rng.normal(0, 0.004) * length
        begin, end = (0.0, 1.0) if rng.random() < 0.7 else np.sort(rng.random(2))
        sway = rng.normal(0, 0.3 * scale) * np.sin(np.linspace(0, rng.uniform(1, 6), 24))
        across = offset + lean * np.linspace(begin, end, 24) + sway
        along = np.linspace(begin, end, 24) * length
        path = np.stack([along, across] if upright else [across, along], 1)
        paths.append(path)
        widths.append(max(0.4, rng.lognormal(np.log(1.2), 0.45) * max(scale, 0.5)))
        values.append(rng.uniform(0.3, 1.0))
    lines = blur_coverage(paint_lines(canvas, paths, widths, values), rng.uniform(0, 0.4))
    return _interrupt_lines(lines, rng.uniform(20, 120), rng) if rng.random() < 0.4 else lines


def _interrupt_lines(lines: Coverage, cell: float, rng: np.random.Generator) -> Coverage:
    """Fade lines in and out over about `cell` pixels."""
    gate = np.clip(0.6 + smooth_noise(lines.shape[:2], cell, rng), 0, 1)
    faded: Coverage = (lines * gate).astype(np.float32)
    return faded


def draw_crack(canvas: Canvas, scale: float, rng: np.random.Generator) -> Coverage:
    """A branching, angular crack of the emulsion."""
    paths: list[Points] = []
    widths: list[float] = []
    width = max(0.6, scale * rng.uniform(1.0, 6.0))
    _grow_branch(rng.random(2) * canvas, rng.uniform(0, 2 * np.pi), max(canvas) * rng.uniform(0.3, 1.2), width, 0,
                paths, widths, rng)  # fmt: skip
    return blur_coverage(paint_lines(canvas, paths, widths), rng.uniform(0.1, 0.7))


def _grow_branch(
    start: Points, angle: float, length: float, width: float, depth: int,
    paths: list[Points], widths: list[float], rng: np.random.Generator,
) -> None:  # fmt: skip
    """Append a branch and its side branches to `paths` and `widths`."""
    steps = max(3, int(length / 9))
    # Mostly straight with a sharp kink now and then, as brittle layers break.
    kinks = np.where(rng.random(steps) < 0.3, rng.normal(0, 0.55, steps), rng.normal(0, 0.08, steps))
    turns = angle + np.cumsum(kinks)
    path = start + np.cumsum(np.stack([np.sin(turns), np.cos(turns)], 1) * length / steps, axis=0)
    paths.append(path)
    widths.append(width)
    for index in range(steps):
        if depth < 2 and rng.random() < 0.07:
            side = float(rng.choice([-1, 1])) * rng.uniform(0.5, 1.4)
            _grow_branch(path[index], turns[index] + side, length * rng.uniform(0.2, 0.6), width * 0.7, depth + 1,
                        paths, widths, rng)  # fmt: skip


def draw_mould(canvas: Canvas, scale: float, rng: np.random.Generator) -> Coverage:
    """Many thin threads that grow out of spores."""
    paths: list[Points] = []
    widths: list[float] = []
    for _ in range(int(rng.integers(1, 4) * object_density(canvas) ** 0.5)):
        centre = rng.random(2) * canvas
        reach = scale * rng.uniform(15, 60)
        for _ in range(int(rng.integers(6, 16))):
            paths.append(random_path(centre, reach * rng.uniform(0.4, 1.0), 0.25, rng))
            widths.append(max(0.5, scale * rng.uniform(0.6, 1.6)))
    return blur_coverage(paint_lines(canvas, paths, widths), 0.4 + 0.3 * scale)


def draw_crease(canvas: Canvas, scale: float, rng: np.random.Generator) -> Coverage:
    """A fold right across a print: a ragged line where the emulsion has flaked."""
    angle, middle = rng.uniform(0, np.pi), rng.random(2) * canvas
    reach = 1.5 * max(canvas)
    along = np.linspace(-0.5, 0.5, 80)[:, None] * reach * np.array([np.sin(angle), np.cos(angle)])
    bend = np.cumsum(rng.normal(0, 0.5 * scale, (80, 1)), axis=0) * np.array([np.cos(angle), -np.sin(angle)])
    path = middle + along + bend + rng.normal(0, 0.5 * scale, (80, 2))
    line = paint_lines(canvas, [path], [max(0.8, scale * rng.uniform(1.5, 9))])
    # Flakes of several sizes are missing along the fold; between them a hairline remains.
    flakes = line * np.clip(0.55 + 0.8 * fractal_noise(canvas, 6 + 14 * scale, rng), 0, 1)
    ridge = paint_lines(canvas, [path], [max(0.4, 0.8 * scale)]) * rng.uniform(0.2, 0.9)
    return blur_coverage(np.maximum(flakes, ridge).astype(np.float32), rng.uniform(0.2, 0.8))
