"""Which class of damage a region is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import redust
from doubles import Bright, Mean
from drawing import draw
from redust.core.arrays import Mask
from redust.core.errors import SettingsError
from redust.core.settings import DamageClass, RestoreSettings
from redust.decision.shape_classes import (
    CLASSES,
    FILE,
    ShapeClassifier,
    classify_regions,
    count_classes,
    filter_by_class,
    load_classifier,
    measure_shape,
)
from redust.files import read_mask, write_mask
from redust.pipeline.pipeline import Pipeline

ScanFile = Callable[..., Path]
Command = Callable[..., Any]


def drawn(height: int = 400, width: int = 600) -> Mask:
    """Specks, a curly hair, a straight scratch and a blotch, apart from one another."""
    canvas = np.zeros((height, width), np.uint8)
    for row in (20, 60, 100):
        cv2.circle(canvas, (30, row), 3, 1, -1)
    along = np.linspace(0, 2.2 * np.pi, 60)
    hair = np.stack([120 + 18 * along, 60 + 35 * np.sin(along)], 1)
    cv2.polylines(canvas, [np.rint(hair).astype(np.int32)], False, 1, 4)
    cv2.line(canvas, (350, 5), (352, 390), 1, 2)
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    blotch = np.stack([480 + (60 + 8 * np.sin(5 * angle)) * np.cos(angle), 250 + 50 * np.sin(angle)], 1)
    cv2.fillPoly(canvas, [np.rint(blotch).astype(np.int32)], 1)
    return canvas > 0


def test_clear_cases_are_what_they_look_like() -> None:
    assert count_classes(drawn()) == {"dust": 3, "hair": 1, "scratch": 1, "crack": 0, "stain": 1}


def test_an_empty_mask_has_no_class() -> None:
    assert classify_regions(np.zeros((30, 40), np.bool_)).tolist() == []
    assert set(count_classes(np.zeros((30, 40), np.bool_)).values()) == {0}


@given(seed=st.integers(0, 99), density=st.sampled_from([0.01, 0.2, 0.5, 0.9]))
def test_every_region_has_a_class_and_each_goes_one_way(seed: int, density: float) -> None:
    mask = cv2.blur(np.random.default_rng(seed).random((60, 50)), (3, 3)) < density
    found = classify_regions(mask)
    assert ((found >= 0) & (found < len(CLASSES))).all()
    parts = [filter_by_class(mask, (name,), ()) for name in CLASSES]
    np.testing.assert_array_equal(np.sum(parts, axis=0), mask)
    for name, part in zip(CLASSES, parts, strict=True):
        np.testing.assert_array_equal(filter_by_class(mask, (), (name,)), mask & ~part)


def test_a_region_is_judged_without_its_neighbours_and_wherever_it_lies() -> None:
    alone = np.zeros((1400, 700), np.bool_)
    alone[400:800, 50:650] = drawn()
    assert count_classes(alone) == count_classes(drawn())  # across bands of rows
    curl = alone.copy()
    curl[420, 220] = True  # a speck in the middle of the hair's box
    assert count_classes(curl) == count_classes(drawn()) | {"dust": 4}


def test_a_scratch_of_the_length_of_a_frame_is_a_scratch() -> None:
    mask = np.zeros((5000, 300), np.uint8)
    cv2.line(mask, (40, 10), (60, 4990), 1, 3)
    mask[3000:3004, 200:204] = 1
    assert count_classes(mask > 0)["scratch"] == 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 6), (40, 40)])
def test_measures_are_finite_for_any_shape(shape: tuple[int, int]) -> None:
    assert np.isfinite(measure_shape(np.ones(shape, np.bool_))).all()
    assert measure_shape(np.ones(shape, np.bool_)).shape == load_classifier().mean.shape


def test_the_rule_is_read_as_it_was_written() -> None:
    again = ShapeClassifier(
        **{name: np.array(value) for name, value in json.loads(load_classifier().to_json()).items()}
    )
    np.testing.assert_allclose(again.weights, load_classifier().weights, atol=1e-4)
    assert again.weights.shape == (1 + 9 + 45, len(CLASSES))
    assert FILE.read_text() == load_classifier().to_json()


def pipeline(**choices: object) -> Pipeline:
    return Pipeline(RestoreSettings(**choices), detector=Bright(), inpainter=Mean())


@pytest.fixture
def source(scan_file: ScanFile) -> Path:
    pixels = draw(400, 600, specks=0)
    pixels[drawn()] = 255
    return scan_file(pixels=pixels)


@pytest.mark.parametrize(
    ("choices", "kept"),
    [
        ({}, {"dust": 3, "hair": 1, "scratch": 1, "stain": 1}),
        ({"only": ["hair", "dust"]}, {"dust": 3, "hair": 1}),
        ({"skip": ["stain"]}, {"dust": 3, "hair": 1, "scratch": 1}),
        ({"only": ["hair", "dust"], "skip": ["hair"]}, {"dust": 3}),
    ],
)
def test_only_and_skip(source: Path, tmp_path: Path, choices: dict[str, Any], kept: dict[str, int]) -> None:
    report = pipeline(**choices).restore(source, tmp_path / "o.tif", mask_out=tmp_path / "m.png")
    assert {name: count for name, count in report.classes.items() if count} == kept
    assert list(report.classes) == [name.value for name in DamageClass]
    mask = read_mask(tmp_path / "m.png", (400, 600))
    assert mask[60, 30]
    assert mask[250, 480] == ("stain" in kept)
    assert mask[200, 351] == ("scratch" in kept)


def test_the_regions_of_a_given_mask_are_counted_and_all_stay(source: Path, tmp_path: Path) -> None:
    write_mask(drawn(), tmp_path / "m.png")
    report = pipeline(skip=["stain"]).restore(source, tmp_path / "o.tif", mask=tmp_path / "m.png")
    assert report.classes["stain"] == 1
    assert report.coverage == pytest.approx(drawn().mean())


def test_a_stain_that_is_skipped_does_not_hide_the_dust(scan_file: ScanFile) -> None:
    pixels = draw(400, 600, specks=0)
    pixels[150:330, 300:560] = pixels[20:24, 20:24] = 255  # 19 % of the scan
    assert not pipeline().detect_mask(redust.read_scan(scan_file(pixels=pixels))).any()
    one = pipeline(skip=["stain"], grow=0)
    assert one.detect_mask(redust.read_scan(scan_file(pixels=pixels))).sum() == 16


def test_every_class_skipped_is_refused() -> None:
    with pytest.raises(SettingsError, match="leave no class"):
        RestoreSettings.of(skip=list(DamageClass))
    with pytest.raises(SettingsError, match="leave no class"):
        RestoreSettings.of(only=["dust"], skip=["dust"])
    with pytest.raises(SettingsError, match="'stain'"):
        RestoreSettings.of(only=["fluff"])


def test_flags_and_presets(redust_command: Command, source: Path, tmp_path: Path) -> None:
    asked = ("detect", source, "--detector", "bright", "--json")
    ended = redust_command(*asked, "-o", tmp_path / "a", "--only", "dust", "--only", "hair")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["settings"]["only"] == ["dust", "hair"]
    assert json.loads(ended.out)["classes"] == {"dust": 3, "hair": 1, "scratch": 0, "crack": 0, "stain": 0}
    preset = tmp_path / "roll.toml"
    preset.write_text('skip = ["scratch"]')
    ended = redust_command(*asked, "-o", tmp_path / "b", "--preset", preset)
    assert json.loads(ended.out)["classes"]["scratch"] == 0
    ended = redust_command("detect", source, "--detector", "bright", "-o", tmp_path / "c")
    assert ": 3 dust, 1 hair, 1 scratch, 1 stain (level 0.5)," in ended.out
    assert redust_command(*asked, "-o", tmp_path / "d", "--skip", "fluff").code == 2
