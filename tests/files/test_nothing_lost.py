"""What a file holds comes along bit for bit, and what another format cannot hold is named, piece by piece."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.testing import assert_array_equal
from PIL import Image

from golden import make, metadata, picture
from golden.jpegs import coded, with_segments
from golden.pngs import with_chunks
from golden.raw_tiff import RawTiff
from redust.core.errors import LossyTarget, UnreadableScan, UnsupportedScan
from redust.core.scan import Scan
from redust.files import read_scan, write_scan
from redust.files.formats import PNG, TIFF, by_suffix
from redust.files.unsupported import list_losses

GREY = picture(1)[..., 0]
FILM = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + b"\xff\xd8\xff a frame" * 99


def trip(source: Path, suffix: str | None = None) -> bytes:
    """The bytes of the file as written again."""
    out = source.with_name(f"out{suffix or source.suffix}")
    write_scan(read_scan(source), out, overwrite=True)
    return out.read_bytes()


@pytest.mark.parametrize("name", ["jpeg-plain", "png-rgb8", "webp-lossless", "webp-lossy"])
def test_data_behind_the_end_comes_along_and_is_named_elsewhere(tmp_path: Path, name: str) -> None:
    source = make(name, tmp_path)
    source.write_bytes(source.read_bytes() + FILM)
    assert trip(source).endswith(FILM)
    with pytest.raises(LossyTarget, match=f"{len(FILM):,} bytes behind the picture's end"):
        write_scan(read_scan(source), tmp_path / "out.tif")


def raw_profile(block: bytes, *, name: bytes = b"IPTC profile", compressed: bool = True) -> tuple[bytes, bytes]:
    text = b"\n%s\n%8d\n%s\n" % (name, len(block), block.hex().encode())
    return (b"zTXt", b"Raw profile type iptc\0\0" + zlib.compress(text)) if compressed else (
        b"tEXt", b"Raw profile type iptc\0" + text
    )  # fmt: skip


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("size", [20, 200, 2000, 20000])
@pytest.mark.parametrize("name", [b"iptc", b"IPTC profile"])
def test_iptc_in_a_png_as_other_programs_write_it(tmp_path: Path, name: bytes, size: int, compressed: bool) -> None:
    block = b"\x1c\x02\x78" + struct.pack(">H", size) + b"c" * size
    chunk = raw_profile(block, name=name, compressed=compressed)
    (tmp_path / "in.png").write_bytes(with_chunks(PNG_PIXELS, [chunk]))
    assert read_scan(tmp_path / "in.png").iptc == block
    assert chunk[1] in trip(tmp_path / "in.png")
    trip(tmp_path / "in.png", ".tif")
    assert read_scan(tmp_path / "out.tif").iptc == block


@pytest.mark.parametrize("text", [b"", b"\niptc\n   9\n1c02\n", b"\niptc\n  2\nxyzw\n", b"\niptc\n   1\n1c0\n"])
def test_a_raw_profile_that_cannot_be_read_is_a_text_like_any_other(tmp_path: Path, text: bytes) -> None:
    chunk = (b"zTXt", b"Raw profile type iptc\0\0" + zlib.compress(text))
    (tmp_path / "in.png").write_bytes(with_chunks(PNG_PIXELS, [chunk]))
    scan = read_scan(tmp_path / "in.png")
    assert scan.iptc is None
    assert chunk[1] in trip(tmp_path / "in.png")
    assert "the PNG text `Raw profile type iptc`" in list_losses(scan, TIFF)


def test_photoshop_resources_of_a_png_reach_other_formats_and_back(tmp_path: Path) -> None:
    source = make("png-rgb16", tmp_path)
    write_scan(read_scan(source), tmp_path / "out.tif", allow_loss=True)
    assert metadata.photoshop() in (tmp_path / "out.tif").read_bytes()
    write_scan(read_scan(tmp_path / "out.tif"), tmp_path / "back.png", allow_loss=True)
    assert read_scan(tmp_path / "back.png").carried["photoshop"] == metadata.photoshop()


PNG_PIXELS = b""  # set below: a plain PNG


def _plain_png() -> bytes:
    import imagecodecs

    return bytes(imagecodecs.png_encode(picture()))


PNG_PIXELS = _plain_png()


def second_page(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        image.seek(1)
        return np.asarray(image)


def test_a_page_without_byte_counts_keeps_its_pixels(tmp_path: Path) -> None:
    raw = RawTiff()
    last = raw.add_page(GREY[::-1].copy(), without=(279,))
    raw.write(tmp_path / "in.tif", raw.add_page(GREY, following=last))
    trip(tmp_path / "in.tif")
    assert_array_equal(second_page(tmp_path / "out.tif"), GREY[::-1])


@pytest.mark.parametrize("extra", [[(259, 3, 5)], [(279, 4, [1, 2])], [(279, 2, b"no numbers\0")]])
def test_a_page_whose_byte_counts_cannot_be_known_is_refused(tmp_path: Path, extra: list[tuple[int, int, int]]) -> None:
    raw = RawTiff()
    last = raw.add_page(GREY, without=(279, *(code for code, *_ in extra)), extra=extra)
    raw.write(tmp_path / "in.tif", raw.add_page(GREY, following=last))
    with pytest.raises(UnreadableScan, match="how long"):
        read_scan(tmp_path / "in.tif")


def test_old_style_jpeg_pages_are_refused(tmp_path: Path) -> None:
    raw = RawTiff()
    last = raw.add_page(GREY, extra=[(519, 4, 8)])
    raw.write(tmp_path / "in.tif", raw.add_page(GREY, following=last))
    with pytest.raises(UnsupportedScan, match="old-style JPEG"):
        read_scan(tmp_path / "in.tif")


def maker_notes(raw: RawTiff) -> tuple[int, bytes]:
    """A directory whose value lies at an offset from the start of the file, in EXIF; its own offset, and the value."""
    start = len(raw.data) + len(raw.data) % 2
    value = b"owner name 12345\0\0\0\0"
    notes = struct.pack("<H", 1) + struct.pack("<HHII", 9, 2, 20, start + 18) + bytes(4) + value
    assert raw.add(notes) == start
    return raw.add_ifd([(37500, 7, b"x" * len(notes))]), notes


@pytest.mark.parametrize("gap", [0, 60, 100_000])
@pytest.mark.parametrize("compressed", [False, True])
def test_maker_notes_stay_where_their_offsets_lead(tmp_path: Path, gap: int, compressed: bool) -> None:
    raw = RawTiff()
    raw.add(bytes(gap))
    exif, notes = maker_notes(raw)
    start = raw.data.index(notes)
    moved = raw.data.index(b"x" * len(notes))
    entry = raw.data.index(struct.pack("<HHII", 37500, 7, len(notes), moved))
    struct.pack_into("<I", raw.data, entry + 8, start)
    raw.write(tmp_path / "in.tif", raw.add_page(GREY, extra=[(34665, 4, exif)]))
    scan = read_scan(tmp_path / "in.tif")
    if compressed:  # larger than the source: everything else moves
        scan = replace(scan, xmp=bytes(5000))
    write_scan(scan, tmp_path / "out.tif")
    data = (tmp_path / "out.tif").read_bytes()
    assert data[start : start + len(notes)] == notes
    assert struct.pack("<HHII", 37500, 7, len(notes), start) in data
    assert_array_equal(tifffile.imread(tmp_path / "out.tif"), GREY)
    assert any("maker notes" in name for name in list_losses(scan, PNG)) == (gap > 32_000)
    block = scan.exif or b""
    assert gap > 32_000 or block[start : start + len(notes)] == notes


def test_maker_notes_of_an_exif_block_stay_there_when_a_tag_is_added(tmp_path: Path) -> None:
    raw = RawTiff()
    exif, notes = maker_notes(raw)
    start = raw.data.index(notes)
    entry = raw.data.index(struct.pack("<HHI", 37500, 7, len(notes)))
    struct.pack_into("<I", raw.data, entry + 8, start)
    struct.pack_into("<I", raw.data, 4, raw.add_ifd([(271, 2, b"Canon\0"), (34665, 4, exif)]))
    segments = [(0xE1, b"Exif\0\0" + bytes(raw.data))]
    (tmp_path / "in.jpg").write_bytes(with_segments(coded(), segments))
    scan = replace(read_scan(tmp_path / "in.jpg"), orientation=3, dpi=(300, 300))
    for suffix in (".webp", ".png", ".jpg"):
        write_scan(scan, tmp_path / f"out{suffix}")
        block = read_scan(tmp_path / f"out{suffix}").exif
        assert block is not None
        assert block[start : start + len(notes)] == notes


@pytest.mark.parametrize(("code", "kind"), [(400, 4), (33424, 4), (34954, 4), (65024, 4), (65100, 4), (65100, 13)])
@pytest.mark.parametrize("suffix", [".tif", ".png", ".jpg"])
def test_private_directories_come_along(tmp_path: Path, code: int, kind: int, suffix: str) -> None:
    raw = RawTiff()
    inner = raw.add_ifd([(1, 2, b"a private text inside\0")])
    raw.write(tmp_path / "in.tif", raw.add_page(GREY, extra=[(code, kind, inner)]))
    assert b"a private text inside" in trip(tmp_path / "in.tif", suffix)
    again = read_scan(tmp_path / f"out{suffix}")
    assert b"a private text inside" in (again.exif or b"")


def test_a_number_is_not_taken_for_a_directory(tmp_path: Path) -> None:
    raw = RawTiff()
    raw.write(tmp_path / "in.tif", raw.add_page(GREY, extra=[(65100, 4, 8), (65101, 4, 77), (65102, 4, 4_000_000_000)]))
    trip(tmp_path / "in.tif")
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        assert [file.pages[0].tags[code].value for code in (65100, 65101, 65102)] == [8, 77, 4_000_000_000]


def test_utf8_tags_and_second_tags_come_along(tmp_path: Path) -> None:
    raw = RawTiff()
    extra = [(315, 129, "Anna Ätkins\0".encode()), (270, 2, b"first words\0"), (270, 2, b"second words\0")]
    raw.write(tmp_path / "in.tif", raw.add_page(GREY, extra=extra))
    for suffix in (".tif", ".png"):
        data = trip(tmp_path / "in.tif", suffix)
        assert all(text in data for text in ("Anna Ätkins".encode(), b"first words", b"second words"))


def test_a_tag_of_unknown_type_is_named(tmp_path: Path) -> None:
    raw = RawTiff()
    raw.write(tmp_path / "in.tif", raw.add_page(GREY, extra=[(65100, 99, b"abcd")]))
    with pytest.raises(LossyTarget, match="tag 65100, whose type 99 is unknown"):
        trip(tmp_path / "in.tif")
    write_scan(read_scan(tmp_path / "in.tif"), tmp_path / "out.tif", allow_loss=True)
    assert struct.pack("<HHI", 65100, 99, 4) + b"abcd" in (tmp_path / "out.tif").read_bytes()


def test_wide_tags_of_a_bigtiff_and_rare_tags_on_the_way_to_png(tmp_path: Path) -> None:
    rare = [(297, 3, 2, (3, 9), True), (337, 2, 0, "printer X", True), (271, 2, 0, "Make", True)]
    options = {"photometric": "rgb", "metadata": None, "bigtiff": True}
    tifffile.imwrite(tmp_path / "in.tif", picture(), extratags=rare, **options)
    assert b"printer X" in trip(tmp_path / "in.tif", ".png")
    wide = [*rare, (65010, 16, 1, 0x1122334455667788, True)]
    tifffile.imwrite(tmp_path / "wide.tif", picture(), extratags=wide, **options)
    with pytest.raises(LossyTarget, match="the 64-bit tag 65010"):
        trip(tmp_path / "wide.tif", ".png")


def test_second_blocks_and_comments_between_scans(tmp_path: Path) -> None:
    twice = [(0xE1, b"Exif\0\0" + metadata.exif()), (0xE1, b"Exif\0\0" + metadata.exif(orientation=1))]
    (tmp_path / "in.jpg").write_bytes(with_segments(coded(progressive=True), twice))
    assert trip(tmp_path / "in.jpg").count(b"Exif\0\0") == 2
    with pytest.raises(LossyTarget, match="a second EXIF block"):
        trip(tmp_path / "in.jpg", ".png")
    jpeg = coded(progressive=True)
    later = jpeg.index(b"\xff\xc4", jpeg.index(b"\xff\xda"))
    comment = b"\xff\xfe\0\x10between scans "
    (tmp_path / "comment.jpg").write_bytes(jpeg[:later] + comment + jpeg[later:])
    assert b"between scans" in trip(tmp_path / "comment.jpg")
    chunk = (b"eXIf", metadata.exif())
    (tmp_path / "in.png").write_bytes(with_chunks(PNG_PIXELS, [chunk, chunk]))
    with pytest.raises(LossyTarget, match="a second EXIF block"):
        trip(tmp_path / "in.png", ".jpg")


@pytest.mark.parametrize("suffix", [".tif", ".png", ".jpg", ".webp", ".jp2"])
@pytest.mark.parametrize("dpi", [1e-6, 0.02, 0.7, 72.0, 2400.0, 65535.0, 1e6, 4e9, 1e12, 1e30])
def test_a_resolution_is_held_or_named(tmp_path: Path, suffix: str, dpi: float) -> None:
    scan = Scan(picture(), dpi=(dpi, dpi))
    target = tmp_path / f"out{suffix}"
    if list_losses(scan, by_suffix(target)):
        with pytest.raises(LossyTarget, match="a resolution of"):
            write_scan(scan, target)
        write_scan(scan, target, allow_loss=True)
        assert read_scan(target).dpi is None
        return
    write_scan(scan, target)
    assert read_scan(target).dpi == pytest.approx((dpi, dpi), rel=0.3 if suffix == ".jpg" or dpi < 1 else 1e-3)


def test_the_shape_of_pixels_without_a_unit_is_named(tmp_path: Path) -> None:
    jfif = bytearray(coded())
    struct.pack_into(">BHH", jfif, 13, 0, 2, 1)
    (tmp_path / "in.jpg").write_bytes(jfif)
    (tmp_path / "in.png").write_bytes(with_chunks(PNG_PIXELS, [(b"pHYs", struct.pack(">IIB", 2, 1, 0))]))
    tifffile.imwrite(
        tmp_path / "in.tif", picture(), photometric="rgb", metadata=None, resolution=(2, 1), resolutionunit=1
    )
    for name, suffix in (("in.jpg", ".png"), ("in.png", ".tif"), ("in.tif", ".jp2")):
        assert trip(tmp_path / name)
        with pytest.raises(LossyTarget, match=r"the shape of its pixels \(2 : 1\)"):
            trip(tmp_path / name, suffix)
