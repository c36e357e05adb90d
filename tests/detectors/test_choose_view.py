"""A detector sees a scan as it was asked to, or in the way that leaves it less in doubt."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

import redust
from redust.core.arrays import DamageMap, Light, Pixels, to_light
from redust.core.contracts import BrokenContract, check_detector
from redust.core.engines import Needs
from redust.core.errors import EngineError, ModelError
from redust.core.pre_blur import PreBlur
from redust.core.settings import Weights
from redust.detectors import make_detector
from redust.detectors.blur import BlurredDetector
from redust.detectors.choose_view import UncertaintyMeter, choose_view, describe_view, probe_tiles
from redust.detectors.onnx_detector import OnnxDetector
from redust.detectors.run_detector import detect_damage, predict_patch
from redust.detectors.tta import AugmentedDetector
from redust.models import read_card, shipped_folder


class Wary:
    """Sure of what is bright, in doubt where neighbours differ."""

    name = "wary"
    level = 0.5
    sigma: float
    needs = Needs(channels=(1,), context=1)

    def __init__(self, pre_blur: PreBlur | None = None) -> None:
        self.pre_blur = pre_blur or PreBlur(sigma=1.0)
        self.asked = 0

    def detect(self, light: Light) -> DamageMap:
        self.asked += 1
        plane = light[..., 0]
        steps = np.abs(np.diff(plane, axis=1, append=plane[:, -1:]))
        found: DamageMap = np.where(plane > 0.9, np.float32(0.98), np.where(steps > 0.05, np.float32(0.4), 0))
        return found


class Sighted(Wary):
    """Lets another see what is blurred."""

    def __init__(self, other: Wary) -> None:
        super().__init__()
        self.blurred_detector = other


def scan(grain: float, spots: int = 40) -> Pixels:
    """A grey scan with bright spots, and grain from pixel to pixel."""
    rng = np.random.default_rng(4)
    light = 0.4 + grain * rng.standard_normal((300, 420, 1))
    for row, column in zip(rng.integers(0, 290, spots), rng.integers(0, 410, spots), strict=True):
        light[row : row + 8, column : column + 8] = 1
    return np.rint(255 * light.clip(0, 1)).astype(np.uint8)


GRAINY, SMOOTH = scan(0.04), scan(0.0)


def test_a_grainy_scan_is_seen_blurred_and_a_smooth_one_as_it_is() -> None:
    wary = Wary()
    soft, sharp = choose_view(wary, GRAINY), choose_view(wary, SMOOTH)
    assert isinstance(soft, BlurredDetector)
    assert (describe_view(soft), describe_view(sharp)) == ((1.0, wary), (0.0, wary))
    assert sharp is wary
    # What is sure on a smooth scan: rims of spots, blurred, would be in doubt.
    blurred = BlurredDetector(wary, 1.0)
    for pixels, less, more in ((GRAINY, blurred, wary), (SMOOTH, wary, blurred)):
        first, second = UncertaintyMeter(), UncertaintyMeter()
        first.add(detect_damage(less, pixels))
        second.add(detect_damage(more, pixels))
        assert first.share < 0.97 * second.share


def test_what_was_asked_for_is_done_without_looking() -> None:
    wary = Wary()
    assert choose_view(wary, GRAINY, blur=0) is wary
    asked = choose_view(wary, SMOOTH, blur=0.7, tta=2)
    assert isinstance(asked, AugmentedDetector)
    assert describe_view(asked) == (0.7, wary)
    wary.sigma = 3.0  # its own affair
    assert describe_view(choose_view(wary, SMOOTH, blur=0, tta=4)) == (0.0, wary)
    assert wary.asked == 0


def test_a_detector_without_softening_sees_every_scan_as_it_is() -> None:
    detector = make_detector("tophat")
    assert choose_view(detector, np.repeat(GRAINY, 3, 2)) is detector


def test_a_choice_needs_more_than_a_few_pixels_of_damage() -> None:
    wary = Wary()
    faint = scan(0.0, spots=0)
    faint[100, 100:110:2] = 115  # fifteen pixels in doubt, none of them blurred
    assert describe_view(choose_view(wary, faint))[0] == 0
    faint[50:250:2, 50:350:2] = 125
    assert describe_view(choose_view(wary, faint))[0] == 1


def test_another_network_may_see_what_is_blurred() -> None:
    other = Wary()
    sighted = Sighted(other)
    chosen = choose_view(sighted, GRAINY)
    assert other.asked == 0  # the choice is between two ways of the first
    asked = sighted.asked
    detect_damage(chosen, GRAINY)
    assert (sighted.asked, other.asked) == (asked, 1)
    assert describe_view(chosen) == (1.0, other)
    assert chosen.name == "wary"


def test_it_asks_about_a_few_squares_from_the_middle_outwards() -> None:
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
    assert wary.asked == 4
    dirty = np.tile(SMOOTH, (12, 17, 1))  # the first square shows enough
    choose_view(dirty_one := Wary(), dirty)
    assert dirty_one.asked == 2


def test_a_glimpse_is_what_the_detector_says_of_a_part_by_itself() -> None:
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


def test_what_is_no_softening_is_refused() -> None:
    check_detector(Wary())
    wary = Wary()
    wary.pre_blur = 0.6  # type: ignore[assignment]
    with pytest.raises(BrokenContract, match="pre_blur is a float"):
        check_detector(wary)
    for wrong in ({"sigma": 0}, {"sigma": 4}, {"sigma": 1, "doubt": 0}, {"sigma": 1, "network": "../other"}):
        with pytest.raises(ValidationError):
            PreBlur(**wrong)


def test_memory_is_given_back_and_nothing_else_changes() -> None:
    class Tired(Wary):
        rested = 0

        def rest(self) -> None:
            self.rested += 1

    tired = Tired()
    choose_view(tired, GRAINY)
    assert tired.rested == 1
    unet = make_detector("unet", threads=1)
    light = np.random.default_rng(7).random((64, 80, 3)).astype(np.float32)
    before = unet.detect(light)
    unet.rest()
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
    other = detector.blurred_detector
    assert (other.name, other.kind, other.blurred_detector) == ("other", "onnx", other)
    pixels = np.random.default_rng(6).integers(90, 130, (80, 96, 3)).astype(np.uint8)
    assert isinstance(chosen := choose_view(detector, pixels, blur=0.6), BlurredDetector)
    assert chosen.seen_by is other
    (folder / "other" / "card.json").unlink()
    with pytest.raises(ModelError, match="other"):
        OnnxDetector(folder)


def test_the_report_says_how_the_scan_was_seen(folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "scan.png"
    redust.write_scan(redust.Scan(np.repeat(SMOOTH, 3, 2)), source)
    for blur, used in ((0, {"unet onnx"}), (0.6, {"unet onnx", "other onnx"})):
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
