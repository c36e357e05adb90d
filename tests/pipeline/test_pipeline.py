"""The story: read, detect, decide, repair, write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType, SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import redust
from doubles import Bright, Explains, Mean, NoFill
from drawing import draw
from memory import peak_of
from redust.core.errors import LossyTarget, MaskMismatch, RedustError, ScanError, TargetExists
from redust.core.scan import Scan
from redust.core.settings import Polarity, RestoreSettings
from redust.files import read_map, read_mask, read_scan, write_mask, write_scan
from redust.pipeline.areas import Areas
from redust.pipeline.job import Job
from redust.pipeline.pipeline import Pipeline

ScanFile = Callable[..., Path]


def pipeline(**choices: object) -> Pipeline:
    return Pipeline(RestoreSettings(**choices), detector=Bright(), inpainter=Mean())


def test_restore_writes_what_the_report_says(scan_file: ScanFile, tmp_path: Path) -> None:
    source = scan_file(dtype=np.uint16)
    paths = {name: tmp_path / "out" / f"{name}.png" for name in ("mask_out", "map_out", "compare")}
    report = pipeline(grow=0).restore(source, tmp_path / "out/restored.tif", **paths)
    before, after = read_scan(source).pixels, read_scan(tmp_path / "out/restored.tif").pixels
    mask = read_mask(paths["mask_out"], before.shape[:2])
    np.testing.assert_array_equal(mask, before.max(axis=2) == 65535)
    np.testing.assert_array_equal(read_map(paths["map_out"]), mask)
    np.testing.assert_array_equal(after[~mask], before[~mask])
    assert (after[mask] < 50000).all()
    assert report.status == "restored"
    assert (report.source, report.target) == (str(source), str(tmp_path / "out/restored.tif"))
    assert [report.mask_file, report.map_file, report.compare_file] == [str(path) for path in paths.values()]
    assert (report.height, report.width, report.channels, report.bits) == (48, 64, 3, 16)
    assert (report.detector, report.fill, report.level) == ("bright", "mean", 0.5)
    assert report.coverage == pytest.approx(mask.mean())
    assert report.regions == 3
    assert report.largest_change_outside == 0
    assert set(report.seconds) == {"read", "detect", "decide", "fill", "compare", "write"}
    assert report.settings["grow"] == 0
    assert report.warnings == []
    assert report.redust == redust.__version__


def test_one_pipeline_serves_many_scans(scan_file: ScanFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    monkeypatch.setattr("redust.pipeline.engines.make_detector", lambda name, **how: made.append(name) or Bright())
    one = Pipeline(RestoreSettings(fill="telea"))
    assert made == []
    for number in range(3):
        one.restore(scan_file(f"{number}.tif", seed=number), tmp_path / f"out{number}.tif")
    assert made == ["unet"]


def test_a_clean_scan_comes_back_as_it_was(scan_file: ScanFile, tmp_path: Path) -> None:
    source = scan_file(specks=0)
    report = pipeline().restore(source, tmp_path / "out.tif")
    np.testing.assert_array_equal(read_scan(tmp_path / "out.tif").pixels, read_scan(source).pixels)
    assert (report.coverage, report.regions) == (0, 0)


def test_without_a_target_nothing_is_repaired(scan_file: ScanFile, tmp_path: Path) -> None:
    broken = Pipeline(detector=Bright(), inpainter=NoFill())
    report = broken.restore(scan_file(), mask_out=tmp_path / "m.png")
    assert (report.status, report.target, report.fill) == ("detected", None, None)
    assert report.largest_change_outside is None


def test_a_given_mask_needs_no_detector_and_is_applied_as_it_is(scan_file: ScanFile, tmp_path: Path) -> None:
    source, mask = scan_file(), np.zeros((48, 64), np.bool_)
    mask[20, 20] = True
    write_mask(mask, tmp_path / "m.png")
    one = Pipeline(RestoreSettings(grow=5, min_size=9), detector=Explains(), inpainter=Mean())
    report = one.restore(source, tmp_path / "out.tif", mask=tmp_path / "m.png")
    assert (report.status, report.detector, report.level) == ("repaired", "given", None)
    changed = (read_scan(tmp_path / "out.tif").pixels != read_scan(source).pixels).any(axis=2)
    assert not (changed & ~mask).any()
    assert report.coverage == pytest.approx(mask.mean())
    assert (report.regions, sum(report.classes.values())) == (1, 1)


def test_regions_of_a_given_mask_are_counted_as_they_are(scan_file: ScanFile) -> None:
    mask = np.zeros((48, 64), np.bool_)
    mask[20, 20:32:4] = True  # growing by 2 would join them
    report = Pipeline(RestoreSettings(grow=2), inpainter=Mean()).run(Job(scan_file(), mask=mask))
    assert (report.regions, report.classes["dust"]) == (3, 3)


def test_people_add_and_protect(scan_file: ScanFile, tmp_path: Path) -> None:
    pixels = draw(specks=0)
    pixels[10:12, 10:12] = pixels[30:32, 30:32] = 255
    source = scan_file(pixels=pixels)
    add, protect = np.zeros((2, 48, 64), np.bool_)
    add[40, 5], protect[:20, :20] = True, True
    report = pipeline(grow=2).restore(
        source, tmp_path / "o.tif", add_mask=add, not_mask=protect, mask_out=tmp_path / "m.png"
    )
    mask = read_mask(tmp_path / "m.png", (48, 64))
    assert not mask[:20, :20].any()
    assert mask[30:32, 30:32].all()
    assert mask[36:45, :10].sum() == 1  # added as given, not grown
    assert report.regions == 2


def test_the_verbs_are_the_steps_of_restore() -> None:
    scan = Scan(draw(dtype=np.float32))
    one = pipeline(grow=1)
    damage = one.detect(scan)
    mask = one.decide(damage, scan, Areas())
    np.testing.assert_array_equal(mask, one.detect_mask(scan))
    restored = one.repair(scan, mask)
    np.testing.assert_array_equal(restored.pixels[~mask], scan.pixels[~mask])
    assert restored.pixels[mask].max() < 0.9


@pytest.mark.parametrize(
    "choices",
    [{}, {"grow": 2}, {"min_size": 2, "max_size": 40}, {"polarity": Polarity.dark}, {"level": 0.3, "min_size": 5}],
)
def test_thresholding_by_tiles_gives_the_mask_of_the_whole_map(
    scan_file: ScanFile, tmp_path: Path, choices: dict[str, object]
) -> None:
    settings = RestoreSettings(detector="tophat", tile=64, **choices)
    scan = Scan(draw(300, 200, specks=40, dtype=np.uint16))
    one = Pipeline(settings)
    mask = one.decide(one.detect(scan), scan)
    assert mask.any() or "polarity" in choices
    np.testing.assert_array_equal(one.detect_mask(scan), mask)
    source = scan_file(pixels=scan.pixels)
    one.restore(source, mask_out=tmp_path / "without.png")
    one.restore(source, mask_out=tmp_path / "with.png", map_out=tmp_path / "map.png")
    for name in ("without.png", "with.png"):
        np.testing.assert_array_equal(read_mask(tmp_path / name, scan.shape), mask)


def test_the_map_is_held_only_where_it_is_written() -> None:
    scan = Scan(draw(1500, 2000, channels=1))
    one = pipeline(tile=256, grow=0, guard=False)  # the guard holds a band of the scan
    size = scan.pixels.nbytes
    assert peak_of(lambda: one.detect_mask(scan)) < 2.5 * size  # the mask, and a tile's light; the map alone would be 4
    assert peak_of(lambda: one.detect(scan)) > 4 * size


def test_progress_tells_each_step_and_its_share(scan_file: ScanFile, tmp_path: Path) -> None:
    calls: list[tuple[str, float]] = []
    pipeline(tile=64).restore(
        scan_file(height=200), tmp_path / "o.tif", progress=lambda step, share: calls.append((step, share))
    )
    assert list(dict.fromkeys(step for step, _ in calls)) == ["read", "detect", "decide", "fill", "write"]
    shares = [share for step, share in calls if step == "detect"]
    assert shares == sorted(shares)
    assert len(shares) > 3
    assert shares[-1] == 1.0


def test_the_hash_of_weights_is_reported(scan_file: ScanFile, tmp_path: Path) -> None:
    detector = Bright()
    detector.spec = replace(detector.spec, card=SimpleNamespace(name="bright", sha256={"onnx": "ab12"}))
    report = Pipeline(detector=detector, inpainter=Mean()).restore(scan_file(), tmp_path / "o.tif")
    assert report.models == {"bright onnx": "ab12"}


def test_much_damage_is_pointed_out(scan_file: ScanFile, tmp_path: Path) -> None:
    pixels = draw(specks=0)
    pixels[:, :5] = 255
    report = pipeline().restore(scan_file(pixels=pixels), tmp_path / "o.tif")
    assert any("more than damage looks like" in warning for warning in report.warnings)


@pytest.mark.parametrize(("level", "word"), [(0.0, "every pixel"), (1.0, "certain")])
def test_a_level_that_decides_everything_is_pointed_out(
    scan_file: ScanFile, tmp_path: Path, level: float, word: str
) -> None:
    report = pipeline(level=level).restore(scan_file(), mask_out=tmp_path / "m.png")
    assert any(word in warning for warning in report.warnings)


class Calibrated(Bright):
    """Bright, with levels by sensitivity."""

    spec = replace(Bright.spec, levels=MappingProxyType({"eager": 0.25, "normal": 0.5, "shy": 0.75}))


@pytest.mark.parametrize(
    ("choices", "level"),
    [({}, 0.5), ({"sensitivity": "eager"}, 0.25), ({"sensitivity": "shy"}, 0.75), ({"level": 0.6}, 0.6)],
)
def test_the_sensitivity_chooses_the_level(
    scan_file: ScanFile, tmp_path: Path, choices: dict[str, object], level: float
) -> None:
    one = Pipeline(RestoreSettings(**choices), detector=Calibrated())
    report = one.restore(scan_file(), mask_out=tmp_path / "m.png")
    assert (one.method.threshold.level, report.level, report.warnings) == (level, level, [])


def test_a_sensitivity_the_detector_has_no_level_for_is_pointed_out(
    scan_file: ScanFile, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one = pipeline(sensitivity="eager")
    report = one.restore(scan_file(), mask_out=tmp_path / "m.png")
    assert report.level == Bright.spec.level
    assert ["`eager` changes nothing" in warning for warning in report.warnings] == [True]
    caplog.clear()
    one.detect_mask(Scan(draw()))
    assert "`eager` changes nothing" in caplog.text


def test_a_mask_without_sound_pixels_is_an_error(scan_file: ScanFile, tmp_path: Path) -> None:
    with pytest.raises(MaskMismatch, match="no sound pixel"):
        pipeline(level=0.0).restore(scan_file(), tmp_path / "o.tif")
    assert not (tmp_path / "o.tif").exists()


def test_jpeg_reports_its_largest_change_outside_the_mask(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    pixels = (draw().astype(int) + random.integers(-30, 30, (48, 64, 3))).clip(0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.jpg", quality=70)
    report = pipeline().restore(tmp_path / "a.jpg", tmp_path / "o.jpg")
    assert report.largest_change_outside is not None
    assert report.largest_change_outside < 60
    before, after = (read_scan(tmp_path / name).pixels.astype(int) for name in ("a.jpg", "o.jpg"))
    mask = pipeline().detect_mask(read_scan(tmp_path / "a.jpg"))
    assert report.largest_change_outside == np.abs(before - after)[~mask].max()
    assert bool(report.warnings) == (report.largest_change_outside > 0)


@pytest.mark.parametrize("place", ["target", "mask_out", "map_out", "compare"])
def test_what_exists_stops_the_work_before_it_starts(scan_file: ScanFile, tmp_path: Path, place: str) -> None:
    taken = tmp_path / "taken.png"
    taken.write_bytes(b"mine")
    one = pipeline()
    with pytest.raises(TargetExists):
        one.restore(scan_file(), **{place: taken})
    assert taken.read_bytes() == b"mine"
    assert one.engines.detector.calls == 0
    assert Pipeline(RestoreSettings(overwrite=True), detector=Bright(), inpainter=Mean()).restore(
        scan_file(), **{place: taken}
    )
    assert taken.read_bytes() != b"mine"


@pytest.mark.parametrize("place", ["target", "mask_out", "map_out", "compare"])
def test_nothing_is_ever_written_over_the_scan(scan_file: ScanFile, place: str) -> None:
    source = scan_file("a.png")
    before = source.read_bytes()
    with pytest.raises(TargetExists):
        pipeline(overwrite=True).restore(source, **{place: source})
    assert source.read_bytes() == before


def test_a_target_that_cannot_hold_the_scan_stops_the_work_before_it_starts(
    scan_file: ScanFile, tmp_path: Path
) -> None:
    one = pipeline()
    source = scan_file(dtype=np.uint16)
    with pytest.raises(LossyTarget):
        one.restore(source, tmp_path / "o.jpg")
    assert one.engines.detector.calls == 0
    assert pipeline(allow_loss=True).restore(source, tmp_path / "o.jpg").status == "restored"


@pytest.mark.parametrize("name", ["o.jpg", "o.tfi"])
def test_a_mask_goes_into_png_or_tiff_or_the_work_does_not_start(
    scan_file: ScanFile, tmp_path: Path, name: str
) -> None:
    one = pipeline()
    with pytest.raises(RedustError):
        one.restore(scan_file(), mask_out=tmp_path / name)
    assert one.engines.detector.calls == 0


def test_pages_are_counted_from_one(tmp_path: Path) -> None:
    pages = [Image.fromarray(draw(seed=seed)) for seed in (1, 2)]
    pages[0].save(tmp_path / "two.tif", save_all=True, append_images=pages[1:])
    report = pipeline(page=2, grow=0).restore(tmp_path / "two.tif", mask_out=tmp_path / "m.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png", (48, 64)), draw(seed=2).min(axis=2) == 255)
    assert report.page == 2
    with pytest.raises(ScanError, match="page 3"):
        pipeline(page=3).restore(tmp_path / "two.tif", mask_out=tmp_path / "m3.png")


def test_metadata_travels(tmp_path: Path) -> None:
    write_scan(Scan(draw(), dpi=(2400.0, 2400.0), icc=b"\0" * 128), tmp_path / "a.tif")
    pipeline().restore(tmp_path / "a.tif", tmp_path / "o.tif")
    assert read_scan(tmp_path / "o.tif").dpi == (2400.0, 2400.0)
    assert read_scan(tmp_path / "o.tif").icc == b"\0" * 128
