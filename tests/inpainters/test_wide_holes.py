"""Holes too wide to see across are filled by way of half the size."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memory import peak_of
from redust.core.arrays import PIXEL_DTYPES, Mask, Pixels
from redust.core.engines import Inpainter, InpainterSpec, Needs
from redust.inpainters.fill_damage import fill_damage, fill_window
from redust.inpainters.fill_windows import cut_windows, max_pool
from redust.inpainters.wide_holes import core_in_box, downsample_hole, erode_to_core, upsample_window, wide_windows


class Local(Inpainter):
    """Fills with the mean of what it sees of sound ground."""

    def __init__(self, context: int) -> None:
        self.spec = InpainterSpec(name="local", needs=Needs(context=context))

    def fill(self, pixels: Pixels, mask: Mask) -> Pixels:
        filled = pixels.copy()
        filled[mask] = pixels[~mask].mean(axis=0, dtype=np.float64).astype(pixels.dtype)
        return filled


def holes(random: np.random.Generator, shape: tuple[int, int], count: int, longest: int) -> Mask:
    """Boxes of any size, some across the border; one pixel at least is sound."""
    hole = np.zeros(shape, np.bool_)
    for _ in range(count):
        top, left = random.integers(-longest // 2, shape)
        tall, wide = random.integers(1, longest, 2)
        hole[max(0, top) : max(0, top + tall), max(0, left) : max(0, left + wide)] = True
    hole.flat[int(random.integers(hole.size))] = False
    return hole


def plainly(engine: Local, filled: Pixels, mask: Mask, hole: Mask) -> None:
    """What `fill_damage` does, with every array of the scan's size: cores at half the size first, then the rest."""
    core = erode_to_core(hole, engine.spec.needs.context)
    wanted = mask & core
    for box, window in wide_windows(hole, engine.spec.needs.context):
        inner = np.zeros_like(mask)
        inner[box] = wanted[box]
        inner = inner[window]
        half, half_hole = downsample_hole(filled[window], hole[window])
        seen = cv2.dilate(max_pool(inner, 2), np.ones((3, 3), np.uint8)).astype(np.bool_)
        plainly(engine, half, seen & half_hole, half_hole)
        filled[window][inner] = upsample_window(half, tuple(slice(0, side) for side in inner.shape))[inner]
    for window in cut_windows(mask & ~core, engine.spec.needs):
        patch = fill_window(engine, filled[window.window], (hole & ~wanted)[window.window])
        filled[window.window][window.target] = patch[window.target]


@given(seed=st.integers(0, 999), reach=st.integers(1, 5), share=st.sampled_from([0.5, 0.95, 0.99]))
def test_the_core_has_nothing_sound_within_reach(seed: int, reach: int, share: float) -> None:
    hole = np.random.default_rng(seed).random((23, 17)) < share
    padded = np.pad(hole, reach, constant_values=True)  # beyond the scan there is nothing sound either
    size = 2 * reach + 1
    expected = np.lib.stride_tricks.sliding_window_view(padded, (size, size)).all(axis=(2, 3))
    np.testing.assert_array_equal(erode_to_core(hole, reach), expected)


@given(seed=st.integers(0, 999), reach=st.integers(1, 9))
def test_a_core_within_a_box_is_the_core_there(seed: int, reach: int) -> None:
    random = np.random.default_rng(seed)
    hole = holes(random, (70, 90), 4, 60)
    (top, bottom), (left, right) = (np.sort(random.choice(side + 1, 2, replace=False)) for side in hole.shape)
    box = slice(int(top), int(bottom)), slice(int(left), int(right))
    np.testing.assert_array_equal(core_in_box(hole, box, reach), erode_to_core(hole, reach)[box])


@settings(max_examples=30)
@given(
    seed=st.integers(0, 999), height=st.integers(1, 400), width=st.integers(2, 400), count=st.integers(1, 6),
    channels=st.sampled_from([1, 3]), dtype=st.sampled_from(PIXEL_DTYPES), context=st.integers(2, 5),
)  # fmt: skip
def test_wide_holes_are_filled_as_if_memory_were_free(
    seed: int, height: int, width: int, count: int, channels: int, dtype: np.dtype[np.generic], context: int
) -> None:
    random = np.random.default_rng(seed)
    pixels = (random.random((height, width, channels)) * (1 if dtype == np.float32 else 255)).astype(dtype)
    mask = holes(random, (height, width), count, 200)
    hole = mask
    if dtype == np.float32:  # what is no number is damaged too
        pixels[random.random((height, width)) < 0.001] = np.nan
        hole = mask | ~np.isfinite(pixels).all(axis=2)
    expected = pixels.copy()
    plainly(Local(context), expected, mask, hole)
    np.testing.assert_array_equal(fill_damage(Local(context), pixels, mask), expected)


@pytest.mark.parametrize("dtype", PIXEL_DTYPES)
def test_two_holes_longer_than_a_tile_and_near_enough_to_see_each_other(dtype: np.dtype[np.generic]) -> None:
    pixels = (np.random.default_rng(0).random((1201, 541, 1)) * (1 if dtype == np.float32 else 255)).astype(dtype)
    mask = np.zeros((1201, 541), np.bool_)
    mask[41:1190, 30:221] = mask[43:1201, 351:541] = True
    hole = mask
    if dtype == np.float32:
        pixels[5, 5] = np.nan
        hole = mask | ~np.isfinite(pixels).all(axis=2)
    expected = pixels.copy()
    plainly(Local(5), expected, mask, hole)
    np.testing.assert_array_equal(fill_damage(Local(5), pixels, mask), expected)


