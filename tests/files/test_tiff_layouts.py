"""Every way TIFF lays out pixels, drawn at random: read right, and written the same way again."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from golden import make, metadata, picture
from redust.core.scan import Scan
from redust.files import read_scan, write_scan
from redust.files import tiff as codec

EXTRAS = {2: ["unassalpha"], 4: ["unspecified"], 5: ["unassalpha", "unspecified"]}


@st.composite
def written(draw: st.DrawFn) -> tuple[np.ndarray[Any, Any], dict[str, Any]]:
    """Samples (H, W, S) and how tifffile shall write them."""
    dtype = np.dtype(draw(st.sampled_from(["uint8", "uint16", "float32"])))
    samples = draw(st.integers(1, 5))
    height, width = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    random = np.random.default_rng(draw(st.integers(0, 99)))
    top = 1 if dtype == np.float32 else int(np.iinfo(dtype).max)
    pixels = (random.random((height, width, samples)) * top).astype(dtype)
    compression = draw(st.sampled_from([None, "lzw", "zlib", "zstd", "packbits", "lzma"]))
    options: dict[str, Any] = {
        "photometric": "rgb" if samples > 2 else "minisblack",
        "compression": compression,
        "byteorder": draw(st.sampled_from("<>")),
        "bigtiff": draw(st.booleans()),
        "extrasamples": EXTRAS.get(samples),
        "planarconfig": draw(st.sampled_from(["contig", "separate"])) if samples > 1 else None,
    }
    if draw(st.booleans()):
        options["tile"] = draw(st.sampled_from([(16, 16), (16, 32), (32, 16)]))
    else:
        options["rowsperstrip"] = draw(st.integers(1, 45))
    if compression not in (None, "packbits") and draw(st.booleans()):
        options["predictor"] = 3 if dtype == np.float32 else 2
    if samples == 1 and dtype != np.float32 and draw(st.booleans()):
        options["photometric"] = "miniswhite"
    return pixels, options


@given(case=written())
def test_any_layout_is_read_and_kept(tmp_path_factory: pytest.TempPathFactory, case: Any) -> None:
    pixels, options = case
    folder = tmp_path_factory.mktemp("layout")
    data = pixels if pixels.shape[2] > 1 else pixels[..., 0]
    data = np.moveaxis(data, -1, 0) if options["planarconfig"] == "separate" else data
    tifffile.imwrite(folder / "in.tif", data, metadata=None, **options)

    scan = read_scan(folder / "in.tif")
    light = pixels[..., : scan.channels]
    assert_array_equal(scan.pixels, np.invert(light) if options["photometric"] == "miniswhite" else light)
    assert scan.pixels.flags.c_contiguous
    write_scan(scan, folder / "out.tif")

    with tifffile.TiffFile(folder / "in.tif") as before, tifffile.TiffFile(folder / "out.tif") as after:
        assert_array_equal(after.pages[0].asarray(), before.pages[0].asarray())
        assert (after.byteorder, after.is_bigtiff) == (before.byteorder, before.is_bigtiff)
        assert len(after.pages[0].dataoffsets) == len(before.pages[0].dataoffsets)
        for tag in before.pages[0].tags:
            if tag.code not in (273, 279, 324, 325):
                assert after.pages[0].tags[tag.code].value == tag.value


@pytest.mark.parametrize("name", ["tiff-rgb16", "tiff-big-endian", "tiff-pages", "tiff-tiled-lzw"])
def test_what_outgrows_classic_tiff_becomes_bigtiff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(codec, "_BIG", 100)
    source = make(name, tmp_path)
    scan = read_scan(source)
    write_scan(scan, tmp_path / "out.tif")
    again = read_scan(tmp_path / "out.tif")
    assert_array_equal(again.pixels, scan.pixels)
    assert (again.exif, again.icc, again.xmp, again.iptc, again.dpi) == (
        scan.exif, scan.icc, scan.xmp, scan.iptc, scan.dpi,
    )  # fmt: skip
    with tifffile.TiffFile(source) as before, tifffile.TiffFile(tmp_path / "out.tif") as after:
        assert after.is_bigtiff
        assert after.byteorder == before.byteorder
        for old, new in zip(before.pages, after.pages, strict=True):
            assert_array_equal(new.asarray(), old.asarray())


@pytest.mark.parametrize(
    "name", ["tiff-rgb8", "tiff-big-endian", "png-rgb16", "jpeg-exif", "jpeg-rgb", "webp-lossless", "jp2-rgb8"]
)
def test_a_scan_changed_in_memory_is_written_as_it_is_now(tmp_path: Path, name: str) -> None:
    """What the file said is carried; what the scan says counts."""
    path = make(name, tmp_path)
    scan = dataclasses.replace(
        read_scan(path), icc=b"another profile", xmp=b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>", dpi=(300.0, 600.0),
        orientation=3, exif=metadata.exif(orientation=8), iptc=None if "webp" in name else b"\x1c\x02\x05\x00\x03new",
    )  # fmt: skip
    write_scan(scan, tmp_path / f"out{path.suffix}")
    again = read_scan(tmp_path / f"out{path.suffix}")
    for field in ("icc", "xmp", "dpi", "orientation", "iptc"):
        assert getattr(again, field) == getattr(scan, field), field
    assert again.exif is not None
    assert metadata.ARTIST.encode() in again.exif
    assert np.abs(again.pixels.astype(int) - scan.pixels).max() <= (12 if path.suffix == ".jpg" else 0)


@pytest.mark.parametrize("name", ["tiff-rgb8", "png-rgb16", "jpeg-exif", "webp-lossless", "jp2-rgb8"])
def test_metadata_taken_out_stays_out(tmp_path: Path, name: str) -> None:
    path = make(name, tmp_path)
    bare = {"icc": None, "xmp": None, "iptc": None, "exif": None, "dpi": None, "orientation": 1}
    scan = dataclasses.replace(read_scan(path), **bare)
    write_scan(scan, tmp_path / f"out{path.suffix}")
    again = read_scan(tmp_path / f"out{path.suffix}")
    assert {field: getattr(again, field) for field in bare} == bare


@pytest.mark.parametrize("name", ["tiff-alpha-infrared", "tiff-premultiplied", "png-rgba16", "webp-alpha", "jp2-alpha"])
def test_a_plane_taken_out_stays_out(tmp_path: Path, name: str) -> None:
    path = make(name, tmp_path)
    scan = dataclasses.replace(read_scan(path), alpha=None)
    write_scan(scan, tmp_path / f"out{path.suffix}")
    again = read_scan(tmp_path / f"out{path.suffix}")
    assert again.alpha is None
    assert_array_equal(again.pixels, scan.pixels)
    assert (again.infrared is None) == (scan.infrared is None)


def test_strips_with_bytes_to_spare_are_read(tmp_path: Path) -> None:
    """Some programs pad each strip."""
    path = tmp_path / "padded.tif"
    tifffile.imwrite(path, picture(3, np.uint16), metadata=None, photometric="rgb", rowsperstrip=40)
    with tifffile.TiffFile(path, mode="r+b") as file:
        counts = file.pages[0].tags[279]
        counts.overwrite(counts.value[0] + 6)
    path.write_bytes(path.read_bytes() + bytes(6))
    assert_array_equal(read_scan(path).pixels, picture(3, np.uint16))


def test_pixels_need_not_be_contiguous(tmp_path: Path) -> None:
    view = picture(3, np.uint16)[::2, ::-1]
    for suffix in (".tif", ".png", ".jp2"):
        write_scan(Scan(view), tmp_path / f"view{suffix}")
        assert_array_equal(read_scan(tmp_path / f"view{suffix}").pixels, view)
