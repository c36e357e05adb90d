"""Tiles partition the picture, and a window holds what a picture with repeated borders holds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redust.core.tiles import bands, mirrored, round_up, tiles, window, with_margin

shapes = st.tuples(st.integers(1, 70), st.integers(1, 70))


@given(shape=shapes, side=st.integers(1, 40), halo=st.integers(0, 20), multiple_of=st.integers(1, 9))
def test_cores_partition_the_picture(shape: tuple[int, int], side: int, halo: int, multiple_of: int) -> None:
    seen = np.zeros(shape, np.int64)
    for tile in tiles(shape, side, halo=halo, multiple_of=multiple_of):
        seen[tile.core] += 1
    assert (seen == 1).all()


@given(shape=shapes, side=st.integers(1, 40), halo=st.integers(0, 20), multiple_of=st.integers(1, 9))
def test_windows_are_aligned_and_hold_core_and_halo(
    shape: tuple[int, int], side: int, halo: int, multiple_of: int
) -> None:
    for tile in tiles(shape, side, halo=halo, multiple_of=multiple_of):
        assert all(edge % multiple_of == 0 for edge in (tile.top, tile.left, tile.bottom, tile.right))
        assert tile.top <= tile.row - halo
        assert tile.left <= tile.column - halo
        assert tile.bottom >= tile.row + tile.height + halo
        assert tile.right >= tile.column + tile.width + halo


@given(shape=shapes, side=st.integers(1, 40), halo=st.integers(0, 150), multiple_of=st.integers(1, 9))
def test_a_window_is_cut_from_the_lengthened_picture(
    shape: tuple[int, int], side: int, halo: int, multiple_of: int
) -> None:
    pixels = np.arange(shape[0] * shape[1]).reshape(*shape, 1)
    rim = halo + 3 * multiple_of + round_up(side, multiple_of)
    longer = np.pad(pixels, ((rim, rim), (rim, rim), (0, 0)), mode="edge")
    for tile in tiles(shape, side, halo=halo, multiple_of=multiple_of):
        seen = window(pixels, tile)
        expected = longer[tile.top + rim : tile.bottom + rim, tile.left + rim : tile.right + rim]
        np.testing.assert_array_equal(seen, expected)
        np.testing.assert_array_equal(seen[tile.core_in_window], pixels[tile.core])


@given(first=st.integers(-200, 200), count=st.integers(0, 200), length=st.integers(1, 30))
def test_mirrored_is_what_padding_does(first: int, count: int, length: int) -> None:
    index = mirrored(first, first + count, length)
    far = np.pad(np.arange(length), 500, mode="reflect")
    np.testing.assert_array_equal(index, far[first + 500 : first + count + 500])


def test_a_window_inside_is_no_copy() -> None:
    pixels = np.zeros((64, 64, 3), np.uint8)
    inner = next(tile for tile in tiles((64, 64), 16, halo=8) if (tile.row, tile.column) == (16, 16))
    assert np.shares_memory(window(pixels, inner), pixels)


@given(value=st.integers(0, 1000), step=st.integers(1, 64))
def test_round_up(value: int, step: int) -> None:
    rounded = round_up(value, step)
    assert rounded % step == 0
    assert 0 <= rounded - value < step


@pytest.mark.parametrize("wrong", [{"side": 0}, {"side": 8, "halo": -1}, {"side": 8, "multiple_of": 0}])
def test_impossible_tiles_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="no tiles"):
        list(tiles((8, 8), **wrong))


@given(height=st.integers(0, 3000), rows=st.integers(1, 700))
def test_bands_follow_each_other_and_cover_all_rows(height: int, rows: int) -> None:
    cut = list(bands(height, rows))
    assert [row for band in cut for row in range(height)[band]] == list(range(height))
    assert all(band.stop - band.start <= rows for band in cut)


@given(length=st.integers(1, 60), margin=st.integers(0, 80), data=st.data())
def test_a_margin_ends_at_the_border_and_the_box_is_found_in_it(length: int, margin: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, length - 1))
    side = slice(start, data.draw(st.integers(start + 1, length)))
    wide, inner = with_margin(side, margin, length)
    line = np.arange(length)
    np.testing.assert_array_equal(line[wide][inner], line[side])
    assert wide.start == max(0, side.start - margin)
    assert wide.stop == min(length, side.stop + margin)


@given(shape=shapes, smallest=st.integers(1, 90))
def test_an_enlarged_tile_has_the_same_core(shape: tuple[int, int], smallest: int) -> None:
    pixels = np.arange(shape[0] * shape[1]).reshape(shape)
    for tile in tiles(shape, 32, halo=3):
        enlarged = tile.enlarged(smallest)
        assert min(window(pixels, enlarged).shape) >= smallest
        assert (enlarged.top, enlarged.left) == (tile.top, tile.left)
        np.testing.assert_array_equal(window(pixels, enlarged)[enlarged.core_in_window], pixels[tile.core])
