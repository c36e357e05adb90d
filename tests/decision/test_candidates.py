"""Candidates: what a damage map or plain contrast shows, loosely, and the same however the scan is cut into bands."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from redust.core.arrays import Pixels
from redust.core.logits import LogitBins
from redust.decision import candidates
from redust.decision.candidates import cut_beside_peaks, find_candidates, measure_tone

SHAPE = (300, 260)
SPOTS = {"bright": (60, 70), "dark": (200, 180)}


def grainy_scan(sigma: float = 2.0) -> Pixels:
    """A scan with grain, a bright and a dark speck."""
    rng = np.random.default_rng(5)
    light = rng.normal(110, sigma, SHAPE) + np.linspace(0, 60, SHAPE[1])
    picture = light.clip(0, 255).astype(np.uint8)
    for value, (row, column) in zip((250, 5), SPOTS.values(), strict=True):
        cv2.circle(picture, (column, row), 3, value, -1)
    return picture[..., None]


def empty_map() -> LogitBins:
    return np.zeros(SHAPE, np.uint8)


def test_contrast_of_either_polarity_is_a_candidate_without_a_map() -> None:
    pixels = grainy_scan()
    mask = find_candidates(empty_map(), measure_tone(pixels))
    assert all(mask[spot] for spot in SPOTS.values())
    assert mask.mean() < 0.01


def test_the_map_alone_makes_a_candidate_and_ends_it_beside_its_peak() -> None:
    bins = empty_map()
    bins[100:110, 100:110] = 40  # weak texture around
    bins[103:106, 103:106] = 100
    mask = find_candidates(bins, measure_tone(grainy_scan(sigma=0)))
    assert mask[104, 104]
    assert np.count_nonzero(mask[95:115, 95:115]) == 9


def test_a_weak_map_without_contrast_is_none() -> None:
    bins = empty_map()
    bins[100:106, 100:106] = 40
    assert not find_candidates(bins, measure_tone(grainy_scan()))[95:111, 95:111].any()


def test_saturated_peaks_keep_their_soft_rims() -> None:
    bins = np.full((40, 40), 0, np.uint8)
    bins[10:30, 10:30] = 70
    bins[15:25, 15:25] = 250
    assert cut_beside_peaks(bins)[12:28, 12:28].all()


@pytest.mark.parametrize("side", [64, 128])
def test_tiles_do_not_change_the_answer(monkeypatch: pytest.MonkeyPatch, side: int) -> None:
    pixels, bins = grainy_scan(), empty_map()
    bins[60:70, 100:104] = 90
    tone = measure_tone(pixels)
    expected = find_candidates(bins, tone)
    monkeypatch.setattr(candidates, "_SIDE", side)
    tiled = measure_tone(pixels)
    np.testing.assert_array_equal(tiled.grey, tone.grey)
    np.testing.assert_array_equal(tiled.noise, tone.noise)
    np.testing.assert_array_equal(find_candidates(bins, tiled), expected)


@pytest.mark.parametrize("depth", [np.uint16, np.float32])
def test_depth_does_not_matter(depth: type[np.generic]) -> None:
    pixels = grainy_scan()
    deep = (pixels.astype(np.uint16) * 257) if depth is np.uint16 else pixels.astype(np.float32) / 255
    first, second = (find_candidates(empty_map(), measure_tone(scan)) for scan in (pixels, deep))
    assert np.count_nonzero(first ^ second) <= 4


def test_a_flat_scan_is_not_stretched_until_its_noise_is_a_scene() -> None:
    rng = np.random.default_rng(1)
    flat = rng.integers(127, 130, (*SHAPE, 1)).astype(np.uint8)
    assert find_candidates(empty_map(), measure_tone(flat)).mean() < 1e-3


def test_values_that_are_no_numbers_are_no_candidates() -> None:
    pixels = grainy_scan().astype(np.float32) / 255
    pixels[0, 0], pixels[5, 5] = np.nan, np.inf
    mask = find_candidates(empty_map(), measure_tone(pixels))
    assert all(mask[spot] for spot in SPOTS.values())
