"""Linear DNG in and out, as scanners' programs write it.

What is written is a copy of the file that was read, byte for byte, in which only the strips or tiles that hold changed
samples are encoded anew: in their old place if they fit, else at the end of the file. Digests of the raw image, which
would no longer be true, are set to zero, which means unknown.

Source: Adobe, Digital Negative (DNG) Specification 1.7.1.0 (2023).
"""

from __future__ import annotations

import shutil
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

import numpy as np
import tifffile
from numpy.typing import NDArray

from redust.core.arrays import Pixels, Plane
from redust.core.errors import LossyTarget, UnreadableScan, UnsupportedScan
from redust.core.scan import Scan
from redust.files import exif
from redust.files.limits import Request
from redust.files.tiff import CarriedTiff, stamp_of
from redust.files.tiff_decoding import expand_planes, fill_planes
from redust.files.tiff_layout import (
    BLACK_IS_ZERO,
    DEFLATE,
    DNG_VERSION,
    JPEG,
    NO_COMPRESSION,
    RGB,
    Layout,
    check_segments,
    layout_of,
)
from redust.files.tiff_reader import check_bounds, read_tree
from redust.files.tiff_segments import encode_segment, find_changed_segments
from redust.files.tiff_tags import XMP, bytes_of
from redust.files.tiff_tree import INTEGER_CODES, SEGMENTS, Ifd, TiffTree

_MOSAIC, _LINEAR = 32803, 34892  # photometric kinds
_WHITE_LEVEL = 50717
_DIGESTS = (50972, 51111)  # RawImageDigest, NewRawImageDigest
_DNG_CODES = range(DNG_VERSION, 52600)  # what only a DNG can say
_PREVIEW = 1  # bit of NewSubfileType
_SMALLEST_WHITE = 8  # bits


@dataclass(frozen=True)
class CarriedDng:
    """Where the picture of a linear DNG lies in the file that is copied when it is written."""

    tiff: CarriedTiff
    ifd: Ifd


def read(file: BinaryIO, request: Request) -> Scan:
    """Read a scan from a DNG (see :func:`redust.files.read_scan`)."""
    return read_picture(file, read_tree(file), request)


def read_picture(file: BinaryIO, tree: TiffTree, request: Request) -> Scan:
    """Read the picture of a DNG whose tree has been read; one of a camera, a mosaic, is developed.

    Raises
    ------
    UnsupportedScan
        If it holds no picture that ReDust reads.
    UnreadableScan, ScanTooLarge
        As for a TIFF.
    """
    ifd = _find_picture(tree)
    if ifd is None:
        from redust.files import camera_raw

        return camera_raw.read(file, request)
    layout = _layout_of(tree, ifd, request)
    check_segments(layout, ifd)
    check_bounds(tree, stamp_of(file)[0])
    pixels: Pixels = np.empty((layout.height, layout.width, layout.samples - len(layout.extras)), layout.dtype)
    planes = {name: np.empty((layout.height, layout.width), layout.dtype) for name in layout.extras}
    file.seek(0)
    try:
        with tifffile.TiffFile(file) as tiff:
            fill_planes(_find_page(tiff, ifd), layout, pixels, planes)
    except Exception as error:
        raise UnreadableScan(f"Its pixels cannot be decoded: {error}. Use a sound copy.") from error
    layout = replace(layout, bits=expand_planes(_white_bits(tree, ifd, layout), [pixels, *planes.values()]))
    carried = CarriedDng(CarriedTiff(request.path, stamp_of(file), tree, layout), ifd)
    return _make_scan(tree, layout, pixels, planes, carried)


def _make_scan(tree: TiffTree, layout: Layout, pixels: Pixels, planes: dict[str, Plane], carried: CarriedDng) -> Scan:
    top = tree.pages[0]
    return Scan(
        pixels=pixels,
        alpha=planes.get("alpha"),
        infrared=planes.get("infrared"),
        bits=layout.bits or layout.stored_bits,
        dpi=exif.dpi_of(tree, top),
        exif=exif.block_of(tree, top.without(_DNG_CODES)),
        xmp=bytes_of(top, XMP),
        orientation=exif.orientation_of(tree, top),
        format="DNG",
        linear=True,
        carried={"dng": carried, "tiff": carried.tiff, "only here": ("what a DNG says of its colours",)},
    )


def _find_picture(tree: TiffTree) -> Ifd | None:
    """The directory of the largest linear picture, None for a mosaic.

    Raises
    ------
    UnsupportedScan
        If there is neither.
    """
    directories = [ifd for page in tree.pages for ifd in page.walk() if not tree.number(ifd, 254, 0) & _PREVIEW]
    linear = [ifd for ifd in directories if tree.number(ifd, 262, 0) == _LINEAR]
    if linear:
        return max(linear, key=lambda ifd: tree.number(ifd, 256, 0) * tree.number(ifd, 257, 0))
    if any(tree.number(ifd, 262, 0) == _MOSAIC for ifd in directories):
        return None
    raise UnsupportedScan("It is a DNG that holds no linear picture and no mosaic. Export it as a plain TIFF first.")


