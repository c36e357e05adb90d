"""Regions partition the mask, see enough around them, and stay small however large the damage."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redust.core.arrays import Mask
from redust.core.engines import Needs
from redust.inpainters.fill_windows import cut_windows, max_pool


@st.composite
def masks(draw: st.DrawFn) -> Mask:
    """Specks, blocks and lines on a small frame."""
    height, width = draw(st.tuples(st.integers(1, 300), st.integers(1, 300)))
    random = np.random.default_rng(draw(st.integers(0, 10_000)))
    mask = random.random((height, width)) < draw(st.sampled_from([0.0, 0.001, 0.01, 0.6]))
    for _ in range(draw(st.integers(0, 4))):
        row, column = random.integers(height), random.integers(width)
        tall, wide = random.integers(1, 200, 2) if random.random() < 0.3 else random.integers(1, 12, 2)
        mask[row : row + tall, column : column + wide] = True
    return mask


needs = st.builds(
    Needs,
    context=st.integers(0, 40),
    multiple_of=st.sampled_from([1, 3, 16]),
    per_tile=st.sampled_from([None, 33, 96]),
)


@given(mask=masks(), needs=needs)
def test_targets_partition_the_mask(mask: Mask, needs: Needs) -> None:
    filled = np.zeros(mask.shape, np.int64)
    for window in cut_windows(mask, needs):
        assert window.target.any()
        filled[window.window] += window.target
    np.testing.assert_array_equal(filled, mask.astype(np.int64))


@given(mask=masks(), needs=needs)
def test_windows_hold_the_context_and_begin_at_multiples(mask: Mask, needs: Needs) -> None:
    for window in cut_windows(mask, needs):
        rows, columns = window.window
        for side, wanted, end in ((rows, 1, mask.shape[0]), (columns, 0, mask.shape[1])):
            at = np.flatnonzero(window.target.any(axis=wanted)) + side.start
            assert side.start % needs.multiple_of == 0
            assert (side.stop - side.start) % needs.multiple_of == 0 or side.stop == end
            assert side.start <= max(0, at[0] - needs.context)
            assert side.stop >= min(end, at[-1] + 1 + needs.context)


@given(mask=masks(), needs=needs)
def test_windows_are_bounded(mask: Mask, needs: Needs) -> None:
    most = max(128, (needs.per_tile or 0) + needs.multiple_of) + 2 * needs.context + 2 * needs.multiple_of
    assert all(max(window.target.shape) <= most for window in cut_windows(mask, needs))


def test_specks_far_apart_have_their_own_windows_and_close_ones_share_one() -> None:
    mask = np.zeros((100, 200), np.bool_)
    mask[10, 10] = mask[12, 14] = mask[80, 180] = True
    cut = sorted((window.top, window.left, int(window.target.sum())) for window in cut_windows(mask, Needs(context=2)))
    assert cut == [(8, 8, 2), (78, 178, 1)]


def test_a_distant_speck_does_not_change_a_window() -> None:
    alone = np.zeros((100, 200), np.bool_)
    alone[10:14, 10:17] = True
    both = alone.copy()
    both[80, 180] = True
    (one,) = cut_windows(alone, Needs(context=5))
    first, _ = cut_windows(both, Needs(context=5))
    assert (one.top, one.left) == (first.top, first.left)
    np.testing.assert_array_equal(one.target, first.target)


def test_a_hair_across_the_frame_is_cut_into_small_windows() -> None:
    mask = np.zeros((6000, 6000), np.bool_)
    rows = np.arange(6000)
    mask[rows, rows] = mask[rows, np.minimum(rows + 1, 5999)] = True
    windows = [window.target.size for window in cut_windows(mask, Needs(context=16))]
    assert sum(windows) < 60 * 160**2
    assert max(windows) <= 160**2


def test_ten_thousand_specks_are_found_quickly() -> None:
    mask = np.zeros((6400, 6400), np.bool_)
    mask[::64, ::64] = mask[1::64, ::64] = True
    before = time.process_time()
    assert sum(1 for _ in cut_windows(mask, Needs(context=16))) == 10_000
    assert time.process_time() - before < 5


@pytest.mark.parametrize("shape", [(1, 1), (8, 8), (9, 17), (16, 7)])
@pytest.mark.parametrize("cell", [2, 8])
def test_coarse_is_any_of_each_square(shape: tuple[int, int], cell: int) -> None:
    mask = np.random.default_rng(1).random(shape) < 0.2
    expected = [
        [mask[row : row + cell, column : column + cell].any() for column in range(0, shape[1], cell)]
        for row in range(0, shape[0], cell)
    ]
    np.testing.assert_array_equal(max_pool(mask, cell), np.array(expected, np.uint8))
