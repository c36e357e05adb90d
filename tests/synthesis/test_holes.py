"""Masks to train inpainting with: never empty, never everything, thin ones more often than wide ones."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from redust.synthesis.holes import draw_holes


def widest(mask: np.ndarray) -> float:
    return 2 * float(cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5).max())


@pytest.mark.parametrize("canvas", [(16, 16), (64, 96), (256, 256)])
def test_masks_have_masked_and_sound_pixels(canvas: tuple[int, int]) -> None:
    for seed in range(40):
        mask = draw_holes(canvas, np.random.default_rng(seed))
        assert mask.shape == canvas
        assert mask.dtype == np.bool_
        assert mask.any()
        assert not mask.all()


def test_the_same_seed_draws_the_same_mask() -> None:
    first, again, second = (draw_holes((128, 128), np.random.default_rng(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert (first != second).any()


def test_wide_holes_are_the_rarer_ones() -> None:
    widths = np.array([widest(draw_holes((256, 256), np.random.default_rng(seed))) for seed in range(150)])
    assert 0.05 < np.mean(widths > 40) < 0.35
    assert np.mean(widths < 25) > 0.5


def test_masks_leave_most_of_the_picture() -> None:
    shares = [draw_holes((128, 128), np.random.default_rng(seed)).mean() for seed in range(150)]
    assert np.median(shares) < 0.12
    assert max(shares) < 0.75
