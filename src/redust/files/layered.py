"""A restored scan in layers, for editors: the scan as it was, above it the repaired pixels, and the mask.

A layered TIFF holds the flattened picture as any TIFF does, the mask as a further channel, and the layers in the tag
that Photoshop reads (ImageSourceData, 37724; Adobe, Photoshop TIFF Technical Notes, 2002, and Photoshop File Formats
Specification). OpenRaster holds each layer as a PNG in a ZIP (freedesktop.org, OpenRaster 0.0.6).
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO
from xml.etree import ElementTree
from zipfile import ZIP_STORED, ZipFile

import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Mask, Plane, check_mask, from_light, full_scale, three_channels, to_light
from redust.core.atomic import Sources, whole_file
from redust.core.errors import TargetError
from redust.core.scan import Scan
from redust.core.tiles import Rectangle
from redust.files.formats import LAYERED_SUFFIXES, OPEN_RASTER, PNG
from redust.files.tiff_tree import Order, Tag, byte_tag
from redust.files.unsupported import check_losses

_IMAGE_SOURCE_DATA = 37724
_LARGEST_TAG = (1 << 32) - (64 << 20)  # bytes
_THUMBNAIL_SIDE = 256


def check_layered_target(scan: Scan, path: Path) -> None:
    """Refuse, before any work, a name or a scan that cannot become a file in layers.

    Raises
    ------
    TargetError
        If the suffix is neither TIFF's nor OpenRaster's, or the scan is too large for a TIFF tag.
    LossyTarget
        If the samples are float and the target is OpenRaster, whose layers are PNGs.
    """
    suffix = path.suffix.lower()
    if suffix not in LAYERED_SUFFIXES:
        raise TargetError(f"{path} cannot hold layers. Use a name that ends with .tif or {OPEN_RASTER}.")
    if suffix == OPEN_RASTER:
        check_losses(_bare(scan), PNG)
    elif scan.pixels.nbytes > _LARGEST_TAG:
        raise TargetError(f"{scan.name} is larger than the 4 GB of a layered TIFF. Write {OPEN_RASTER} instead.")


def write_layers(
    scan: Scan, restored: Scan, mask: Mask, path: Path, *, source: Sources = None, overwrite: bool = False
) -> None:
    """Write a scan, its repaired pixels and their mask as layers; the file appears whole or not at all.

    Parameters
    ----------
    scan
        As it was: the lowest layer.
    restored
        Its pixels where `mask` is set become the layer above; outside they are the scan's.
    mask : (H, W) bool
    path
        A TIFF, or OpenRaster by the suffix ``.ora``.
    source, overwrite
        As for :func:`redust.core.atomic.whole_file`.

    Raises
    ------
    TargetError
        As :func:`check_layered_target`, and as :func:`redust.core.atomic.whole_file`.
    """
    check_mask(mask, scan.shape)
    check_layered_target(scan, path)
    write = _write_open_raster if path.suffix.lower() == OPEN_RASTER else _write_layered_tiff
    with whole_file(path, source=source, overwrite=overwrite) as file:
        write(scan, restored, mask, file)


def _bare(scan: Scan) -> Scan:
    """A scan as the page of a new file: what only its own file holds is left behind."""
    return replace(scan, alpha=None, infrared=None, format="", carried={})


def _mask_plane(mask: Mask, dtype: np.dtype[Any]) -> Plane:
    """The mask in the depth of a scan: full scale where it is set."""
    plane: Plane = np.multiply(mask, np.asarray(full_scale(dtype), dtype), dtype=dtype)
    return plane


def _cut_out(scan: Scan, mask: Mask) -> Scan:
    """A scan that is black outside a mask, where it will be transparent: so it takes little space."""
    return scan.with_pixels(np.multiply(scan.pixels, mask[..., None], dtype=scan.pixels.dtype))


def _bounding_box(mask: Mask) -> Rectangle:
    """The rows and columns that hold all of a mask; one pixel of an empty one."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return slice(0, 1), slice(0, 1)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


# --- layered TIFF -----------------------------------------------------------------------------------------


def _write_layered_tiff(scan: Scan, restored: Scan, mask: Mask, file: BinaryIO) -> None:
    """An extra sample of no declared meaning, the infrared plane's place, is where editors look for a channel.

    GIMP takes the first such sample for transparency, so an opaque alpha channel goes before it.
    """
    from redust.files import tiff

    dtype = scan.pixels.dtype
    flat = replace(_bare(restored), alpha=_mask_plane(np.ones_like(mask), dtype), infrared=_mask_plane(mask, dtype))
    order = tiff.order_of(flat)
    tiff.write_new(flat, file, {_IMAGE_SOURCE_DATA: _layers_tag(scan, restored, mask, order)})


