"""A detector that also sees the scan shrunk: the mean of its logits, whatever the tile."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redust.core.arrays import DamageMap, Light
from redust.core.engines import Detector, DetectorSpec, Needs
from redust.core.tiles import Tile
from redust.detectors.multiscale import clipped_logits, upsample_logits
from redust.detectors.run_detector import detect_damage


class Specks(Detector):
    """Marks what is brighter than its surroundings and at most a few pixels wide."""

    def __init__(self, *scales: int, weights: tuple[float, ...] = ()) -> None:
        needs = Needs(multiple_of=4, context=9, channels=(1,), scales=scales, scale_weights=weights)
        self.spec = DetectorSpec(name="specks", needs=needs)

    def detect(self, light: Light) -> DamageMap:
        grey = light[..., 0]
        return np.clip(grey - cv2.erode(cv2.blur(grey, (9, 9)), np.ones((11, 11))), 0, 1).astype(np.float32)


@settings(max_examples=25, deadline=None)
@given(
    height=st.integers(1, 90), width=st.integers(1, 90), tile=st.integers(5, 64), seed=st.integers(0, 9),
    dtype=st.sampled_from([np.uint8, np.uint16, np.float32]),
)  # fmt: skip
def test_answer_does_not_depend_on_the_tile(height: int, width: int, tile: int, seed: int, dtype: type) -> None:
    rng = np.random.default_rng(seed)
    full = 1.0 if dtype is np.float32 else np.iinfo(dtype).max
    pixels = (rng.random((height, width, 3)) * full).astype(dtype)
    whole = detect_damage(Specks(1, 2, 3), pixels, tile=1024)
    assert whole.shape == (height, width)
    np.testing.assert_allclose(detect_damage(Specks(1, 2, 3), pixels, tile=tile), whole, atol=1e-6)


def test_it_is_the_mean_of_the_logits() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (64, 96, 1), dtype=np.uint8)
    small = cv2.resize(pixels[..., 0].astype(np.float32) / 255, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    fine = clipped_logits(detect_damage(Specks(1), pixels))
    coarse = cv2.resize(
        clipped_logits(detect_damage(Specks(1), small[..., None])), (96, 64), interpolation=cv2.INTER_LINEAR
    )
    both = clipped_logits(detect_damage(Specks(1, 2), pixels))
    middle = (slice(20, -20), slice(20, -20))  # beyond the border the scan's own last pixel is repeated
    np.testing.assert_allclose(both[middle], ((fine + coarse) / 2)[middle], atol=0.01)


def test_scales_count_by_their_shares() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (64, 96, 1), dtype=np.uint8)
    one = clipped_logits(detect_damage(Specks(1), pixels))
    half, most, least = (
        clipped_logits(detect_damage(Specks(1, 2, weights=weights), pixels))
        for weights in ((0.5, 0.5), (0.8, 0.2), (0.2, 0.8))
    )
    np.testing.assert_allclose(half, clipped_logits(detect_damage(Specks(1, 2), pixels)), atol=1e-4)
    other = 2 * half - one
    np.testing.assert_allclose(most, 0.8 * one + 0.2 * other, atol=0.01)
    np.testing.assert_allclose(least, 0.2 * one + 0.8 * other, atol=0.01)
    # The order is that of the scales, not of their size.
    turned = clipped_logits(detect_damage(Specks(2, 1, weights=(0.2, 0.8)), pixels))
    np.testing.assert_allclose(turned, most, atol=1e-4)


@pytest.mark.parametrize(
    ("scales", "shares", "complaint"),
    [
        ((2,), (), "1 among them"),
        ((1, 2, 2), (), "different"),
        ((1, 2), (1.0,), "one positive share"),
        ((1, 2), (1.0, 0.0), "one positive share"),
        ((1, 2), (0.7, 0.7), "adding up to 1"),
    ],
)
def test_shares_that_do_not_go_with_the_scales_are_refused(
    scales: tuple[int, ...], shares: tuple[float, ...], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        Needs(scales=scales, scale_weights=shares)


def test_something_wide_is_seen_at_a_smaller_scale() -> None:
    pixels = np.full((128, 128, 1), 60, np.uint8)
    pixels[50:74, 50:74] = 220
    middle = (slice(61, 63), slice(61, 63))
    assert detect_damage(Specks(1), pixels)[middle].max() < 1e-4
    assert detect_damage(Specks(1, 4), pixels)[middle].min() > 2e-3


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_enlarging_a_part_is_a_part_of_the_enlarged(factor: int) -> None:
    found = np.random.default_rng(2).normal(size=(11, 13)).astype(np.float32)
    whole = cv2.resize(found, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
    part = upsample_logits(found, Tile(5, 7, 13, 9, 0, 0, 0, 0), factor)
    np.testing.assert_allclose(part, whole[5:18, 7:16], atol=1e-6)


def test_progress_ends_at_one() -> None:
    told: list[float] = []
    detect_damage(Specks(1, 2), np.zeros((100, 100, 1), np.uint8), tile=32, progress=told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0
