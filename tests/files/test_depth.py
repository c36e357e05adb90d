"""Depths, planes and limits: what readers and writers of all formats share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redust.core.errors import ScanTooLarge, UnreadableScan
from redust.core.scan import Scan
from redust.core.threads import count_cores, in_order
from redust.files.depth import expand_depth, is_exact, shrink_depth
from redust.files.limits import Request, check_size
from redust.files.planes import join_planes, split_planes
from redust.files.unsupported import rescale

bits_of_16 = st.integers(1, 16)


@given(bits=bits_of_16)
def test_every_stored_value_of_fewer_bits_returns_exactly(bits: int) -> None:
    stored = np.arange(1 << bits, dtype=np.uint16)
    spread = stored[None].copy()
    expand_depth(spread, bits)
    assert (spread.min(), spread.max()) == (0, 65535)  # white is white at any depth
    assert (np.diff(spread[0].astype(np.int64)) > 0).all()
    np.testing.assert_array_equal(shrink_depth(spread, bits)[0], stored)
    assert is_exact(spread, bits)


@given(bits=st.integers(1, 15), value=st.integers(0, 65535))
def test_shrinking_rounds_to_the_nearest_step(bits: int, value: int) -> None:
    top = (1 << bits) - 1
    (shrunk,) = shrink_depth(np.array([[value]], np.uint16), bits)[0]
    assert abs(int(shrunk) / top - value / 65535) <= 0.5 / top + 1e-9
    assert is_exact(np.array([[value]], np.uint16), bits) == (round(int(shrunk) * 65535 / top) == value)


@pytest.mark.parametrize(("dtype", "bits"), [(np.uint8, 0), (np.uint8, 8), (np.uint16, 0), (np.uint16, 16)])
def test_all_bits_are_left_as_they_are(dtype: Any, bits: int) -> None:
    samples = np.arange(12, dtype=dtype).reshape(3, 4)
    assert shrink_depth(samples, bits) is samples
    before = samples.copy()
    expand_depth(samples, bits)
    np.testing.assert_array_equal(samples, before)


def test_values_beyond_the_significant_bits_are_white() -> None:
    samples = np.array([[4095, 4096, 65535]], np.uint16)
    expand_depth(samples, 12)
    assert samples.tolist() == [[65535, 65535, 65535]]


def test_rows_beyond_a_block_are_converted_too() -> None:
    samples = np.full((700, 2, 3), 15, np.uint8)
    expand_depth(samples, 4)
    assert (samples == 255).all()
    assert (shrink_depth(samples, 4) == 15).all()
    samples[699] = 1
    assert not is_exact(samples, 4)


@given(value=st.integers(0, 65535))
def test_sixteen_bits_become_eight_to_the_nearest_step(value: int) -> None:
    (rescaled,) = rescale(np.array([[value]], np.uint16), np.dtype(np.uint8))[0]
    assert int(rescaled) == round(value / 257)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_float_beyond_the_scale_is_clipped_when_it_becomes_integer(dtype: Any) -> None:
    rescaled = rescale(np.array([[-0.5, 0.0, 1.0, 7.0]], np.float32), np.dtype(dtype))
    top = np.iinfo(dtype).max
    assert rescaled.tolist() == [[0, 0, top, top]]
    assert rescaled.dtype == dtype


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_colour_and_alpha_are_parted_and_joined_again(channels: int, alpha: bool, dtype: Any) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (4, 5, channels)).astype(dtype)
    plane = rng.integers(0, 255, (4, 5)).astype(dtype) if alpha else None
    joined = join_planes(Scan(pixels, alpha=plane))
    assert joined.flags["C_CONTIGUOUS"]
    assert joined.ndim == (2 if channels + alpha == 1 else 3)
    parted, parted_alpha = split_planes(joined)
    np.testing.assert_array_equal(parted, pixels)
    assert (parted_alpha is None) == (plane is None)
    if plane is not None:
        np.testing.assert_array_equal(parted_alpha, plane)


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (-1, 5)])
def test_a_header_without_pixels_is_damaged(shape: tuple[int, int]) -> None:
    with pytest.raises(UnreadableScan, match=r"damaged\. Use a sound copy"):
        check_size(*shape, Request(Path("a.tif"), 0, 100.0))


def test_the_limit_counts_pixels_and_can_be_raised() -> None:
    check_size(1000, 1000, Request(Path("a.tif"), 0, 1.0))
    with pytest.raises(ScanTooLarge, match=r"1001 x 1000 pixels, 1 megapixels; .*--max-megapixels"):
        check_size(1000, 1001, Request(Path("a.tif"), 0, 1.0))
    check_size(1000, 1001, Request(Path("a.tif"), 0, 1.1))


def test_damage_is_refused_or_told_with_the_scan() -> None:
    strict, lenient = (Request(Path("a.jpg"), 0, 1.0, keep_damaged=keep) for keep in (False, True))
    strict.report_damage("")
    with pytest.raises(UnreadableScan, match=r"It ends too early\. Use a sound copy, or .*--damaged-files keep"):
        strict.report_damage("It ends too early.")
    lenient.report_damage("")
    assert lenient.warnings == []
    lenient.report_damage("It ends too early.")
    assert lenient.warnings == ["It ends too early. What is there is restored."]
    assert strict.warnings == []


@given(st.lists(st.integers(), max_size=60))
def test_pieces_made_in_parallel_come_in_order(items: list[int]) -> None:
    assert list(in_order(lambda item: 2 * item, items)) == [2 * item for item in items]


def test_few_pieces_wait_whatever_their_number() -> None:
    drawn = 0

    def draw_items() -> Any:
        nonlocal drawn
        for item in range(1000):
            drawn += 1
            yield item

    pieces = in_order(lambda item: item, draw_items())
    assert next(pieces) == 0
    assert drawn <= 2 * count_cores() + 1
    pieces.close()  # type: ignore[attr-defined]  # a generator


def test_a_piece_that_fails_is_raised_in_its_turn() -> None:
    pieces = in_order(lambda item: 1 // item, [1, 0, 1])
    assert next(pieces) == 1
    with pytest.raises(ZeroDivisionError):
        next(pieces)