def _layers_tag(scan: Scan, restored: Scan, mask: Mask, order: Order) -> Tag:
    from psdtags import PsdFormat, PsdKey, PsdLayers, PsdUserMask, TiffImageSourceData

    full = slice(0, scan.shape[0]), slice(0, scan.shape[1])
    box = _bounding_box(mask)
    key = {1: PsdKey.LAYER, 2: PsdKey.LAYER_16, 4: PsdKey.LAYER_32}[scan.pixels.dtype.itemsize]
    layers = [
        _make_layer("Scan", scan, full, None),
        _make_layer("Repair", _cut_out(restored, mask), box, _mask_plane(mask[box], scan.pixels.dtype)),
    ]
    source_data = TiffImageSourceData(
        psdformat=PsdFormat.LE32BIT if order == "<" else PsdFormat.BE32BIT,
        layers=PsdLayers(key, layers, has_transparency=True),
        usermask=PsdUserMask(),
    )
    stream = io.BytesIO()
    source_data.write(stream)
    return byte_tag(stream.getvalue())


def _make_layer(name: str, scan: Scan, box: Rectangle, opacity: Plane | None) -> Any:
    """A layer of a scan's pixels in a rectangle, with their opacity (h, w) if they are not all opaque."""
    import psdtags

    planes: dict[Any, NDArray[Any]] = {} if opacity is None else {psdtags.PsdChannelId.TRANSPARENCY_MASK: opacity}
    planes |= {psdtags.PsdChannelId(index): scan.pixels[box][..., index] for index in range(scan.channels)}
    coding = psdtags.PsdCompressionType.ZIP_PREDICTED
    rows, columns = box
    return psdtags.PsdLayer(
        name=name,
        channels=[psdtags.PsdChannel(id_, coding, plane) for id_, plane in planes.items()],
        rectangle=psdtags.PsdRectangle(rows.start, columns.start, rows.stop, columns.stop),
        mask=psdtags.PsdLayerMask(),
        flags=psdtags.PsdLayerFlag.PHOTOSHOP5,
        info=[psdtags.PsdString(psdtags.PsdKey.UNICODE_LAYER_NAME, name)],
    )


# --- OpenRaster -------------------------------------------------------------------------------------------


def _write_open_raster(scan: Scan, restored: Scan, mask: Mask, file: BinaryIO) -> None:
    rows, columns = box = _bounding_box(mask)
    dtype = scan.pixels.dtype
    repair = replace(
        _bare(restored),
        pixels=np.ascontiguousarray(_cut_out(restored, mask).pixels[box]),
        alpha=_mask_plane(mask[box], dtype),
    )
    marked = replace(_bare(scan), pixels=_mask_plane(mask, np.dtype(np.uint8))[..., None], bits=8, icc=None)
    layers = [
        ("mask", marked, (0, 0), "hidden"),
        ("repair", repair, (columns.start, rows.start), "visible"),
        ("scan", _bare(scan), (0, 0), "visible"),
    ]
    with ZipFile(file, "w", ZIP_STORED) as archive:
        archive.writestr("mimetype", "image/openraster")  # first, and not compressed
        archive.writestr("stack.xml", _describe_stack(scan, [(name, at, shown) for name, _, at, shown in layers]))
        for name, picture, _, _ in layers:
            archive.writestr(f"data/{name}.png", _encode_png(picture))
        archive.writestr("mergedimage.png", _encode_png(_bare(restored)))
        archive.writestr("Thumbnails/thumbnail.png", _encode_thumbnail(restored))


def _describe_stack(scan: Scan, layers: Sequence[tuple[str, tuple[int, int], str]]) -> bytes:
    height, width = scan.shape
    image = ElementTree.Element("image", version="0.0.6", w=str(width), h=str(height))
    if scan.dpi is not None:
        image.attrib |= {"xres": f"{scan.dpi[0]:.0f}", "yres": f"{scan.dpi[1]:.0f}"}
    stack = ElementTree.SubElement(image, "stack")
    for name, (x, y), visibility in layers:
        attributes = {"name": name, "src": f"data/{name}.png", "x": str(x), "y": str(y), "visibility": visibility}
        ElementTree.SubElement(stack, "layer", attributes | {"opacity": "1.0", "composite-op": "svg:src-over"})
    return bytes(ElementTree.tostring(image, encoding="utf-8", xml_declaration=True))


def _encode_png(scan: Scan) -> bytes:
    from redust.files import png

    stream = io.BytesIO()
    png.write(scan, stream)
    return stream.getvalue()


def _encode_thumbnail(scan: Scan) -> bytes:
    """A reduced copy of at most 256 x 256 pixels, 8 bit."""
    step = -(-max(scan.shape) // _THUMBNAIL_SIDE)
    reduced = to_light(scan.pixels[::step, ::step])
    return _encode_png(Scan(from_light(three_channels(reduced), np.dtype(np.uint8))))
