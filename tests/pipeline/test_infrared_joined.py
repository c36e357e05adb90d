"""What infrared proves is repaired, what it denies is spared, and the report says so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

import redust
from doubles import Bright
from infrared_layouts import LAYOUTS, score_mask, write_rgbi, write_rgbi_tagged_as_alpha
from redust.core.arrays import DamageMap, Light
from redust.core.errors import ScanError, SettingsError
from redust.core.scan import Scan
from redust.core.settings import RestoreSettings
from redust.files import read_mask, read_scan
from redust.pipeline.pipeline import Pipeline
from redust.synthesis.infrared_film import FilmStock, InfraredFrame, InfraredScanner, draw_infrared_frame

PLAIN = RestoreSettings(fill="telea", grow=0, recover_translucent=False, max_tile_coverage=1.0)


class Everything(Bright):
    """Takes the left half of every tile's pixels for damage: a detector that is wrong nearly everywhere."""

    spec = replace(Bright.spec, name="everything")

    def detect(self, light: Light) -> DamageMap:
        return np.ones(light.shape[:2], np.float32)


class Nothing(Bright):
    """Marks nothing."""

    spec = replace(Bright.spec, name="nothing")

    def detect(self, light: Light) -> DamageMap:
        return np.zeros(light.shape[:2], np.float32)


@pytest.fixture(scope="module")
def frame() -> InfraredFrame:
    return draw_infrared_frame((320, 400), InfraredScanner(shift=(1.0, -1.0)), seed=4)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_infrared_alone_finds_the_dust_in_any_layout(layout: str, frame: InfraredFrame, tmp_path: Path) -> None:
    choice, write = LAYOUTS[layout]
    write(tmp_path / "scan.tif", frame)
    report = redust.detect(
        tmp_path / "scan.tif",
        tmp_path / "mask.png",
        detector="infrared",
        infrared=choice,
        grow=0,
        max_tile_coverage=1.0,
    )
    recall, precision = score_mask(read_mask(tmp_path / "mask.png", frame.damage.shape), frame.damage)
    assert min(recall, precision) >= 0.98
    assert report.infrared is not None
    assert report.infrared.used
    assert report.infrared.detector_regions == report.regions
    assert report.warnings == []


def test_infrared_adds_what_the_detector_misses(frame: InfraredFrame) -> None:
    pipeline = Pipeline(PLAIN, detector=Nothing())
    scan = Scan(frame.pixels, infrared=frame.infrared)
    assert min(score_mask(pipeline.detect_mask(scan), frame.damage)) >= 0.98
    damage = pipeline.detect(scan)
    assert min(score_mask(damage == 1, frame.damage)) >= 0.98
    np.testing.assert_array_equal(pipeline.decide(damage, scan), pipeline.detect_mask(scan))


def test_infrared_spares_what_the_detector_marks_by_mistake(frame: InfraredFrame) -> None:
    scan = Scan(frame.pixels, infrared=frame.infrared)
    mask = Pipeline(PLAIN, detector=Everything()).detect_mask(scan)
    assert score_mask(mask, frame.damage)[0] >= 0.98
    assert mask.mean() < 0.25  # what lies within reach of dust, and of the rarest noise
    assert Pipeline(PLAIN.model_copy(update={"infrared": "off"}), detector=Everything()).detect_mask(scan).all()


def test_the_report_counts_regions_of_both(frame: InfraredFrame, tmp_path: Path) -> None:
    specks = np.minimum(frame.pixels, 50000)
    sound = [(row, column) for row in (60, 160, 260) for column in (90, 210, 330) if not near(frame, row, column)]
    for row, column in sound:
        specks[row : row + 2, column : column + 2] = 65535
    write_rgbi(tmp_path / "scan.tif", replace(frame, pixels=specks))
    report = Pipeline(PLAIN, detector=Bright()).restore(tmp_path / "scan.tif", mask_out=tmp_path / "mask.png")
    assert report.infrared is not None
    assert report.infrared.source == "its further channel"
    assert len(sound) > 4
    assert len(sound) - 1 <= report.infrared.spared_regions <= len(sound)  # one may lie beside noise
    assert report.infrared.detector_regions >= len(sound)
    confirmed = report.infrared.detector_regions - report.infrared.spared_regions
    assert report.regions == report.infrared.regions + confirmed
    np.testing.assert_allclose(report.infrared.shift, (1, -1), atol=0.35)


def near(frame: InfraredFrame, row: int, column: int) -> bool:
    return bool(frame.damage[row - 16 : row + 18, column - 16 : column + 18].any())


@pytest.mark.parametrize("detector", ["infrared", "tophat"])
def test_on_silver_infrared_changes_nothing_and_the_report_says_why(detector: str, tmp_path: Path) -> None:
    silver = draw_infrared_frame((320, 400), stock=FilmStock.silver, seed=4)
    write_rgbi(tmp_path / "scan.tif", silver)
    report = redust.detect(tmp_path / "scan.tif", tmp_path / "mask.png", detector=detector)
    assert report.infrared is not None
    assert not report.infrared.used
    assert any("shows the picture itself" in warning for warning in report.warnings)
    without = redust.detect(read_scan(tmp_path / "scan.tif").pixels, detector="tophat")
    mask = read_mask(tmp_path / "mask.png", (320, 400))
    np.testing.assert_array_equal(mask, without if detector == "tophat" else np.zeros_like(mask))


def test_every_sample_outside_the_mask_stays(frame: InfraredFrame, tmp_path: Path) -> None:
    write_rgbi_tagged_as_alpha(tmp_path / "scan.tif", frame)
    redust.restore(
        tmp_path / "scan.tif", tmp_path / "out.tif", detector="infrared", infrared="channel", fill="telea",
        mask_out=tmp_path / "mask.png",
    )  # fmt: skip
    before, after = tifffile.imread(tmp_path / "scan.tif"), tifffile.imread(tmp_path / "out.tif")
    mask = read_mask(tmp_path / "mask.png", frame.damage.shape)
    np.testing.assert_array_equal(after[~mask], before[~mask])
    np.testing.assert_array_equal(after[..., 3], frame.infrared)
    assert mask.any()


def test_without_infrared_its_detector_says_what_to_do(frame: InfraredFrame) -> None:
    with pytest.raises(ScanError, match="--infrared FILE, or choose another detector"):
        redust.detect(frame.pixels, detector="infrared")


def test_a_named_file_of_another_area_is_refused(frame: InfraredFrame, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "other.tif", frame.infrared[:, :200], metadata=None)
    with pytest.raises(ScanError, match="Neither may be cropped or turned"):
        redust.detect(frame.pixels, detector="tophat", infrared=str(tmp_path / "other.tif"))


def test_one_file_does_not_serve_several_scans(tmp_path: Path) -> None:
    from redust.cli.restoring import refuse_shared_infrared

    refuse_shared_infrared({"infrared": "channel"}, [tmp_path])
    refuse_shared_infrared({"infrared": "raw.tif"}, [tmp_path / "scan.tif"])
    with pytest.raises(SettingsError, match="Lay the infrared of each beside it"):
        refuse_shared_infrared({"infrared": "raw.tif"}, [tmp_path])


def test_repairing_first_does_not_silence_infrared(frame: InfraredFrame) -> None:
    pipeline, scan = Pipeline(PLAIN, detector=Nothing()), Scan(frame.pixels, infrared=frame.infrared)
    pipeline.repair(scan, frame.damage)
    assert pipeline.detect_mask(scan).any()
