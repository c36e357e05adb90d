"""Negatives that were not inverted: told from positives by their histogram, and shown to detectors as positives."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from drawing import draw_negative, draw_scene
from redust.core.arrays import Pixels, from_light, to_light
from redust.core.settings import Film
from redust.detectors.film import choose_film, has_orange_mask, invert_negative, show_light

_DTYPES = ("uint8", "uint16", "float32")


def _pixels(light: NDArray[np.float32], dtype: str = "uint8") -> Pixels:
    return from_light(light, np.dtype(dtype))


@pytest.mark.parametrize("dtype", _DTYPES)
@pytest.mark.parametrize("gamma", [1.0, 1 / 2.2])
def test_a_colour_negative_is_known_by_its_orange_mask(dtype: str, gamma: float) -> None:
    negative = _pixels(draw_negative(draw_scene(), gamma), dtype)
    assert choose_film(negative, Film.auto) is Film.negative


@pytest.mark.parametrize(
    "tint",
    [
        (1.0, 1.0, 1.0),
        (1.0, 0.85, 0.65),  # sepia
        (1.0, 0.45, 0.02),  # fire, street lamps: no blue at all
        (0.4, 0.7, 1.0),  # a blue hour
    ],
)
def test_a_positive_of_any_tint_is_left_alone(tint: tuple[float, float, float]) -> None:
    assert not has_orange_mask(_pixels(draw_scene() * np.array(tint, np.float32)))


def test_red_paint_is_no_orange_mask_where_something_white_is_in_the_picture() -> None:
    scene = draw_scene() * np.array((0.8, 0.35, 0.2), np.float32)
    assert has_orange_mask(_pixels(scene))  # nothing in it says otherwise
    scene[:12] = np.minimum(draw_scene(1)[:12, :, :1] * 2, 0.95)
    assert not has_orange_mask(_pixels(scene))


def test_a_black_holder_and_light_beside_the_film_do_not_hide_a_negative() -> None:
    negative = _pixels(draw_negative(draw_scene()))
    negative[:20], negative[-20:], negative[:, :30] = 0, 0, 255
    assert has_orange_mask(negative)


def test_grey_scans_are_positives_unless_the_user_says_otherwise() -> None:
    grey = _pixels(1 - draw_scene()[..., :1])
    assert choose_film(grey, Film.auto) is Film.positive
    assert choose_film(grey, Film.negative) is Film.negative


def test_what_the_user_says_counts() -> None:
    assert choose_film(_pixels(draw_negative(draw_scene())), Film.positive) is Film.positive
    assert choose_film(_pixels(draw_scene()), Film.negative) is Film.negative


@pytest.mark.parametrize("dtype", _DTYPES)
def test_an_inverted_negative_looks_like_its_scene_and_shows_dust_white(dtype: str) -> None:
    scene = draw_scene()
    light = draw_negative(scene)
    light[100:104, 100:104] = 0.01  # dust stops the light
    pixels = _pixels(light, dtype)
    before = pixels.copy()
    positive = invert_negative(pixels)
    assert positive.dtype == pixels.dtype
    assert positive.shape == pixels.shape
    np.testing.assert_array_equal(pixels, before)
    full = 1.0 if dtype == "float32" else np.iinfo(dtype).max
    assert positive[101:103, 101:103].min() >= 0.98 * full
    correlation = np.corrcoef(positive[:90].reshape(-1), scene[:90].reshape(-1))[0, 1]
    assert correlation > 0.85
    assert positive[..., 0].std() > 1.2 * pixels[..., 0].std()  # the low contrast of a negative is stretched


def test_the_inversion_of_integers_by_tables_is_that_of_floats() -> None:
    light = draw_negative(draw_scene())
    exact = invert_negative(_pixels(light, "float32"))
    tables = invert_negative(_pixels(light, "uint16")) / 65535
    np.testing.assert_allclose(tables, exact, atol=2e-3)


def test_a_flat_scan_does_not_become_noise() -> None:
    flat = np.full((64, 64, 3), (180, 120, 80), np.uint8)
    flat += np.random.default_rng(0).integers(0, 3, flat.shape).astype(np.uint8)
    assert invert_negative(flat).std() < 8


@pytest.mark.parametrize("dtype", _DTYPES)
def test_linear_light_is_shown_as_on_a_screen(dtype: str) -> None:
    scene = draw_scene()
    linear = _pixels(scene**2.2, dtype)
    shown = show_light(linear, Film.positive, linear=True)
    assert shown.dtype == linear.dtype
    np.testing.assert_allclose(to_light(shown), scene, atol=0.06)
    assert show_light(linear, Film.positive) is linear
