"""Promise 2: nothing is lost. What goes in comes out, in every format, and ExifTool agrees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from numpy.testing import assert_array_equal
from PIL import Image

from files_exiftool import list_tags, needs_exiftool
from golden import FULL, GOLDEN, HEIGHT, WIDTH, make, metadata, picture
from redust.core.errors import LossyTarget
from redust.core.scan import Scan
from redust.files import largest_change_outside, lossless, read_scan, write_scan
from redust.files.formats import by_suffix
from redust.files.unsupported import list_losses

#: Stored in 12 of 16 bits; in memory, white is 65535 all the same.
TWELVE_BIT = ("jp2-grey12", "tiff-twelve-bit", "tiff-twelve-bit-smax", "tiff-twelve-bit-packed")
FIELDS = ("dpi", "icc", "exif", "xmp", "iptc", "orientation", "bits", "format")
#: What a trip changes on purpose, by golden name.
CHANGES = {
    "tiff-jpeg": {
        "Compression",
        "Predictor",
        "PhotometricInterpretation",
        "PreviewImage",
        "PreviewImageLength",
        "YCbCrSubSampling",
        "YCbCrCoefficients",
    }
    | {"ReferenceBlackWhite"},
    "tiff-jpeg-tiled": {
        "Compression",
        "Predictor",
        "PhotometricInterpretation",
        "YCbCrSubSampling",
        "ReferenceBlackWhite",
    },
    "png-palette": {"ColorType", "BitDepth", "Palette"},
    "png-palette-alpha": {"ColorType", "BitDepth", "Palette", "Transparency"},
    "png-key-colour": {"ColorType", "Transparency"},
    "webp-lossy": {"VP8Version", "HorizontalScale", "VerticalScale", "AlphaIsUsed"},
    "jp2-codestream": {"BitsPerComponent", "ColorSpace", "Compression", "ColorSpecMethod", "ColorSpecPrecedence"}
    | {"ColorSpecApproximation", "MajorBrand", "MinorVersion", "CompatibleBrands", "NumberOfComponents"}
    | {"ImageHeight", "ImageWidth", "FileType", "FileTypeExtension", "MIMEType", "Comment"},
    "jp2-alpha": {"ComponentDefinition"},
}


def truth(path: Path) -> np.ndarray[Any, Any]:
    """The samples of a file, by a decoder that is not ReDust; (H, W, all channels)."""
    data = path.read_bytes()
    if path.suffix == ".tif":
        with tifffile.TiffFile(path) as file:
            page = file.pages[0]
            samples = page.asarray()
            return np.moveaxis(samples, 0, -1) if page.planarconfig == 2 else samples.reshape(HEIGHT, WIDTH, -1)
    decoders = {".png": imagecodecs.png_decode, ".jpg": imagecodecs.jpeg8_decode, ".webp": imagecodecs.webp_decode}
    return decoders.get(path.suffix, imagecodecs.jpeg2k_decode)(data).reshape(HEIGHT, WIDTH, -1)


@pytest.mark.parametrize("name", GOLDEN)
def test_what_is_read_is_what_lies_in_the_file(trips: dict[str, Any], name: str) -> None:
    scan = trips[name].scan
    samples = truth(trips[name].source)
    if name in TWELVE_BIT:
        samples = np.rint(samples * (65535 / 4095)).astype(np.uint16)
    if samples.dtype == np.float16:  # held as single floats, exactly
        samples = samples.astype(np.float32)
    expected = samples[..., : scan.channels]
    assert scan.pixels.dtype == samples.dtype
    assert_array_equal(scan.pixels, np.invert(expected) if name == "tiff-white-is-zero" else expected)
    planes = [plane for plane in (scan.alpha, scan.infrared) if plane is not None]
    assert scan.channels + len(planes) == samples.shape[2]
    for number, plane in enumerate(planes):
        assert_array_equal(plane, samples[..., scan.channels + number])


@pytest.mark.parametrize("name", GOLDEN)
def test_a_trip_keeps_pixels_planes_and_blocks(trips: dict[str, Any], name: str) -> None:
    trip = trips[name]
    if lossless(trip.target):
        assert_array_equal(truth(trip.target), truth(trip.source))
        assert_array_equal(trip.again.pixels, trip.scan.pixels)
    for plane in ("alpha", "infrared"):
        before, after = getattr(trip.scan, plane), getattr(trip.again, plane)
        assert (before is None) == (after is None)
        if before is not None:
            assert_array_equal(after, before)
    for field in FIELDS:
        assert getattr(trip.again, field) == getattr(trip.scan, field), field


@pytest.mark.parametrize("name", FULL)
def test_every_block_is_found(trips: dict[str, Any], name: str) -> None:
    scan = trips[name].scan
    assert scan.icc == metadata.icc()
    assert scan.xmp == metadata.XMP
    assert scan.iptc == metadata.iptc()
    assert scan.orientation == metadata.ORIENTATION
    assert scan.dpi == (metadata.DPI, metadata.DPI)
    assert scan.exif is not None
    if not name.startswith("tiff"):
        assert scan.exif == metadata.exif()


@pytest.mark.parametrize(
    "name", [name for name in GOLDEN if name.startswith("png") and "palette" not in name and "key" not in name]
)
def test_a_png_keeps_every_chunk(trips: dict[str, Any], name: str) -> None:
    def chunks(path: Path) -> list[bytes]:
        data, at, found = path.read_bytes(), 8, []
        while at < len(data):
            end = at + 12 + int.from_bytes(data[at : at + 4], "big")
            found += [data[at:end]] if data[at + 4 : at + 8] != b"IDAT" else []
            at = end
        return found

    assert chunks(trips[name].target) == chunks(trips[name].source)


@pytest.mark.parametrize("name", [name for name in GOLDEN if name.startswith("jpeg")])
def test_a_jpeg_keeps_its_tables_subsampling_and_segments(trips: dict[str, Any], name: str) -> None:
    trip = trips[name]
    with Image.open(trip.source) as before, Image.open(trip.target) as after:
        assert [after.quantization[part[3]] for part in after.layer] == [
            before.quantization[part[3]] for part in before.layer
        ]
        assert [part[1:3] for part in after.layer] == [part[1:3] for part in before.layer]
        assert after.applist == before.applist
        assert after.info.get("progressive") == before.info.get("progressive")
        assert after.mode == before.mode
    assert largest_change_outside(trip.scan.pixels, trip.target, np.zeros((HEIGHT, WIDTH), bool)) <= 12


@pytest.mark.parametrize("name", [name for name in GOLDEN if name.startswith("tiff") and "jpeg" not in name])
def test_a_tiff_keeps_every_tag_its_layout_and_its_other_pages(trips: dict[str, Any], name: str) -> None:
    with tifffile.TiffFile(trips[name].source) as before, tifffile.TiffFile(trips[name].target) as after:
        assert (after.byteorder, after.is_bigtiff) == (before.byteorder, before.is_bigtiff)
        assert len(after.pages) == len(before.pages)
        pairs = list(zip(before.pages, after.pages, strict=True))
        pairs += list(zip(before.pages[0].pages or [], after.pages[0].pages or [], strict=True))
        for old, new in pairs:
            places = {273, 324, 325, 279, 330, 34665, 34853}
            kept = {tag.code: (tag.dtype, tag.count, tag.value) for tag in old.tags if tag.code not in places}
            assert {tag.code: (tag.dtype, tag.count, tag.value) for tag in new.tags if tag.code not in places} == kept
            assert_array_equal(new.asarray(), old.asarray())
        for old, new in pairs[1:]:  # carried as they lie, not coded anew
            assert new.databytecounts == old.databytecounts


@pytest.fixture(scope="module")
def exiftool_listings(trips: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    return list_tags([trip.source for trip in trips.values()]), list_tags([trip.target for trip in trips.values()])


@needs_exiftool
@pytest.mark.parametrize("name", GOLDEN)
def test_exiftool_sees_no_difference(
    trips: dict[str, Any], exiftool_listings: tuple[dict[str, Any], dict[str, Any]], name: str
) -> None:
    file = trips[name].source.name
    before, after = (
        {key: value for key, value in side[file].items() if key.split(":")[-1] not in CHANGES.get(name, ())}
        for side in exiftool_listings
    )
    assert after == before


LOSSLESS = (".tif", ".png", ".webp", ".jp2")


@pytest.mark.parametrize("suffix", [*LOSSLESS, ".jpg"])
@pytest.mark.parametrize("name", GOLDEN)
def test_another_format_holds_all_or_says_what_it_cannot(
    trips: dict[str, Any], tmp_path: Path, name: str, suffix: str
) -> None:
    scan = trips[name].scan
    target = tmp_path / f"other{suffix}"
    lost = list_losses(scan, by_suffix(target))
    if lost:
        with pytest.raises(LossyTarget, match="--allow-loss"):
            write_scan(scan, target)
        assert not target.exists()
        return
    write_scan(scan, target)
    again = read_scan(target)
    if lossless(target):
        assert_array_equal(again.pixels, scan.pixels)
    if scan.alpha is not None:
        assert_array_equal(again.alpha, scan.alpha)
    for field in ("icc", "xmp", "iptc", "orientation"):
        assert getattr(again, field) == getattr(scan, field), field
    assert again.dpi == pytest.approx(scan.dpi)


@needs_exiftool
@pytest.mark.parametrize("suffix", [".tif", ".png", ".jp2", ".jpg", ".webp"])
@pytest.mark.parametrize("name", ["tiff-rgb8", "png-rgb16", "jpeg-exif", "jp2-rgb8", "webp-lossless"])
def test_exiftool_finds_everything_in_another_format(
    trips: dict[str, Any], tmp_path: Path, name: str, suffix: str
) -> None:
    scan = trips[name].scan
    target = tmp_path / f"other{suffix}"
    write_scan(scan, target, allow_loss=True)
    facts = {key.split(":")[-1]: value for key, value in list_tags([target])[target.name].items()}
    assert facts["Make"] == metadata.MAKE
    assert facts["Artist"] == metadata.ARTIST
    assert facts["DateTimeOriginal"] == metadata.TAKEN
    assert facts["FocalLength"] == metadata.FOCAL
    assert facts["GPSLatitude"] == pytest.approx(52.504167, abs=1e-5)
    assert facts["Orientation"] == metadata.ORIENTATION
    assert facts["XResolution"] == pytest.approx(metadata.DPI)
    assert facts["Rating"] == 4
    assert facts["Title"] == "Küste"
    assert facts["ProfileDescription"]
    if scan.iptc is not None and suffix != ".webp":
        assert facts["Keywords"] == "film"


@pytest.mark.parametrize("page", [0, 3, 4])
def test_any_page_may_be_the_one_that_is_repaired(tmp_path: Path, page: int) -> None:
    source = make("tiff-pages", tmp_path)
    scan = read_scan(source, page=page - (page > 2))
    number = scan.page
    write_scan(scan.with_pixels(np.invert(scan.pixels)), tmp_path / "out.tif")
    with tifffile.TiffFile(source) as before, tifffile.TiffFile(tmp_path / "out.tif") as after:
        for place, (old, new) in enumerate(zip(before.pages, after.pages, strict=True)):
            expected = np.invert(old.asarray()) if place == number else old.asarray()
            assert_array_equal(new.asarray(), expected)


def test_a_source_that_changed_meanwhile_is_not_mixed_in(tmp_path: Path) -> None:
    from redust.core.errors import ScanError

    source = make("tiff-pages", tmp_path)
    scan = read_scan(source)
    source.write_bytes(source.read_bytes() + b"\0")
    with pytest.raises(ScanError, match="has changed"):
        write_scan(scan, tmp_path / "out.tif")
    source.unlink()
    with pytest.raises(ScanError, match="is gone"):
        write_scan(scan, tmp_path / "out.tif")
    assert list(tmp_path.iterdir()) == []


def test_a_scan_without_further_pages_needs_its_source_no_more(tmp_path: Path) -> None:
    source = make("tiff-rgb16", tmp_path)
    scan = read_scan(source)
    source.unlink()
    write_scan(scan, tmp_path / "out.tif")
    assert_array_equal(read_scan(tmp_path / "out.tif").pixels, scan.pixels)


def test_an_array_becomes_a_plain_file_of_every_format(tmp_path: Path) -> None:
    for suffix in LOSSLESS:
        write_scan(Scan(picture(), dpi=(300, 300)), tmp_path / f"array{suffix}")
        again = read_scan(tmp_path / f"array{suffix}")
        assert_array_equal(again.pixels, picture())
        assert again.dpi == (300, 300)
