"""Hard negatives: night skies. Each function draws on light (H, W, 3) float32 in 0..1, in place."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Light
from redust.synthesis.painting import downsample_coverage, fractal_noise, smooth_noise


def draw_stars(light: Light, rng: np.random.Generator) -> None:
    """A night sky over the scene: stars of one point-spread function and very unequal brightness."""
    height, width = light.shape[:2]
    sky = _darken_to_night(light, rng)
    seeds = np.zeros((height, width), np.float32)
    count = int(np.exp(rng.uniform(np.log(900), np.log(9000))) * height * width / 262144) + 4
    rows, columns = rng.integers(0, height, count), rng.integers(0, width, count)
    seeds[rows, columns] = rng.pareto(1.2, count) + 0.05
    spread = rng.uniform(0.4, 1.6)
    glow = cv2.GaussianBlur(seeds, (0, 0), spread) * (2 * np.pi * spread**2)
    halo = cv2.GaussianBlur(seeds, (0, 0), spread * 4) * 2
    if rng.random() < 0.4:
        _add_nebula(light, sky, rng)
    _add_starlight(light, sky, glow * rng.uniform(0.15, 0.8) + halo * 0.3 + _draw_spikes(seeds, spread, rng), rng)


def _add_nebula(light: Light, sky: NDArray[np.float32], rng: np.random.Generator) -> None:
    """Bright and dark clouds of gas of two colours, with fine edges, where the sky is."""
    canvas = light.shape[0], light.shape[1]
    for _ in range(2):
        cloud = np.clip(fractal_noise(canvas, rng.uniform(30, 200), rng) + rng.uniform(-0.5, 0.7), 0, 2.5)
        tint = rng.random(3).astype(np.float32) * np.float32(rng.uniform(0.1, 0.45))
        light += (cloud * sky)[..., None] * tint
    dark = np.clip(1 - 0.5 * np.clip(fractal_noise(canvas, rng.uniform(20, 120), rng), 0, 2) * sky, 0.1, 1)
    light *= dark[..., None]
    np.clip(light, 0, 1, out=light)


def _draw_spikes(seeds: NDArray[np.float32], spread: float, rng: np.random.Generator) -> NDArray[np.float32]:
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


def draw_star_trails(light: Light, rng: np.random.Generator) -> None:
    """A long exposure of the night sky: arcs of equal angle about a pole."""
    height, width = light.shape[:2]
    sky = _darken_to_night(light, rng)
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
    trails = downsample_coverage(layer, (height, width))
    _add_starlight(light, sky, trails * rng.uniform(0.5, 1.2), rng)


def draw_star_field(light: Light, rng: np.random.Generator) -> None:
    """A deep-sky photograph: stars of one Moffat profile and of many colours, galaxies, clouds of gas, sensor noise.

    The profile is that of A. F. J. Moffat, Astronomy and Astrophysics 3, 1969, 455: the long wings of real stars.
    """
    sky = _darken_to_night(light, rng) if rng.random() < 0.4 else _paint_plain_sky(light, rng)
    if rng.random() < 0.4:
        _add_nebula(light, sky, rng)
    light += cv2.filter2D(_scatter_stars(sky.shape, rng), -1, _moffat_profile(rng)) * sky[..., None]
    if rng.random() < 0.5:
        light += _draw_galaxies((sky.shape[0], sky.shape[1]), rng) * sky[..., None]
    light += rng.normal(0, rng.uniform(0, 0.025), light.shape).astype(np.float32)
    np.clip(light, 0, 1, out=light)


def _paint_plain_sky(light: Light, rng: np.random.Generator) -> NDArray[np.float32]:
    """Paint a dark ground with an uneven glow over the scene, in place; returns where the sky is: all of (H, W)."""
    canvas = light.shape[0], light.shape[1]
    glow = 1 + 0.5 * smooth_noise(canvas, rng.uniform(60, 300), rng)
    light[:] = np.clip(glow, 0, 2)[..., None] * rng.random(3) * rng.uniform(0, 0.2)
    return np.ones(canvas, np.float32)


def _scatter_stars(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """The peak light of each star in its pixel, (H, W, 3): few bright ones, many faint ones."""
    count = int(np.exp(rng.uniform(np.log(15), np.log(6000))) * shape[0] * shape[1] / 262144) + 3
    peaks = np.exp(rng.uniform(np.log(0.02), np.log(0.3))) * (1 + rng.pareto(rng.uniform(0.6, 1.6), count))
    warmth = rng.normal(0, rng.uniform(0, 0.25), (count, 1)) * [1, 0, -1]
    stars = np.zeros((shape[0], shape[1], 3), np.float32)
    stars[rng.integers(0, shape[0], count), rng.integers(0, shape[1], count)] = np.clip(
        np.minimum(peaks, 6)[:, None] * (1 + warmth), 0, None
    )
    return stars


def _moffat_profile(rng: np.random.Generator) -> NDArray[np.float32]:
    """A point-spread function of 1 to 4.5 pixels at half its peak of 1, its centre anywhere in a pixel."""
    width, power = np.exp(rng.uniform(np.log(1.0), np.log(4.5))), rng.uniform(2.0, 5.0)
    reach = int(np.ceil(4 * width))
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1] - rng.uniform(-0.5, 0.5, (2, 1, 1))
    scale = width / (2 * np.sqrt(2 ** (1 / power) - 1))
    profile: NDArray[np.float32] = ((1 + (rows**2 + columns**2) / scale**2) ** -power).astype(np.float32)
    return profile


def _draw_galaxies(canvas: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float32]:
    """Tilted discs whose light falls exponentially from the middle, (H, W, 3)."""
    rows, columns = np.indices(canvas, dtype=np.float32)
    galaxies = np.zeros((*canvas, 3), np.float32)
    for _ in range(int(rng.integers(1, 7))):
        turn, length, flat = rng.uniform(0, np.pi), np.exp(rng.uniform(np.log(1.0), np.log(16))), rng.uniform(0.2, 1)
        down, across = rows - rng.uniform(0, canvas[0]), columns - rng.uniform(0, canvas[1])
        along = across * np.cos(turn) + down * np.sin(turn)
        beside = (down * np.cos(turn) - across * np.sin(turn)) / flat
        tint = rng.uniform(0.05, 0.8) * rng.uniform(0.7, 1.0, 3).astype(np.float32)
        galaxies += np.exp(-np.hypot(along, beside) / np.float32(length)).astype(np.float32)[..., None] * tint
    return galaxies


def _darken_to_night(light: Light, rng: np.random.Generator) -> NDArray[np.float32]:
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


def _add_starlight(light: Light, sky: NDArray[np.float32], glow: NDArray[np.float32], rng: np.random.Generator) -> None:
    """Add starlight of slightly varying colour where the sky is."""
    height, width = light.shape[:2]
    tint = np.clip(rng.normal(1, 0.12, 3), 0.6, 1.3).astype(np.float32)
    tints = 1 + np.stack([0.25 * smooth_noise((height, width), 6, rng) * weight for weight in (1, 0.2, -1)], axis=2)
    light += (np.clip(glow, 0, 1) * sky)[..., None] * tint * np.clip(tints, 0.5, 1.5)
    np.clip(light, 0, 1, out=light)
