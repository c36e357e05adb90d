"""The shipped weights find damage and the default restoration repairs it: least values on a few drawn pictures."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np

import redust

SIDE = 320
SEEDS = (1, 3, 4, 5)
LEAST_F1 = 0.85
LEAST_GAIN = 10.0  # dB of PSNR where damage was drawn
MOST_FALSE = 1e-4  # share of an undamaged picture

Array = np.ndarray[Any, Any]
DISC = np.hypot(*np.mgrid[-2:3, -2:3]) <= 2.0  # what a mark may be off by, in pixels


@dataclass(frozen=True, eq=False)
class Sample:
    """A picture before and after damage was drawn on it; (H, W, 3) uint8 and (H, W) bool."""

    sound: Array
    damaged: Array
    mask: Array


@cache
def draw_sample(seed: int) -> Sample:
    """A landscape of noise at all scales, with shapes and grain; then specks, hairs and scratches."""
    random = np.random.default_rng(seed)
    light = draw_landscape(random)
    coverage = draw_damage(random)
    polarity = float(random.choice([0.02, 0.97]))
    damaged = light * (1 - coverage[..., None]) + polarity * coverage[..., None]
    return Sample(to_bytes(light), to_bytes(damaged), coverage > 0.3)


def draw_landscape(random: np.random.Generator) -> Array:
    light = np.full((SIDE, SIDE, 3), 0.45)
    for step in range(1, 6):
        noise = random.normal(0, 0.09 / step, (2**step + 2, 2**step + 2, 3))
        light += cv2.resize(noise, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    for _ in range(4):
        centre, axes = random.integers(0, SIDE, 2), random.integers(50, 120, 2)
        colour = random.uniform(0.2, 0.7, 3)
        turn = float(random.uniform(0, 180))
        cv2.ellipse(light, tuple(map(int, centre)), tuple(map(int, axes)), turn, 0, 360, colour, -1)
    light = cv2.GaussianBlur(light, (0, 0), 2.0) + random.normal(0, 0.012, light.shape)
    return np.asarray(light.clip(0.1, 0.85))


def draw_damage(random: np.random.Generator) -> Array:
    """How much of each pixel is covered, 0..1."""
    coverage = np.zeros((SIDE, SIDE), np.uint8)
    for _ in range(15):
        centre, axes = random.integers(4, SIDE - 4, 2), random.integers(1, 4, 2)
        cv2.ellipse(coverage, tuple(map(int, centre)), tuple(map(int, axes)), 30.0, 0, 360, 255, -1, cv2.LINE_AA)
    for bend in (60.0, 4.0):  # hairs, then scratches
        for _ in range(2):
            start, angle = random.uniform(40, SIDE - 40, 2), random.uniform(0, 2 * np.pi)
            along = np.linspace(0, 1, 30)[:, None]
            line = start + 100 * along * [np.cos(angle), np.sin(angle)]
            line += bend * (along - along**2) * [-np.sin(angle), np.cos(angle)]
            cv2.polylines(coverage, [np.rint(line).astype(np.int32)], False, 255, 1, cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(coverage, (0, 0), 0.5) / 255.0)


def to_bytes(light: Array) -> Array:
    return np.rint(light * 255).clip(0, 255).astype(np.uint8)


def dilate(mask: Array) -> Array:
    return cv2.dilate(mask.astype(np.uint8), DISC.astype(np.uint8)) > 0


def psnr(first: Array, second: Array, mask: Array) -> float:
    error = np.mean((first[mask].astype(float) - second[mask]) ** 2)
    return float(10 * np.log10(255**2 / error))


def test_the_shipped_detector_finds_what_is_drawn() -> None:
    precise = marked = recalled = true = 0
    for seed in SEEDS:
        sample = draw_sample(seed)
        mask = redust.detect(sample.damaged, grow=0)
        precise, marked = precise + np.count_nonzero(mask & dilate(sample.mask)), marked + np.count_nonzero(mask)
        recalled, true = recalled + np.count_nonzero(sample.mask & dilate(mask)), true + np.count_nonzero(sample.mask)
    assert marked > 0
    precision, recall = precise / marked, recalled / true
    assert 2 * precision * recall / (precision + recall) >= LEAST_F1, (precision, recall)


def test_the_default_restoration_is_nearer_to_the_sound_picture() -> None:
    gains = []
    for seed in SEEDS[:2]:
        sample = draw_sample(seed)
        restored = redust.restore(sample.damaged)
        area = dilate(sample.mask)
        gains.append(psnr(restored, sample.sound, area) - psnr(sample.damaged, sample.sound, area))
    assert min(gains) >= LEAST_GAIN, gains


def test_an_undamaged_picture_is_left_alone() -> None:
    marked = [np.count_nonzero(redust.detect(draw_sample(seed).sound, grow=0)) for seed in SEEDS]
    assert sum(marked) <= MOST_FALSE * len(SEEDS) * SIDE**2, marked
