"""The parts of kriging: plane, ring, covariance and prediction."""

from __future__ import annotations

import numpy as np
import pytest

from redust.inpainters.kriging import (
    KrigingInpainter,
    _fit_plane,
    _measure_covariance,
    _predict_pixels,
    _select_ring,
)


def hole(height: int = 40, width: int = 50) -> np.ndarray:
    mask = np.zeros((height, width), np.bool_)
    mask[15:22, 20:28] = True
    return mask


def test_a_plane_is_fitted_to_known_pixels_only() -> None:
    rows, columns = np.mgrid[:40, :50].astype(np.float64)
    light = np.stack([3 + 2 * rows - columns, 100 - 0.5 * rows])
    spoilt = light.copy()
    spoilt[:, hole()] = 1e6
    np.testing.assert_allclose(_fit_plane(spoilt, ~hole()), light, atol=1e-6)


def test_a_single_known_pixel_gives_a_level_plane() -> None:
    known = np.zeros((9, 9), np.bool_)
    known[4, 4] = True
    plane = _fit_plane(np.full((1, 9, 9), 7.0), known)
    assert plane[0, 4, 4] == pytest.approx(7)
    assert np.isfinite(plane).all()


def test_the_ring_is_known_and_near() -> None:
    known = ~hole()
    ring = _select_ring(hole(), known)
    assert (ring <= known).all()
    rows, columns = np.nonzero(ring)
    assert 24 <= len(rows) <= 400
    assert rows.min() == 12
    assert rows.max() == 24
    assert columns.min() == 17
    assert columns.max() == 30


def test_the_ring_reaches_farther_where_few_pixels_are_known() -> None:
    known = np.zeros((40, 50), np.bool_)
    known[:3] = True
    ring = _select_ring(hole(), known)
    assert np.count_nonzero(ring) >= 24
    assert (ring <= known).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_covariance_is_1_at_no_distance_symmetric_and_positive_definite(dtype: type) -> None:
    residual = np.random.default_rng(0).normal(0, 1, (40, 50)).astype(dtype)
    table = _measure_covariance(residual, ~hole(), hole())
    height, width = table.shape
    assert table[height // 2, width // 2] == pytest.approx(1, abs=1e-5)
    assert table.max() == table[height // 2, width // 2]
    inner = table[1:, 1:]
    np.testing.assert_allclose(inner, inner[::-1, ::-1], atol=1e-5)
    spectrum = np.fft.fft2(np.fft.ifftshift(table)).real
    assert spectrum.min() > -0.05 * spectrum.max()


def test_the_covariance_of_stripes_has_their_period() -> None:
    columns = np.arange(60)
    stripes = np.tile(np.sin(2 * np.pi * columns / 6), (40, 1))
    known = np.ones((40, 60), np.bool_)
    target = np.zeros((40, 60), np.bool_)
    target[10:30, 20:40] = True
    table = _measure_covariance(stripes, known, target)
    middle = table[table.shape[0] // 2, table.shape[1] // 2 :]
    assert middle[6] > 0.5
    assert middle[3] < 0


def test_a_flat_residual_has_the_general_covariance() -> None:
    table = _measure_covariance(np.zeros((40, 50)), ~hole(), hole())
    assert (table > 0).all()
    assert table[table.shape[0] // 2, table.shape[1] // 2 + 10] == pytest.approx(np.exp(-10 / 40))


def test_prediction_returns_nearby_values() -> None:
    table = _measure_covariance(np.zeros((40, 50)), ~hole(), np.ones((40, 50), np.bool_))
    sources = np.array([5, 5, 5]), np.array([4, 6, 20])
    values = np.array([[1.0], [1.0], [-1.0]])
    predicted = _predict_pixels(values, sources, (np.array([5, 5]), np.array([5, 20])), table)
    assert predicted[0, 0] > 0.8
    assert predicted[1, 0] < -0.8


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_filled_pixels_stay_within_the_range_of_their_surroundings(dtype: type) -> None:
    scale = 1 if dtype == np.float32 else 200
    pixels = (np.random.default_rng(1).random((40, 50, 3)) * scale).astype(dtype)
    filled = KrigingInpainter().fill(pixels, hole())
    assert filled[hole()].max() <= pixels[~hole()].max()
    assert filled[hole()].min() >= pixels[~hole()].min()
    np.testing.assert_array_equal(filled[~hole()], pixels[~hole()])
