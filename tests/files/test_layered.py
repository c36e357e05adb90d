"""A restored scan in layers, opened with readers that are not ours: psd-tools, tifffile, Pillow and zipfile."""

from __future__ import annotations

import io
from pathlib import Path
from xml.etree import ElementTree
from zipfile import ZIP_STORED, ZipFile

import numpy as np
import pytest
import tifffile
from PIL import Image
from psd_tools.constants import Tag
from psd_tools.psd.layer_and_mask import LayerInfo

from drawing import draw
from redust.core.arrays import Mask
from redust.core.errors import LossyTarget, TargetError, TargetExists, UnsupportedScan
from redust.core.scan import Scan
from redust.files import read_scan, write_layers, write_scan

_KINDS = [(np.uint8, 3), (np.uint16, 3), (np.uint16, 1), (np.float32, 3)]


def _restore(dtype: type = np.uint16, channels: int = 3, **facts: object) -> tuple[Scan, Scan, Mask]:
    """A scan, the same with a rectangle repaired, and its mask."""
    scan = Scan(draw(channels=channels, dtype=dtype), dpi=(300.0, 300.0), **facts)
    mask = np.zeros(scan.shape, np.bool_)
    mask[10:14, 20:31] = mask[30, 5] = True
    pixels = scan.pixels.copy()
    pixels[mask] = pixels[mask] // 2 if np.dtype(dtype) != np.float32 else pixels[mask] / 2
    return scan, scan.with_pixels(pixels), mask


def _big_endian_exif(path: Path) -> bytes | None:
    """An EXIF block in the byte order that psd-tools reads, as a scanner's TIFF has it."""
    tifffile.imwrite(path, draw(), byteorder=">", software="scanner", photometric="rgb")
    return read_scan(path).exif


@pytest.mark.parametrize(("dtype", "channels"), _KINDS)
def test_psd_tools_finds_the_scan_untouched_below_the_repaired_pixels(
    dtype: type, channels: int, tmp_path: Path
) -> None:
    scan, restored, mask = _restore(dtype, channels, exif=_big_endian_exif(tmp_path / "scanner.tif"))
    write_layers(scan, restored, mask, tmp_path / "out.tif")
    with tifffile.TiffFile(tmp_path / "out.tif") as tiff:
        data = bytes(tiff.pages[0].tags[37724].value)
    title, data = data[:36], data[36:]
    assert title == b"Adobe Photoshop Document Data Block\0"
    assert data[:4] == b"8BIM"
    bits = 8 * np.dtype(dtype).itemsize
    assert Tag(data[4:8]) == {8: Tag.LAYER, 16: Tag.LAYER_16, 32: Tag.LAYER_32}.get(bits)
    layers = LayerInfo.read(io.BytesIO(data[8:]))
    below, above = layers.layer_records
    assert (below.name, above.name) == ("Scan", "Repair")
    assert (above.top, above.left, above.bottom, above.right) == (10, 5, 31, 31)
    planes = [channel.get_data(64, 48, bits, 1) for channel in layers.channel_image_data[0]]
    read = np.stack([np.frombuffer(plane, np.dtype(dtype).newbyteorder(">")).reshape(48, 64) for plane in planes], 2)
    np.testing.assert_array_equal(read, scan.pixels)
    opacity, *planes = [channel.get_data(26, 21, bits, 1) for channel in layers.channel_image_data[1]]
    shown = np.frombuffer(opacity, np.dtype(dtype).newbyteorder(">")).reshape(21, 26) > 0
    np.testing.assert_array_equal(shown, mask[10:31, 5:31])
    first = np.frombuffer(planes[0], np.dtype(dtype).newbyteorder(">")).reshape(21, 26)
    np.testing.assert_array_equal(first[shown], restored.pixels[10:31, 5:31, 0][shown])


