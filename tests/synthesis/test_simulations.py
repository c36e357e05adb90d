"""Film and scanner simulation: each effect does what it says, and the same seed gives the same picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from redust.synthesis.film_simulation import add_film_grain, print_halftone, simulate_film
from redust.synthesis.recipe import Recipe
from redust.synthesis.scanner_simulation import compress_jpeg, sharpen, simulate_scanner

EFFECTS = ("black_and_white", "sepia", "cast", "fading", "negative", "blur", "halftone", "grain", "soft_scan",
           "sharpened", "noise", "jpeg")  # fmt: skip


def photo(side: int = 96) -> np.ndarray:
    noise = np.random.default_rng(0).random((8, 8, 3)).astype(np.float32)
    return cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC).clip(0, 1).astype(np.float32)


def only(**shares: float) -> Recipe:
    return Recipe(**{name: shares.get(name, 0.0) for name in EFFECTS})


@pytest.mark.parametrize("effect", EFFECTS)
def test_every_effect_changes_the_picture_within_range(effect: str) -> None:
    def simulated(recipe: Recipe) -> np.ndarray:
        film = simulate_film(photo(), np.random.default_rng(5), recipe)
        return simulate_scanner(film, np.random.default_rng(6), recipe)

    changed = simulated(only(**{effect: 1.0}))
    assert changed.shape == (96, 96, 3)
    assert changed.dtype == np.float32
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert np.abs(changed - simulated(only())).mean() > 1e-4
    np.testing.assert_array_equal(changed, simulated(only(**{effect: 1.0})))


def test_a_negative_is_inverted() -> None:
    positive, negative = (
        simulate_film(photo(), np.random.default_rng(1), only(negative=share)) for share in (0.0, 1.0)
    )
    np.testing.assert_allclose(positive + negative, 1, atol=1e-6)


def test_fading_lifts_black_and_lowers_white() -> None:
    picture = np.zeros((20, 20, 3), np.float32)
    picture[:10] = 1
    faded = [simulate_film(picture.copy(), np.random.default_rng(seed), only(fading=1.0)) for seed in range(10)]
    assert max(float(np.ptp(film)) for film in faded) < 1
    assert min(float(film[15].mean()) for film in faded) >= 0


def test_film_grain_is_strongest_in_mid_tones() -> None:
    ramp = np.repeat(np.tile(np.linspace(0, 1, 300, dtype=np.float32), (300, 1))[..., None], 3, axis=2)
    grain = add_film_grain(ramp, np.random.default_rng(2)) - ramp
    dark, middle = (float(grain[:, columns].std()) for columns in (slice(5, 25), slice(140, 160)))
    assert middle > 1.3 * dark
    assert abs(float(grain[:, 100:200].mean())) < 0.1 * middle


def test_grain_of_a_grey_picture_is_grey() -> None:
    flat = np.full((60, 60, 3), 0.5, np.float32)
    grain = add_film_grain(flat, np.random.default_rng(2)) - flat
    np.testing.assert_allclose(grain[..., 0], grain[..., 2], atol=1e-6)
    coloured = np.full((60, 60, 3), [0.6, 0.5, 0.4], np.float32)
    grain = add_film_grain(coloured, np.random.default_rng(2)) - coloured
    assert np.abs(grain[..., 0] - grain[..., 2]).max() > 0.005


def test_a_halftone_keeps_the_tone_and_adds_dots() -> None:
    flat = np.full((120, 120, 3), 0.5, np.float32)
    printed = print_halftone(flat, np.random.default_rng(0))
    assert printed.mean() == pytest.approx(0.5, abs=0.03)
    assert printed.std() > 0.05


def test_sharpening_raises_contrast_at_edges_only() -> None:
    edge = np.full((40, 40, 3), 0.3, np.float32)
    edge[:, 20:] = 0.6
    sharp = sharpen(edge, 1.0, 0.8)
    assert sharp[:, 19].mean() < 0.3 < 0.6 < sharp[:, 20].mean()
    np.testing.assert_allclose(sharp[:, :10], 0.3, atol=1e-6)


def test_jpeg_of_better_quality_is_nearer() -> None:
    noise = np.random.default_rng(1).standard_normal((96, 96, 1))
    picture = np.repeat(np.clip(0.5 + 0.1 * noise, 0, 1), 3, axis=2).astype(np.float32)
    worse, better = (float(np.abs(compress_jpeg(picture, quality) - picture).mean()) for quality in (60, 97))
    assert better < 0.5 * worse
    assert worse < 0.1


def test_a_soft_scanner_blurs_and_a_noisy_one_adds_noise() -> None:
    picture = photo()
    picture[48] = 1.0
    soft = simulate_scanner(picture, np.random.default_rng(0), only(soft_scan=1.0))
    assert np.abs(np.diff(soft, axis=0)).max() < np.abs(np.diff(picture, axis=0)).max()
    flat = np.full((200, 200, 3), 0.5, np.float32)
    noise = simulate_scanner(flat, np.random.default_rng(0), only(noise=1.0)) - flat
    assert 0.002 <= noise.std() <= 0.02
    assert abs(float(noise.mean())) < 0.001
