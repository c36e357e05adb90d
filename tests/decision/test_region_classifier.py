"""What ships with the detector leaves alone what a scene shows: court lines, crisp lamps, lettering."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from redust import Pipeline
from redust.core.arrays import Mask, Pixels
from redust.core.scan import Scan

SHAPE = (900, 1200)


def even_ground(value: tuple[int, int, int], seed: int) -> Pixels:
    """A ground with a soft gradient and fine grain."""
    rng = np.random.default_rng(seed)
    ground = np.ones((*SHAPE, 3)) * value + np.linspace(-12, 12, SHAPE[1])[None, :, None]
    grain = cv2.GaussianBlur(rng.normal(0, 1, (*SHAPE, 3)), (0, 0), 0.7) * 6
    return (ground + grain).clip(0, 255).astype(np.uint8)


def detect(pixels: Pixels) -> Mask:
    return Pipeline().detect_mask(Scan(pixels=pixels))


@pytest.mark.parametrize("ground", [(150, 90, 60), (60, 110, 70)])
def test_court_lines_are_left_alone(ground: tuple[int, int, int]) -> None:
    pixels = even_ground(ground, 1)
    for start, end in (
        ((80, 100), (1100, 160)),
        ((80, 700), (1100, 640)),
        ((300, 60), (250, 860)),
        ((700, 80), (760, 860)),
    ):
        cv2.line(pixels, start, end, (240, 240, 235), 7, cv2.LINE_AA)
    cv2.ellipse(pixels, (600, 420), (160, 110), 0, 0, 360, (240, 240, 235), 6, cv2.LINE_AA)
    assert detect(cv2.GaussianBlur(pixels, (0, 0), 0.8)).sum() < 200


def test_crisp_lamps_are_left_alone() -> None:
    pixels = even_ground((22, 24, 34), 2)
    lamps = [(40 + 19 * number, 300 + 25 * (number % 3) + 110 * (number // 30)) for number in range(60)]
    for column, row in lamps:
        cv2.circle(pixels, (column % 1160 + 20, row), 4, (255, 236, 190), -1, cv2.LINE_AA)
    mask = detect(cv2.GaussianBlur(pixels, (0, 0), 0.7))
    assert not any(mask[row, column % 1160 + 20] for column, row in lamps)


def test_lettering_is_left_alone() -> None:
    pixels = even_ground((205, 200, 190), 3)
    for line in range(8):
        cv2.putText(
            pixels, "Photographers keep their negatives", (60, 120 + 90 * line), 2, 1.3, (35, 30, 40), 2, cv2.LINE_AA
        )
    assert detect(cv2.GaussianBlur(pixels, (0, 0), 0.7)).sum() < 200
