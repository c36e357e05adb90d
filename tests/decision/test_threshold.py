"""Maps are cut where the scan asks for it: by how much damage it shows, and of which polarity."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redust.core.arrays import DamageMap, Mask, Pixels
from redust.core.logits import (
    BINS,
    bin_posteriors,
    bin_probability,
    count_bins,
    log_odds,
    quantise_logits,
    threshold_bin,
)
from redust.core.prior_shift import PriorShift
from redust.decision import polarity
from redust.decision.threshold import adapt_posteriors, threshold_bins, threshold_for_engine, threshold_map

PRIOR = 0.01
FOLLOW = PriorShift(prior=PRIOR, exponent=0.5)
AGAINST = PriorShift(prior=PRIOR, exponent=0.0, minority_exponent=1.0)
DEPTHS = ("uint8", "uint16", "float32")


def opinion(share: float, size: int = 200) -> DamageMap:
    """What a detector says of a scan of which `share` is damaged: most of what it holds for damage is."""
    rng = np.random.default_rng(3)
    evidence = rng.normal(np.where(rng.random((size, size)) < share, 6.0, -6.0), np.sqrt(12.0))
    odds = np.exp(evidence + log_odds(PRIOR))
    return (odds / (1 + odds)).astype(np.float32)


def grey(shape: tuple[int, int]) -> Pixels:
    """An even scan."""
    return np.full((*shape, 1), 128, np.uint8)


def spots(shape: tuple[int, int], count: int, seed: int, radius: int = 3) -> Mask:
    """Discs on a grid of cells, far apart."""
    drawn = np.zeros(shape, np.uint8)
    places = np.random.default_rng(seed).permutation(np.mgrid[24 : shape[0] : 40, 24 : shape[1] : 40].reshape(2, -1).T)
    for row, column in places[:count]:
        cv2.circle(drawn, (int(column), int(row)), radius, 1, -1)
    return drawn > 0


def specked(
    bright: int, dark: int, depth: str = "uint8", channels: int = 3, shape: tuple[int, int] = (400, 640)
) -> tuple[Pixels, Mask, Mask]:
    """A textured scan with bright and dark spots, and where they are."""
    both = spots(shape, bright + dark, 5)
    first = spots(shape, bright, 5)
    light = 0.5 + 0.02 * np.random.default_rng(0).standard_normal(shape) + np.linspace(-0.3, 0.3, shape[1])
    light = np.where(both, light + np.where(first, 0.15, -0.15), light).clip(0, 1)[..., None].repeat(channels, axis=2)
    scale = 1.0 if depth == "float32" else np.iinfo(depth).max
    return (light * scale).astype(depth), first, both & ~first


def said(where: Mask, chance: float = 0.9) -> DamageMap:
    return np.where(where, np.float32(chance), np.float32(1e-4))


def test_a_clean_scan_is_judged_strictly_and_a_dirty_one_less() -> None:
    clean, usual, dirty = (
        threshold_map(FOLLOW, opinion(share), grey((200, 200)), 0.5)[1] for share in (0.0, PRIOR, 0.05)
    )
    assert clean > 0.9
    assert usual == pytest.approx(0.5, abs=0.06)
    assert dirty < 0.4


def test_above_a_share_the_level_falls_no_further() -> None:
    held = FOLLOW.model_copy(update={"max_prior": 0.004})

    def at(follow: PriorShift, share: float) -> float:
        return threshold_map(follow, opinion(share), grey((200, 200)), 0.5)[1]

    assert at(held, 0.0) == at(FOLLOW, 0.0)
    assert at(held, 0.05) == at(held, PRIOR) > at(FOLLOW, PRIOR) > at(FOLLOW, 0.05)


def test_where_levels_fall_no_further_has_no_say_in_what_is_likely() -> None:
    histogram = count_bins(quantise_logits(opinion(0.05)))
    held = FOLLOW.model_copy(update={"max_prior": 0.004})
    np.testing.assert_array_equal(bin_posteriors(held, histogram), bin_posteriors(FOLLOW, histogram))


@given(seed=st.integers(0, 99), level=st.floats(0.02, 0.98))
def test_the_cut_by_amount_needs_only_the_histogram(seed: int, level: float) -> None:
    damage = np.random.default_rng(seed).random((23, 31), np.float32) ** 4
    graded = quantise_logits(damage)
    parts = count_bins(graded[:11]) + count_bins(graded[11:])
    mask, at = threshold_map(FOLLOW, damage, grey((23, 31)), level)
    np.testing.assert_array_equal(mask, graded >= threshold_bin(FOLLOW, parts, level))
    assert at == bin_probability(threshold_bin(FOLLOW, parts, level))


@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_the_adapted_map_is_cut_where_the_map_would_be(strength: float) -> None:
    pixels, bright, dark = specked(40, 6)
    rng = np.random.default_rng(1)
    damage = np.where(bright | dark, rng.random(bright.shape), 1e-4 * rng.random(bright.shape)).astype(np.float32)
    follow = PriorShift(prior=PRIOR, exponent=0.4, minority_exponent=strength)
    mask, _ = threshold_map(follow, damage, pixels, 0.5)
    found = adapt_posteriors(follow, damage, pixels)
    # Levels are rounded up to the next grade.
    assert not (mask & (found < 0.5)).any()
    assert (mask != (found >= 0.5)).mean() < 2e-3


def test_a_map_is_moved_by_log_odds() -> None:
    damage = np.array([[0.0, 0.5, 1.0]], np.float32)
    np.testing.assert_array_equal(adapt_posteriors(None, damage, grey((1, 3))), damage)
    np.testing.assert_allclose(adapt_posteriors(None, damage, grey((1, 3)), np.log(3)), [[0.0, 0.75, 1.0]], rtol=1e-6)


class Named:
    """An engine with a level."""

    name = "named"
    level = 0.5
    prior_shift: PriorShift | None = None


def test_a_level_that_is_given_is_taken_to_the_letter() -> None:
    engine, pixels = Named(), grey((200, 200))
    damage = opinion(0.0)
    mask, at = threshold_for_engine(engine, damage, pixels)  # type: ignore[arg-type]
    assert at == 0.5
    engine.prior_shift = FOLLOW
    stricter, higher = threshold_for_engine(engine, damage, pixels)  # type: ignore[arg-type]
    assert higher > 0.9
    assert stricter.sum() <= mask.sum()
    same, literal = threshold_for_engine(engine, damage, pixels, 0.5)  # type: ignore[arg-type]
    assert literal == 0.5
    np.testing.assert_array_equal(same, mask)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("inverted", [False, True])
def test_what_goes_against_the_rest_must_be_surer(depth: str, channels: int, inverted: bool) -> None:
    pixels, bright, dark = specked(60, 3, depth, channels)
    if inverted:
        pixels = (pixels.max() - pixels).astype(pixels.dtype)
    unsure, _ = threshold_map(AGAINST, said(bright | dark, 0.7), pixels, 0.5)
    np.testing.assert_array_equal(unsure, bright)
    sure, _ = threshold_map(AGAINST, said(bright | dark, 0.999), pixels, 0.5)
    np.testing.assert_array_equal(sure, bright | dark)


def test_where_both_are_as_frequent_neither_must() -> None:
    pixels, bright, dark = specked(30, 30)
    mask, _ = threshold_map(AGAINST, said(bright | dark, 0.6), pixels, 0.5)
    np.testing.assert_array_equal(mask, bright | dark)


def test_one_large_thing_does_not_outweigh_many_small_ones() -> None:
    pixels, bright, _ = specked(60, 0)
    keyhole = spots(bright.shape, 1, 9, 18) & ~bright
    pixels[keyhole] = 20
    assert keyhole.sum() > bright.sum() / 2
    mask, _ = threshold_map(AGAINST, said(bright | keyhole, 0.75), pixels, 0.5)
    assert (mask & bright).sum() > 0.95 * bright.sum()
    assert (mask & keyhole).sum() < 0.05 * keyhole.sum()


def test_few_pieces_decide_nothing() -> None:
    pixels, bright, dark = specked(2, 1, shape=(200, 200))
    mask, _ = threshold_map(AGAINST, said(bright | dark, 0.7), pixels, 0.5)
    np.testing.assert_array_equal(mask, bright | dark)


def test_lines_that_are_certain_stay() -> None:
    pixels, bright, dark = specked(60, 3)
    graded = quantise_logits(said(bright))
    graded[dark] = BINS - 1
    mask, _ = threshold_bins(AGAINST, graded, pixels, 0.5)
    assert mask[dark].all()


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels, bright, dark = specked(60, 12, shape=(420, 620))
    rng = np.random.default_rng(4)
    damage = np.where(bright | dark, rng.random(bright.shape), 0).astype(np.float32)
    whole, _ = threshold_map(AGAINST, damage, pixels, 0.5)
    monkeypatch.setattr(polarity, "_BLOCK", 128)
    pieces, _ = threshold_map(AGAINST, damage, pixels, 0.5)
    np.testing.assert_array_equal(whole, pieces)


def test_pixels_that_are_no_number_do_no_harm() -> None:
    pixels, bright, dark = specked(60, 3, "float32")
    pixels[bright] = np.where(np.arange(bright.sum())[:, None] % 9 == 0, np.nan, pixels[bright])
    pixels[:4, :4], pixels[-4:, -4:] = np.inf, -np.inf
    mask, _ = threshold_map(AGAINST, said(bright | dark, 0.7), pixels, 0.5)
    assert mask[bright].mean() > 0.85
    assert not mask[dark].any()