def _layout_of(tree: TiffTree, ifd: Ifd, request: Request) -> Layout:
    """The layout of a picture, checked as that of a TIFF in R G B or grey is; its JPEG is lossless."""
    compression = tree.number(ifd, 259, NO_COMPRESSION)
    photometric = RGB if tree.number(ifd, 277, 1) >= 3 else BLACK_IS_ZERO
    tags = {code: tag for code, tag in ifd.tags.items() if code != DNG_VERSION}
    tags |= {262: tree.short(photometric), 259: tree.short(DEFLATE if compression == JPEG else compression)}
    layout = layout_of(tree, replace(ifd, tags=tags), request)
    return replace(layout, compression=compression)


def _white_bits(tree: TiffTree, ifd: Ifd, layout: Layout) -> int:
    """Significant bits of samples in whole bytes by WhiteLevel; 0 if it is the largest number, or no power of two."""
    white = max(tree.ints(ifd, _WHITE_LEVEL) or (0,))
    if layout.dtype == np.uint16 and white & (white + 1) == 0 and _SMALLEST_WHITE <= white.bit_length() < 16:
        return white.bit_length()
    return layout.packed_bits


def _find_page(tiff: tifffile.TiffFile, ifd: Ifd) -> Any:
    """tifffile's page of a directory, by where its pixels begin."""
    ((offset, _), *_) = next(iter(ifd.segments.values()))
    pending = list(tiff.pages)
    while pending:
        page: Any = pending.pop()
        if page.dataoffsets and page.dataoffsets[0] == offset:
            return page
        pending.extend(page.pages or ())
    raise ValueError("its picture is in none of its pages")


# --- encoding ---------------------------------------------------------------------------------------------


def write(scan: Scan, file: BinaryIO) -> None:
    """Write a DNG's scan as that DNG again (see :func:`redust.files.write_scan`).

    Raises
    ------
    LossyTarget
        If its metadata was changed: that of a DNG is copied.
    ScanError
        If the file has changed since it was read.
    """
    carried = scan.carried.get("dng")
    if not isinstance(carried, CarriedDng):
        raise ValueError("a DNG is written only of a scan that was read from one")
    if scan.xmp != bytes_of(carried.tiff.tree.pages[0], XMP):
        raise LossyTarget("The metadata of a DNG is copied as it is. Leave --mark-source-type out, or write TIFF.")
    with carried.tiff.open() as source:
        shutil.copyfileobj(source, file, 1 << 20)
        source.seek(0)
        with tifffile.TiffFile(source) as tiff:
            page = _find_page(tiff, carried.ifd)
            if _rewrite_segments(scan, carried, page, file):
                _clear_digests(tiff, file)


def _rewrite_segments(scan: Scan, carried: CarriedDng, page: Any, file: BinaryIO) -> int:
    """Encode what was changed, and say in the copy where it lies; how many strips or tiles that were."""
    layout, order = carried.tiff.layout, carried.tiff.tree.order
    offsets, counts = page.tags[layout.offsets_code], page.tags[SEGMENTS[layout.offsets_code]]
    rewritten = 0
    for number, corner in find_changed_segments(scan, layout, _decode_segments(page, layout)):
        data = encode_segment(scan, layout, order, corner)
        offset, count = page.dataoffsets[number], page.databytecounts[number]
        if len(data) > count:
            offset = file.seek(0, 2)
            offset += offset % 2
            _patch_value(file, offsets, number, order, offset)
        if len(data) != count:
            _patch_value(file, counts, number, order, len(data))
        file.seek(offset)
        file.write(data)
        rewritten += 1
    return rewritten


def _clear_digests(tiff: tifffile.TiffFile, file: BinaryIO) -> None:
    """Set the digests of the raw image to zero: unknown."""
    for tag in (tag for page in tiff.pages for tag in page.tags if tag.code in _DIGESTS):
        file.seek(tag.valueoffset)
        file.write(bytes(tag.valuebytecount))


def _decode_segments(page: Any, layout: Layout) -> Iterator[tuple[NDArray[Any], tuple[int, int, int]]]:
    """Samples (h, w, S) of each strip or tile, with its (plane, row, column)."""
    page.predictor = layout.predictor
    page.init_decode()
    for segment, (plane, _, row, column, _), _ in page.segments(maxworkers=1, buffersize=16 << 20, _fullsize=False):
        yield segment[0, : layout.height - row, : layout.width - column], (plane, row, column)


def _patch_value(file: BinaryIO, tag: Any, number: int, order: str, value: int) -> None:
    """Write one of a tag's values anew."""
    code = INTEGER_CODES[int(tag.dtype)]
    size = struct.calcsize(order + code)
    try:
        data = struct.pack(order + code, value)
    except struct.error as error:
        raise LossyTarget("The repaired DNG would pass the size that its directories can name. Write TIFF.") from error
    file.seek(tag.valueoffset + number * size)
    file.write(data)
