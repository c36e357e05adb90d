"""What the product promises, for every engine in the catalogues, from outside."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import redust
from doubles import Bright, Runaway
from drawing import draw
from golden import GOLDEN, make
from redust import detectors, inpainters
from redust.core.arrays import Mask, Pixels
from redust.core.engines import Detector, Inpainter
from redust.core.errors import RedustError
from redust.core.scan import Scan
from redust.core.settings import RestoreSettings
from redust.files import lossless, read_mask, read_scan, write_scan
from redust.pipeline.job import Job
from redust.pipeline.pipeline import Pipeline

DEPTHS = (np.uint8, np.uint16, np.float32)
ScanFile = Callable[..., Path]


@cache
def detector(name: str) -> Detector:
    try:
        return detectors.make_detector(name)
    except RedustError as error:
        pytest.skip(f"{name} is not installed: {error}")


def scan_for(finder: str, pixels: Pixels) -> Scan:
    """A scan with an infrared plane for a detector that goes by infrared."""
    return Scan(pixels, infrared=pixels[::-1, :, 0].copy() if detector(finder).spec.needs.infrared else None)


@cache
def fill(name: str) -> Inpainter:
    try:
        return inpainters.make_inpainter(name)
    except RedustError as error:
        pytest.skip(f"{name} is not installed: {error}")


every_detector = pytest.mark.parametrize("finder", detectors.catalogue.names())
every_fill = pytest.mark.parametrize("filler", inpainters.catalogue.names())
every_depth = pytest.mark.parametrize("dtype", DEPTHS, ids=lambda one: one.__name__)
every_golden = pytest.mark.parametrize("name", sorted(GOLDEN))


@st.composite
def damaged(draw_from: st.DrawFn) -> tuple[Pixels, Mask]:
    """A scan of any depth with noise, and a mask of any shape that leaves something sound."""
    dtype = draw_from(st.sampled_from(DEPTHS))
    shape = draw_from(st.tuples(st.integers(1, 40), st.integers(2, 40), st.sampled_from([1, 3])))
    random = np.random.default_rng(draw_from(st.integers(0, 999)))
    light = random.random(shape)
    pixels = light.astype(np.float32) if dtype is np.float32 else (light * np.iinfo(dtype).max).astype(dtype)
    mask = random.random(shape[:2]) < draw_from(st.sampled_from([0.0, 0.02, 0.3, 0.9]))
    mask.flat[0] = False
    return pixels, mask


class TestOnlyDamagedPixelsChange:
    @every_fill
    @given(case=damaged())
    @settings(max_examples=12)
    def test_whatever_is_masked(self, filler: str, case: tuple[Pixels, Mask]) -> None:
        pixels, mask = case
        before = pixels.copy()
        scan = Scan(pixels)
        restored = Pipeline(inpainter=fill(filler)).repair(scan, mask)
        np.testing.assert_array_equal(restored.pixels[~mask], before[~mask])
        np.testing.assert_array_equal(pixels, before)
        assert (restored.pixels.dtype, restored.pixels.shape) == (before.dtype, before.shape)
        assert np.isfinite(restored.pixels).all()

    @every_detector
    @every_depth
    @pytest.mark.parametrize("channels", [1, 3])
    def test_whatever_is_found(self, finder: str, dtype: type, channels: int) -> None:
        scan = scan_for(finder, draw(70, 90, channels=channels, dtype=dtype, specks=9))
        pipeline = Pipeline(RestoreSettings(fill="telea"), detector=detector(finder))
        mask = pipeline.detect_mask(scan)
        restored = pipeline.repair(scan, mask)
        np.testing.assert_array_equal(restored.pixels[~mask], scan.pixels[~mask])

    def test_even_if_a_fill_runs_wild(self) -> None:
        scan = Scan(draw())
        pipeline = Pipeline(detector=Bright(), inpainter=Runaway())
        mask = pipeline.detect_mask(scan)
        restored = pipeline.repair(scan, mask)
        np.testing.assert_array_equal(restored.pixels[~mask], draw()[~mask])
        np.testing.assert_array_equal(scan.pixels, draw())


class TestNothingIsLost:
    @every_golden
    def test_every_kind_of_file_comes_back_as_it_was_but_for_the_repair(self, name: str, tmp_path: Path) -> None:
        source = make(name, tmp_path)
        before = read_scan(source)
        mask = np.zeros(before.shape, np.bool_)
        mask[4:7, 5:9] = True
        target = tmp_path / f"restored{source.suffix}"
        report = Pipeline(RestoreSettings(fill="telea")).restore(source, target, mask=mask)
        after = read_scan(target)
        kept = ("bits", "dpi", "icc", "exif", "xmp", "iptc", "orientation", "format")
        assert {one: getattr(after, one) for one in kept} == {one: getattr(before, one) for one in kept}
        assert (after.pixels.dtype, after.pixels.shape) == (before.pixels.dtype, before.pixels.shape)
        change = np.abs(after.pixels.astype(float) - before.pixels)[~mask].max()
        assert report.largest_change_outside == pytest.approx(change)
        if lossless(target):
            assert change == 0
            for plane in ("alpha", "infrared"):
                np.testing.assert_array_equal(getattr(after, plane), getattr(before, plane))


class TestTheOriginalIsSafe:
    @every_golden
    def test_its_bytes_and_its_time_stay(self, name: str, tmp_path: Path) -> None:
        source = make(name, tmp_path)
        before = hashlib.sha256(source.read_bytes()).digest(), source.stat().st_mtime_ns
        mask = np.zeros(read_scan(source).shape, np.bool_)
        mask[4:7, 5:9] = True
        redust.repair(source, mask, tmp_path / f"restored{source.suffix}", fill="telea")
        assert (hashlib.sha256(source.read_bytes()).digest(), source.stat().st_mtime_ns) == before

    @pytest.mark.parametrize("link", [os.symlink, os.link])
    def test_no_name_of_it_is_written_to(self, scan_file: ScanFile, tmp_path: Path, link: Callable[..., None]) -> None:
        source = scan_file("a.tif")
        before = source.read_bytes()
        link(source, tmp_path / "other.tif")
        for target in (source, tmp_path / "other.tif"):
            for result in ("target", "mask_out", "map_out", "compare", "layers"):
                with pytest.raises(RedustError):
                    Pipeline(RestoreSettings(overwrite=True), detector=Bright()).restore(source, **{result: target})
        assert source.read_bytes() == before

    def test_only_in_place_replaces_it_and_then_it_stays_beside(self, scan_file: ScanFile, tmp_path: Path) -> None:
        source = scan_file("a.tif")
        before = source.read_bytes()
        report = Pipeline(RestoreSettings(overwrite=True), detector=Bright()).run(Job(source, in_place=True))
        assert report.target == str(source)
        assert source.read_bytes() != before
        assert (tmp_path / "a.original.tif").read_bytes() == before


class TestShyVisibleCorrectable:
    @every_detector
    @every_depth
    @pytest.mark.parametrize("channels", [1, 3])
    def test_a_clean_scan_has_an_empty_mask(self, finder: str, dtype: type, channels: int) -> None:
        clean = draw(120, 150, channels=channels, dtype=dtype, specks=0)
        for pixels in (clean, np.full_like(clean, clean[0, 0, 0]), np.zeros_like(clean)):
            assert not Pipeline(detector=detector(finder)).detect_mask(scan_for(finder, pixels)).any()

    @every_fill
    @every_depth
    def test_the_mask_shows_what_is_changed_and_gives_the_same_when_fed_back(
        self, filler: str, dtype: type, scan_file: ScanFile, tmp_path: Path
    ) -> None:
        source = scan_file(dtype=dtype)
        pipeline = Pipeline(detector=Bright(), inpainter=fill(filler))
        pipeline.restore(source, tmp_path / "o.tif", mask_out=tmp_path / "m.png")
        pipeline.restore(source, tmp_path / "again.tif", mask=tmp_path / "m.png")
        before, after, again = (read_scan(tmp_path / name).pixels for name in ("scan.tif", "o.tif", "again.tif"))
        changed = (before != after).any(axis=2)
        assert changed.any()
        assert not (changed & ~read_mask(tmp_path / "m.png", changed.shape)).any()
        np.testing.assert_array_equal(after, again)


class TestAnySize:
    @every_detector
    def test_the_tile_does_not_change_the_answer(self, finder: str) -> None:
        scan = scan_for(finder, draw(150, 230, specks=20, dtype=np.uint16))
        maps = [
            Pipeline(RestoreSettings(tile=tile), detector=detector(finder)).detect(scan) for tile in (64, 112, 1024)
        ]
        for other in maps[1:]:
            np.testing.assert_allclose(maps[0], other, atol=2e-5)

    @every_fill
    def test_threads_do_not_change_the_answer(self, filler: str) -> None:
        scan = Scan(draw(200, 200, specks=60))
        mask = scan.pixels.min(axis=2) == 255
        one, three = (
            Pipeline(RestoreSettings(threads=threads), inpainter=fill(filler)).repair(scan, mask).pixels
            for threads in (1, 3)
        )
        np.testing.assert_array_equal(one, three)

    @every_detector
    @pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (2, 3), (67, 129)])
    def test_odd_sizes(self, finder: str, shape: tuple[int, int]) -> None:
        scan = scan_for(finder, np.full((*shape, 3), 90, np.uint8))
        damage = Pipeline(detector=detector(finder)).detect(scan)
        assert damage.shape == shape
        assert damage.min() >= 0
        assert damage.max() <= 1

    @every_fill
    @pytest.mark.parametrize("shape", [(1, 2), (1, 300), (300, 1), (2, 3)])
    def test_odd_sizes_are_filled(self, filler: str, shape: tuple[int, int]) -> None:
        pixels = np.full((*shape, 1), 90, np.uint8)
        mask = np.zeros(shape, np.bool_)
        mask.flat[1] = True
        pixels[mask] = 255
        restored = Pipeline(inpainter=fill(filler)).repair(Scan(pixels), mask)
        assert np.abs(restored.pixels.astype(int) - 90).max() <= 3


class TestOffline:
    def test_nothing_is_asked_of_the_network(
        self, scan_file: ScanFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*arguments: Any, **others: Any) -> None:
            raise AssertionError("a connection was attempted")

        monkeypatch.setattr(socket.socket, "connect", refuse)
        monkeypatch.setattr(socket, "getaddrinfo", refuse)
        for finder in detectors.catalogue.names():
            if detector(finder).spec.needs.infrared:
                continue  # it works only on scans that have some
            redust.restore(scan_file(), tmp_path / f"{finder}.tif", detector=finder)

    def test_a_restored_scan_can_be_restored_again(self, tmp_path: Path) -> None:
        write_scan(Scan(draw()), tmp_path / "0.tif")
        pipeline = Pipeline(detector=Bright(), inpainter=fill("telea"))
        for number in range(2):
            pipeline.restore(tmp_path / f"{number}.tif", tmp_path / f"{number + 1}.tif")
        np.testing.assert_array_equal(read_scan(tmp_path / "1.tif").pixels, read_scan(tmp_path / "2.tif").pixels)
