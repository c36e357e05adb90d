"""A detector that sees the scan blurred."""

from __future__ import annotations

import pickle

import cv2
import numpy as np
import pytest

import redust
from redust.core.arrays import DamageMap, Light
from redust.core.contracts import check_detector
from redust.core.engines import Detector, DetectorSpec, Needs
from redust.core.errors import SettingsError
from redust.core.settings import DetectSettings
from redust.detectors import make_detector
from redust.detectors.run_detector import detect_damage
from redust.detectors.wrappers import augment_detector, blur_detector


class Plain(Detector):
    """Returns the light as its map."""

    spec = DetectorSpec(name="plain", level=0.4, weights="onnx", needs=Needs(channels=(1,)))

    def detect(self, light: Light) -> DamageMap:
        assert not light.flags.writeable
        return light[..., 0].clip(0.01, 0.99)


def test_the_detector_sees_the_scan_blurred_in_tiles_as_in_one_piece() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (90, 140, 1), dtype=np.uint8)
    light = pixels[..., 0].astype(np.float32) / 255
    found = detect_damage(blur_detector(Plain(), 0.7), pixels)
    expected = cv2.GaussianBlur(light, (7, 7), 0.7, borderType=cv2.BORDER_REPLICATE)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert found.std() < 0.7 * light.std()
    np.testing.assert_allclose(detect_damage(blur_detector(Plain(), 0.7), pixels, tile=64), found, atol=1e-6)


def test_the_network_says_the_same_in_tiles_as_in_one_piece() -> None:
    pixels = np.random.default_rng(1).integers(90, 130, (150, 230, 3)).astype(np.uint8)
    cv2.line(pixels, (10, 20), (200, 120), (255, 255, 255), 2)
    detector = augment_detector(blur_detector(make_detector("unet", threads=1), 0.7), 2)
    whole = detect_damage(detector, pixels, tile=1024)
    assert whole.max() > 0.3
    np.testing.assert_allclose(detect_damage(detector, pixels, tile=64), whole, atol=1e-4)


def test_its_spec_is_that_of_the_detector_but_for_the_context() -> None:
    plain, detector = Plain(), blur_detector(Plain(), 1.5)
    check_detector(detector)
    assert (detector.spec.name, detector.spec.level, detector.spec.weights) == ("plain", 0.4, "onnx")
    assert detector.spec.needs == Needs(channels=(1,), context=5)
    assert pickle.loads(pickle.dumps(detector)).sigma == 1.5
    assert blur_detector(plain, 0) is plain


def test_the_setting_reaches_the_detector_and_the_scan_stays_sharp() -> None:
    pixels = np.random.default_rng(2).integers(100, 120, (64, 64, 3), dtype=np.uint8)
    pixels[30:33, 30:33] = 255
    restored = redust.restore(pixels, blur=0.7)
    changed = (restored != pixels).any(2)
    assert changed[30:33, 30:33].all()
    assert changed.mean() < 0.05


def test_a_blur_that_would_hide_damage_is_refused() -> None:
    with pytest.raises(SettingsError, match="blur"):
        DetectSettings.of(blur=4)
