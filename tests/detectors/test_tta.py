"""A detector that is asked several times, turned and mirrored."""

from __future__ import annotations

import copy
import pickle

import cv2
import numpy as np
import pytest

import redust
from redust.core.arrays import DamageMap, Light
from redust.core.contracts import check_detector
from redust.core.engines import Detector, DetectorSpec, Needs
from redust.core.errors import SettingsError
from redust.core.settings import DetectSettings, Sensitivity
from redust.detectors import make_detector
from redust.detectors.multiscale import clipped_logits
from redust.detectors.run_detector import detect_damage
from redust.detectors.wrappers import AugmentedDetector, augment_detector


class Slanted(Detector):
    """Its answer depends on the orientation of the scan: what is brighter than its left neighbour."""

    spec = DetectorSpec(
        name="slanted",
        level=0.4,
        levels={Sensitivity.shy: 0.6, Sensitivity.normal: 0.4, Sensitivity.eager: 0.3},
        needs=Needs(multiple_of=4, context=4, channels=(1,), scales=(1, 2)),
    )

    def detect(self, light: Light) -> DamageMap:
        assert not light.flags.writeable
        grey = light[..., 0]
        return np.clip(0.5 + grey - np.roll(grey, 1, axis=1), 0.1, 0.9).astype(np.float32)


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (50, 70, 1), dtype=np.uint8)


@pytest.mark.parametrize("tta", [2, 4, 8])
def test_it_is_the_mean_of_the_logits_of_all_views(pixels: np.ndarray, tta: int) -> None:
    turns = [(0, 1), (0, -1), (2, 1), (2, -1), (1, 1), (1, -1), (3, 1), (3, -1)][:tta]
    light = np.ascontiguousarray(pixels[:48, :64].astype(np.float32) / 255)
    light.flags.writeable = False
    expected = []
    for quarters, step in turns:
        turned = np.ascontiguousarray(np.rot90(light, quarters)[:, ::step])
        turned.flags.writeable = False
        expected.append(np.rot90(clipped_logits(Slanted().detect(turned))[:, ::step], -quarters))
    found = augment_detector(Slanted(), tta).detect(light)
    np.testing.assert_allclose(clipped_logits(found), np.mean(expected, axis=0), atol=1e-5)
    assert np.abs(found - Slanted().detect(light)).max() > 0.1


def test_with_all_views_a_turned_scan_gets_the_turned_answer(pixels: np.ndarray) -> None:
    square = pixels[:48, :48]
    detector = augment_detector(Slanted(), 8)
    found = detect_damage(detector, square)
    for quarters in (1, 2):
        turned = detect_damage(detector, np.ascontiguousarray(np.rot90(square, quarters)))
        np.testing.assert_allclose(turned, np.rot90(found, quarters), atol=2e-3)  # shrunk scans are kept in float16


def test_the_answer_does_not_depend_on_the_tile() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (150, 230, 3)).astype(np.uint8)
    cv2.line(pixels, (10, 20), (200, 120), (255, 255, 255), 2)
    detector = augment_detector(make_detector("unet", threads=1), 8)
    whole = detect_damage(detector, pixels, tile=1024)
    assert whole.max() > 0.3
    np.testing.assert_allclose(detect_damage(detector, pixels, tile=64), whole, atol=1e-4)


def test_its_spec_is_that_of_the_detector(pixels: np.ndarray) -> None:
    detector = augment_detector(Slanted(), 4)
    check_detector(detector)
    assert isinstance(detector, AugmentedDetector)
    assert detector.spec == Slanted.spec
    for other in (copy.deepcopy(detector), pickle.loads(pickle.dumps(detector))):
        np.testing.assert_array_equal(detect_damage(other, pixels), detect_damage(detector, pixels))
    plain = Slanted()
    assert augment_detector(plain, 1) is plain


def test_other_numbers_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"3.* 1, 2, 4 or 8"):
        augment_detector(Slanted(), 3)
    with pytest.raises(SettingsError, match=r"3.* 1, 2, 4 or 8"):
        DetectSettings.of(tta=3)
    with pytest.raises(SettingsError, match="9"):
        DetectSettings.of(tta=9)


def test_the_setting_reaches_the_detector() -> None:
    pixels = np.random.default_rng(3).integers(90, 130, (64, 64, 3)).astype(np.uint8)
    for tta in (1, 4):
        pipeline = redust.Pipeline(redust.RestoreSettings(tta=tta, blur=0, frame_scratches=False))
        expected = detect_damage(augment_detector(pipeline.engines.detector, tta), pixels)
        np.testing.assert_array_equal(pipeline.detect(redust.Scan(pixels)), expected)
    assert AugmentedDetector(pipeline.engines.detector, 4).spec == pipeline.engines.detector.spec
