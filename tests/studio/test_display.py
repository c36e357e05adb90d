"""What is shown of a scan: tiles of any depth as sRGB, in levels that fit together."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from redust.core.scan import Scan
from redust.files import write_scan
from redust.studio.display import Pyramid, Tone, check_profile, develop, make_overview, shrink_max
from redust.studio.sparse_array import open_sparse, trim_folder, write_sparse
from studio_desk import Desk


@given(st.integers(1, 30_000), st.integers(1, 30_000))
def test_the_tiles_of_a_level_cover_the_scan_once(width: int, height: int) -> None:
    pyramid = Pyramid(width, height)
    assert pyramid.rectangle(pyramid.max_level + 1, 0, 0) is None
    for level in {0, pyramid.max_level // 2, max(pyramid.max_level - 2, 0)}:
        column, covered = 0, 0
        while (rectangle := pyramid.rectangle(level, column, 0)) is not None:
            covered += rectangle[1].stop - rectangle[1].start
            column += 1
        assert covered == width
    top = pyramid.rectangle(0, 0, 0)
    assert top is not None
    assert (top[0].stop, top[1].stop) == (height, width)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_depth_is_shown_the_same(dtype: Any, channels: int) -> None:
    light = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8, 1).repeat(channels, axis=2)
    scale = 1 if dtype == np.float32 else np.iinfo(dtype).max
    shown = develop((light * scale).astype(dtype), Tone(), None)
    assert shown.shape == (8, 8, 3)
    assert np.abs(shown.astype(int) - np.rint(light * 255).astype(int)).max() <= 1


def test_exposure_gamma_and_inversion_act_on_the_stored_values() -> None:
    pixels = np.full((1, 1, 3), 0.25, np.float32)
    assert develop(pixels, Tone(exposure=1), None)[0, 0, 0] == 128
    assert develop(pixels, Tone(gamma=2), None)[0, 0, 0] == 128
    assert develop(pixels, Tone(invert=True), None)[0, 0, 0] == 191
    deep = (np.linspace(0, 1 / 256, 256)[None, :, None].repeat(3, axis=2) * 65535).astype(np.uint16)
    assert len(np.unique(develop(deep, Tone(exposure=8), None))) > 200  # a dark linear negative keeps its steps


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_profile_is_followed(dtype: Any) -> None:
    wide = imagecodecs.cms_profile(
        "rgb", whitepoint=[0.3127, 0.329], primaries=[0.64, 0.33, 0.21, 0.71, 0.15, 0.06], gamma=2.2
    )
    scale = 1 if dtype == np.float32 else np.iinfo(dtype).max
    pixels = (np.array([[[0.5, 0.5, 0.5], [0.2, 0.7, 0.2]]]) * scale).astype(dtype)
    shown = develop(pixels, Tone(), check_profile(wide, 3, np.dtype(dtype))).astype(int)
    assert np.abs(shown[0, 0] - 128).max() <= 2
    assert shown[0, 1, 0] < 40  # a green that sRGB can hardly show
    assert shown[0, 1, 1] > 175


@pytest.mark.parametrize("profile", [b"", b"no profile", imagecodecs.cms_profile("gray", gamma=2.2)])
def test_a_profile_that_cannot_be_followed_is_left_out(profile: bytes) -> None:
    assert check_profile(profile, 3, np.dtype(np.uint8)) is None


def test_far_out_levels_agree_with_close_ones(open_desk: Callable[..., Desk], tmp_path: Path) -> None:
    rows, columns = np.mgrid[0:2500, 0:3000]
    pixels = (rows * 9 + columns * 12).astype(np.uint16)[..., None]
    write_scan(Scan(pixels), tmp_path / "a.tif")
    desk = open_desk(tmp_path / "a.tif", detector="tophat")
    (scan,) = desk.ids
    for level in range(13):
        answer = desk.client.get(f"/api/scans/{scan}/dzi/scan/{level}/0_0")
        factor = 1 << (12 - level)
        shown = np.asarray(Image.open(io.BytesIO(answer.content)).convert("L")).astype(float)
        assert shown.shape == (min(512, -(-2500 // factor)), min(512, -(-3000 // factor)))
        for row, column in ((0, 0), (shown.shape[0] - 1, shown.shape[1] - 1)):
            block = pixels[row * factor : (row + 1) * factor, column * factor : (column + 1) * factor] / 257
            assert shown[row, column] == pytest.approx(block.mean(), abs=3)
    assert desk.client.get(f"/api/scans/{scan}/dzi/scan/12/6_0").status_code == 404
    assert desk.client.get(f"/api/scans/{scan}/dzi/scan/13/0_0").status_code == 404


def test_a_single_marked_pixel_shows_at_every_level(open_desk: Callable[..., Desk], tmp_path: Path) -> None:
    write_scan(Scan(np.full((2500, 3000, 1), 90, np.uint8)), tmp_path / "a.png")
    desk = open_desk(tmp_path / "a.png")
    (scan,) = desk.ids
    desk.get(f"/api/scans/{scan}")
    for step in range(2):  # the second stroke finds the shrunken levels drawn
        desk.edit(scan, kind="stroke", tool="brush", points=[[2999 - step, 2499]], radius=0.3)
        for level in range(13):
            column, row = (2999 >> (12 - level)) // 512, (2499 >> (12 - level)) // 512
            content = desk.client.get(f"/api/scans/{scan}/dzi/mask/{level}/{column}_{row}").content
            assert (np.asarray(Image.open(io.BytesIO(content))) == 2).any()


def test_an_overview_has_each_pixel_once() -> None:
    pixels = np.random.default_rng(0).integers(0, 65535, (4099, 37, 3), dtype=np.uint16)
    overview = make_overview(pixels)
    assert overview.shape == (1025, 10, 3)
    assert overview[3, 2] == pytest.approx(pixels[12:16, 8:12].reshape(16, 3).mean(axis=0), abs=1)


def test_the_highest_state_shows() -> None:
    states = np.random.default_rng(0).integers(0, 5, (67, 45), dtype=np.uint8)
    shrunk = shrink_max(states, 4)
    assert shrunk.shape == (17, 12)
    assert all(shrunk[r, c] == states[4 * r : 4 * r + 4, 4 * c : 4 * c + 4].max() for r in range(17) for c in range(12))


def test_a_sparse_array_reads_back_and_takes_no_room_for_zeros(tmp_path: Path) -> None:
    array = np.zeros((3000, 2000), np.float32)
    array[2999, 1999], array[17, 3] = 0.5, 1.0
    write_sparse(tmp_path / "cache/a.npy", array)
    opened = open_sparse(tmp_path / "cache/a.npy")
    assert opened is not None
    assert np.array_equal(opened, array)
    assert (tmp_path / "cache/a.npy").stat().st_blocks * 512 < 300_000
    assert open_sparse(tmp_path / "cache/b.npy") is None
    trim_folder(tmp_path / "cache", 1000)
    assert not list((tmp_path / "cache").iterdir())


def test_thumbnails_are_small_and_cached_by_the_browser(desk: Desk) -> None:
    path = f"/api/scans/{desk.ids[0]}/thumbnail"
    answer = desk.client.get(path)
    assert max(Image.open(io.BytesIO(answer.content)).size) == 320
    tag = {"If-None-Match": answer.headers["etag"]}
    assert desk.client.get(path, headers=tag).status_code == 304
    desk.send("PATCH", f"/api/scans/{desk.ids[0]}/settings", {"invert": True})
    assert desk.client.get(path, headers=tag).status_code == 200
