"""Frequency-selective reconstruction: the order of blocks, and what a model of waves continues."""

from __future__ import annotations

import numpy as np
import pytest

from redust.inpainters.frequency import (
    FrequencyInpainter,
    _any_in_blocks,
    _deviation,
    _independent_blocks,
    _model_light,
)


def known_around(pending: np.ndarray, size: int = 16) -> np.ndarray:
    """Padded weights in which all but the pending blocks are known."""
    return np.pad((~pending).repeat(size, axis=0).repeat(size, axis=1).astype(np.float64), 16)


@pytest.mark.parametrize("seed", range(4))
def test_each_block_is_filled_once_and_none_beside_another(seed: int) -> None:
    pending = np.random.default_rng(seed).random((9, 11)) < 0.6
    times = np.zeros(pending.shape, int)
    for blocks in _independent_blocks(pending, known_around(pending), 16):
        rows, columns = blocks.T
        times[rows, columns] += 1
        distance = np.abs(blocks[:, None] - blocks).max(axis=2)
        np.fill_diagonal(distance, 9)
        assert distance.min(initial=9) > 1
    np.testing.assert_array_equal(times, pending)


def test_outer_blocks_come_before_inner_ones() -> None:
    pending = np.zeros((7, 7), np.bool_)
    pending[1:6, 1:6] = True
    order = np.zeros(pending.shape, int)
    for number, blocks in enumerate(_independent_blocks(pending, known_around(pending), 16)):
        order[tuple(blocks.T)] = number
    assert order[3, 3] == order.max()
    assert order[1, 1] < order[2, 2] < order[3, 3]


def test_nothing_known_yields_no_block() -> None:
    pending = np.ones((3, 3), np.bool_)
    assert list(_independent_blocks(pending, known_around(pending), 16)) == []


def test_flags_are_reduced_per_block_without_the_margin() -> None:
    flags = np.zeros((16 + 32 + 16, 16 + 48 + 16), np.bool_)
    flags[0, 0] = flags[16 + 17, 16 + 5] = True
    expected = np.zeros((2, 3), np.bool_)
    expected[1, 0] = True
    np.testing.assert_array_equal(_any_in_blocks(flags, 16), expected)


def test_the_deviation_counts_known_pixels_only() -> None:
    values, weights = np.zeros((2, 4, 4)), np.zeros((2, 4, 4))
    values[0, 0], weights[0, 0] = [1, 3, 1, 3], 1
    np.testing.assert_allclose(_deviation(values, weights), [1, np.inf])


def test_a_wave_is_continued_into_the_hole() -> None:
    rows, columns = np.mgrid[:32, :32]
    wave = 0.5 + 0.2 * np.cos(2 * np.pi * (3 * rows + 2 * columns) / 32)
    known = np.ones((32, 32))
    known[10:22, 10:22] = 0
    model = _model_light((wave * known)[None], known[None], 0.8)[0]
    assert np.abs(model - wave)[12:20, 12:20].max() < 0.03


def test_the_model_stays_within_the_known_range() -> None:
    light = np.random.default_rng(0).random((3, 32, 32))
    known = np.ones((3, 32, 32))
    known[:, 8:24, 8:24] = 0
    model = _model_light(light * known, known, 0.7)
    for index in range(3):
        inside = light[index][known[index] > 0]
        assert inside.min() <= model[index].min()
        assert model[index].max() <= inside.max()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_grey_and_colour_of_equal_channels_are_filled_alike(dtype: type) -> None:
    scale = 1 if dtype == np.float32 else np.iinfo(dtype).max
    rows, columns = np.mgrid[:64, :64]
    grey = ((0.5 + 0.2 * np.sin(rows / 4 + columns / 7)) * scale).astype(dtype)[..., None]
    mask = np.zeros((64, 64), np.bool_)
    mask[20:30, 20:40] = True
    one_channel = FrequencyInpainter().fill(grey, mask)
    three_channels = FrequencyInpainter().fill(np.repeat(grey, 3, axis=2), mask)
    assert one_channel.dtype == dtype
    np.testing.assert_allclose(three_channels[..., 1], one_channel[..., 0], atol=0.002 * scale + (dtype == np.uint8))
