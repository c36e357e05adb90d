"""A detector views a scan as the settings say, or in the way that lowers its uncertainty."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

import redust
from redust.core.arrays import DamageMap, Light, Pixels, to_light
from redust.core.contracts import BrokenContract, check_detector
from redust.core.engines import Detector, DetectorSpec, Needs, PreBlur
from redust.core.errors import EngineError, ModelError
from redust.core.settings import Weights
from redust.detectors import make_detector
from redust.detectors.choose_view import UncertaintyMeter, choose_view, describe_view, probe_tiles
from redust.detectors.onnx_detector import OnnxDetector
from redust.detectors.run_detector import detect_damage, predict_patch
from redust.detectors.wrappers import AugmentedDetector, BlurredDetector
from redust.models import read_card, shipped_folder


class Wary(Detector):
    """Certain of what is bright, uncertain where neighbours differ."""

    spec = DetectorSpec(name="wary", needs=Needs(channels=(1,), context=1), pre_blur=PreBlur(sigma=1.0))

    def __init__(self) -> None:
        self.calls = 0

    def detect(self, light: Light) -> DamageMap:
        self.calls += 1
        plane = light[..., 0]
        steps = np.abs(np.diff(plane, axis=1, append=plane[:, -1:]))
        found: DamageMap = np.where(plane > 0.9, np.float32(0.98), np.where(steps > 0.05, np.float32(0.4), 0))
        return found


class Paired(Wary):
    """Has another detector for blurred scans."""

    def __init__(self, blurred: Wary) -> None:
        super().__init__()
        self.spec = replace(self.spec, open_blurred=lambda: blurred)


def scan(grain: float, spots: int = 40) -> Pixels:
    """A grey scan with bright spots, and grain from pixel to pixel."""
    rng = np.random.default_rng(4)
    light = 0.4 + grain * rng.standard_normal((300, 420, 1))
    for row, column in zip(rng.integers(0, 290, spots), rng.integers(0, 410, spots), strict=True):
        light[row : row + 8, column : column + 8] = 1
    return np.rint(255 * light.clip(0, 1)).astype(np.uint8)


GRAINY, SMOOTH = scan(0.04), scan(0.0)


def test_a_grainy_scan_is_blurred_and_a_smooth_one_is_not() -> None:
    wary = Wary()
    soft, sharp = choose_view(wary, GRAINY), choose_view(wary, SMOOTH)
    assert isinstance(soft, BlurredDetector)
    assert (describe_view(soft), describe_view(sharp)) == ((1.0, wary), (0.0, wary))
    assert sharp is wary
    # What is sure on a smooth scan: rims of spots, blurred, would be in doubt.
    blurred = BlurredDetector(wary, 1.0)
    for pixels, less, more in ((GRAINY, blurred, wary), (SMOOTH, wary, blurred)):
        first, second = UncertaintyMeter(), UncertaintyMeter()
        first.add_map(detect_damage(less, pixels))
        second.add_map(detect_damage(more, pixels))
        assert first.ratio < 0.97 * second.ratio


def test_a_blur_from_the_settings_needs_no_probe() -> None:
    wary = Wary()
    assert choose_view(wary, GRAINY, blur=0) is wary
    asked = choose_view(wary, SMOOTH, blur=0.7, tta=2)
    assert isinstance(asked, AugmentedDetector)
    assert describe_view(asked) == (0.7, wary)
    assert describe_view(choose_view(wary, SMOOTH, blur=0, tta=4)) == (0.0, wary)
    assert wary.calls == 0


def test_a_detector_without_pre_blur_never_blurs() -> None:
    detector = make_detector("tophat")
    assert choose_view(detector, np.repeat(GRAINY, 3, 2)) is detector


def test_a_choice_needs_more_than_a_few_pixels_of_damage() -> None:
    wary = Wary()
    faint = scan(0.0, spots=0)
    faint[100, 100:110:2] = 115  # fifteen pixels in doubt, none of them blurred
    assert describe_view(choose_view(wary, faint))[0] == 0
    faint[50:250:2, 50:350:2] = 125
    assert describe_view(choose_view(wary, faint))[0] == 1


def test_another_network_may_serve_blurred_scans() -> None:
    other = Wary()
    sighted = Paired(other)
    chosen = choose_view(sighted, GRAINY)
    assert other.calls == 0  # the choice is between two ways of the first
    asked = sighted.calls
    detect_damage(chosen, GRAINY)
    assert (sighted.calls, other.calls) == (asked, 1)
    assert describe_view(chosen) == (1.0, other)
    assert chosen.spec.name == "wary"


def test_probes_are_few_and_lie_from_the_middle_outwards() -> None:
    assert list(probe_tiles((300, 200))) == [(slice(0, 300), slice(0, 200))]
    shape = (6000, 10_000)
    places = list(probe_tiles(shape))
    assert len(places) == 5  # one for each twelve megapixels
    for rows, columns in places:
        assert 0 <= rows.start < rows.stop <= shape[0]
        assert 0 <= columns.start < columns.stop <= shape[1]
        assert (rows.stop - rows.start, columns.stop - columns.start) == (512, 512)
    assert abs(places[0][0].start - (6000 - 512) / 2) < 2
    starts = np.array([(rows.start / shape[0], columns.start / shape[1]) for rows, columns in places])
    gaps = np.abs(starts[:, None] - starts[None]).max(2) + np.eye(len(starts))
    assert gaps.min() > 0.15  # none beside another
    wary = Wary()
    large = np.full((3600, 7000, 1), 100, np.uint8)  # nothing to be seen: both squares, both ways
    choose_view(wary, large)
    assert wary.calls == 4
    dirty = np.tile(SMOOTH, (12, 17, 1))  # the first square shows enough
    choose_view(dirty_one := Wary(), dirty)
    assert dirty_one.calls == 2


def test_a_patch_is_predicted_by_itself() -> None:
    unet = make_detector("unet", threads=1)
    pixels = np.random.default_rng(5).integers(90, 130, (120, 75, 3)).astype(np.uint8)
    pixels[40:44, 30:60] = 255
    found = predict_patch(unet, pixels)
    assert found.shape == (120, 75)
    assert found[41:43, 35:55].min() > found[80:].max()
    exact = np.ascontiguousarray(pixels[:112, :64])
    np.testing.assert_array_equal(predict_patch(unet, exact), unet.detect(to_light(exact)))


def test_a_detector_that_fails_is_named() -> None:
    wary = Wary()
    wary.detect = lambda light: np.full(light.shape[:2], np.nan, np.float32)  # type: ignore[method-assign]
    with pytest.raises(EngineError, match="wary broke its contract"):
        choose_view(wary, GRAINY)


def test_an_invalid_pre_blur_is_refused() -> None:
    check_detector(Wary())
    wary = Wary()
    wary.spec = replace(wary.spec, pre_blur=0.6)  # type: ignore[arg-type]
    with pytest.raises(BrokenContract, match="pre_blur is a float"):
        check_detector(wary)
    for wrong in (
        {"sigma": 0},
        {"sigma": 4},
        {"sigma": 1, "max_uncertainty_ratio": 0},
        {"sigma": 1, "network": "../other"},
    ):
        with pytest.raises(ValidationError):
            PreBlur(**wrong)


def test_memory_is_released_after_the_probes() -> None:
    class Tired(Wary):
        released = 0

        def release_memory(self) -> None:
            self.released += 1

    tired = Tired()
    choose_view(tired, GRAINY)
    assert tired.released == 1
    unet = make_detector("unet", threads=1)
    light = np.random.default_rng(7).random((64, 80, 3)).astype(np.float32)
    before = unet.detect(light)
    unet.release_memory()
    np.testing.assert_array_equal(unet.detect(light), before)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The shipped network, which is to see blurred scans by a copy of it."""
    folder = tmp_path / "unet"
    shutil.copytree(shipped_folder("unet"), folder)
    blurred_by = read_card(folder).model_copy(update={"pre_blur": PreBlur(sigma=0.6, network="other")})
    shutil.rmtree(folder / "other", ignore_errors=True)
    blurred_by.model_copy(update={"pre_blur": None, "name": "other"}).to_folder(folder)
    shutil.copytree(folder, folder / "other")
    blurred_by.to_folder(folder)
    return folder


