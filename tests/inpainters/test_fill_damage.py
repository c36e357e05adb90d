"""A fill run on a scan: only masked pixels change, and nothing but the scan and the mask decides how."""

from __future__ import annotations

import threading
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redust.core.arrays import PIXEL_DTYPES, Mask, Pixels, from_light
from redust.core.engines import Inpainter, InpainterSpec, Needs
from redust.core.errors import EngineError, MaskMismatch, RedustError
from redust.inpainters import catalogue, make_inpainter
from redust.inpainters.fill_damage import erase_hole, fill_damage, fill_window

every_fill = pytest.mark.parametrize("name", catalogue.names())
every_depth = pytest.mark.parametrize("dtype", PIXEL_DTYPES, ids=str)


@cache
def engine(name: str) -> Inpainter:
    try:
        return make_inpainter(name)
    except RedustError as error:
        pytest.skip(f"not installed: {error}")


def picture(height: int, width: int, channels: int = 3, dtype: Any = np.uint8) -> Pixels:
    """An edge, a ramp and grain."""
    rows, columns = np.mgrid[:height, :width]
    light = 0.3 + 0.3 * (rows > columns) + 0.2 * columns / width
    grain = np.random.default_rng(5).normal(0, 0.02, (height, width, channels))
    return from_light((light[..., None] + grain).clip(0, 1).astype(np.float32), np.dtype(dtype))


def damage(height: int, width: int, share: float = 0.002, seed: int = 0) -> Mask:
    """Specks of 3 x 3."""
    seeds = np.random.default_rng(seed).random((height, width)) < share
    padded = np.pad(seeds, 1)
    return np.lib.stride_tricks.sliding_window_view(padded, (3, 3)).any(axis=(2, 3))


class Local(Inpainter):
    """Fills with the mean of the sound pixels of its window, and remembers what it was given."""

    def __init__(self, **needs: Any) -> None:
        self.spec = InpainterSpec(name="local", needs=Needs(**({"context": 4} | needs)))
        self.seen: list[tuple[Pixels, Mask]] = []

    def fill(self, pixels: Pixels, mask: Mask) -> Pixels:
        self.seen.append((pixels.copy(), mask.copy()))
        filled = np.zeros_like(pixels)
        filled[mask] = pixels[~mask].mean(axis=0).astype(pixels.dtype)
        return filled


@settings(max_examples=30)
@given(
    seed=st.integers(0, 999), height=st.integers(1, 60), width=st.integers(2, 60), channels=st.sampled_from([1, 3]),
    dtype=st.sampled_from(PIXEL_DTYPES), share=st.sampled_from([0.01, 0.3, 0.95]), context=st.integers(0, 9),
    multiple_of=st.sampled_from([1, 8]), per_tile=st.sampled_from([None, 24]),
)  # fmt: skip
def test_only_masked_pixels_change(
    seed: int, height: int, width: int, channels: int, dtype: Any, share: float, **needs: Any
) -> None:
    pixels = picture(height, width, channels, dtype)
    mask = np.random.default_rng(seed).random((height, width)) < share
    mask.flat[seed % mask.size] = False
    before, mask_before = pixels.copy(), mask.copy()
    filled = fill_damage(Local(**needs), pixels, mask, threads=2)
    np.testing.assert_array_equal(pixels, before)
    np.testing.assert_array_equal(mask, mask_before)
    np.testing.assert_array_equal(filled[~mask], pixels[~mask])
    assert filled.dtype == pixels.dtype
    assert not np.shares_memory(filled, pixels)


@every_fill
@every_depth
def test_what_lies_under_the_mask_has_no_influence(name: str, dtype: Any) -> None:
    pixels, mask = picture(60, 70, dtype=dtype), damage(60, 70, 0.01)
    mask[20:23, :60] = True
    spoilt = pixels.copy()
    spoilt[mask] = from_light(np.random.default_rng(0).random((mask.sum(), 1, 3)).astype(np.float32), pixels.dtype)[
        :, 0
    ]
    np.testing.assert_array_equal(
        fill_damage(engine(name), spoilt, mask)[mask], fill_damage(engine(name), pixels, mask)[mask]
    )


@every_fill
def test_the_result_does_not_depend_on_threads(name: str) -> None:
    pixels, mask = picture(200, 300, dtype=np.uint16), damage(200, 300)
    alone = fill_damage(engine(name), pixels, mask, threads=1)
    assert (alone != pixels).any()
    for threads in (2, 5, None):
        np.testing.assert_array_equal(fill_damage(engine(name), pixels, mask, threads=threads), alone)


