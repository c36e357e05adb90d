"""Holes too wide to see across are filled by way of half the size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redust.core.arrays import PIXEL_DTYPES
from redust.inpainters.wide import core_of, doubled, halved, wide_windows


@given(seed=st.integers(0, 999), reach=st.integers(1, 5), share=st.sampled_from([0.5, 0.95, 0.99]))
def test_the_core_has_nothing_sound_within_reach(seed: int, reach: int, share: float) -> None:
    hole = np.random.default_rng(seed).random((23, 17)) < share
    padded = np.pad(hole, reach, constant_values=True)  # beyond the scan there is nothing sound either
    size = 2 * reach + 1
    expected = np.lib.stride_tricks.sliding_window_view(padded, (size, size)).all(axis=(2, 3))
    np.testing.assert_array_equal(core_of(hole, reach), expected)


@pytest.mark.parametrize("dtype", PIXEL_DTYPES)
def test_halved_is_the_mean_of_what_is_sound(dtype: np.dtype[np.generic]) -> None:
    pixels = np.array([[10, 20, 99], [30, 99, 99], [50, 60, 7]], dtype)[..., None]
    hole = pixels[..., 0] == 99
    half, half_hole = halved(pixels, hole)
    assert half.dtype == dtype
    np.testing.assert_array_equal(half_hole, [[False, True], [False, False]])
    np.testing.assert_array_equal(half[..., 0][~half_hole], np.array([20, 55, 7], dtype))


def test_what_lies_in_the_hole_has_no_influence() -> None:
    pixels = np.random.default_rng(0).random((9, 12, 3)).astype(np.float32)
    hole = np.random.default_rng(1).random((9, 12)) < 0.6
    spoilt = pixels.copy()
    spoilt[hole] = np.nan
    np.testing.assert_array_equal(halved(spoilt, hole)[0], halved(pixels, hole)[0])


@pytest.mark.parametrize("dtype", PIXEL_DTYPES)
def test_a_ramp_halved_and_doubled_is_the_ramp(dtype: np.dtype[np.generic]) -> None:
    rows, columns = np.mgrid[:20, :31]
    pixels = (4 * rows + 2 * columns)[..., None].astype(dtype)
    half, _ = halved(pixels, np.zeros((20, 31), np.bool_))
    window = slice(2, 17), slice(3, 28)
    assert doubled(half, window).dtype == dtype
    np.testing.assert_allclose(doubled(half, window), pixels[window], atol=0.01)


@given(top=st.integers(0, 18), left=st.integers(0, 14), height=st.integers(1, 9), width=st.integers(1, 9))
def test_a_window_doubled_is_a_window_of_the_whole_doubled(top: int, left: int, height: int, width: int) -> None:
    half = np.random.default_rng(0).random((10, 8, 3)).astype(np.float32)
    whole = doubled(half, (slice(0, 20), slice(0, 16)))
    window = slice(top, min(20, top + height)), slice(left, min(16, left + width))
    np.testing.assert_array_equal(doubled(half, window), whole[window])


@given(seed=st.integers(0, 999), reach=st.integers(2, 6))
def test_windows_hold_every_core_and_ground_around_it(seed: int, reach: int) -> None:
    random = np.random.default_rng(seed)
    hole = np.zeros((400, 500), np.bool_)
    for row, column, tall, wide in random.integers(1, 200, (3, 4)):
        hole[row * 2 : row * 2 + tall, column * 2 : column * 2 + wide] = True
    core = core_of(hole, reach)
    covered = np.zeros_like(core)
    for window, own in wide_windows(core, reach):
        assert not hole[window].all()
        covered[window][own] = True
    assert covered[core].all()


def test_only_the_surroundings_of_a_core_are_looked_at() -> None:
    core = np.zeros((4000, 5000), np.bool_)
    core[2000:2030, 2500:2540] = True
    ((rows, columns), _) = next(wide_windows(core, 8))
    assert rows.stop - rows.start <= 2 * 128 + 64
    assert columns.stop - columns.start <= 2 * 128 + 128
    assert list(wide_windows(np.zeros((40, 50), np.bool_), 8)) == []
