"""The array types: what is let through, and the common scale."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from redust.core.arrays import (
    PIXEL_DTYPES,
    check_damage,
    check_mask,
    check_pixels,
    from_light,
    full_scale,
    three_channels,
    to_light,
)


@pytest.mark.parametrize("dtype", PIXEL_DTYPES)
@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_of_each_depth_pass(dtype: np.dtype[Any], channels: int) -> None:
    check_pixels(np.zeros((1, 2, channels), dtype))


@pytest.mark.parametrize("dtype", ["int16", "float64", "bool", ">u2"])
def test_other_dtypes_are_no_pixels(dtype: str) -> None:
    with pytest.raises(TypeError, match="uint8, uint16 or float32"):
        check_pixels(np.zeros((2, 2, 1), dtype))


@pytest.mark.parametrize("shape", [(2, 2), (2, 2, 2), (2, 2, 4), (0, 2, 3), (2, 0, 1), (1, 2, 2, 3)])
def test_other_shapes_are_no_pixels(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="shape"):
        check_pixels(np.zeros(shape, np.uint8))


def test_a_mask_is_bool_and_of_the_size() -> None:
    check_mask(np.zeros((2, 3), np.bool_), (2, 3))
    with pytest.raises(TypeError, match="compare with a level"):
        check_mask(np.zeros((2, 3), np.uint8), (2, 3))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"\(3, 2\).*\(2, 3\)"):
        check_mask(np.zeros((3, 2), np.bool_), (2, 3))


def test_a_damage_map_lies_in_0_to_1() -> None:
    check_damage(np.array([[0.0, 1.0]], np.float32), (1, 2))
    with pytest.raises(TypeError, match="float32"):
        check_damage(np.zeros((1, 2)), (1, 2))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="pixels are"):
        check_damage(np.zeros((1, 2), np.float32), (2, 1))


@pytest.mark.parametrize("value", [-0.01, 1.01, np.nan, np.inf])
def test_a_damage_map_outside_0_to_1_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"0\.\.1"):
        check_damage(np.array([[0.5, value]], np.float32), (1, 2))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_level_survives_the_common_scale(dtype: Any) -> None:
    levels = np.arange(np.iinfo(dtype).max + 1).astype(dtype)[:, None, None]
    light = to_light(levels)
    assert light.dtype == np.float32
    assert (light.min(), light.max()) == (0.0, 1.0)
    np.testing.assert_array_equal(from_light(light, levels.dtype), levels)


def test_float_light_is_clipped_in_a_copy() -> None:
    pixels = np.array([[[-0.5], [0.25], [1.5]]], np.float32)
    before = pixels.copy()
    np.testing.assert_array_equal(to_light(pixels).ravel(), np.array([0, 0.25, 1], np.float32))
    np.testing.assert_array_equal(pixels, before)


def test_light_beyond_the_scale_is_clipped_not_wrapped() -> None:
    light = np.array([[[-0.2], [1.2]]], np.float32)
    assert from_light(light, np.dtype(np.uint8)).ravel().tolist() == [0, 255]


@pytest.mark.parametrize("dtype", PIXEL_DTYPES)
def test_the_common_scale_never_shares_memory(dtype: np.dtype[Any]) -> None:
    pixels = np.ones((2, 2, 1), dtype)
    light = to_light(pixels)
    assert not np.shares_memory(light, pixels)
    assert not np.shares_memory(from_light(light, np.dtype(np.float32)), light)


def test_full_scale() -> None:
    assert [full_scale(dtype) for dtype in PIXEL_DTYPES] == [255.0, 65535.0, 1.0]


def test_grey_is_repeated_and_colour_stays() -> None:
    grey, colour = np.full((2, 3, 1), 0.5, np.float32), np.random.default_rng(0).random((2, 3, 3)).astype(np.float32)
    np.testing.assert_array_equal(three_channels(grey), np.full((2, 3, 3), 0.5))
    assert three_channels(colour) is colour
