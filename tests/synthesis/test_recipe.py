"""The recipe: one TOML file, checked, and obeyed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redust.core.errors import SettingsError
from redust.synthesis.appearance import Appearance, random_appearance
from redust.synthesis.film_simulation import simulate_film
from redust.synthesis.negatives import NEGATIVES
from redust.synthesis.recipe import KINDS, Recipe
from redust.synthesis.scanner_simulation import simulate_scanner
from redust.synthesis.synthesizer import Synthesizer

SHARES = ("black_and_white", "sepia", "cast", "fading", "negative", "blur", "halftone", "grain", "soft_scan",
          "sharpened", "noise", "jpeg")  # fmt: skip
NOTHING = dict.fromkeys(SHARES, 0.0)


def test_defaults_come_back_from_their_own_toml(tmp_path: Path) -> None:
    Recipe().write(tmp_path / "recipe.toml")
    assert Recipe.from_preset(tmp_path / "recipe.toml") == Recipe()


def test_the_reference_names_every_field_kind_and_negative() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "synthesis-recipe.md").read_text(encoding="utf-8")
    fields = [name for name in Recipe.model_fields if name not in ("kinds", "hard")]
    assert [name for name in (*fields, *KINDS, *NEGATIVES) if f"`{name}`" not in page] == []


@given(
    clean=st.floats(0, 1),
    layers=st.integers(1, 12),
    weights=st.dictionaries(st.sampled_from(KINDS), st.floats(0.001, 1e6), min_size=1),
)
def test_any_recipe_comes_back_from_its_toml(clean: float, layers: int, weights: dict[str, float]) -> None:
    import tomllib

    recipe = Recipe(clean=clean, layers=layers, kinds=weights)
    assert Recipe(**tomllib.loads(recipe.to_toml())) == recipe


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"kinds": {"dusst": 1.0}}, "dusst.*the kinds are dust, dirt"),
        ({"hard": {"clouds": 1.0}}, "clouds.*lettering"),
        ({"kinds": {"dust": 0.0}}, "no kind has a weight above 0"),
        ({"kinds": {"dust": -1.0}}, "dust"),
        ({"speckles": 3}, "there is no setting `speckles`"),
        ({"scale_low": 2.0, "scale_high": 1.0}, "scale_low"),
        ({"opacity_low": 0.9, "opacity_high": 0.5}, "opacity_low"),
        ({"black_and_white": 0.8, "sepia": 0.3}, "add up to more than 1"),
        ({"soft_scan": 0.8, "sharpened": 0.3}, "add up to more than 1"),
        ({"clean": 1.2}, "clean"),
    ],
)
def test_what_cannot_be_is_refused(choices: dict[str, object], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        Recipe.of(**choices)


def test_kinds_without_material_alone_are_refused() -> None:
    with pytest.raises(SettingsError, match="no material"):
        Synthesizer(Recipe(kinds={"overlays": 1.0}))


def test_with_all_shares_at_zero_the_ground_is_only_exposed_anew() -> None:
    photo = np.random.default_rng(0).random((40, 40, 3)).astype(np.float32)
    changed = simulate_film(photo.copy(), np.random.default_rng(1), Recipe(**NOTHING))
    # A plain power of the light: the order of all values is kept.
    np.testing.assert_array_equal(np.argsort(changed.ravel()), np.argsort(photo.ravel()))
    same = simulate_scanner(photo.copy(), np.random.default_rng(1), Recipe(**NOTHING))
    np.testing.assert_array_equal(same, photo)


@pytest.mark.parametrize("share", ["black_and_white", "sepia"])
def test_shares_of_one_always_happen(share: str) -> None:
    photo = np.random.default_rng(0).random((24, 24, 3)).astype(np.float32)
    toned = simulate_film(photo, np.random.default_rng(2), Recipe(**(NOTHING | {share: 1.0})))
    red_over_blue = toned[..., 0] - toned[..., 2]
    if share == "sepia":
        assert red_over_blue.min() >= 0
        assert red_over_blue.max() > 0.05
    else:
        np.testing.assert_array_equal(red_over_blue, 0)


def test_noise_before_jpeg_does_not_wrap_around() -> None:
    """Black with noise stays near black: values below 0 must not come out as white."""
    recipe = Recipe(**(NOTHING | {"noise": 1.0, "jpeg": 1.0}))
    black = np.zeros((64, 64, 3), np.float32)
    assert max(simulate_scanner(black.copy(), np.random.default_rng(seed), recipe).max() for seed in range(5)) < 0.2


def test_polarity_and_opacity_follow_the_recipe() -> None:
    rng = np.random.default_rng(0)
    recipe = Recipe(bright=1.0, opacity_low=0.6, opacity_high=0.8, faint=0.0)
    looks = [random_appearance(rng, "dust", recipe) for _ in range(200)]
    assert all(not look.multiply and look.colour.mean() > 0.4 for look in looks)
    assert all(0.6 <= look.opacity <= 0.8 for look in looks)
    assert all(random_appearance(rng, "dust", Recipe(bright=0.0)).multiply for _ in range(50))


def test_raised_damage_is_brighter_on_one_flank_and_darker_on_the_other() -> None:
    recipe = Recipe(relief=1.0, kinds={"hair": 1.0})
    flanks = []
    for seed in range(5):
        picture, rng = np.full((96, 96, 3), 0.5, np.float32), np.random.default_rng(seed)
        Synthesizer(recipe).draw_layer("hair", (96, 96), 1.0, rng).blend_over(picture, rng, recipe)
        flanks.append((picture.min() < 0.5) and (picture.max() > 0.5))
    assert any(flanks)


def test_a_wider_rim_is_softer() -> None:
    sharp, soft = (
        Synthesizer(Recipe(rim=rim)).draw_layer("missing", (96, 96), 1.0, np.random.default_rng(3)).coverage
        for rim in (0.0, 8.0)
    )
    assert np.abs(np.diff(soft, axis=0)).max() < np.abs(np.diff(sharp, axis=0)).max()


def test_what_is_out_of_focus_is_softer_and_of_the_same_amount() -> None:
    sharp, soft = (
        Synthesizer(Recipe(defocus=share)).draw_layer("dirt", (96, 96), 1.5, np.random.default_rng(3)).coverage
        for share in (0.0, 1.0)
    )
    assert np.abs(np.diff(soft, axis=0)).max() < 0.5 * np.abs(np.diff(sharp, axis=0)).max()
    assert soft.sum() == pytest.approx(sharp.sum(), rel=0.1)


def test_translucent_layers_have_any_opacity() -> None:
    rng = np.random.default_rng(0)
    usual, even = (
        np.mean(
            [random_appearance(rng, "hair", Recipe(opacity_low=0.0, translucent=share)).opacity for _ in range(400)]
        )
        for share in (0.0, 1.0)
    )
    assert usual > 0.6
    assert even == pytest.approx(0.5, abs=0.06)


def dark_hairs(**options: float) -> list[Appearance]:
    """Appearances of dark hairs."""
    rng, recipe = np.random.default_rng(1), Recipe(bright=0.0, **options)
    return [random_appearance(rng, "hair", recipe) for _ in range(200)]


def test_dense_damage_lets_next_to_no_light_through() -> None:
    passes = [1 - look.opacity * (1 - float(look.colour.max())) for look in dark_hairs(dense=1.0)]
    assert max(passes) < 0.2
    assert max(1 - look.opacity * (1 - float(look.colour.max())) for look in dark_hairs()) > 0.4


def test_covering_damage_shows_its_own_dark_whatever_is_below() -> None:
    assert all(look.multiply for look in dark_hairs())
    looks = dark_hairs(covering=1.0)
    assert not any(look.multiply for look in looks)
    assert max(float(look.colour.max()) for look in looks) < 0.2
    shares = np.mean([look.multiply for look in dark_hairs(covering=0.3)])
    assert shares == pytest.approx(0.7, abs=0.1)
