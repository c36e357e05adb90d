"""Quantised maps: one byte per pixel is enough to estimate the share of damage and to threshold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redust.core.arrays import DamageMap
from redust.core.engines import PriorShift
from redust.core.logits import (
    BINS,
    QuantisedMap,
    bin_probability,
    estimate_prior,
    level_bin,
    log_odds,
    logit_bias,
    quantise_logits,
    shift_logits,
)
from redust.core.tiles import tiles

PRIOR = 0.01
levels = st.floats(0.02, 0.98)


def predicted(share: float, prior: float = PRIOR, size: int = 200) -> DamageMap:
    """The map of a detector that assumes `prior`, for a scan of which `share` is damaged: (size, size).

    Log odds of undamaged pixels are normal about -6, of damaged ones about +6, each with a variance of 12, so that
    their difference is the likelihood ratio itself.
    """
    rng = np.random.default_rng(3)
    damaged = rng.random((size, size)) < share
    evidence = rng.normal(np.where(damaged, 6.0, -6.0), np.sqrt(12.0))
    odds = np.exp(evidence + log_odds(prior))
    return (odds / (1 + odds)).astype(np.float32)


@pytest.mark.parametrize("share", [0.001, 0.01, 0.04])
def test_the_share_of_damage_is_estimated(share: float) -> None:
    histogram = QuantisedMap.from_map(predicted(share)).histogram()
    assert estimate_prior(histogram, PRIOR) == pytest.approx(share, rel=0.25)


def test_the_share_keeps_within_bounds() -> None:
    for value, bound in ((0.0, 1e-5), (1.0, 0.05)):
        histogram = QuantisedMap.from_map(np.full((9, 9), value, np.float32)).histogram()
        assert estimate_prior(histogram, PRIOR) == pytest.approx(bound)


@given(level=levels, share=st.floats(0, 0.1))
def test_with_exponent_0_the_level_stays(level: float, share: float) -> None:
    histogram = QuantisedMap.from_map(predicted(share, size=30)).histogram()
    bias = logit_bias(PriorShift(prior=PRIOR, exponent=0.0), histogram)
    at = bin_probability(level_bin(level, bias))
    assert level <= at + 1e-6
    assert log_odds(at) - log_odds(level) <= 1 / 10 + 1e-6


@given(index=st.integers(1, 210))  # beyond, levels are nearer to 1 than float32 can tell
def test_bins_begin_at_their_probability(index: int) -> None:
    level = bin_probability(index)
    # Two per cent nearer to 0 or to 1 than the level, whichever is nearer.
    distance, sign = (level, 1) if level < 0.5 else (1 - level, -1)
    lower, higher = (abs((sign < 0) - distance * (1 + sign * side * 0.02)) for side in (-1, 1))
    below, above = quantise_logits(np.array([[lower, higher]], np.float32))[0]
    assert below < index <= above


def test_0_and_1_have_the_first_and_the_last_bin() -> None:
    assert quantise_logits(np.array([[0.0, 3e-4, 0.5, 1.0]], np.float32)).tolist() == [[0, 0, 81, BINS - 1]]


def test_a_quantised_map_of_tiles_is_that_of_the_map_and_stays_near_it() -> None:
    damage = predicted(0.02)
    quantised = QuantisedMap.from_map(damage)
    parts = ((tile.core, damage[tile.core]) for tile in tiles(damage.shape, 64))
    np.testing.assert_array_equal(QuantisedMap.from_tiles(parts, damage.shape).bins, quantised.bins)
    assert quantised.histogram().sum() == damage.size
    restored = quantised.to_probabilities()
    assert (restored.dtype, restored.shape) == (np.float32, damage.shape)
    assert np.abs(restored - damage).max() < 0.013  # half a bin at even odds
    np.testing.assert_array_equal(QuantisedMap.from_map(restored).bins, quantised.bins)


def test_logits_are_shifted() -> None:
    damage = np.array([[0.0, 0.5, 1.0]], np.float32)
    np.testing.assert_array_equal(shift_logits(damage, 0.0), damage)
    np.testing.assert_allclose(shift_logits(damage, np.log(3)), [[0.0, 0.75, 1.0]], rtol=1e-6)
