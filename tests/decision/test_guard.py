"""Stopping short where more is marked than damage looks like."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import redust
from doubles import Bright, Mean
from drawing import draw
from redust.core.arrays import Mask
from redust.core.scan import Scan
from redust.core.settings import RestoreSettings
from redust.decision.guard import GuardResult, apply_guard
from redust.files import read_mask
from redust.pipeline.areas import Areas
from redust.pipeline.pipeline import Pipeline

ScanFile = Callable[..., Path]


def speckled(height: int = 1536, width: int = 1536) -> Mask:
    """Four squares of 768; the first one is speckled all over (11 %), each of the others has one speck."""
    mask = np.zeros((height, width), np.bool_)
    mask[:768:3, :768:3] = True
    mask[100, 1000] = mask[1000, 100] = mask[1000, 1000] = True
    return mask


def test_regions_of_a_square_over_the_limit_are_dropped() -> None:
    accepted, guard = apply_guard(speckled(), 0.05)
    assert sorted(zip(*np.nonzero(accepted), strict=True)) == [(100, 1000), (1000, 100), (1000, 1000)]
    assert (guard.squares, guard.total_squares, guard.regions) == (1, 4, 256 * 256)
    assert guard.max_coverage == pytest.approx(1 / 9)
    (warning,) = guard.warnings(0.05)
    assert warning.startswith("1 of the scan's 4 squares are marked by more than 5.0% (up to 11.1%)")
    assert "--max-tile-coverage 1" in warning
    assert "--add-mask" in warning


@pytest.mark.parametrize("limit", [0.12, 1.0])
def test_within_the_limit_the_mask_is_the_same(limit: float) -> None:
    mask = speckled()
    accepted, guard = apply_guard(mask, limit)
    assert accepted is mask
    assert (guard, guard.warnings(limit)) == (GuardResult(), [])


def test_the_limit_itself_is_allowed() -> None:
    mask = np.zeros((500, 400), np.bool_)
    mask[:25] = True
    assert apply_guard(mask, 0.05)[1] == GuardResult()
    mask[25, 0] = True
    assert apply_guard(mask, 0.05)[1] == GuardResult(1, 1, 1, 10001 / 200000)
    assert "The scan is marked by more than 5.0%" in apply_guard(mask, 0.05)[1].warnings(0.05)[0]


def test_a_scratch_that_crosses_a_bad_square_stays_whole() -> None:
    mask = speckled()
    mask[700:703] = False
    mask[701, 300:1400] = True  # more than half of it lies in the good square
    accepted, _ = apply_guard(mask, 0.05)
    assert accepted[701, 300:1400].all()
    assert accepted[:700].sum() == 1


def test_what_is_protected_does_not_count() -> None:
    mask, protect = speckled(), np.zeros((1536, 1536), np.bool_)
    protect[:768, :700] = True
    accepted, guard = apply_guard(mask, 0.05, protect)
    assert accepted is mask
    assert guard == GuardResult()


def test_few_spots_are_much_of_a_tiny_scan_and_mean_nothing() -> None:
    mask = np.zeros((60, 60), np.bool_)
    mask[:10, :30] = True
    assert apply_guard(mask, 0.05)[0] is mask


@pytest.mark.parametrize("shape", [(1, 1), (1, 4000), (4000, 1), (1151, 1153), (3, 2000)])
def test_any_size(shape: tuple[int, int]) -> None:
    assert apply_guard(np.zeros(shape, np.bool_), 0.05)[1] == GuardResult()
    everything, guard = apply_guard(np.ones(shape, np.bool_), 0.01)
    assert everything.any() == (guard.regions == 0)


def scan_with_print() -> Scan:
    """Four squares of 768; the first is all over bright marks (3.4 %), a speck lies in the last."""
    pixels = draw(1536, 1536, specks=0)
    pixels[:400:4, :400:2] = pixels[1400, 1400] = 255
    return Scan(pixels)


def pipeline(**choices: object) -> Pipeline:
    return Pipeline(RestoreSettings(**choices), detector=Bright(), inpainter=Mean())


def test_the_report_says_so_and_the_rest_is_repaired(scan_file: ScanFile, tmp_path: Path) -> None:
    big = draw(1300, 1300, specks=0)
    big[:400:2, :400:2] = big[1200, 1200] = 255
    source = scan_file(pixels=big)
    report = pipeline(grow=0).restore(source, tmp_path / "o.tif", mask_out=tmp_path / "m.png")
    assert np.argwhere(read_mask(tmp_path / "m.png", (1300, 1300))).tolist() == [[1200, 1200]]
    assert ["squares are marked by more than 5.0%" in warning for warning in report.warnings] == [True]
    assert report.settings["max_tile_coverage"] == 0.05
    accepted = pipeline(grow=0, max_tile_coverage=1).restore(source, tmp_path / "p.tif")
    assert (accepted.warnings, accepted.regions) == ([], 200 * 200 + 1)


def test_neither_the_tile_nor_growing_decides(caplog: pytest.LogCaptureFixture) -> None:
    scan = scan_with_print()
    for tile in (64, 200, 4096):
        mask = pipeline(tile=tile, grow=0, max_tile_coverage=0.03).detect_mask(scan)
        assert np.argwhere(mask).tolist() == [[1400, 1400]]
    assert "left alone" in caplog.text
    caplog.clear()
    assert pipeline(grow=3, max_tile_coverage=0.04).detect_mask(scan)[:390, :390].all()
    assert caplog.text == ""


def test_a_persons_word_stands() -> None:
    scan = scan_with_print()
    much = np.ones(scan.shape, np.bool_)
    much[500] = False
    one = pipeline(max_tile_coverage=0.01)
    np.testing.assert_array_equal(one.detect_mask(scan, Areas(only=much)), much)
    assert one.detect_mask(scan, Areas(add=much)).sum() >= much.sum()
    protected = one.detect_mask(scan, Areas(protect=np.indices(scan.shape)[0] < 500))
    assert protected[1400, 1400]
    assert not protected[:500].any()


def test_arrays_are_guarded_too() -> None:
    pixels = draw(700, 700, specks=0)
    pixels[::3, ::3] = 255
    assert not redust.detect(pixels, detector="tophat", level=0.1).any()
    assert redust.detect(pixels, detector="tophat", level=0.1, max_tile_coverage=1.0).any()


def test_the_share_of_a_small_scan_is_its_own() -> None:
    mask = np.ones((80, 90), np.bool_)
    _, result = apply_guard(mask, 0.05)
    assert result.max_coverage == 1.0
    assert "up to 100.0%" in result.warnings(0.05)[0]
