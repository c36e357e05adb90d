"""From a map to a mask: level, sizes, polarity, growth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redust.core.arrays import DamageMap, Mask
from redust.core.settings import Polarity
from redust.decision.filters import dilate_mask, filter_components
from redust.decision.threshold import Threshold

LEVELS = st.integers(0, 8).map(lambda eighth: eighth / 8)


@st.composite
def maps(draw: st.DrawFn) -> DamageMap:
    """Maps of up to 16 x 16 pixels in eighths, so that levels are met exactly."""
    shape = draw(st.tuples(st.integers(1, 16), st.integers(1, 16)))
    random = np.random.default_rng(draw(st.integers(0, 999)))
    return (random.integers(0, 9, shape) / 8).astype(np.float32)


@st.composite
def masks(draw: st.DrawFn) -> Mask:
    """Masks of any density and of up to 24 x 24 pixels."""
    shape = draw(st.tuples(st.integers(1, 24), st.integers(1, 24)))
    random = np.random.default_rng(draw(st.integers(0, 999)))
    return random.random(shape) < draw(st.floats(0, 1))


def spots(*sizes: int) -> DamageMap:
    """A map of certain damage: bars of these lengths on every third row."""
    damage = np.zeros((3 * len(sizes), 12), np.float32)
    for row, size in enumerate(sizes):
        damage[3 * row, :size] = 1.0
    return damage


def decide_mask(damage: DamageMap, level: float = 0.5, **choices: Any) -> Mask:
    """Threshold and filter."""
    candidates, _ = Threshold(level).apply(damage, np.zeros((*damage.shape, 1), np.uint8))
    return filter_components(candidates, **choices).mask


@given(damage=maps(), level=LEVELS)
def test_the_level_itself_counts_as_damage(damage: DamageMap, level: float) -> None:
    np.testing.assert_array_equal(decide_mask(damage, level), damage >= np.float32(level))


@given(damage=maps(), low=LEVELS, high=LEVELS, grow=st.integers(0, 3))
def test_a_higher_level_never_marks_more(damage: DamageMap, low: float, high: float, grow: int) -> None:
    low, high = min(low, high), max(low, high)
    assert not (decide_mask(damage, high, grow=grow) & ~decide_mask(damage, low, grow=grow)).any()


def test_sizes_are_limits_that_count_themselves() -> None:
    mask = decide_mask(spots(1, 3, 5, 9), min_size=3, max_size=5)
    assert mask[::3].sum(axis=1).tolist() == [0, 3, 5, 0]


def test_sizes_are_counted_before_growing() -> None:
    assert not decide_mask(spots(2), min_size=3, grow=2).any()


@given(mask=masks(), radius=st.integers(0, 5))
def test_growing_is_a_disc(mask: Mask, radius: int) -> None:
    rows, columns = np.nonzero(mask)
    here, there = np.indices(mask.shape)
    near = np.zeros_like(mask)
    for row, column in zip(rows, columns, strict=True):
        near |= np.hypot(here - row, there - column) <= radius
    np.testing.assert_array_equal(dilate_mask(mask, radius), near)


def test_growing_knows_no_bands() -> None:
    mask = np.zeros((1100, 9), np.bool_)
    mask[510, 4] = mask[1024, 4] = True
    assert dilate_mask(mask, 4).sum() == 2 * 49  # the disc of radius 4 has 49 pixels


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [1, 3])
def test_polarity_compares_with_the_surroundings(dtype: type, channels: int) -> None:
    full = 1 if dtype is np.float32 else np.iinfo(dtype).max
    light = np.full((40, 60, channels), 0.2)
    light[:, 30:] = 0.8
    light[10:14, 10:14] = 0.5  # brighter than the dark half around it
    light[10:14, 45:49] = 0.5  # the same light, darker than the bright half
    damage = np.zeros((40, 60), np.float32)
    damage[10:14, 10:14] = damage[10:14, 45:49] = 1.0
    pixels = (light * full).astype(dtype)
    bright = decide_mask(damage, polarity=Polarity.bright, pixels=pixels)
    dark = decide_mask(damage, polarity=Polarity.dark, pixels=pixels)
    np.testing.assert_array_equal(np.nonzero(bright)[1], np.tile(np.arange(10, 14), 4))
    np.testing.assert_array_equal(np.nonzero(dark)[1], np.tile(np.arange(45, 49), 4))


def test_polarity_judges_a_region_as_one_across_bands() -> None:
    damage = np.zeros((1100, 20), np.float32)
    damage[5:1095, 9] = 1.0
    pixels = np.full((1100, 20, 1), 100, np.uint8)
    pixels[5:700, 9] = 200  # most of it is bright, its last band is dark
    pixels[700:1095, 9] = 60
    np.testing.assert_array_equal(decide_mask(damage, polarity=Polarity.bright, pixels=pixels), damage > 0)
    assert not decide_mask(damage, polarity=Polarity.dark, pixels=pixels).any()


def test_what_looks_like_its_surroundings_has_no_polarity() -> None:
    pixels = np.full((3, 12, 1), 77, np.uint8)
    for polarity in (Polarity.bright, Polarity.dark):
        assert not decide_mask(spots(4), polarity=polarity, pixels=pixels).any()


def test_polarity_needs_pixels_of_the_same_size() -> None:
    with pytest.raises(ValueError, match="needs the pixels"):
        decide_mask(spots(4), polarity=Polarity.dark)
    with pytest.raises(ValueError, match="the pixels are"):
        decide_mask(spots(4), polarity=Polarity.dark, pixels=np.zeros((5, 5, 1), np.uint8))
