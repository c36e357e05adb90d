"""The easy calls, on paths and on arrays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import redust
from drawing import draw
from redust.core.errors import SettingsError, UnknownEngine
from redust.files import read_map, read_mask, read_scan

ScanFile = Callable[..., Path]
BRIGHT = {"detector": "bright", "fill": "mean"}

pytestmark = pytest.mark.usefixtures("plugins")


def shaped(channels: int, dtype: type) -> np.ndarray:
    """An array of 0 (no channel axis) to 4 channels with specks; the last of 2 and 4 is alpha."""
    pixels = draw(channels=3 if channels > 2 else 1, dtype=dtype)
    if channels in (2, 4):
        return np.concatenate([pixels, (pixels[..., :1] / 2).astype(dtype)], axis=2)
    return pixels[..., 0] if channels == 0 else pixels


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [0, 1, 2, 3, 4])
def test_arrays_come_back_in_their_own_shape_and_depth(channels: int, dtype: type) -> None:
    array = shaped(channels, dtype)
    before = array.copy()
    mask = redust.detect(array, detector="bright", grow=0)
    restored = redust.restore(array, grow=0, **BRIGHT)
    assert (restored.shape, restored.dtype) == (array.shape, array.dtype)
    assert (mask.shape, mask.dtype, mask.sum()) == ((48, 64), np.bool_, 12)
    np.testing.assert_array_equal(restored[~mask], array[~mask])
    np.testing.assert_array_equal(array, before)
    assert (restored[mask] != array[mask]).any()
    if channels in (2, 4):
        np.testing.assert_array_equal(restored[..., -1], array[..., -1])
    np.testing.assert_array_equal(redust.repair(array, mask, fill="mean"), restored)


def test_a_part_of_an_array_will_do() -> None:
    array = np.asfortranarray(draw())[::2, ::-1]
    assert redust.restore(array, **BRIGHT).shape == array.shape


def test_masks_may_be_given_with_arrays() -> None:
    array, mask, protect = draw(), np.zeros((2, 48, 64), np.bool_)[0], np.ones((48, 64), np.bool_)
    mask[3, 3] = True
    changed = (redust.restore(array, mask=mask, fill="mean") != array).any(axis=2)
    assert not (changed & ~mask).any()
    np.testing.assert_array_equal(redust.restore(array, not_mask=protect, **BRIGHT), array)
    added = redust.restore(draw(specks=0), add_mask=mask, **BRIGHT)
    assert not ((added != draw(specks=0)).any(axis=2) & ~mask).any()


def test_arrays_and_images_can_give_a_report() -> None:
    restored, report = redust.restore(draw(), report=True, **BRIGHT)
    np.testing.assert_array_equal(restored, redust.restore(draw(), **BRIGHT))
    assert (report.status, report.source, report.classes["dust"]) == ("restored", "array", 3)
    assert (report.height, report.width, report.fill) == (48, 64, "mean")
    mask = redust.detect(draw(), detector="bright")
    image, report = redust.repair(Image.fromarray(draw()), mask, report=True, fill="mean")
    assert (image.mode, report.status, report.coverage) == ("RGB", "repaired", mask.mean())


def test_detect_can_give_a_report_too(scan_file: Any) -> None:
    mask, report = redust.detect(draw(), report=True, detector="bright", grow=1)
    np.testing.assert_array_equal(mask, redust.detect(draw(), detector="bright", grow=1))
    assert (report.status, report.detector, report.classes["dust"]) == ("detected", "bright", 3)
    damage, second = redust.detect(scan_file(), as_map=True, report=True, detector="bright", grow=1)
    np.testing.assert_array_equal(damage, redust.detect(draw(), as_map=True, detector="bright"))
    assert (second.coverage, second.mask_sha256) == (mask.mean(), report.mask_sha256)


def test_the_map_instead_of_the_mask() -> None:
    damage = redust.detect(draw(), as_map=True, detector="bright")
    assert (damage.dtype, damage.shape, damage.max()) == (np.float32, (48, 64), 1.0)


@pytest.mark.parametrize(
    ("array", "error", "words"),
    [
        (np.zeros((4, 4), np.float64), TypeError, "astype"),
        (np.zeros((4, 4), np.int32), TypeError, "uint8"),
        (np.zeros((4, 4), np.bool_), TypeError, "uint8"),
        (np.zeros((4, 4, 5), np.uint8), ValueError, "1 to 4 channels"),
        (np.zeros(4, np.uint8), ValueError, "1 to 4 channels"),
        (np.zeros((0, 4), np.uint8), ValueError, "shape"),
    ],
)
def test_what_is_no_pixels_is_refused(array: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        redust.restore(array, **BRIGHT)


def test_an_array_has_no_files(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="write_scan"):
        redust.restore(draw(), tmp_path / "o.tif", **BRIGHT)
    with pytest.raises(TypeError, match="write_scan"):
        redust.restore(draw(), mask_out=tmp_path / "o.png", **BRIGHT)
    with pytest.raises(TypeError, match="write_scan"):
        redust.detect(draw(), tmp_path / "o.png", detector="bright")
    with pytest.raises(TypeError, match="write_scan"):
        redust.repair(draw(), np.zeros((48, 64), np.bool_), tmp_path / "o.tif")


def test_paths_give_files_and_a_report(scan_file: ScanFile, tmp_path: Path) -> None:
    source = scan_file()
    report = redust.restore(str(source), str(tmp_path / "o.tif"), mask_out=str(tmp_path / "m.png"), **BRIGHT)
    assert report.target == str(tmp_path / "o.tif")
    assert redust.detect(source, tmp_path / "d.png", detector="bright").status == "detected"
    assert (tmp_path / "d.png").read_bytes() == (tmp_path / "m.png").read_bytes()
    redust.repair(source, tmp_path / "m.png", tmp_path / "r.tif", fill="mean")
    np.testing.assert_array_equal(read_scan(tmp_path / "r.tif").pixels, read_scan(tmp_path / "o.tif").pixels)


def test_detect_on_a_path_gives_an_array_or_a_file(scan_file: ScanFile, tmp_path: Path) -> None:
    source = scan_file()
    mask = redust.detect(source, detector="bright")
    redust.detect(source, tmp_path / "m.png", detector="bright")
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png", (48, 64)), mask)
    redust.detect(source, tmp_path / "map.png", as_map=True, detector="bright")
    np.testing.assert_array_equal(read_map(tmp_path / "map.png"), redust.detect(source, as_map=True, detector="bright"))


def test_without_a_target_the_result_goes_beside_the_scan(scan_file: ScanFile) -> None:
    source = scan_file("a.tif")
    redust.restore(source, **BRIGHT)
    assert source.with_name("a.restored.tif").exists()


@pytest.mark.parametrize(
    "call", [redust.restore, redust.detect, lambda scan, **choices: redust.repair(scan, scan[..., 0] > 9, **choices)]
)
def test_an_unknown_keyword_is_named(call: Callable[..., Any]) -> None:
    with pytest.raises(SettingsError, match="there is no setting `levle`"):
        call(draw(), levle=0.4)


def test_each_call_takes_its_own_settings_only() -> None:
    with pytest.raises(SettingsError, match="`fill`"):
        redust.detect(draw(), fill="telea")
    with pytest.raises(SettingsError, match="`level`"):
        redust.repair(draw(), draw()[..., 0] > 9, level=0.3)
    with pytest.raises(SettingsError, match=r"`level`.*less than or equal to 1, got 3"):
        redust.restore(draw(), level=3)


def test_an_unknown_engine_is_named_with_those_there_are() -> None:
    with pytest.raises(UnknownEngine, match=r"`nose`.*tophat"):
        redust.restore(draw(), detector="nose")


def test_one_preset_serves_all_calls_and_keywords_win(tmp_path: Path) -> None:
    preset = tmp_path / "roll.toml"
    preset.write_text('detector = "bright"\nfill = "mean"\ngrow = 3\n')
    assert redust.detect(draw(), preset=preset).sum() > 12
    assert redust.detect(draw(), preset=str(preset), grow=0).sum() == 12
    assert redust.repair(draw(), draw()[..., 0] > 200, preset=preset).max() < 200
    np.testing.assert_array_equal(redust.restore(draw(), preset=preset), redust.restore(draw(), grow=3, **BRIGHT))


def as_image(mode: str) -> Image.Image:
    """A drawn scan as a Pillow image with a resolution."""
    image = Image.fromarray(draw(channels=1, dtype=np.uint16)[..., 0])
    image = image if mode == "I;16" else Image.fromarray(draw()).convert(mode)
    image.info["dpi"] = (300, 300)
    return image


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16"])
def test_images_come_back_in_their_own_mode_with_their_info(mode: str) -> None:
    image = as_image(mode)
    restored = redust.restore(image, **BRIGHT)
    assert (restored.mode, restored.size, restored.info) == (mode, image.size, {"dpi": (300, 300)})
    np.testing.assert_array_equal(np.asarray(restored), redust.restore(np.asarray(image), **BRIGHT))
    mask = redust.detect(image, detector="bright")
    repaired = redust.repair(image, Image.fromarray(mask), fill="mean")
    np.testing.assert_array_equal(np.asarray(repaired), redust.repair(np.asarray(image), mask, fill="mean"))


def test_an_image_with_red_paint_is_a_mask_as_its_file_is() -> None:
    layer = np.zeros((48, 64, 4), np.uint8)
    layer[..., 1] = 255  # invisible
    layer[9:12, 9:12] = (255, 0, 0, 255)
    repaired = redust.repair(draw(), Image.fromarray(layer), fill="mean")
    np.testing.assert_array_equal(repaired, redust.repair(draw(), layer[..., 3] > 0, fill="mean"))


@pytest.mark.parametrize("source", [None, [[1, 2]], 7, Image.new("P", (9, 9)), Image.new("F", (9, 9))])
def test_what_is_no_scan_is_told_what_is(source: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"NumPy array|one of the modes L, LA"):
        redust.restore(source, **BRIGHT)


def test_a_mask_that_is_none_is_an_error_and_no_wish_to_detect(scan_file: ScanFile) -> None:
    for source in (draw(), scan_file("a.tif")):
        with pytest.raises(TypeError, match="the mask is None"):
            redust.repair(source, None, fill="mean")
        with pytest.raises(TypeError, match="type list"):
            redust.repair(source, [1], fill="mean")


def test_a_keyword_with_a_typo_gets_a_suggestion_and_no_talk_of_commands() -> None:
    with pytest.raises(redust.RedustError, match="did you mean `level`") as caught:
        redust.restore(draw(), levle=0.4)
    assert "--help" not in str(caught.value)


def test_one_class_need_not_be_a_list(tmp_path: Path) -> None:
    assert redust.RestoreSettings(skip="stain").skip == ("stain",)
    (tmp_path / "p.toml").write_text('only = "hair"\n')
    assert redust.RestoreSettings.from_preset(tmp_path / "p.toml").only == ("hair",)