@pytest.mark.parametrize("dtype", PIXEL_DTYPES)
def test_halved_is_the_mean_of_what_is_sound(dtype: np.dtype[np.generic]) -> None:
    pixels = np.array([[10, 20, 99], [30, 99, 99], [50, 60, 7]], dtype)[..., None]
    hole = pixels[..., 0] == 99
    half, half_hole = downsample_hole(pixels, hole)
    assert half.dtype == dtype
    np.testing.assert_array_equal(half_hole, [[False, True], [False, False]])
    np.testing.assert_array_equal(half[..., 0][~half_hole], np.array([20, 55, 7], dtype))


def test_what_lies_in_the_hole_has_no_influence() -> None:
    pixels = np.random.default_rng(0).random((9, 12, 3)).astype(np.float32)
    hole = np.random.default_rng(1).random((9, 12)) < 0.6
    spoilt = pixels.copy()
    spoilt[hole] = np.nan
    np.testing.assert_array_equal(downsample_hole(spoilt, hole)[0], downsample_hole(pixels, hole)[0])


def test_halving_knows_no_bands() -> None:
    pixels = np.random.default_rng(0).integers(0, 65536, (2501, 3, 1), dtype=np.uint16)
    hole = np.random.default_rng(1).random((2501, 3)) < 0.4
    half, half_hole = downsample_hole(pixels, hole)
    for row in range(0, 1251, 97):
        two = slice(2 * row, 2 * row + 2)
        for whole, alone in zip((half, half_hole), downsample_hole(pixels[two], hole[two]), strict=True):
            np.testing.assert_array_equal(whole[row : row + 1], alone)


@pytest.mark.parametrize("dtype", PIXEL_DTYPES)
def test_a_ramp_halved_and_doubled_is_the_ramp(dtype: np.dtype[np.generic]) -> None:
    rows, columns = np.mgrid[:20, :31]
    pixels = (4 * rows + 2 * columns)[..., None].astype(dtype)
    half, _ = downsample_hole(pixels, np.zeros((20, 31), np.bool_))
    window = slice(2, 17), slice(3, 28)
    assert upsample_window(half, window).dtype == dtype
    np.testing.assert_allclose(upsample_window(half, window), pixels[window], atol=0.01)


@given(top=st.integers(0, 18), left=st.integers(0, 14), height=st.integers(1, 9), width=st.integers(1, 9))
def test_a_window_doubled_is_a_window_of_the_picture_doubled(top: int, left: int, height: int, width: int) -> None:
    half = np.random.default_rng(0).random((10, 8, 3)).astype(np.float32)
    picture = upsample_window(half, (slice(0, 20), slice(0, 16)))
    window = slice(top, min(20, top + height)), slice(left, min(16, left + width))
    np.testing.assert_array_equal(upsample_window(half, window), picture[window])


@given(seed=st.integers(0, 999), reach=st.integers(2, 6))
def test_windows_hold_every_core_and_ground_around_it(seed: int, reach: int) -> None:
    random = np.random.default_rng(seed)
    hole = np.zeros((400, 500), np.bool_)
    for row, column, tall, wide in random.integers(1, 200, (3, 4)):
        hole[row * 2 : row * 2 + tall, column * 2 : column * 2 + wide] = True
    core = erode_to_core(hole, reach)
    covered = np.zeros_like(core)
    for box, window in wide_windows(hole, reach):
        assert not hole[window].all()
        assert all(
            outer.start <= inner.start < inner.stop <= outer.stop for inner, outer in zip(box, window, strict=True)
        )
        covered[box] = True
    assert covered[core].all()


def test_only_the_surroundings_of_a_core_are_looked_at() -> None:
    hole = np.zeros((4000, 5000), np.bool_)
    hole[1992:2038, 2492:2548] = True  # its core: rows 2000 to 2029, columns 2500 to 2539
    ((_, (rows, columns)),) = wide_windows(hole, 8)
    assert rows.stop - rows.start <= 2 * 128 + 64
    assert columns.stop - columns.start <= 2 * 128 + 128
    assert list(wide_windows(np.zeros((40, 50), np.bool_), 8)) == []


@pytest.mark.parametrize("row", [1000, 1020, 1023, 1024, 1030])
def test_cores_are_found_across_the_bands_they_are_looked_for_in(row: int) -> None:
    hole = np.zeros((2100, 40), np.bool_)
    hole[row - 9 : row + 10, 3:30] = True
    found = [box for box, _ in wide_windows(hole, 9)]
    assert found
    assert any(rows.start <= row < rows.stop for rows, _ in found)
    hole[row, 15] = False
    assert list(wide_windows(hole, 9)) == []


def test_narrow_holes_need_no_array_of_the_scans_size() -> None:
    pixels, mask = np.full((4000, 3000, 1), 99, np.uint8), np.zeros((4000, 3000), np.bool_)
    mask[::400, ::300] = True
    assert peak_of(lambda: fill_damage(Local(8), pixels, mask)) < pixels.nbytes + 0.6 * mask.nbytes
    mask[1000:1100, 1000:1100] = True  # a wide hole: a copy of the mask, and of the other arrays only windows
    assert peak_of(lambda: fill_damage(Local(8), pixels, mask)) < pixels.nbytes + 1.6 * mask.nbytes
