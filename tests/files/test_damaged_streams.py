"""A stream that is cut is damaged, whatever its form: refused, unless the user insists."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from numpy.testing import assert_array_equal

from golden import picture
from golden.jpegs import coded
from golden.raw_tiff import RawTiff
from redust.core.errors import MaskMismatch, UnreadableScan, UnsupportedScan
from redust.files import read_mask, read_scan
from redust.files.jpeg_stream import read_stream

KINDS = {
    "baseline": {"quality": 95},
    "4:2:0": {"quality": 95, "subsampling": 2},
    "progressive": {"quality": 95, "progressive": True},
    "restarts": {"quality": 95, "restart_marker_rows": 1},
    "grey": {"channels": 1, "quality": 95},
}


def cut(jpeg: bytes, share: float) -> bytes:
    """The stream with the end of its coded data missing, and its last marker in place."""
    start = jpeg.index(b"\xff\xda")
    data = jpeg[: start + int((len(jpeg) - start) * share)].rstrip(b"\xff")
    return data + b"\xff\xd9"


@pytest.mark.parametrize("share", [0.1, 0.5, 0.85])
@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_jpeg_is_refused_or_kept_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str, share: float
) -> None:
    path = tmp_path / "cut.jpg"
    path.write_bytes(cut(coded(**KINDS[kind]), share))
    with pytest.raises(UnreadableScan, match=r"--damaged-files keep\.$"):
        read_scan(path)
    assert read_scan(path, keep_damaged=True).shape == picture().shape[:2]
    assert "is damaged" in caplog.text


@pytest.mark.parametrize("value", [127, 128, 129])
@pytest.mark.parametrize("kind", KINDS)
def test_a_sound_picture_in_mid_grey_is_read(tmp_path: Path, kind: str, value: int) -> None:
    from PIL import Image

    options = {key: option for key, option in KINDS[kind].items() if key != "channels"}
    Image.fromarray(np.full((37, 53, 3), value, np.uint8)).save(tmp_path / "grey.jpg", **options)
    assert np.abs(read_scan(tmp_path / "grey.jpg").pixels.astype(int) - value).max() <= 1


def test_one_segment_of_a_stream_with_restarts_is_cut(tmp_path: Path) -> None:
    jpeg = coded(quality=95, restart_marker_rows=1)
    second, third = jpeg.index(b"\xff\xd0"), jpeg.index(b"\xff\xd1")
    (tmp_path / "cut.jpg").write_bytes(jpeg[: second + 2 + (third - second) // 3] + jpeg[third:])
    with pytest.raises(UnreadableScan, match="ends too early"):
        read_scan(tmp_path / "cut.jpg")


def jpeg_tiff(path: Path, strip: bytes) -> Path:
    raw = RawTiff()
    pixels = raw.add(strip)
    extra = [(259, 3, 7), (273, 4, pixels), (279, 4, len(strip))]
    return raw.write(path, raw.add_page(picture(1)[..., 0], without=(259, 273, 279), extra=extra))


@pytest.mark.parametrize("ended", [False, True])
def test_a_cut_jpeg_strip_in_a_tiff_is_refused(tmp_path: Path, ended: bool) -> None:
    strip = bytes(imagecodecs.jpeg8_encode(picture(1)[..., 0], level=95))
    assert read_scan(jpeg_tiff(tmp_path / "whole.tif", strip)).shape == picture().shape[:2]
    path = jpeg_tiff(tmp_path / "cut.tif", strip[: len(strip) // 2].rstrip(b"\xff") + (b"\xff\xd9" if ended else b""))
    with pytest.raises(UnreadableScan, match="damaged"):
        read_scan(path)
    assert read_scan(path, keep_damaged=True).shape == picture().shape[:2]


@pytest.mark.parametrize("place", ["jpeg", "tiff"])
def test_a_jpeg_of_absurdly_many_scans_is_refused_before_it_is_decoded(tmp_path: Path, place: str) -> None:
    jpeg = coded(1, progressive=True)
    scan = read_stream(jpeg).passes[-1]
    start = jpeg.rindex(b"\xff\xda", 0, scan.start)
    bomb = jpeg[:-2] + jpeg[start : scan.end] * 200 + jpeg[-2:]
    path = tmp_path / "bomb.jpg"
    path.write_bytes(bomb)
    if place == "tiff":
        path = jpeg_tiff(tmp_path / "bomb.tif", bomb)
    with pytest.raises(UnsupportedScan, match="scans"):
        read_scan(path)


MASK = np.zeros((37, 53), bool)
MASK[9:14, 20:26] = True


@pytest.mark.parametrize("compression", ["jpeg", "jpeg2000", "webp"])
def test_a_lossy_mask_is_refused_in_any_container(tmp_path: Path, compression: str) -> None:
    grey = MASK * np.uint8(255)
    colours = {"photometric": "rgb"} if compression == "webp" else {"photometric": "minisblack"}
    data = np.repeat(grey[..., None], 3, axis=2) if compression == "webp" else grey
    tifffile.imwrite(tmp_path / "mask.tif", data, compression=compression, metadata=None, **colours)
    with pytest.raises(MaskMismatch, match="smears edges"):
        read_mask(tmp_path / "mask.tif", MASK.shape)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "uint16", "uint32", "int16", "float16", "float32", "float64"])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_tiff_masks_of_any_depth(tmp_path: Path, dtype: str, photometric: str) -> None:
    white = np.array(MASK, dtype) if np.dtype(dtype).kind in "bf" else MASK * np.iinfo(dtype).max
    if photometric == "miniswhite":
        if np.dtype(dtype).kind not in "bu":
            return
        white = ~white
    tifffile.imwrite(tmp_path / "mask.tif", white.astype(dtype), photometric=photometric, metadata=None)
    assert_array_equal(read_mask(tmp_path / "mask.tif", MASK.shape), MASK)


@pytest.mark.parametrize(("mode", "options"), [
    ("P", {}), ("P", {"compression": "tiff_lzw"}), ("1", {"compression": "group4"}), ("1", {"compression": "group3"}),
    ("1", {"compression": "packbits"}), ("L", {"compression": "tiff_adobe_deflate"}),
])  # fmt: skip
def test_tiff_masks_of_other_programs(tmp_path: Path, mode: str, options: dict[str, str]) -> None:
    from PIL import Image

    Image.fromarray(MASK * np.uint8(255)).convert(mode).save(tmp_path / "mask.tif", **options)
    assert_array_equal(read_mask(tmp_path / "mask.tif", MASK.shape), MASK)


@pytest.mark.parametrize("bits", [2, 4])
def test_tiff_masks_of_two_and_four_bits(tmp_path: Path, bits: int) -> None:
    top = (1 << bits) - 1
    padded = np.zeros((37, 56), np.uint8)
    padded[:, :53] = MASK * top
    packed = sum(padded[:, step :: 8 // bits].astype(np.uint8) << (8 - bits - bits * step) for step in range(8 // bits))
    rows = packed[:, : -(-53 * bits // 8)].astype(np.uint8).tobytes()
    raw = RawTiff()
    extra = [(258, 3, bits), (273, 4, raw.add(rows)), (279, 4, len(rows))]
    path = raw.write(tmp_path / "mask.tif", raw.add_page(picture(1)[..., 0], without=(258, 273, 279), extra=extra))
    assert_array_equal(read_mask(path, MASK.shape), MASK)


def test_a_coloured_palette_mask_and_a_gif_say_what_masks_are(tmp_path: Path) -> None:
    from PIL import Image

    Image.fromarray(picture()).quantize(8).save(tmp_path / "colours.tif")
    with pytest.raises(MaskMismatch, match="coloured"):
        read_mask(tmp_path / "colours.tif", MASK.shape)
    Image.fromarray(MASK * np.uint8(255)).save(tmp_path / "mask.gif")
    with pytest.raises(MaskMismatch, match=r"no PNG or TIFF\. Save the mask as PNG"):
        read_mask(tmp_path / "mask.gif", MASK.shape)