@every_fill
@every_depth
def test_far_specks_are_filled_alone_as_together(name: str, dtype: Any) -> None:
    pixels = picture(150, 400, dtype=dtype)
    first, second = (np.zeros((150, 400), np.bool_) for _ in range(2))
    first[30:37, 33:39] = True
    second[100:108, 290:340] = True
    together = fill_damage(engine(name), pixels, first | second)
    for one in (first, second):
        np.testing.assert_array_equal(fill_damage(engine(name), pixels, one)[one], together[one])


@every_fill
@pytest.mark.parametrize("shape", [(1, 2), (1, 40), (40, 1), (2, 2), (3, 5), (17, 16)])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_smallest_scans(name: str, shape: tuple[int, int], channels: int) -> None:
    pixels = np.full((*shape, channels), 1000, np.uint16)
    mask = np.zeros(shape, np.bool_)
    mask[0, 0] = mask[-1, -1] = True
    mask[0, 1:2] = mask[1:2, 0] = mask.size == 2
    mask[0, -1] = False
    filled = fill_damage(engine(name), pixels, mask)
    assert np.abs(filled.astype(int) - 1000).max() <= 1


@every_fill
def test_damage_at_every_border(name: str) -> None:
    rows, columns = np.mgrid[:64, :80]
    pixels = (20_000 + 100 * rows + 50 * columns).astype(np.uint16)[..., None]
    mask = np.zeros((64, 80), np.bool_)
    mask[:3] = mask[-3:] = mask[:, :3] = mask[:, -3:] = True
    spoilt = np.where(mask[..., None], np.uint16(65535), pixels)
    filled = fill_damage(engine(name), spoilt, mask)
    assert np.abs(filled.astype(int) - pixels)[mask].max() < 1500


@every_fill
def test_a_hole_wider_than_the_engine_sees(name: str) -> None:
    rows, columns = np.mgrid[:160, :200]
    pixels = (20_000 + 50 * rows + 100 * columns).astype(np.uint16)[..., None]
    mask = np.zeros((160, 200), np.bool_)
    mask[20:150, 30:160] = True
    spoilt = np.where(mask[..., None], np.uint16(65535), pixels)
    off = np.abs(fill_damage(engine(name), spoilt, mask).astype(int) - pixels)[mask]
    assert off.mean() < 1500  # of a rise by 19,500 across the hole
    assert off.max() < 6000


@every_fill
def test_one_sound_pixel_is_enough(name: str) -> None:
    pixels = np.full((70, 90, 1), 77, np.uint8)
    mask = np.ones((70, 90), np.bool_)
    mask[33, 44] = False
    spoilt = np.where(mask[..., None], np.uint8(255), pixels)
    assert np.abs(fill_damage(engine(name), spoilt, mask).astype(int) - 77).max() <= 1


def test_a_mask_of_everything_is_refused() -> None:
    with pytest.raises(MaskMismatch, match=r"no sound pixel.*another mask"):
        fill_damage(Local(), picture(9, 9), np.ones((9, 9), np.bool_))


def test_an_empty_mask_gives_a_copy_without_work() -> None:
    pixels, fill = picture(9, 9), Local()
    filled = fill_damage(fill, pixels, np.zeros((9, 9), np.bool_))
    np.testing.assert_array_equal(filled, pixels)
    assert not np.shares_memory(filled, pixels)
    assert not fill.seen


