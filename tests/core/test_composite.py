"""The one function that writes pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redust.core.arrays import PIXEL_DTYPES
from redust.core.composite import composite


@given(
    seed=st.integers(0, 10_000), dtype=st.sampled_from(PIXEL_DTYPES), channels=st.sampled_from([1, 3]),
    height=st.integers(1, 20), width=st.integers(1, 20), data=st.data(),
)  # fmt: skip
def test_only_masked_pixels_change(
    seed: int, dtype: np.dtype[np.generic], channels: int, height: int, width: int, data: st.DataObject
) -> None:
    random = np.random.default_rng(seed)
    row, column = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    tall, wide = data.draw(st.integers(1, height - row)), data.draw(st.integers(1, width - column))
    target = (random.random((height, width, channels)) * 200).astype(dtype)
    filled = (random.random((tall, wide, channels)) * 200).astype(dtype)
    mask = random.random((tall, wide)) < 0.5
    before, given_fill = target.copy(), filled.copy()

    composite(target, filled, mask, (row, column))

    where = np.zeros((height, width), np.bool_)
    where[row : row + tall, column : column + wide] = mask
    np.testing.assert_array_equal(target[~where], before[~where])
    np.testing.assert_array_equal(target[where], filled[mask])
    np.testing.assert_array_equal(filled, given_fill)


@pytest.mark.parametrize("origin", [(-1, 0), (0, -2), (-2, -2), (3, 0), (0, 3), (9, 9)])
def test_a_region_outside_the_target_is_refused(origin: tuple[int, int]) -> None:
    target = np.zeros((4, 4, 1), np.uint8)
    with pytest.raises(ValueError, match=r"target|mask is"):
        composite(target, np.ones((2, 2, 1), np.uint8), np.ones((2, 2), np.bool_), origin)
    assert not target.any()


@pytest.mark.parametrize(
    "filled",
    [np.ones((2, 2, 3), np.uint8), np.ones((2, 2, 1), np.uint16), np.ones((2, 3, 1), np.uint8)],
    ids=["channels", "depth", "size"],
)
def test_a_fill_of_another_kind_is_refused(filled: np.ndarray) -> None:
    target = np.zeros((4, 4, 1), np.uint8)
    with pytest.raises(ValueError, match="the fill is"):
        composite(target, filled, np.ones((2, 2), np.bool_))
    assert not target.any()


def test_an_opinion_is_no_mask() -> None:
    with pytest.raises(TypeError, match="level"):
        composite(np.zeros((2, 2, 1), np.uint8), np.ones((2, 2, 1), np.uint8), np.full((2, 2), 255, np.uint8))  # type: ignore[arg-type]
