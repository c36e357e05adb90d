"""Memory and time are bounded by the picture, not by what a file claims or unpacks to."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from golden import make, picture
from golden.jpegs import coded
from golden.pngs import with_chunks
from golden.raw_tiff import RawTiff
from memory import peak_of
from redust.core.errors import ScanError, ScanTooLarge, TargetError, TargetExists
from redust.core.scan import Scan
from redust.files import jpeg2000_stream, read_scan, whole_file, write_scan

GREY = picture(1)[..., 0]


def refuse_or_read(path: Path) -> None:
    try:
        read_scan(path)
    except ScanError:
        return


def many_strips(path: Path) -> None:
    raw = RawTiff()
    offsets = raw.add(bytes(4 << 20))
    strips = struct.pack("<HHII", 273, 4, 1 << 20, offsets) + struct.pack("<HHII", 279, 4, 1 << 20, offsets)
    sizes = b"".join(
        struct.pack("<HHII", code, 4, 1, value) for code, value in ((256, 8), (257, 8), (258, 8), (262, 1))
    )
    raw.write(path, raw.add(struct.pack("<H", 6) + sizes + strips + bytes(4)))


def many_chunks(path: Path) -> None:
    path.write_bytes(with_chunks(imagecodecs.png_encode(picture()), [(b"teXt", b"")] * 100_000))


def unpacking_profile(path: Path) -> None:
    text = zlib.compress(b"a " * ((16 << 20) - 1), 9)
    path.write_bytes(with_chunks(imagecodecs.png_encode(picture()), [(b"zTXt", b"Raw profile type iptc\0\0" + text)]))


def many_segments(path: Path) -> None:
    jpeg = coded()
    path.write_bytes(jpeg[:2] + b"\xff\xfe\0\2" * 500_000 + jpeg[2:])


def many_boxes(path: Path) -> None:
    data = bytes(imagecodecs.jpeg2k_encode(picture(), level=0, reversible=True))
    path.write_bytes(data + struct.pack(">I4s", 8, b"free") * 500_000)


def many_riff_chunks(path: Path) -> None:
    data = bytearray(imagecodecs.webp_encode(picture(), lossless=True)) + b"free\0\0\0\0" * 500_000
    struct.pack_into("<I", data, 4, len(data) - 8)
    path.write_bytes(data)


def many_tags(path: Path) -> None:
    entries = b"".join(struct.pack("<HHII", 65000, 4, 1, 7) for _ in range(60_000))
    directories = 0
    raw = RawTiff()
    for _ in range(8):
        directories = raw.add(struct.pack("<H", 60_000) + entries + struct.pack("<I", directories))
    raw.write(path, directories)


BOMBS = (many_strips, many_chunks, unpacking_profile, many_segments, many_boxes, many_riff_chunks, many_tags)


@pytest.mark.parametrize("maker", BOMBS)
def test_metadata_that_unpacks_to_much_takes_little(tmp_path: Path, maker: object) -> None:
    path = tmp_path / "bomb"
    assert callable(maker)
    maker(path)
    assert peak_of(lambda: refuse_or_read(path)) < 150e6


def test_a_tile_larger_than_its_scan_is_refused(tmp_path: Path) -> None:
    raw = RawTiff()
    tile = bytes(imagecodecs.zstd_encode(bytes(16384 * 16384), level=1))
    tiles = [(322, 4, 16384), (323, 4, 16384), (324, 4, raw.add(tile)), (325, 4, len(tile)), (259, 3, 50000)]
    path = raw.write(tmp_path / "tile.tif", raw.add_page(GREY, without=(259, 273, 278, 279), extra=tiles))
    with pytest.raises(ScanError, match="larger than the scan"):
        read_scan(path)


def test_more_than_webp_can_code_in_bounded_memory_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="23 take too much memory"):
        write_scan(Scan(np.zeros((4900, 4900, 3), np.uint8)), tmp_path / "out.webp")


@pytest.mark.parametrize("shape", [(64, 64), (65, 63), (37, 200), (200, 37), (129, 129), (64, 193)])
@pytest.mark.parametrize(("dtype", "bits"), [("uint8", 8), ("uint16", 12), ("uint16", 16)])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_jpeg_2000_in_tiles_is_what_other_programs_decode(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int], dtype: str, bits: int, channels: int
) -> None:
    monkeypatch.setattr(jpeg2000_stream, "_TILE", 64)  # aligned for the first resolution only: enough for whole tiles
    top = (1 << bits) - 1
    samples = np.random.default_rng(0).integers(0, top + 1, (*shape, channels)).astype(dtype)
    samples = samples if channels > 1 else samples[..., 0]
    stream = b"".join(jpeg2000_stream.encode_stream(samples, bits))
    assert_array_equal(imagecodecs.jpeg2k_decode(stream), samples)
    header = jpeg2000_stream.read_header(memoryview(stream))
    assert_array_equal(jpeg2000_stream.decode_stream(memoryview(stream), header, channels, bits), samples)


def test_a_tile_that_is_missing_is_no_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jpeg2000_stream, "_TILE", 64)
    pieces = jpeg2000_stream.encode_stream(np.zeros((100, 100), np.uint8), 8)
    (tmp_path / "cut.jp2").write_bytes(b"".join(pieces[:3]))
    with pytest.raises(ScanError, match="truncated"):
        read_scan(tmp_path / "cut.jp2")


@pytest.mark.parametrize("name", ["jp2-rgb8", "jp2-lossy", "jp2-codestream"])
@pytest.mark.parametrize("share", [0.3, 0.7])
def test_a_codestream_cut_inside_its_box_is_refused(tmp_path: Path, name: str, share: float) -> None:
    """OpenJPEG decodes what is there without a word."""
    data = make(name, tmp_path).read_bytes()
    start = data.index(jpeg2000_stream.SIGNATURE)
    end = data.rindex(b"\xff\xd9")
    cut = data[start : start + int((end - start) * share)] + b"\xff\xd9"
    boxed = cut if name == "jp2-codestream" else data[: start - 8] + struct.pack(">I4s", len(cut) + 8, b"jp2c") + cut
    (tmp_path / "cut.jp2").write_bytes(boxed)
    with pytest.raises(ScanError, match=r"truncated|damaged"):
        read_scan(tmp_path / "cut.jp2")


def test_one_tile_beyond_the_limit_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jpeg2000_stream, "_ALLOWANCE", 0)
    write_scan(Scan(picture()), tmp_path / "one.jp2")
    with pytest.raises(ScanTooLarge, match=r"Convert it to TIFF"):
        read_scan(tmp_path / "one.jp2")


def test_every_scan_of_a_run_is_safe_under_every_name(tmp_path: Path) -> None:
    scans = [tmp_path / f"{number}.tif" for number in range(3)]
    for path in scans:
        path.write_bytes(b"a scan")
    (tmp_path / "hard.json").hardlink_to(scans[1])
    (tmp_path / "soft.json").symlink_to(scans[2])
    for name in ("hard.json", "soft.json", "0.tif"):
        with (
            pytest.raises(TargetExists, match="is an input"),
            whole_file(tmp_path / name, source=scans, overwrite=True) as file,
        ):
            file.write(b"a report")
    assert all(path.read_bytes() == b"a scan" for path in scans)
