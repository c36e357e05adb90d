"""Hard negatives: things of the scene that look like damage and are not. They are drawn before the damage."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Light
from redust.training.synthesis.shapes import smooth_noise, soften

_FACES = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_PLAIN,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_SCRIPT_SIMPLEX,
    cv2.FONT_HERSHEY_SCRIPT_COMPLEX,
)
_LETTERS = np.array(list("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.,:;!?-'&/ "))


def lettering(light: Light, rng: np.random.Generator) -> None:
    """Lines of text of any size, face, colour and perspective, in place; `light` is (H, W, 3) in 0..1."""
    height, width = light.shape[:2]
    layer = np.zeros((height, width), np.uint8)
    size = float(np.exp(rng.uniform(np.log(0.25), np.log(3.0))))
    face, weight = int(rng.choice(_FACES)), max(1, round(size * rng.uniform(0.6, 3.0)))
    for line in range(int(rng.integers(1, 9))):
        text = "".join(rng.choice(_LETTERS, int(rng.integers(3, 30))))
        row = round(rng.uniform(0, 0.2) * height + (line + 1) * 32 * size)
        cv2.putText(layer, text, (int(rng.integers(-40, width // 3)), row), face, size, 255, weight, cv2.LINE_AA)
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    moved = corners + rng.normal(0, 0.10 * width, (4, 2)).astype(np.float32)
    tilted = cv2.warpPerspective(layer, cv2.getPerspectiveTransform(corners, moved), (width, height))
    _mix(light, tilted.astype(np.float32) / np.float32(255), _colour(rng), rng.uniform(0.5, 1.0), rng.uniform(0.0, 1.0))


def stars(light: Light, rng: np.random.Generator) -> None:
    """A night sky over the scene: points of one point-spread function, very unequal brightness; in place."""
    height, width = light.shape[:2]
    sky = _night(light, rng)
    seeds = np.zeros((height, width), np.float32)
    count = int(np.exp(rng.uniform(np.log(200), np.log(6000))) * height * width / 262144) + 4
    rows, columns = rng.integers(0, height, count), rng.integers(0, width, count)
    seeds[rows, columns] = rng.pareto(1.2, count) + 0.05
    spread = rng.uniform(0.4, 1.6)
    glow = cv2.GaussianBlur(seeds, (0, 0), spread) * (2 * np.pi * spread**2)
    halo = cv2.GaussianBlur(seeds, (0, 0), spread * 4) * 2
    _shine(light, sky, glow * rng.uniform(0.15, 0.8) + halo * 0.3, rng)


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
    """Wires, mullions, court lines: lines of the scene, blurred with it, ending at things; in place."""
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


NEGATIVES: dict[str, Callable[[Light, np.random.Generator], None]] = {
    "lettering": lettering,
    "stars": stars,
    "star-trails": star_trails,
    "wires": wires,
    "highlights": highlights,
    "strands": strands,
}
