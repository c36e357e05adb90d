"""Thresholds: exact, or following how much damage a scan shows, and of which polarity."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redust.core.arrays import DamageMap, Mask, Pixels
from redust.core.engines import DetectorSpec, PriorShift
from redust.core.logits import (
    BINS,
    QuantisedMap,
    bin_posteriors,
    bin_probability,
    level_bin,
    log_odds,
    logit_bias,
)
from redust.core.settings import Sensitivity
from redust.core.tiles import tiles
from redust.decision import polarity
from redust.decision.threshold import Threshold, adapt_posteriors

PRIOR = 0.01
FOLLOW = PriorShift(prior=PRIOR, exponent=0.5)
AGAINST = PriorShift(prior=PRIOR, exponent=0.0, minority_exponent=1.0)
DEPTHS = ("uint8", "uint16", "float32")


def predicted(share: float, size: int = 200) -> DamageMap:
    """The map of a calibrated detector for a scan of which `share` is damaged."""
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
    cells = np.random.default_rng(seed).permutation(np.mgrid[24 : shape[0] : 40, 24 : shape[1] : 40].reshape(2, -1).T)
    for row, column in cells[:count]:
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


def chances(where: Mask, chance: float = 0.9) -> DamageMap:
    return np.where(where, np.float32(chance), np.float32(1e-4))


def test_the_level_is_high_on_a_clean_scan_and_low_on_a_dirty_one() -> None:
    clean, usual, dirty = (
        Threshold(0.5, FOLLOW).apply(predicted(share), grey((200, 200)))[1] for share in (0.0, PRIOR, 0.05)
    )
    assert clean > 0.9
    assert usual == pytest.approx(0.5, abs=0.06)
    assert dirty < 0.4


def test_above_the_largest_prior_the_level_falls_no_further() -> None:
    held = FOLLOW.model_copy(update={"max_prior": 0.004})

    def at(follow: PriorShift, share: float) -> float:
        return Threshold(0.5, follow).apply(predicted(share), grey((200, 200)))[1]

    assert at(held, 0.0) == at(FOLLOW, 0.0)
    assert at(held, 0.05) == at(held, PRIOR) > at(FOLLOW, PRIOR) > at(FOLLOW, 0.05)


def test_the_largest_prior_limits_the_level_not_the_posteriors() -> None:
    histogram = QuantisedMap.from_map(predicted(0.05)).histogram()
    held = FOLLOW.model_copy(update={"max_prior": 0.004})
    np.testing.assert_array_equal(bin_posteriors(held, histogram), bin_posteriors(FOLLOW, histogram))


@given(seed=st.integers(0, 99), level=st.floats(0.02, 0.98))
def test_the_level_follows_the_histogram_alone(seed: int, level: float) -> None:
    damage = np.random.default_rng(seed).random((23, 31), np.float32) ** 4
    upper, lower = QuantisedMap.from_map(damage[:11]), QuantisedMap.from_map(damage[11:])
    mask, at = Threshold(level, FOLLOW).apply(damage, grey((23, 31)))
    first = level_bin(level, logit_bias(FOLLOW, upper.histogram() + lower.histogram()))
    np.testing.assert_array_equal(mask, np.concatenate([upper.bins, lower.bins]) >= first)
    assert at == bin_probability(first)


@pytest.mark.parametrize("prior_shift", [None, FOLLOW, AGAINST])
def test_a_map_its_tiles_and_its_quantised_form_have_one_mask(prior_shift: PriorShift | None) -> None:
    pixels, bright, dark = specked(60, 12, shape=(210, 310))
    rng = np.random.default_rng(4)
    damage = np.where(bright | dark, rng.random(bright.shape), 1e-4).astype(np.float32)
    before = QuantisedMap.from_map(damage).bins
    threshold = Threshold(0.5, prior_shift)
    mask, level = threshold.apply(damage, pixels)
    by_tiles, level_by_tiles = threshold.apply_to_tiles(
        ((tile.core, damage[tile.core]) for tile in tiles(damage.shape, 64)), pixels
    )
    quantised = QuantisedMap(before.copy())
    of_bins, level_of_bins = threshold.apply(quantised, pixels)
    assert 0 < mask.sum() < (bright | dark).sum()
    np.testing.assert_array_equal(by_tiles, mask)
    np.testing.assert_array_equal(of_bins, mask)
    np.testing.assert_array_equal(quantised.bins, before)
    assert level_by_tiles == level == pytest.approx(level_of_bins)


def test_a_quantised_map_at_a_user_s_level_marks_no_more_than_the_exact_one() -> None:
    damage = np.random.default_rng(4).random((40, 50), np.float32)
    quantised, pixels = QuantisedMap.from_map(damage), grey((40, 50))
    for level in (0.0, 0.1, 0.3, 0.77, 1.0):
        mask, at = Threshold(level).apply(quantised, pixels)
        assert not (mask & (damage < level)).any()
        assert (mask != (damage >= level)).mean() < 0.03
        assert level <= at + 1e-6
    assert Threshold(0.0).apply(quantised, pixels)[0].all()


@pytest.mark.parametrize("level", [-0.1, 1.1, float("nan")])
def test_levels_outside_0_to_1_are_refused(level: float) -> None:
    with pytest.raises(ValueError, match=r"in 0\.\.1"):
        Threshold(level)


def test_the_threshold_of_an_engine() -> None:
    levels = {Sensitivity.shy: 0.8, Sensitivity.normal: 0.5, Sensitivity.eager: 0.2}
    spec = DetectorSpec(name="named", level=0.5, levels=levels, prior_shift=FOLLOW)
    assert Threshold.of_engine(spec) == Threshold(0.5, FOLLOW)
    assert Threshold.of_engine(spec, sensitivity=Sensitivity.shy) == Threshold(0.8, FOLLOW)
    assert Threshold.of_engine(spec, 0.3) == Threshold(0.3)  # the user's level is exact
    assert Threshold.of_engine(DetectorSpec(name="plain", level=0.4), sensitivity=Sensitivity.shy) == Threshold(0.4)


@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_adapted_posteriors_have_the_mask_of_the_threshold(strength: float) -> None:
    pixels, bright, dark = specked(40, 6)
    rng = np.random.default_rng(1)
    damage = np.where(bright | dark, rng.random(bright.shape), 1e-4 * rng.random(bright.shape)).astype(np.float32)
    follow = PriorShift(prior=PRIOR, exponent=0.4, minority_exponent=strength)
    mask, _ = Threshold(0.5, follow).apply(damage, pixels)
    found = adapt_posteriors(follow, damage, pixels)
    # Levels are rounded up to the next bin.
    assert not (mask & (found < 0.5)).any()
    assert (mask != (found >= 0.5)).mean() < 2e-3


def test_the_bias_is_added_to_the_log_odds() -> None:
    damage = np.array([[0.0, 0.5, 1.0]], np.float32)
    np.testing.assert_array_equal(adapt_posteriors(None, damage, grey((1, 3))), damage)
    np.testing.assert_allclose(adapt_posteriors(None, damage, grey((1, 3)), np.log(3)), [[0.0, 0.75, 1.0]], rtol=1e-6)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("inverted", [False, True])
def test_the_rarer_polarity_needs_a_higher_probability(depth: str, channels: int, inverted: bool) -> None:
    pixels, bright, dark = specked(60, 3, depth, channels)
    if inverted:
        pixels = (pixels.max() - pixels).astype(pixels.dtype)
    unsure, _ = Threshold(0.5, AGAINST).apply(chances(bright | dark, 0.7), pixels)
    np.testing.assert_array_equal(unsure, bright)
    sure, _ = Threshold(0.5, AGAINST).apply(chances(bright | dark, 0.999), pixels)
    np.testing.assert_array_equal(sure, bright | dark)


def test_equally_frequent_polarities_are_treated_alike() -> None:
    pixels, bright, dark = specked(30, 30)
    mask, _ = Threshold(0.5, AGAINST).apply(chances(bright | dark, 0.6), pixels)
    np.testing.assert_array_equal(mask, bright | dark)


def test_one_large_region_does_not_outweigh_many_small_ones() -> None:
    pixels, bright, _ = specked(60, 0)
    keyhole = spots(bright.shape, 1, 9, 18) & ~bright
    pixels[keyhole] = 20
    assert keyhole.sum() > bright.sum() / 2
    mask, _ = Threshold(0.5, AGAINST).apply(chances(bright | keyhole, 0.75), pixels)
    assert (mask & bright).sum() > 0.95 * bright.sum()
    assert (mask & keyhole).sum() < 0.05 * keyhole.sum()


def test_few_regions_decide_nothing() -> None:
    pixels, bright, dark = specked(2, 1, shape=(200, 200))
    mask, _ = Threshold(0.5, AGAINST).apply(chances(bright | dark, 0.7), pixels)
    np.testing.assert_array_equal(mask, bright | dark)


def test_certain_damage_stays() -> None:
    pixels, bright, dark = specked(60, 3)
    quantised = QuantisedMap.from_map(chances(bright))
    quantised.bins[dark] = BINS - 1
    mask, _ = Threshold(0.5, AGAINST).apply(quantised, pixels)
    assert mask[dark].all()


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels, bright, dark = specked(60, 12, shape=(420, 620))
    rng = np.random.default_rng(4)
    damage = np.where(bright | dark, rng.random(bright.shape), 0).astype(np.float32)
    expected, _ = Threshold(0.5, AGAINST).apply(damage, pixels)
    monkeypatch.setattr(polarity, "_BLOCK", 128)
    in_small_blocks, _ = Threshold(0.5, AGAINST).apply(damage, pixels)
    np.testing.assert_array_equal(in_small_blocks, expected)


def test_nan_and_infinite_pixels_do_no_harm() -> None:
    pixels, bright, dark = specked(60, 3, "float32")
    pixels[bright] = np.where(np.arange(bright.sum())[:, None] % 9 == 0, np.nan, pixels[bright])
    pixels[:4, :4], pixels[-4:, -4:] = np.inf, -np.inf
    mask, _ = Threshold(0.5, AGAINST).apply(chances(bright | dark, 0.7), pixels)
    assert mask[bright].mean() > 0.85
    assert not mask[dark].any()
