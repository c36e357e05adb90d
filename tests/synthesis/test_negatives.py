"""Hard negatives: reproducible, within the scene's range, and of the polarity they state."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from redust.synthesis.lettering import draw_text, font_files
from redust.synthesis.negatives import NEGATIVES, NIGHT


def scene(value: float = 0.5, side: int = 128) -> np.ndarray:
    return np.full((side, side, 3), value, np.float32)


@pytest.mark.parametrize("name", sorted(NEGATIVES))
def test_the_same_seed_draws_the_same_scene(name: str) -> None:
    first, again, second = scene(), scene(), scene()
    for light, seed in ((first, 4), (again, 4), (second, 5)):
        NEGATIVES[name](light, np.random.default_rng(seed))
    np.testing.assert_array_equal(first, again)
    assert (first != second).any()


@pytest.mark.parametrize("name", sorted(NEGATIVES))
@pytest.mark.parametrize("shape", [(40, 90), (90, 40)])
def test_any_shape_of_scene(name: str, shape: tuple[int, int]) -> None:
    light = np.full((*shape, 3), 0.4, np.float32)
    for seed in range(4):
        NEGATIVES[name](light, np.random.default_rng(seed))
    assert np.isfinite(light).all()
    assert light.dtype == np.float32


@pytest.mark.parametrize("name", NIGHT)
def test_night_skies_are_dark_with_bright_points(name: str) -> None:
    skies = []
    for seed in range(12):
        light = scene(0.8)
        NEGATIVES[name](light, np.random.default_rng(seed))
        skies.append(light)
    assert np.median([sky.mean() for sky in skies]) < 0.6
    assert np.mean([sky.max() > sky.mean() + 0.25 for sky in skies]) > 0.7


def test_a_field_of_stars_has_few_bright_and_many_faint_ones_on_any_scene() -> None:
    shares = []
    for seed in range(20):
        light = scene(0.8)
        NEGATIVES["star-field"](light, np.random.default_rng(seed))
        grey = cv2.GaussianBlur(light.mean(axis=2), (0, 0), 0.7)
        peaks = grey[(grey == cv2.dilate(grey, np.ones((5, 5)))) & (grey > np.median(grey) + 0.1)] - np.median(grey)
        shares.append(np.median(peaks) / peaks.max() if len(peaks) > 5 else np.nan)
    assert np.isfinite(shares).mean() > 0.4
    assert np.nanmedian(shares) < 0.6


def test_highlights_only_brighten() -> None:
    for seed in range(5):
        light = scene(0.3)
        NEGATIVES["highlights"](light, np.random.default_rng(seed))
        assert light.min() >= 0.3 - 1e-6
        assert light.max() > 0.5


def test_a_frame_edge_leaves_the_middle() -> None:
    for seed in range(8):
        light = scene()
        NEGATIVES["frame-edge"](light, np.random.default_rng(seed))
        np.testing.assert_allclose(light[60:68, 60:68], 0.5, atol=1e-6)
        assert np.abs(light - 0.5).max() > 0.2


def test_catchlights_have_a_bright_spot_in_a_dark_disc() -> None:
    extremes = []
    for seed in range(20):
        light = scene()
        NEGATIVES["catchlights"](light, np.random.default_rng(seed))
        extremes.append((light.min(), light.max()))
    assert np.mean([low < 0.25 and high > 0.7 for low, high in extremes]) > 0.6


def test_text_is_drawn_with_and_without_outline_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    for fonts in (font_files(), ()):
        monkeypatch.setattr("redust.synthesis.lettering.font_files", lambda fonts=fonts: fonts)
        drawn = [draw_text((100, 160), np.random.default_rng(seed)) for seed in range(12)]
        assert all(text.shape == (100, 160) and text.dtype == np.float32 for text in drawn)
        assert all(text.min() >= 0 and text.max() <= 1 for text in drawn)
        assert np.mean([text.max() > 0.8 for text in drawn]) > 0.7
