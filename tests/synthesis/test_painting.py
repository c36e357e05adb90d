"""Noise, points, lines and fibres have the sizes and ranges they state."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redust.synthesis.painting import (
    blur_coverage,
    bytes_to_coverage,
    downsample_coverage,
    fractal_noise,
    object_density,
    paint_colour,
    paint_fibres,
    paint_lines,
    random_colour,
    random_path,
    scatter_points,
    smooth_noise,
    supersampled_canvas,
    thin_unevenly,
)

CANVAS = (90, 130)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@given(height=st.integers(1, 80), width=st.integers(1, 80), cell=st.floats(0.1, 200))
def test_noise_has_the_size_of_the_canvas(height: int, width: int, cell: float) -> None:
    for draw in (smooth_noise, fractal_noise):
        noise = draw((height, width), cell, rng())
        assert noise.shape == (height, width)
        assert noise.dtype == np.float32
        assert np.isfinite(noise).all()


def test_smooth_noise_has_mean_0_and_deviation_about_1() -> None:
    noise = smooth_noise((600, 600), 4, rng())
    assert noise.mean() == pytest.approx(0, abs=0.05)
    assert noise.std() == pytest.approx(0.8, abs=0.25)


def test_noise_varies_over_its_cell() -> None:
    def change(cell: float) -> float:
        return float(np.abs(np.diff(smooth_noise((400, 400), cell, rng()), axis=1)).mean())

    assert change(40) < 0.3 * change(8)


def test_fractal_noise_is_finer_than_its_first_octave() -> None:
    smooth, fractal = (draw((400, 400), 60, rng()) for draw in (smooth_noise, fractal_noise))
    assert np.abs(np.diff(fractal, axis=0)).mean() > 2 * np.abs(np.diff(smooth, axis=0)).mean()


@pytest.mark.parametrize(("canvas", "density"), [((256, 256), 1), ((100, 100), 1), ((512, 512), 4), ((9999, 9999), 40)])
def test_density_grows_with_the_area_within_limits(canvas: tuple[int, int], density: float) -> None:
    assert object_density(canvas) == density


def test_a_blur_keeps_the_amount_and_a_tiny_one_changes_nothing() -> None:
    spot = np.zeros((60, 60), np.float32)
    spot[28:32, 28:32] = 1
    blurred = blur_coverage(spot, 2.0)
    assert blurred.sum() == pytest.approx(spot.sum(), rel=1e-3)
    assert blurred.max() < 0.5
    assert blur_coverage(spot, 0.1) is spot


def test_points_are_clustered() -> None:
    assert scatter_points(CANVAS, 0, rng()).shape == (0, 2)
    assert scatter_points((1000, 1000), 600, rng()).shape == (600, 2)

    def nearest(points: np.ndarray) -> float:
        distances = np.hypot(*(points[:, None] - points).transpose(2, 0, 1))
        np.fill_diagonal(distances, np.inf)
        return float(np.median(distances.min(axis=1)))

    clustered = np.mean([nearest(scatter_points((1000, 1000), 11, rng(seed))) for seed in range(200)])
    uniform = np.mean([nearest(rng(seed).random((11, 2)) * 1000) for seed in range(200)])
    assert clustered < 0.85 * uniform


@pytest.mark.parametrize("width", [0.7, 1.0, 3.0, 8.0])
def test_a_line_is_as_wide_as_it_says(width: float) -> None:
    path = np.array([[45.0, -20.0], [45.0, 150.0]])
    coverage = paint_lines(CANVAS, [path], [width])
    assert coverage[:, 60].sum() == pytest.approx(width, abs=0.6)
    assert coverage[:10].max() == 0
    half = paint_lines(CANVAS, [path], [width], [0.5])
    np.testing.assert_allclose(half, coverage * 0.5, atol=0.01)


def test_fibres_taper_at_their_ends() -> None:
    path = np.stack([np.full(60, 45.0), np.linspace(20, 110, 60)], axis=1)
    widths = paint_fibres(CANVAS, [path], [8.0], rng()).sum(axis=0)
    middle = widths[40:90].mean()
    assert middle == pytest.approx(8, abs=2.5)
    assert widths[21] < 0.95 * middle
    assert widths[:14].max() == 0


def test_supersampled_drawings_shrink_to_the_canvas() -> None:
    drawn = supersampled_canvas(CANVAS)
    assert drawn.shape == (360, 520)
    drawn[:4, :2] = 255
    coverage = downsample_coverage(drawn, CANVAS)
    assert coverage.shape == CANVAS
    assert coverage[0, 0] == pytest.approx(0.5, abs=0.01)
    assert coverage[1:].max() == 0


def test_bytes_become_a_coverage() -> None:
    np.testing.assert_array_equal(bytes_to_coverage(np.array([0, 51, 255], np.uint8)), np.float32([0, 0.2, 1]))


def test_thinning_takes_at_most_half() -> None:
    thinned = thin_unevenly(np.ones((200, 200), np.float32), 5, rng())
    assert thinned.min() >= 0.5
    assert thinned.max() <= 1
    assert thinned.std() > 0.02


@pytest.mark.parametrize("length", [12.0, 90.0, 400.0])
def test_a_path_has_its_length_and_starts_where_told(length: float) -> None:
    start = np.array([10.0, 20.0])
    path = random_path(start, length, 0.3, rng())
    steps = np.hypot(*np.diff(np.vstack([start, path]), axis=0).T)
    assert steps.sum() == pytest.approx(length)
    straight, bent = (random_path(start, length, bend, rng(3)) for bend in (0.0, 1.0))
    assert np.hypot(*(straight[-1] - start)) == pytest.approx(length)
    assert np.hypot(*(bent[-1] - start)) < length


def test_colours_are_black_white_or_any() -> None:
    colours = np.stack([random_colour(rng(seed)) for seed in range(300)])
    assert colours.min() >= 0
    assert colours.max() <= 1
    grey = np.ptp(colours, axis=1) == 0
    assert 0.6 < grey.mean() < 0.8
    assert ((colours[grey] <= 0.2) | (colours[grey] >= 0.8)).all()


def test_colour_is_blended_by_coverage_and_opacity() -> None:
    light = np.full((20, 20, 3), 0.5, np.float32)
    coverage = np.zeros((20, 20), np.float32)
    coverage[:10] = 1
    colour = np.array([1.0, 0.0, 0.5], np.float32)
    paint_colour(light, coverage, colour, 0.5, 0)
    np.testing.assert_allclose(light[3, 3], [0.75, 0.25, 0.5])
    np.testing.assert_array_equal(light[15], 0.5)