@pytest.mark.parametrize(("dtype", "channels"), _KINDS)
def test_a_reader_without_layers_gets_the_restored_picture_and_the_mask_as_a_channel(
    dtype: type, channels: int, tmp_path: Path
) -> None:
    scan, restored, mask = _restore(dtype, channels, icc=b"profile")
    write_layers(scan, restored, mask, tmp_path / "out.tif")
    with tifffile.TiffFile(tmp_path / "out.tif") as tiff:
        page = tiff.pages[0]
        samples, tags = page.asarray(), {tag.code: tag.value for tag in page.tags}
    np.testing.assert_array_equal(samples[..., :channels], restored.pixels)
    assert (samples[..., channels] == samples[..., channels].max()).all()
    np.testing.assert_array_equal(samples[..., channels + 1] > 0, mask)
    assert samples.dtype == dtype
    assert tags[338] == (2, 0)  # opaque, and a channel that is not the picture's transparency
    assert tags[34675] == b"profile"
    assert tags[282] == (300, 1)


@pytest.mark.parametrize(("dtype", "channels"), _KINDS[:3])
def test_open_raster_holds_the_layers_as_pngs(dtype: type, channels: int, tmp_path: Path) -> None:
    scan, restored, mask = _restore(dtype, channels)
    write_layers(scan, restored, mask, tmp_path / "out.ora")
    with ZipFile(tmp_path / "out.ora") as archive:
        first = archive.infolist()[0]
        assert (first.filename, first.compress_type) == ("mimetype", ZIP_STORED)
        assert archive.read("mimetype") == b"image/openraster"
        image = ElementTree.fromstring(archive.read("stack.xml"))
        for name in archive.namelist()[2:]:
            (tmp_path / Path(name).name).write_bytes(archive.read(name))
    assert (image.get("w"), image.get("h")) == ("64", "48")
    stack = [(layer.get("name"), layer.get("visibility")) for layer in image.iter("layer")]
    assert stack == [("mask", "hidden"), ("repair", "visible"), ("scan", "visible")]
    repair = next(layer for layer in image.iter("layer") if layer.get("name") == "repair")
    assert (repair.get("x"), repair.get("y")) == ("5", "10")
    np.testing.assert_array_equal(read_scan(tmp_path / "scan.png").pixels, scan.pixels)
    np.testing.assert_array_equal(read_scan(tmp_path / "mergedimage.png").pixels, restored.pixels)
    with Image.open(tmp_path / "mask.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture) > 0, mask)
    layer = read_scan(tmp_path / "repair.png")
    assert layer.alpha is not None
    np.testing.assert_array_equal(layer.alpha > 0, mask[10:31, 5:31])
    with Image.open(tmp_path / "thumbnail.png") as picture:
        assert max(picture.size) <= 256


def test_an_empty_mask_makes_an_empty_layer(tmp_path: Path) -> None:
    scan, _, mask = _restore()
    for name in ("out.tif", "out.ora"):
        write_layers(scan, scan, np.zeros_like(mask), tmp_path / name)
        assert (tmp_path / name).stat().st_size > 0


def test_what_cannot_hold_layers_is_refused_before_any_work(tmp_path: Path) -> None:
    scan, restored, mask = _restore(np.float32)
    with pytest.raises(TargetError, match=r"\.ora"):
        write_layers(scan, restored, mask, tmp_path / "out.png")
    with pytest.raises(LossyTarget, match="32-bit float"):
        write_layers(scan, restored, mask, tmp_path / "out.ora")
    write_layers(scan, restored, mask, tmp_path / "out.tif")
    with pytest.raises(TargetExists):
        write_layers(scan, restored, mask, tmp_path / "out.tif")


def test_a_layered_file_is_no_scan_again(tmp_path: Path) -> None:
    write_layers(*_restore(), tmp_path / "out.tif")
    with pytest.raises(UnsupportedScan, match="layers"):
        read_scan(tmp_path / "out.tif")


def test_metadata_of_the_scan_goes_into_the_layered_file(tmp_path: Path) -> None:
    scan, restored, mask = _restore(np.uint8, xmp=b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>")
    write_scan(scan, tmp_path / "scan.tif")
    scan = read_scan(tmp_path / "scan.tif")
    write_layers(scan, scan.with_pixels(restored.pixels), mask, tmp_path / "out.tif")
    with tifffile.TiffFile(tmp_path / "out.tif") as tiff:
        assert tiff.pages[0].tags[700].value == scan.xmp
