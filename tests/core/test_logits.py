"""Levels follow the scan: one byte per pixel tells as much as the map."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redust.core.arrays import DamageMap
from redust.core.logits import (
    BINS,
    bin_probability,
    count_bins,
    estimate_prior,
    log_odds,
    quantise_logits,
    threshold_bin,
)
from redust.core.prior_shift import PriorShift

PRIOR = 0.01
levels = st.floats(0.02, 0.98)


def opinion(share: float, prior: float = PRIOR, size: int = 200) -> DamageMap:
    """What a detector says that takes `prior` for granted, of a scan of which `share` is damaged: (size, size).

    Log odds of sound pixels are normal about -6, of damaged ones about +6, each with a variance of 12, so that their
    difference is the likelihood ratio itself.
    """
    rng = np.random.default_rng(3)
    damaged = rng.random((size, size)) < share
    evidence = rng.normal(np.where(damaged, 6.0, -6.0), np.sqrt(12.0))
    odds = np.exp(evidence + log_odds(prior))
    return (odds / (1 + odds)).astype(np.float32)


@pytest.mark.parametrize("share", [0.001, 0.01, 0.04])
def test_the_share_of_damage_is_estimated(share: float) -> None:
    assert estimate_prior(count_bins(quantise_logits(opinion(share))), PRIOR) == pytest.approx(share, rel=0.25)


def test_the_share_keeps_within_bounds() -> None:
    for value, bound in ((0.0, 1e-5), (1.0, 0.05)):
        graded = quantise_logits(np.full((9, 9), value, np.float32))
        assert estimate_prior(count_bins(graded), PRIOR) == pytest.approx(bound)


@given(level=levels, share=st.floats(0, 0.1))
def test_without_strength_the_level_stays(level: float, share: float) -> None:
    prior_shift = PriorShift(prior=PRIOR, exponent=0.0)
    at = bin_probability(threshold_bin(prior_shift, count_bins(quantise_logits(opinion(share, size=30))), level))
    assert level <= at + 1e-6
    assert log_odds(at) - log_odds(level) <= 1 / 10 + 1e-6


@given(step=st.integers(1, 210))  # beyond, levels are nearer to 1 than float32 can tell
def test_grades_are_levels(step: int) -> None:
    level = bin_probability(step)
    # Two per cent nearer to 0 or to 1 than the level, whichever is near.
    near, way = (level, 1) if level < 0.5 else (1 - level, -1)
    lower, higher = (abs((way < 0) - near * (1 + way * side * 0.02)) for side in (-1, 1))
    below, above = quantise_logits(np.array([[lower, higher]], np.float32))[0]
    assert below < step <= above


def test_the_ends_have_grades() -> None:
    assert quantise_logits(np.array([[0.0, 3e-4, 0.5, 1.0]], np.float32)).tolist() == [[0, 0, 81, BINS - 1]]
