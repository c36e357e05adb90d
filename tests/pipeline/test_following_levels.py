"""A threshold with prior shift gives the same mask by every call, and the report has the level it came to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from doubles import Mean
from memory import peak_of
from redust.core.arrays import DamageMap, Light
from redust.core.engines import Detector, DetectorSpec, PriorShift
from redust.core.scan import Scan
from redust.core.settings import RestoreSettings, Sensitivity
from redust.files import read_mask, write_scan
from redust.pipeline.pipeline import Pipeline


class LightAsProbability(Detector):
    """Returns the light as the probability of damage."""

    spec = DetectorSpec(
        name="light",
        level=0.5,
        levels={Sensitivity.shy: 0.8, Sensitivity.normal: 0.5, Sensitivity.eager: 0.2},
        prior_shift=PriorShift(prior=0.01, exponent=0.5, minority_exponent=1.0),
    )

    def detect(self, light: Light) -> DamageMap:
        return np.ascontiguousarray(light[..., 0])


def pipeline(**choices: object) -> Pipeline:
    return Pipeline(
        RestoreSettings(grow=0, max_tile_coverage=1.0, **choices), detector=LightAsProbability(), inpainter=Mean()
    )


def scan_of(share: float) -> Scan:
    """Mostly black, a share of it about as bright as damage looks likely."""
    rng = np.random.default_rng(1)
    light = np.where(rng.random((70, 90, 1)) < share, rng.uniform(0.3, 1.0, (70, 90, 1)), 0.0)
    return Scan((light * 65535).astype(np.uint16))


@pytest.mark.parametrize("share", [0.0005, 0.01, 0.1])
def test_every_call_gives_the_same_mask(share: float, tmp_path: Path) -> None:
    scan, story = scan_of(share), pipeline()
    source = tmp_path / "scan.tif"
    write_scan(scan, source)
    decided = story.decide(story.detect(scan), scan)
    np.testing.assert_array_equal(story.detect_mask(scan), decided)
    np.testing.assert_array_equal(pipeline(tile=64).detect_mask(scan), decided)
    for name, extra in (("a", {}), ("b", {"map_out": tmp_path / "map.png"})):
        report = story.restore(source, mask_out=tmp_path / f"{name}.png", **extra)
        np.testing.assert_array_equal(read_mask(tmp_path / f"{name}.png", scan.shape), decided)
        assert report.level == pytest.approx(story.method.threshold.apply(story.detect(scan), scan.pixels)[1])


def test_the_dirtier_the_scan_the_lower_the_level() -> None:
    story = pipeline()
    scans = map(scan_of, (0.0, 0.003, 0.03))
    levels = [story.method.threshold.apply(story.detect(scan), scan.pixels)[1] for scan in scans]
    assert levels == sorted(levels, reverse=True)
    assert levels[0] > 0.9
    assert levels[-1] < 0.5


def test_sensitivities_stay_in_order_and_a_user_s_level_is_exact() -> None:
    scan = scan_of(0.003)
    counts = [pipeline(sensitivity=name).detect_mask(scan).sum() for name in Sensitivity]
    assert counts[0] < counts[1] < counts[2]
    np.testing.assert_array_equal(pipeline(level=0.4).detect_mask(scan), scan.pixels[..., 0] >= np.float32(0.4) * 65535)


def test_one_byte_per_pixel_is_held() -> None:
    scan, size = Scan(np.zeros((2600, 1500, 1), np.uint8)), 2600 * 1500
    story = pipeline(tile=256)
    assert (
        peak_of(lambda: story.detect_mask(scan)) < 4 * size
    )  # the quantised map, a tile's light and a band's histogram


def test_lines_are_marked_whatever_the_level(monkeypatch: pytest.MonkeyPatch) -> None:
    from redust.detectors.frame_scratches import Line
    from redust.pipeline import methods

    drawn = Line(np.array([[row, 40.0] for row in range(70)]), bright=True)
    monkeypatch.setattr(methods, "find_frame_scratches", lambda *_, **__: [drawn])
    scan, story = scan_of(0.0), pipeline()
    mask = story.detect_mask(scan)
    assert mask[:, 40].all()
    assert mask[:, 60].sum() == 0
    np.testing.assert_array_equal(mask, story.decide(story.detect(scan), scan))
