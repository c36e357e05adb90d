"""Levels by false-positive rate."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest

from redust.core.arrays import DamageMap, Light, Pixels
from redust.core.engines import Detector, DetectorSpec, Needs, PreBlur, PriorShift
from redust.core.errors import SettingsError, TrainingError
from redust.core.labels import Truth
from redust.core.settings import DetectSettings, Sensitivity
from redust.decision.threshold import Threshold
from redust.evaluation.calibration import RATES, CardChanges, calibrate
from redust.models import read_card, shipped_folder
from training_samples import run

ALL = dict.fromkeys(Sensitivity, 0.0)


class LightAsProbability(Detector):
    """A detector that returns the light as the probability."""

    spec = DetectorSpec(name="light", needs=Needs(channels=(1,)))

    def detect(self, light: Light) -> DamageMap:
        return light[..., 0].copy()


class Drawn:
    """Pictures (H, W, 1) float32 with a truth that nobody looks at."""

    def __init__(self, *pixels: Pixels) -> None:
        self._pixels = pixels

    def __len__(self) -> int:
        return len(self._pixels)

    def __getitem__(self, index: int) -> tuple[Pixels, Truth]:
        return self._pixels[index], np.zeros(self._pixels[index].shape[:2], np.uint8)


def light_of(*values: float, size: int = 100) -> Pixels:
    """A picture (10, size / 10, 1): some pixels of these values, the others 0."""
    light = np.zeros(size, np.float32)
    light[: len(values)] = values
    return light.reshape(10, -1, 1)


def test_each_level_is_the_lowest_that_keeps_its_rate() -> None:
    rates = {Sensitivity.shy: 0.0, Sensitivity.normal: 0.01, Sensitivity.eager: 0.02}
    found = calibrate(LightAsProbability(), Drawn(light_of(0.9, 0.8, 0.3), light_of(0.2)), rates=rates)
    shy, normal, eager = (found.levels[name] for name in (Sensitivity.shy, Sensitivity.normal, Sensitivity.eager))
    assert 0.9 < shy <= 0.90001
    assert 0.3 < normal <= 0.30001  # two of two hundred pixels
    assert 0.0 < eager <= 0.00001
    assert found.rates == rates
    assert found.unmarked == {Sensitivity.shy: 2, Sensitivity.normal: 1, Sensitivity.eager: 0}
    assert (found.pictures, found.megapixels) == (2, 0.0002)


def test_the_level_does_to_the_pictures_what_it_says() -> None:
    random = np.random.default_rng(0)
    pixels = random.random((200, 500, 1)).astype(np.float32) ** 4
    found = calibrate(LightAsProbability(), Drawn(pixels))
    for name, level in found.levels.items():
        share = (pixels >= np.float32(level)).mean()
        assert found.rates[name] == pytest.approx(share)
        assert share <= RATES[name]
        assert (pixels >= np.float32(level - 1e-5)).mean() > RATES[name]
    assert RATES[Sensitivity.normal] <= 1e-4


def test_what_a_detector_is_certain_of_no_level_can_cut() -> None:
    with pytest.raises(TrainingError, match="light is certain of damage on 0\\.02 of the pixels"):
        calibrate(LightAsProbability(), Drawn(light_of(1.0, 1.0)), rates=ALL)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of two dark, soft pictures."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(2):
        ramp = np.linspace(20, 90 + number, 64, dtype=np.float32)
        cv2.imwrite(str(folder / f"{number}.png"), np.tile(ramp, (64, 1)).astype(np.uint8))
    return folder


def test_the_command_writes_the_levels_into_the_card(photos: Path, model: Path) -> None:
    before = read_card(model)
    said = run("calibrate", "--model", model, "--photos", photos)
    assert "only 0.0 megapixels" in said
    assert read_card(model) == before
    said = run("calibrate", "--model", model, "--photos", photos, "--write")
    card = read_card(model)
    assert f"the level was {before.level:g}" in said
    assert card.level == card.levels[Sensitivity.normal]
    assert set(card.false_positive_rates) == set(Sensitivity)
    assert card.calibrated_on == "2 undamaged pictures, 0.0 megapixels"
    assert set(card.metrics) == {"clean"}
    assert card.f1_by_weights == {}  # those of the card before were measured at another level
    changed = {"level", "levels", "false_positive_rates", "calibrated_on", "f1_by_weights", "metrics"}
    assert card.model_dump(exclude=changed) == before.model_dump(exclude=changed)


def test_the_command_measures_sets_of_pairs_with_both_weights(photos: Path, pairs: Path, model: Path) -> None:
    said = run("calibrate", "--model", model, "--photos", photos, "--data", pairs, "--write")
    card = read_card(model)
    assert set(card.f1_by_weights) == {"onnx", "onnx-int8"}
    assert f"onnx {card.f1_by_weights['onnx']:.4f}" in said
    assert card.metrics["pairs"]["f1"] == pytest.approx(card.f1_by_weights["onnx"], abs=1e-4)
    assert 0 < card.metrics["pairs"]["recall"] <= 1


def test_card_calibrator_and_help_agree() -> None:
    for sensitivity, rate in read_card(shipped_folder("unet")).false_positive_rates.items():
        assert rate == pytest.approx(RATES[sensitivity], rel=0.1), sensitivity
    description = str(DetectSettings.model_fields["sensitivity"].description)
    assert "card" in description
    assert not any(character.isdigit() for character in description)


def test_levels_that_follow_the_scan_are_found_for_the_followed_map() -> None:
    follow = PriorShift(prior=0.01, exponent=0.5)
    pixels = np.random.default_rng(0).random((200, 500, 1)).astype(np.float32) ** 12
    following = LightAsProbability()
    following.spec = dataclasses.replace(following.spec, prior_shift=follow)
    plain, found = calibrate(LightAsProbability(), Drawn(pixels)), calibrate(following, Drawn(pixels))
    for name, level in found.levels.items():
        mask, _ = Threshold(level, follow).apply(pixels[..., 0], pixels)
        assert mask.mean() <= RATES[name]
    assert found.levels[Sensitivity.eager] > plain.levels[Sensitivity.eager]  # a share of 5 %: lower levels mark more


def test_changes_of_a_card() -> None:
    card = read_card(shipped_folder("unet"))
    assert CardChanges().on_card(card) == card
    shifted = CardChanges({"exponent": 0.3, "max_prior": 0.05}).on_card(card).prior_shift
    assert shifted == PriorShift(prior=0.01, exponent=0.3, minority_exponent=1.5, max_prior=0.05)
    assert CardChanges({"exponent": 0.0}).on_card(card).prior_shift is None
    assert CardChanges(blur=0.5).on_card(card).pre_blur == PreBlur(sigma=0.5, network="soft")
    assert CardChanges(blur=0.0).on_card(card).pre_blur is None
    single = CardChanges(scales=(1,)).on_card(card)
    assert (single.scales, single.scale_weights) == ((1,), ())
    assert single.gflop_per_megapixel == pytest.approx(39.14 / (1 + 1 / 9), abs=0.01)


def test_the_command_writes_changes(photos: Path, model: Path) -> None:
    run("calibrate", "--model", model, "--photos", photos, "--prior-exponent", "0.3", "--blur", "0.5", "--write")
    card = read_card(model)
    assert card.prior_shift is not None
    assert (card.prior_shift.exponent, card.pre_blur) == (0.3, PreBlur(sigma=0.5, network="soft"))


def test_a_detector_without_a_card_cannot_keep_levels(photos: Path) -> None:
    assert "shy" in run("calibrate", "--model", "tophat", "--photos", photos)
    with pytest.raises(SettingsError, match="no card"):
        run("calibrate", "--model", "tophat", "--photos", photos, "--write")
    with pytest.raises(SettingsError, match="--photos"):
        run("calibrate", "--model", "unet")