def test_a_model_may_bring_a_network_for_blurred_scans(folder: Path) -> None:
    detector = OnnxDetector(folder, threads=1, weights=Weights.float32)
    assert detector.spec.open_blurred is not None
    other = detector.spec.open_blurred()
    assert (other.spec.name, other.spec.weights, other.spec.open_blurred) == ("other", "onnx", None)
    assert detector.spec.open_blurred() is other
    pixels = np.random.default_rng(6).integers(90, 130, (80, 96, 3)).astype(np.uint8)
    assert isinstance(chosen := choose_view(detector, pixels, blur=0.6), BlurredDetector)
    assert chosen.blurred_detector is other
    (folder / "other" / "card.json").unlink()
    with pytest.raises(ModelError, match="other"):
        OnnxDetector(folder)


def test_the_report_has_the_blur_and_the_networks(folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "scan.png"
    redust.write_scan(redust.Scan(np.repeat(SMOOTH, 3, 2)), source)
    for blur, used in ((0, {"unet onnx", "regions onnx"}), (0.6, {"unet onnx", "other onnx", "regions onnx"})):
        settings = redust.RestoreSettings(detector=str(folder), blur=blur, overwrite=True, weights="float32")
        for outputs in ({}, {"map_out": tmp_path / "map.png"}):
            report = redust.Pipeline(settings).restore(source, mask_out=tmp_path / "mask.png", **outputs)
            assert report.blurred_by == blur
            assert report.detector == "unet"
            assert report.models.keys() == used
    given = redust.Pipeline(settings).restore(source, mask=np.eye(300, 420, dtype=bool), mask_out=tmp_path / "mask.png")
    assert given.blurred_by is None


def test_the_pipeline_lets_the_scan_decide() -> None:
    for pixels, sigma in ((GRAINY, 1.0), (SMOOTH, 0.0)):
        pipeline = redust.Pipeline(redust.RestoreSettings(frame_scratches=False), detector=Wary())
        expected = detect_damage(BlurredDetector(Wary(), 1.0) if sigma else Wary(), pixels)
        np.testing.assert_array_equal(pipeline.detect(redust.Scan(pixels)), expected)
    as_it_is = redust.Pipeline(redust.RestoreSettings(frame_scratches=False, blur=0), detector=Wary())
    np.testing.assert_array_equal(as_it_is.detect(redust.Scan(GRAINY)), detect_damage(Wary(), GRAINY))
