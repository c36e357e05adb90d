"""A negative is detected on as a positive by every call, and repaired as the negative that it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from doubles import Mean
from drawing import draw_negative, draw_scene
from redust.core.arrays import DamageMap, Light, from_light
from redust.core.engines import Detector, DetectorSpec, Needs
from redust.core.scan import Scan
from redust.core.settings import Film, RestoreSettings
from redust.files import read_mask, read_scan, write_scan
from redust.pipeline.pipeline import Pipeline

_DUST = np.s_[100:104, 200:204]


class MarksWhite(Detector):
    """Marks what is nearly white in all channels: dust in a positive."""

    spec = DetectorSpec(name="marks-white", needs=Needs(channels=(3,)), level=0.5)

    def detect(self, light: Light) -> DamageMap:
        return (light.min(axis=2) > 0.97).astype(np.float32)


def _make_pipeline(**choices: object) -> Pipeline:
    settings = RestoreSettings(grow=0, frame_scratches=False, **choices)
    return Pipeline(settings, detector=MarksWhite(), inpainter=Mean())


@pytest.fixture
def negative() -> Scan:
    light = draw_negative(draw_scene() * 0.9)
    light[_DUST] = 0.01
    return Scan(from_light(light, np.dtype(np.uint16)))


def test_dust_on_a_negative_is_found_and_its_own_samples_are_repaired(negative: Scan, tmp_path: Path) -> None:
    source, target, marked = tmp_path / "scan.tif", tmp_path / "out.tif", tmp_path / "mask.png"
    write_scan(negative, source)
    report = _make_pipeline().restore(source, target, mask_out=marked)
    mask = read_mask(marked, negative.shape)
    assert report.film == Film.negative
    assert mask[_DUST].all()
    np.testing.assert_array_equal(read_scan(target).pixels[~mask], negative.pixels[~mask])
    around = negative.pixels[90:114, 190:214].reshape(-1, 3)
    assert (read_scan(target).pixels[_DUST].reshape(-1, 3) > np.percentile(around, 5, axis=0)).all()


def test_every_call_detects_on_the_same_positive(negative: Scan) -> None:
    pipeline = _make_pipeline()
    mask = pipeline.detect_mask(negative)
    assert mask[_DUST].all()
    np.testing.assert_array_equal(pipeline.decide(pipeline.detect(negative), negative), mask)


def test_a_negative_that_is_called_a_positive_is_detected_on_as_it_is(negative: Scan) -> None:
    assert not _make_pipeline(film="positive").detect_mask(negative).any()


def test_a_positive_is_reported_and_detected_on_as_one(tmp_path: Path) -> None:
    light = draw_scene() * 0.9
    light[_DUST] = 1.0
    source = tmp_path / "scan.tif"
    write_scan(Scan(from_light(light, np.dtype(np.uint8))), source)
    report = _make_pipeline().restore(source, tmp_path / "out.tif")
    assert (report.film, report.regions) == (Film.positive, 1)