@pytest.mark.parametrize(
    ("pixels", "mask", "error"),
    [
        (np.zeros((4, 4), np.uint8), np.ones((4, 4), np.bool_), ValueError),
        (np.zeros((4, 4, 3), np.int32), np.ones((4, 4), np.bool_), TypeError),
        (np.zeros((4, 4, 3), np.uint8), np.ones((4, 4), np.uint8), TypeError),
        (np.zeros((4, 4, 3), np.uint8), np.ones((4, 5), np.bool_), ValueError),
    ],
)
def test_arrays_of_another_kind_are_refused(pixels: Any, mask: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        fill_damage(Local(), pixels, mask)


def test_a_depth_the_engine_does_not_take_is_refused() -> None:
    with pytest.raises(EngineError, match="`local` takes uint8, this scan is uint16"):
        fill_damage(Local(depths=("uint8",)), picture(9, 9, dtype=np.uint16), damage(9, 9, 0.1))


def test_numbers_that_are_none_are_taken_as_damage_and_kept() -> None:
    pixels = picture(40, 40, dtype=np.float32)
    pixels[10, 10] = np.nan
    pixels[12, 12, 0] = np.inf
    mask = np.zeros((40, 40), np.bool_)
    mask[11, 10:14] = True
    for name in catalogue.names():
        filled = fill_damage(engine(name), pixels, mask)
        assert np.isfinite(filled[mask]).all()
        np.testing.assert_array_equal(filled[~mask], pixels[~mask])


def test_an_engine_never_sees_the_damage() -> None:
    pixels, mask, fill = picture(40, 40), damage(40, 40, 0.01), Local()
    pixels[mask] = 255
    fill_damage(fill, pixels, mask)
    assert all(seen.max() < 255 for seen, _ in fill.seen)


def test_windows_are_lengthened_to_what_the_engine_needs() -> None:
    fill = Local(multiple_of=16, minimum=50, channels=(3,))
    mask = np.zeros((30, 90), np.bool_)
    mask[5, 5] = mask[25, 80] = True
    fill_damage(fill, picture(30, 90, channels=1), mask, threads=1)
    assert fill.seen
    for pixels, hole in fill.seen:
        assert pixels.shape[2] == 3
        assert all(side >= 50 and side % 16 == 0 for side in hole.shape)
        assert pixels.shape[:2] == hole.shape


@pytest.mark.parametrize(("channels", "taken", "calls"), [(3, (1,), 3), (1, (3,), 1), (3, (1, 3), 1), (1, (1,), 1)])
def test_channels_are_given_as_the_engine_takes_them(channels: int, taken: tuple[int, ...], calls: int) -> None:
    pixels, mask = picture(20, 20, channels), np.zeros((20, 20), np.bool_)
    mask[10, 10] = True
    fill = Local(channels=taken)
    filled = fill_damage(fill, pixels, mask)
    assert len(fill.seen) == calls
    window = pixels[6:15, 6:15].reshape(-1, channels)
    sound = np.delete(window, 40, axis=0)
    np.testing.assert_array_equal(filled[10, 10], sound.mean(axis=0).astype(np.uint8))


@pytest.mark.parametrize(
    "answer",
    [
        lambda pixels: pixels[..., :1],
        lambda pixels: pixels.astype(np.float64),
        lambda pixels: np.full_like(pixels, np.nan),
        lambda pixels: pixels.tolist(),
    ],
    ids=["shape", "depth", "nan", "list"],
)
def test_an_engine_that_breaks_its_contract_is_named(answer: Any) -> None:
    class Broken(Local):
        def fill(self, pixels: Pixels, mask: Mask) -> Pixels:
            return answer(pixels)  # type: ignore[no-any-return]

    with pytest.raises(EngineError, match=r"`local` broke its contract.*Choose another"):
        fill_damage(Broken(), picture(20, 20, dtype=np.float32), damage(20, 20, 0.02))


def test_what_an_engine_raises_comes_through() -> None:
    class Fails(Local):
        def fill(self, pixels: Pixels, mask: Mask) -> Pixels:
            raise ZeroDivisionError("inside")

    with pytest.raises(ZeroDivisionError, match="inside"):
        fill_damage(Fails(), picture(90, 90), damage(90, 90), threads=2)


@pytest.mark.parametrize("threads", [1, 3])
def test_progress_rises_to_one_in_the_calling_thread(threads: int) -> None:
    heard: list[tuple[float, int]] = []
    fill_damage(
        Local(), picture(300, 400), damage(300, 400), threads=threads,
        progress=lambda share: heard.append((share, threading.get_ident())),
    )  # fmt: skip
    shares = [share for share, _ in heard]
    assert len(shares) > 3
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert {thread for _, thread in heard} == {threading.get_ident()}


def test_an_engine_that_bears_one_thread_gets_one() -> None:
    class Alone(Local):
        inside = 0

        def fill(self, pixels: Pixels, mask: Mask) -> Pixels:
            self.inside += 1
            assert self.inside == 1
            filled = super().fill(pixels, mask)
            self.inside -= 1
            return filled

    fill_damage(Alone(threadsafe=False), picture(300, 300), damage(300, 300), threads=8)


@every_depth
def test_erasing_hides_the_hole(dtype: Any) -> None:
    pixels, hole = picture(8, 8, dtype=dtype), damage(8, 8, 0.05)
    clean = erase_hole(pixels, hole)
    np.testing.assert_array_equal(clean[~hole], pixels[~hole])
    assert (clean[hole] == clean[hole][0]).all()
    assert not np.shares_memory(clean, pixels)


def test_a_window_is_filled_by_itself() -> None:
    pixels, hole = picture(9, 13), damage(9, 13, 0.03)
    filled = fill_window(Local(multiple_of=8), pixels, hole)
    assert filled.shape == pixels.shape
