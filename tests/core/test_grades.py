"""Levels follow the scan: one byte per pixel tells as much as the map."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redust.core.adaptation import Adaptation
from redust.core.arrays import DamageMap
from redust.core.grades import (
    GRADES,
    adapted,
    cut_following,
    cut_for,
    grades,
    histogram_of,
    level_of,
    log_odds,
    share_of_damage,
    step_of,
)

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
    assert share_of_damage(histogram_of(grades(opinion(share))), PRIOR) == pytest.approx(share, rel=0.25)


def test_the_share_keeps_within_bounds() -> None:
    for value, bound in ((0.0, 1e-5), (1.0, 0.05)):
        graded = grades(np.full((9, 9), value, np.float32))
        assert share_of_damage(histogram_of(graded), PRIOR) == pytest.approx(bound)


def test_a_clean_scan_is_judged_strictly_and_a_dirty_one_less() -> None:
    adaptation = Adaptation(prior=PRIOR, strength=0.5)
    clean, usual, dirty = (cut_following(adaptation, opinion(share), 0.5)[1] for share in (0.0, PRIOR, 0.05))
    assert clean > 0.9
    assert usual == pytest.approx(0.5, abs=0.04)
    assert dirty < 0.4


@given(level=levels, share=st.floats(0, 0.1))
def test_without_strength_the_level_stays(level: float, share: float) -> None:
    adaptation = Adaptation(prior=PRIOR, strength=0.0)
    at = level_of(step_of(adaptation, histogram_of(grades(opinion(share, size=30))), level))
    assert level <= at + 1e-6
    assert log_odds(at) - log_odds(level) <= 1 / 10 + 1e-6


@given(step=st.integers(1, 210))  # beyond, levels are nearer to 1 than float32 can tell
def test_grades_are_levels(step: int) -> None:
    level = level_of(step)
    # Two per cent nearer to 0 or to 1 than the level, whichever is near.
    near, way = (level, 1) if level < 0.5 else (1 - level, -1)
    lower, higher = (abs((way < 0) - near * (1 + way * side * 0.02)) for side in (-1, 1))
    below, above = grades(np.array([[lower, higher]], np.float32))[0]
    assert below < step <= above


def test_the_ends_have_grades() -> None:
    assert grades(np.array([[0.0, 3e-4, 0.5, 1.0]], np.float32)).tolist() == [[0, 0, 81, GRADES - 1]]


@given(seed=st.integers(0, 99), level=levels)
def test_the_cut_needs_only_the_histogram(seed: int, level: float) -> None:
    damage = np.random.default_rng(seed).random((23, 31), np.float32) ** 4
    adaptation = Adaptation(prior=PRIOR, strength=0.4)
    graded = grades(damage)
    parts = histogram_of(graded[:11]) + histogram_of(graded[11:])
    mask, at = cut_following(adaptation, damage, level)
    np.testing.assert_array_equal(mask, graded >= step_of(adaptation, parts, level))
    assert at == level_of(step_of(adaptation, parts, level))


def test_the_adapted_map_is_cut_where_the_map_would_be() -> None:
    damage = opinion(0.001)
    adaptation = Adaptation(prior=PRIOR, strength=0.4)
    mask, at = cut_following(adaptation, damage, 0.5)
    assert at > 0.55
    # Levels are rounded up to the next grade.
    assert not (mask & (adapted(adaptation, damage) < 0.5)).any()
    assert (mask != (adapted(adaptation, damage) >= 0.5)).mean() < 1e-3


def test_a_map_is_moved_by_log_odds() -> None:
    damage = np.array([[0.0, 0.5, 1.0]], np.float32)
    np.testing.assert_array_equal(adapted(None, damage), damage)
    np.testing.assert_allclose(adapted(None, damage, np.log(3)), [[0.0, 0.75, 1.0]], rtol=1e-6)


class Named:
    """An engine with a level."""

    name = "named"
    level = 0.5
    adaptation: Adaptation | None = None


def test_a_level_that_is_given_is_taken_to_the_letter() -> None:
    engine = Named()
    damage = opinion(0.0)
    mask, at = cut_for(engine, damage)  # type: ignore[arg-type]
    assert at == 0.5
    engine.adaptation = Adaptation(prior=PRIOR, strength=0.5)
    stricter, higher = cut_for(engine, damage)  # type: ignore[arg-type]
    assert higher > 0.9
    assert stricter.sum() <= mask.sum()
    same, literal = cut_for(engine, damage, 0.5)  # type: ignore[arg-type]
    assert literal == 0.5
    np.testing.assert_array_equal(same, mask)
