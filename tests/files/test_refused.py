"""Files that lie, break off, or are of a kind ReDust refuses: a sentence that says what to do, and no harm."""

from __future__ import annotations

import os
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from golden import GOLDEN, REFUSED, make, picture
from redust.core.errors import MaskMismatch, ScanError, ScanTooLarge, UnreadableScan, UnsupportedScan
from redust.files import read_mask, read_scan

UNREADABLE = {"empty", "jpeg-header-only", "png-bomb", "png-damaged", "tiff-header-only", "tiff-lying-tag", "tiff-loop"}
UNREADABLE |= {"tiff-no-page", "tiff-short-strip", "tiff-sub-loop"}


def expected(name: str) -> type[ScanError]:
    if name.endswith("-huge"):
        return ScanTooLarge
    return UnreadableScan if name in UNREADABLE or "truncated" in name else UnsupportedScan


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_in_a_sentence_and_little_memory(tmp_path: Path, name: str) -> None:
    path = make(name, tmp_path)
    tracemalloc.start()
    try:
        with pytest.raises(ScanError) as caught:
            read_scan(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert type(caught.value) is expected(name)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert message.endswith(".")
    assert message.count(". ") >= 1, "what is wrong, and what to do"
    assert peak < 100e6


@pytest.mark.parametrize(
    "name", ["tiff-rgb16", "tiff-zstd", "tiff-pages", "png-rgb16", "jpeg-exif", "webp-lossless", "jp2-rgb8"]
)
@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.8, 0.95])
def test_a_truncated_file_is_refused(tmp_path: Path, name: str, share: float) -> None:
    path = make(name, tmp_path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(ScanError):
        read_scan(path)


@given(name=st.sampled_from(list(GOLDEN)), seed=st.integers(0, 1 << 30))
def test_a_damaged_file_is_read_or_refused_but_never_breaks_anything(
    tmp_path_factory: pytest.TempPathFactory, name: str, seed: int
) -> None:
    """Random bytes anywhere: whatever happens is a scan or a ScanError."""
    path = make(name, tmp_path_factory.mktemp("damaged"))
    data = np.frombuffer(path.read_bytes(), np.uint8).copy()
    random = np.random.default_rng(seed)
    places = random.integers(0, min(len(data), random.choice([64, 512, len(data)])), random.integers(1, 8))
    data[places] = random.integers(0, 256, len(places))
    path.write_bytes(data.tobytes())
    assert refusal(path).startswith((str(path), "none"))


def refusal(path: Path) -> str:
    try:
        read_scan(path, max_megapixels=1)
    except ScanError as error:
        return str(error)
    return "none"


def test_the_limit_is_the_users(tmp_path: Path) -> None:
    path = make("tiff-rgb8", tmp_path)
    with pytest.raises(ScanTooLarge, match=r"--max-megapixels\.$"):
        read_scan(path, max_megapixels=0.001)
    assert read_scan(path, max_megapixels=0.002).shape == (37, 53)


@pytest.mark.parametrize("page", [-1, 1, 99])
def test_a_page_that_is_not_there(tmp_path: Path, page: int) -> None:
    for name in ("tiff-rgb8", "png-rgb8"):
        with pytest.raises(ScanError, match="no page"):
            read_scan(make(name, tmp_path), page=page)


def test_missing_folder_and_device(tmp_path: Path) -> None:
    with pytest.raises(ScanError, match="does not exist"):
        read_scan(tmp_path / "none.tif")
    with pytest.raises(ScanError, match="is a folder"):
        read_scan(tmp_path)
    if os.path.exists("/dev/null"):
        with pytest.raises(ScanError, match="is a device"):
            read_scan("/dev/null")


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make("tiff-rgb8", tmp_path)

    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", forbidden)
    with pytest.raises(ScanError, match="may not be read"):
        read_scan(path)


def test_the_content_tells_the_format_not_the_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = make("png-rgb16", tmp_path).rename(tmp_path / "lie.tif")
    assert read_scan(path).format == "PNG"
    assert "is a PNG file, whatever its name says" in caplog.text


@pytest.mark.parametrize("shape", [(1, 1), (1, 70), (70, 1)])
@pytest.mark.parametrize("name", ["tiff", "png", "jpeg", "webp", "jp2"])
def test_pictures_of_one_row_or_column(tmp_path: Path, shape: tuple[int, int], name: str) -> None:
    from redust.core.scan import Scan
    from redust.files import write_scan
    from redust.files.formats import FORMATS

    suffix = next(format.suffixes[0] for format in FORMATS if format.suffixes[0][1:3] == name[:2])
    pixels = np.full((*shape, 3), 99, np.uint8)
    write_scan(Scan(pixels), tmp_path / f"thin{suffix}")
    again = read_scan(tmp_path / f"thin{suffix}")
    assert again.shape == shape
    assert np.abs(again.pixels.astype(int) - 99).max() <= 2


def test_directories_shared_by_two_pages_are_refused(tmp_path: Path) -> None:
    """Two pages with one EXIF directory: as odd as a loop, and as good a trap."""
    path = tmp_path / "shared.tif"
    with tifffile.TiffWriter(path) as file:
        for _ in range(2):
            file.write(picture(), photometric="rgb", metadata=None, extratags=[(65000, 4, 1, 8, True)])
    data = bytearray(path.read_bytes())
    place = len(data)
    data += struct.pack("<HHHI4sI", 1, 0x9000, 7, 4, b"0230", 0)
    for at in [at for at in range(len(data) - 12) if data[at : at + 8] == struct.pack("<HHI", 65000, 4, 1)]:
        struct.pack_into("<HHII", data, at, 34665, 4, 1, place)
    path.write_bytes(data)
    with pytest.raises(UnreadableScan, match="loop"):
        read_scan(path)


def test_a_mask_is_held_to_the_same_rules(tmp_path: Path) -> None:
    for name in ("tiff-huge", "png-huge", "empty"):
        with pytest.raises(ScanError):
            read_mask(make(name, tmp_path), (37, 53))
    with pytest.raises(MaskMismatch, match="lossy"):
        read_mask(make("jpeg-plain", tmp_path), (37, 53))


@pytest.mark.parametrize(
    ("code", "kind", "count"),
    [(259, 10, 1), (284, 11, 1), (258, 12, 3), (277, 2, 1), (278, 5, 1), (317, 11, 1), (284, 3, 2), (284, 1, 1)],
)
def test_a_tag_that_says_how_pixels_lie_must_hold_whole_numbers(
    tmp_path: Path, code: int, kind: int, count: int
) -> None:
    path = tmp_path / "a.tif"
    pixels = np.zeros((40, 30, 3), np.uint8)
    options = {"compression": "zlib", "predictor": 2, "planarconfig": "contig", "photometric": "rgb", "metadata": None}
    tifffile.imwrite(path, pixels, **options)
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        at = tiff.pages[0].tags[code].offset
    struct.pack_into("<HHI", data, at, code, kind, count)
    if count == 2:
        struct.pack_into("<HH", data, at + 8, 1, 2)
    path.write_bytes(data)
    with pytest.raises(UnreadableScan, match=f"tag {code} says how its pixels lie"):
        read_scan(path)


@pytest.mark.parametrize("samples", [5, 2**31])
def test_many_channels_are_refused_without_counting_them(tmp_path: Path, samples: int) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((40, 30), np.uint8), metadata=None)
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        at = tiff.pages[0].tags[277].offset
    struct.pack_into("<HHII", data, at, 277, 4, 1, samples)
    path.write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(UnsupportedScan, match=f"{samples} channels"):
            read_scan(path)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
