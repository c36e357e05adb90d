"""One notion of white: whatever the file's depth, pixels span the range of their dtype, and return exactly."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import pytest
import tifffile
from numpy.testing import assert_array_equal
from PIL import Image

from golden import picture
from golden.raw_tiff import RawTiff
from redust.core.errors import UnsupportedScan
from redust.core.scan import Scan
from redust.files import read_scan, write_scan
from redust.files.depth import expand_depth, is_exact, shrink_depth

PNG, TIFF, JP2 = ".png", ".tif", ".jp2"


@pytest.mark.parametrize(("dtype", "bits"), [("uint8", b) for b in range(1, 9)] + [("uint16", b) for b in range(1, 17)])
def test_every_value_of_every_depth_returns_exactly(dtype: str, bits: int) -> None:
    values = np.arange(1 << bits).astype(dtype).reshape(1, -1)
    samples = values.copy()
    expand_depth(samples, bits)
    assert samples.min() == 0
    assert samples.max() == np.iinfo(dtype).max
    assert (np.diff(samples[0].astype(int)) > 0).all()
    assert is_exact(samples, bits)
    assert_array_equal(shrink_depth(samples, bits), values)


def twelve_bit(folder: Path, suffix: str, bits: int = 12) -> Path:
    """The picture in fewer bits than its container has, by other programs."""
    stored = picture(3, np.uint16) >> (16 - bits)
    path = folder / f"reduced{suffix}"
    if suffix == JP2:
        path.write_bytes(imagecodecs.jpeg2k_encode(stored, level=0, reversible=True, bitspersample=bits))
    else:
        top = (1 << bits) - 1
        tags = [(341, 3, 3, (top,) * 3, True)]
        tifffile.imwrite(path, stored, photometric="rgb", metadata=None, extratags=tags)
    return path


@pytest.mark.parametrize("bits", [9, 10, 12, 14, 15])
@pytest.mark.parametrize("suffix", [JP2, TIFF])
def test_light_is_that_of_the_same_picture_in_sixteen_bits(tmp_path: Path, suffix: str, bits: int) -> None:
    scan = read_scan(twelve_bit(tmp_path, suffix, bits))
    assert scan.bits == bits
    assert np.abs(scan.pixels.astype(int) - picture(3, np.uint16)).max() <= 1 << (16 - bits)


@pytest.mark.parametrize("target", [PNG, TIFF, JP2, ".webp", ".jpg"])
@pytest.mark.parametrize("source", [JP2, TIFF])
def test_other_programs_see_the_same_light_in_every_target(tmp_path: Path, source: str, target: str) -> None:
    scan = read_scan(twelve_bit(tmp_path, source))
    out = tmp_path / f"out{target}"
    write_scan(scan, out, allow_loss=target in (".webp", ".jpg"))
    data = out.read_bytes()
    white = {TIFF: 4095 if source == TIFF else 65535, PNG: 65535, JP2: 4095}.get(target, 255)
    decode = {PNG: imagecodecs.png_decode, JP2: imagecodecs.jpeg2k_decode, TIFF: lambda _: tifffile.imread(out)}
    shown = decode.get(target, lambda coded: np.asarray(Image.open(io.BytesIO(coded))))(data)
    assert shown.mean() / white == pytest.approx(picture(3, np.uint16).mean() / 65535, abs=0.01)
    assert read_scan(out).pixels.mean() / np.iinfo(read_scan(out).pixels.dtype).max == pytest.approx(
        scan.pixels.mean() / 65535, abs=0.003
    )


@pytest.mark.parametrize("suffix", [JP2, TIFF])
def test_a_fill_between_two_steps_keeps_the_depth_and_all_outside(tmp_path: Path, suffix: str) -> None:
    path = twelve_bit(tmp_path, suffix)
    scan = read_scan(path)
    repaired = scan.pixels.copy()
    repaired[5:9, 5:9] = [[65535, 65530, 1]]
    write_scan(scan.with_pixels(repaired), tmp_path / f"out{suffix}")
    again = read_scan(tmp_path / f"out{suffix}")
    outside = np.ones(scan.shape, bool)
    outside[5:9, 5:9] = False
    assert again.bits == 12
    assert_array_equal(again.pixels[outside], scan.pixels[outside])
    assert np.abs(again.pixels.astype(int) - repaired).max() <= 8


def test_a_png_says_how_many_bits_count_and_gives_them_back(tmp_path: Path) -> None:
    scan = read_scan(twelve_bit(tmp_path, JP2))
    write_scan(scan, tmp_path / "out.png")
    assert b"sBIT\x0c\x0c\x0c" in (tmp_path / "out.png").read_bytes()
    write_scan(read_scan(tmp_path / "out.png"), tmp_path / "again.jp2")
    again = read_scan(tmp_path / "again.jp2")
    assert again.bits == 12
    assert_array_equal(again.pixels, scan.pixels)


def test_a_maximum_that_pixels_contradict_is_no_white(tmp_path: Path) -> None:
    tags = [(341, 3, 3, (4095,) * 3, True)]
    tifffile.imwrite(tmp_path / "lie.tif", picture(3, np.uint16), photometric="rgb", metadata=None, extratags=tags)
    scan = read_scan(tmp_path / "lie.tif")
    assert scan.bits == 16
    assert_array_equal(scan.pixels, picture(3, np.uint16))


def test_white_is_zero_counts_from_the_declared_white(tmp_path: Path) -> None:
    stored = picture(1, np.uint16)[..., 0] >> 4
    tags = [(341, 3, 1, 4095, True)]
    tifffile.imwrite(tmp_path / "in.tif", stored, photometric="miniswhite", metadata=None, extratags=tags)
    scan = read_scan(tmp_path / "in.tif")
    assert scan.pixels.mean() / 65535 == pytest.approx(1 - stored.mean() / 4095, abs=1e-4)
    write_scan(scan, tmp_path / "out.tif")
    assert_array_equal(tifffile.imread(tmp_path / "out.tif"), stored)


@pytest.mark.parametrize("compression", ["raw", "packbits", "jpeg"])
def test_a_predictor_is_obeyed_only_where_readers_obey_it(tmp_path: Path, compression: str) -> None:
    Image.fromarray(picture()).save(tmp_path / "lzw.tif", compression="tiff_lzw", tiffinfo={317: 2})
    with Image.open(tmp_path / "lzw.tif") as image:
        tags = image.tag_v2
        image.save(tmp_path / "in.tif", compression=compression, tiffinfo=tags)
    with Image.open(tmp_path / "in.tif") as image:
        shown = np.asarray(image)
    scan = read_scan(tmp_path / "in.tif")
    assert np.abs(scan.pixels.astype(int) - shown).max() <= (2 if compression == "jpeg" else 0)
    write_scan(scan, tmp_path / "out.tif")
    with Image.open(tmp_path / "out.tif") as image:
        assert_array_equal(np.asarray(image), scan.pixels)


@pytest.mark.parametrize(("code", "value"), [(284, 0), (284, 46), (32998, 2)])
def test_planes_in_an_unknown_order_are_refused(tmp_path: Path, code: int, value: int) -> None:
    """Found by scripts/fuzz: one reader takes any number but 1 for separate planes."""
    raw = RawTiff()
    raw.write(tmp_path / "in.tif", raw.add_page(picture(1)[..., 0], extra=[(code, 3, value)]))
    with pytest.raises(UnsupportedScan, match="order"):
        read_scan(tmp_path / "in.tif")


def test_four_samples_without_a_word_stay_without_a_word(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "in.tif"), picture(4))
    write_scan(read_scan(tmp_path / "in.tif"), tmp_path / "out.tif")
    with Image.open(tmp_path / "in.tif") as before, Image.open(tmp_path / "out.tif") as after:
        assert after.mode == before.mode == "RGBA"
        assert_array_equal(np.asarray(after), np.asarray(before))


def test_a_grey_profile_does_not_stand_in_a_file_of_colours(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    profile = bytes(12) + b"mntrGRAYXYZ " + bytes(12) + b"acsp" + bytes(88)
    write_scan(Scan(picture(1), icc=profile), tmp_path / "out.webp", allow_loss=True)
    assert "grey ICC profile" in caplog.text
    assert read_scan(tmp_path / "out.webp").icc is None
