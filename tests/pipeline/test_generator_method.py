"""The method `generator`: pixels changed by at least the level are taken, all others stay bit-identical."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import redust
from doubles import Attentive, Bright, Dimmer, Wary
from drawing import draw
from redust.core.errors import SettingsError
from redust.core.scan import Scan
from redust.core.settings import RestoreSettings
from redust.decision.filters import dilate_mask
from redust.files import read_map, read_mask, read_scan
from redust.pipeline.areas import Areas
from redust.pipeline.pipeline import Pipeline

ScanFile = Callable[..., Path]


def generating(**choices: Any) -> Pipeline:
    return Pipeline(RestoreSettings(method="generator", **choices), generator=Dimmer())


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_only_pixels_changed_by_the_level_are_taken(dtype: type, scan_file: ScanFile, tmp_path: Path) -> None:
    source = scan_file(dtype=dtype)
    pipeline = generating()
    report = pipeline.restore(source, tmp_path / "o.tif", mask_out=tmp_path / "m.png", map_out=tmp_path / "map.png")
    before, after = read_scan(source).pixels, read_scan(tmp_path / "o.tif").pixels
    mask = read_mask(tmp_path / "m.png", before.shape[:2])
    white = before.max(axis=2) == before.max()
    assert mask[white].all()
    np.testing.assert_array_equal(mask, dilate_mask(white, 2))
    np.testing.assert_array_equal(after[~mask], before[~mask])
    assert (after[white] < 0.6 * before.max()).all()
    assert (report.status, report.generator, report.detector, report.fill) == ("restored", "dimmer", None, None)
    assert report.level == 0.1
    assert report.largest_change_outside == 0
    np.testing.assert_allclose(read_map(tmp_path / "map.png")[white], 0.5, atol=0.01)
    assert pipeline.engines.generator.calls == 1  # the answer it gave while detecting is used


def test_single_pixels_are_not_repaired() -> None:
    pixels = draw(specks=0)
    pixels[10, 10] = 255
    scan = Scan(pixels)
    assert not generating().detect_mask(scan).any()
    pixels[10, 11] = 255
    assert generating(grow=0).detect_mask(scan).sum() == 2


def test_everywhere_gives_the_raw_answer(scan_file: ScanFile, tmp_path: Path) -> None:
    source = scan_file()
    report = generating(everywhere=True).restore(source, tmp_path / "o.tif", mask_out=tmp_path / "m.png")
    before, after = read_scan(source).pixels, read_scan(tmp_path / "o.tif").pixels
    assert (after != before).any(axis=2).all()
    assert (report.coverage, report.warnings) == (1.0, [])
    protect = np.zeros(before.shape[:2], np.bool_)
    protect[:5] = True
    restored = generating(everywhere=True).restore_scan(Scan(before), Areas(protect=protect))
    np.testing.assert_array_equal(restored.pixels[:5], before[:5])
    np.testing.assert_array_equal(restored.pixels[5:], after[5:])


def test_areas_of_a_person_are_applied_as_they_are() -> None:
    scan = Scan(draw(specks=0))
    mask = np.zeros(scan.shape, np.bool_)
    mask[3:6, 3:6] = True
    for areas in (Areas(only=mask), Areas(add=mask)):
        changed = (generating().restore_scan(scan, areas).pixels != scan.pixels).any(axis=2)
        np.testing.assert_array_equal(changed, mask)


def test_the_level_is_the_smallest_change() -> None:
    scan = Scan(draw())
    assert generating(level=0.6).detect_mask(scan).sum() == 0
    assert generating(level=0.01, max_tile_coverage=1.0).detect_mask(scan).all()
    assert generating(sensitivity="shy").method.setting_warnings() != []


def test_the_detector_runs_where_the_generator_needs_its_map(scan_file: ScanFile, tmp_path: Path) -> None:
    source, detector = scan_file(), Bright()
    pipeline = Pipeline(RestoreSettings(method="generator"), detector=detector, generator=Attentive())
    shares: list[float] = []
    report = pipeline.restore(source, tmp_path / "o.tif", progress=lambda step, share: shares.append(share))
    before, after = read_scan(source).pixels, read_scan(tmp_path / "o.tif").pixels
    changed = (before != after).any(axis=2)
    assert changed.any()
    np.testing.assert_array_equal(changed, before.max(axis=2) >= 0.9 * 255)
    assert detector.calls == 1
    assert (report.generator, report.detector) == ("attentive", "bright")


def test_attention_holds_what_a_person_has_marked(scan_file: ScanFile, tmp_path: Path) -> None:
    scan = Scan(draw(specks=0))
    mask = np.zeros(scan.shape, np.bool_)
    mask[3:6, 3:6] = True
    pipeline = Pipeline(RestoreSettings(method="generator"), detector=Wary(), generator=Attentive())
    expected = np.where(mask[..., None], scan.pixels * 0.75, scan.pixels)
    for areas in (Areas(only=mask), Areas(add=mask)):
        np.testing.assert_allclose(pipeline.restore_scan(scan, areas).pixels, expected, atol=1)
    source = scan_file(specks=0)
    before = read_scan(source).pixels
    for name in ("mask", "add_mask"):
        pipeline.restore(source, tmp_path / f"{name}.tif", **{name: mask})
        expected = np.where(mask[..., None], before * 0.75, before)
        np.testing.assert_allclose(read_scan(tmp_path / f"{name}.tif").pixels, expected, atol=1)


def test_attention_follows_the_prior_of_the_scan() -> None:
    darkened = []
    for specks in (1, 40):
        scan = Scan(draw(200, 200, specks=specks))
        pipeline = Pipeline(RestoreSettings(method="generator"), detector=Wary(), generator=Attentive())
        darkened.append(pipeline.method.generate(scan)[1].max())
    assert 0 < darkened[0] < darkened[1]


def test_the_sensitivity_moves_the_attention() -> None:
    scan, darkened = Scan(draw()), []
    for sensitivity in ("shy", "normal", "eager"):
        settings = RestoreSettings(method="generator", sensitivity=sensitivity)
        pipeline = Pipeline(settings, detector=Wary(), generator=Attentive())
        darkened.append(pipeline.method.generate(scan)[1].max())
        assert pipeline.method.setting_warnings() == []
    assert darkened == sorted(set(darkened))
    generator = Attentive()
    needs = replace(generator.spec.needs, attention_shift=0.5)
    generator.spec = replace(generator.spec, needs=needs)
    pipeline = Pipeline(RestoreSettings(method="generator"), detector=Wary(), generator=generator)
    assert darkened[1] < pipeline.method.generate(scan)[1].max() < darkened[2]


def test_arrays_and_the_command_line(redust_command: Callable[..., Any], scan_file: ScanFile, tmp_path: Path) -> None:
    array = draw()
    restored = redust.restore(array, method="generator", generator="dimmer")
    assert (restored != array).any()
    source, target = scan_file(), tmp_path / "o.tif"
    ended = redust_command("restore", source, "-o", target, "--method", "generator", "--generator", "dimmer")
    assert ended.code == 0
    np.testing.assert_array_equal(read_scan(target).pixels, restored)
    with pytest.raises(SettingsError, match="belongs to the method generator"):
        RestoreSettings.of(everywhere=True)
