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
    bin_posteriors,
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


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=50))
def test_a_likelier_pixel_never_has_a_lower_bin(values: list[float]) -> None:
    bins = quantise_logits(np.sort(np.array([values], np.float32)))
    assert (np.diff(bins.astype(np.int64)) >= 0).all()


@given(level=levels, bias=st.floats(-4, 4))
def test_what_reaches_a_biased_level_does_so_after_its_logits_are_shifted(level: float, bias: float) -> None:
    damage = predicted(0.05, size=40)
    marked = quantise_logits(damage) >= level_bin(level, bias)
    assert (shift_logits(damage, bias)[marked] >= level - 1e-3).all()


def test_levels_of_0_and_1_have_bins() -> None:
    assert level_bin(0.0) == 1  # bin 0 is never marked: nearly all pixels lie in it
    assert 1 < level_bin(1.0) <= BINS - 1
    assert level_bin(0.5, logit_bias=1000.0) == 1
    assert level_bin(0.5, logit_bias=-1000.0) == BINS - 1


def test_the_logit_bias_grows_with_damage_up_to_the_largest_prior() -> None:
    histograms = [QuantisedMap.from_map(predicted(share)).histogram() for share in (0.001, 0.01, 0.04)]
    free, bound = PriorShift(prior=PRIOR, exponent=0.5), PriorShift(prior=PRIOR, exponent=0.5, max_prior=PRIOR)
    biases = [logit_bias(free, histogram) for histogram in histograms]
    assert biases == sorted(biases)
    assert biases[0] < 0 < biases[2]
    assert logit_bias(bound, histograms[2]) == pytest.approx(0.0)
    assert logit_bias(bound, histograms[0]) == pytest.approx(biases[0])


@pytest.mark.parametrize("share", [0.001, 0.04])
def test_posteriors_are_probabilities_that_grow_with_the_bin_and_with_damage(share: float) -> None:
    shift = PriorShift(prior=PRIOR, exponent=0.5)
    histogram = QuantisedMap.from_map(predicted(share)).histogram()
    posteriors = bin_posteriors(shift, histogram)
    assert (posteriors.shape, posteriors.dtype) == ((BINS,), np.float32)
    assert 0 <= posteriors.min() <= posteriors.max() <= 1
    assert (np.diff(posteriors) >= 0).all()
    unshifted = bin_posteriors(PriorShift(prior=PRIOR, exponent=0.0), histogram)
    assert (posteriors >= unshifted).all() if share > PRIOR else (posteriors <= unshifted).all()
    assert (posteriors != unshifted).any()


def test_an_empty_histogram_is_of_a_clean_scan() -> None:
    assert estimate_prior(np.zeros(BINS, np.int64), PRIOR) == pytest.approx(1e-5)


@given(probability=st.floats(1e-6, 1 - 1e-6))
def test_log_odds_are_antisymmetric_and_0_at_even_odds(probability: float) -> None:
    assert log_odds(0.5) == 0.0
    assert log_odds(1 - probability) == pytest.approx(-log_odds(probability), rel=1e-6, abs=1e-9)
