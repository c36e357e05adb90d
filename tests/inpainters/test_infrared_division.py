"""Dividing translucent dust out brings the picture closer to the truth, and changes nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from redust.core.arrays import Pixels
from redust.core.scan import Scan
from redust.core.settings import RestoreSettings
from redust.inpainters.infrared_division import InfraredDust, divide_dust
from redust.pipeline.pipeline import Pipeline
from redust.synthesis.infrared_film import InfraredScanner, draw_infrared_frame


def squared_error(pixels: Pixels, clean: Pixels) -> float:
    return float(((pixels.astype(np.float64) - clean) ** 2).mean())


@pytest.mark.parametrize("scanner", [InfraredScanner(gamma=2.2, shift=(1.5, -1.5)), InfraredScanner(inverted=True)])
def test_divided_dust_is_closer_to_the_truth_than_the_fill(scanner: InfraredScanner) -> None:
    frame = draw_infrared_frame((400, 480), scanner, seed=5)
    scan = Scan(frame.pixels, infrared=frame.infrared)
    pipeline = Pipeline(RestoreSettings(detector="infrared", max_tile_coverage=1.0))
    mask = pipeline.detect_mask(scan)
    divided = pipeline.repair(scan, mask).pixels
    filled = Pipeline(RestoreSettings(infrared="off")).repair(scan, mask).pixels
    np.testing.assert_array_equal(divided[~mask], frame.pixels[~mask])
    clean = frame.clean[mask]
    assert squared_error(divided[mask], clean) < 0.8 * squared_error(filled[mask], clean)


def test_far_from_proven_dust_the_fill_stays() -> None:
    rng = np.random.default_rng(1)
    pixels = rng.integers(20000, 40000, (200, 200, 3)).astype(np.uint16)
    filled, mask = pixels // 2, np.ones((200, 200), np.bool_)
    deviation = np.zeros((200, 200), np.float16)
    deviation[20:40, 20:40] = 30
    kept = filled.copy()
    divide_dust(pixels, filled, mask, InfraredDust(deviation, threshold=6.0, noise=0.01))
    np.testing.assert_array_equal(filled[60:], kept[60:])


def test_without_dust_nothing_changes() -> None:
    pixels = np.full((80, 80, 1), 0.5, np.float32)
    filled, mask = pixels.copy(), np.ones((80, 80), np.bool_)
    divide_dust(pixels, filled, mask, InfraredDust(np.zeros((80, 80), np.float16), threshold=6.0, noise=0.01))
    np.testing.assert_array_equal(filled, pixels)
