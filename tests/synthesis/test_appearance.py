"""How damage changes light: gamma, blending, relief, and appearances within the recipe."""

from __future__ import annotations

import numpy as np
import pytest

from redust.synthesis.appearance import (
    COVER,
    DARK,
    STAINS,
    Appearance,
    apply_appearance,
    draw_relief,
    multiply_light,
    random_appearance,
    to_encoded,
    to_linear,
)
from redust.synthesis.recipe import KINDS, Recipe


def grey(value: float = 0.5) -> np.ndarray:
    return np.full((16, 16, 3), value, np.float32)


def test_linear_and_encoded_light_are_inverse() -> None:
    light = np.linspace(0, 1, 50, dtype=np.float32)
    np.testing.assert_allclose(to_encoded(to_linear(light)), light, atol=1e-5)
    assert to_linear(np.float32([0.5]))[0] == pytest.approx(0.5**2.2)
    assert to_linear(np.float32([-0.1]))[0] == 0


@pytest.mark.parametrize("multiply", [True, False])
def test_blending_is_done_in_linear_light(multiply: bool) -> None:
    picture, coverage = grey(), np.zeros((16, 16), np.float32)
    coverage[:8] = 0.5
    colour = np.array([0.2, 0.4, 0.0], np.float32)
    apply_appearance(picture, coverage, Appearance(colour, 0.8, multiply))
    before = 0.5**2.2
    damage = before * colour if multiply else colour
    np.testing.assert_allclose(to_linear(picture[2, 2]), before * 0.6 + damage * 0.4, atol=1e-5)
    np.testing.assert_array_equal(picture[8:], 0.5)


def test_no_coverage_changes_nothing() -> None:
    picture = grey()
    apply_appearance(picture, np.zeros((16, 16), np.float32), Appearance(np.ones(3, np.float32), 1.0, False))
    np.testing.assert_array_equal(picture, 0.5)


def test_a_known_factor_multiplies_linear_light_and_stops_at_white() -> None:
    picture = grey()
    ratio = np.zeros((16, 16), np.float32)
    ratio[:4], ratio[4:8] = np.log(0.5), np.log(100.0)
    multiply_light(picture, ratio)
    np.testing.assert_allclose(to_linear(picture[0, 0]), 0.5 * 0.5**2.2, rtol=1e-4)
    np.testing.assert_array_equal(picture[5], 1)
    np.testing.assert_array_equal(picture[8:], 0.5)


def test_a_factor_may_differ_between_channels() -> None:
    picture = grey()
    ratio = np.zeros((16, 16, 3), np.float32)
    ratio[..., 0] = -1.0
    multiply_light(picture, ratio)
    assert (picture[..., 0] < 0.4).all()
    np.testing.assert_allclose(picture[..., 1:], 0.5, atol=1e-6)


def test_relief_shades_the_flanks_and_not_the_rest() -> None:
    ridge = np.zeros((40, 40), np.float32)
    ridge[15:25, 15:25] = 1
    shading = np.stack([draw_relief(ridge, np.random.default_rng(seed)) for seed in range(20)])
    assert (np.ptp(shading, axis=(1, 2)) > 0.02).all()
    assert np.mean((shading.min(axis=(1, 2)) < 0) & (shading.max(axis=(1, 2)) > 0)) > 0.6
    np.testing.assert_array_equal(shading[:, :10], 0)


@pytest.mark.parametrize("kind", [*KINDS, "overlay of the user"])
def test_every_kind_has_an_appearance_in_range(kind: str) -> None:
    rng, recipe = np.random.default_rng(0), Recipe(dense=0.3, covering=0.3, translucent=0.3)
    for _ in range(60):
        appearance = random_appearance(rng, kind, recipe)
        assert 0 <= appearance.opacity <= 1
        assert appearance.colour.shape == (3,)
        assert appearance.colour.dtype == np.float32
        assert appearance.colour.min() >= 0
        assert appearance.colour.max() <= 1


@pytest.mark.parametrize("kind", STAINS)
def test_stains_are_brown(kind: str) -> None:
    rng = np.random.default_rng(0)
    colours = np.stack([random_appearance(rng, kind).colour for _ in range(200)])
    red, green, blue = colours.mean(axis=0)
    assert red > green > blue


def test_dark_damage_is_as_dark_as_its_kind() -> None:
    rng = np.random.default_rng(0)
    for share, darkest in ((0.0, DARK), (1.0, COVER)):
        recipe = Recipe(bright=0.0, covering=share)
        drawn = [random_appearance(rng, "dust", recipe) for _ in range(200)]
        assert max(float(appearance.colour.max()) for appearance in drawn) < darkest + 0.06
        assert all(appearance.multiply == (share == 0) for appearance in drawn)


def test_lines_are_never_faint() -> None:
    rng, recipe = np.random.default_rng(0), Recipe(faint=1.0, opacity_low=0.6)
    assert min(random_appearance(rng, "hair", recipe).opacity for _ in range(100)) >= 0.6
    assert max(random_appearance(rng, "dust", recipe).opacity for _ in range(100)) <= 0.6
