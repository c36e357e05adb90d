"""TIFF in and out. Pixels are tifffile's and imagecodecs', the structure :mod:`redust.files.tiff_tree`'s."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

import numpy as np
import tifffile

from redust.core.arrays import Pixels, Plane
from redust.core.errors import ScanError, UnreadableScan
from redust.core.scan import Scan
from redust.files import exif
from redust.files.limits import Request
from redust.files.tiff_decoding import expand_planes, fill_planes
from redust.files.tiff_jpeg import check_streams, read_streams
from redust.files.tiff_layout import (
    BLACK_IS_ZERO,
    DEFLATE,
    DNG_VERSION,
    JPEG,
    LZW,
    NO_COMPRESSION,
    PACKBITS,
    RGB,
    WHITE_IS_ZERO,
    Layout,
    check_segments,
    declared_bits,
    layout_of,
)
from redust.files.tiff_mask import check_lossless, is_mask_only, read_mask_page
from redust.files.tiff_reader import check_bounds, read_tree
from redust.files.tiff_segments import STRIP_BYTES, encode_segments
from redust.files.tiff_tags import (
    ICC,
    PHOTOSHOP,
    XMP,
    bytes_of,
    describe_page,
    list_further_pages,
    list_unportable,
    read_iptc,
)
from redust.files.tiff_tree import Ifd, Order, Tag, TiffTree
from redust.files.tiff_writer import PaintedPage, write_tree

logger = logging.getLogger(__name__)

_BIG = (1 << 32) - (64 << 20)


@dataclass(frozen=True)
class CarriedTiff:
    """What a TIFF needs to be written as the same kind of file again.

    Further pages and sub-images are not kept in memory: they are copied out of the source when writing,
    which is why the source must not change in between.
    """

    path: Path
    stamp: tuple[int, int]
    tree: TiffTree
    layout: Layout

    def needs_source(self, page: int) -> bool:
        """Whether anything but the pixels of `page` must be copied out of the source."""
        top = self.tree.pages[page]
        further = [ifd for directory in self.tree.pages for ifd in directory.walk() if ifd is not top]
        return bool(set(top.segments) - {self.layout.offsets_code}) or any(ifd.segments for ifd in further)

    def open(self) -> BinaryIO:
        """The source, if it is still the file that was read."""
        try:
            file = self.path.open("rb")
        except OSError as error:
            raise ScanError(f"{self.path} is gone, and its further pages with it. Put it back and repeat.") from error
        if stamp_of(file) != self.stamp:
            file.close()
            raise ScanError(f"{self.path} has changed since it was read. Run the restoration again.")
        return file


def stamp_of(file: BinaryIO) -> tuple[int, int]:
    """Size and time of change of an open file."""
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns


def read(file: BinaryIO, request: Request) -> Scan:
    """Read one page (see :func:`redust.files.read_scan`)."""
    tree, page = read_tree(file), request.page
    if DNG_VERSION in tree.pages[0].tags:
        from redust.files import dng

        return dng.read_picture(file, tree, request)
    if page >= len(tree.pages):
        raise ScanError(f"There is no page {page + 1}; the file has {len(tree.pages)}. Choose one of those.")
    ifd = tree.pages[page]
    if request.mask:
        check_lossless(tree, ifd)
        if is_mask_only(tree, ifd):
            check_bounds(tree, stamp_of(file)[0])
            return read_mask_page(file, tree, page, request)
    layout = layout_of(tree, ifd, request)
    stamp = stamp_of(file)
    check_segments(layout, ifd)
    check_bounds(tree, stamp[0])
    pixels, planes, bits = _decode(file, tree, page, layout, request)
    layout = replace(layout, bits=bits)
    return _scan(tree, ifd, page, layout, pixels, planes, CarriedTiff(request.path, stamp, tree, layout))


def _scan(
    tree: TiffTree, ifd: Ifd, page: int, layout: Layout, pixels: Pixels, planes: dict[str, Plane], carried: CarriedTiff
) -> Scan:
    return Scan(
        pixels=pixels,
        alpha=planes.get("alpha"),
        infrared=planes.get("infrared"),
        bits=layout.bits or layout.stored_bits,
        dpi=exif.dpi_of(tree, ifd),
        icc=bytes_of(ifd, ICC),
        exif=exif.block_of(tree, ifd),
        xmp=bytes_of(ifd, XMP),
        iptc=read_iptc(ifd),
        orientation=exif.orientation_of(tree, ifd),
        page=page,
        further_pages=list_further_pages(tree, page),
        format="TIFF",
        carried={
            "tiff": carried,
            "photoshop": bytes_of(ifd, PHOTOSHOP),
            "only here": list_unportable(tree, page, layout),
            "lost anyway": tuple(exif.list_unknown_tags(tree)),
        },
    )


# --- decoding ---------------------------------------------------------------------------------------------


def _decode(
    file: BinaryIO, tree: TiffTree, page: int, layout: Layout, request: Request
) -> tuple[Pixels, dict[str, Plane], int]:
    """Decode into arrays that are made once, over their full range; min-is-white becomes light (white = large).

    Returns pixels, further planes, and the significant bits if white is smaller than the largest number.
    """
    channels = layout.samples - len(layout.extras)
    pixels: Pixels = np.empty((layout.height, layout.width, channels), layout.dtype)
    planes = {name: np.empty((layout.height, layout.width), layout.dtype) for name in layout.extras}
    ifd = tree.pages[page]
    streams = read_streams(file, ifd, layout) if layout.compression == JPEG else []
    file.seek(0)
    try:
        with tifffile.TiffFile(file) as tiff:
            fill_planes(tiff.pages[page], layout, pixels, planes)
    except Exception as error:
        raise UnreadableScan(f"Its pixels cannot be decoded: {error}. Use a sound copy.") from error
    if streams:
        check_streams(file, ifd, layout, streams, pixels, request)
    bits = expand_planes(layout.packed_bits or declared_bits(tree, ifd, layout.dtype), [pixels, *planes.values()])
    if layout.photometric == WHITE_IS_ZERO:
        np.invert(pixels, out=pixels)
    return pixels, planes, bits


# --- encoding ---------------------------------------------------------------------------------------------


def write(scan: Scan, file: BinaryIO) -> None:
    """Write a scan as TIFF (see :func:`redust.files.write_scan`)."""
    carried = scan.carried.get("tiff")
    if isinstance(carried, CarriedTiff) and scan.format == "TIFF":
        tree, layout, page = carried.tree, _current(scan, _lossless(carried.layout)), scan.page
        with carried.open() if carried.needs_source(page) else nullcontext() as source:
            _write(scan, file, tree, layout, page, source)
    else:
        write_new(scan, file)


def write_new(scan: Scan, file: BinaryIO, further_tags: Mapping[int, Tag] = MappingProxyType({})) -> None:
    """Write a scan as the one page of a new TIFF, with further tags in the byte order :func:`order_of` says."""
    tree = _new_tree(scan)
    page = replace(tree.pages[0], tags={**tree.pages[0].tags, **further_tags})
    _write(scan, file, replace(tree, pages=(page,)), _new_layout(scan), 0, None)


def order_of(scan: Scan) -> Order:
    """The byte order of a new TIFF: that of the scan's EXIF block."""
    return _new_tree(scan).order


def _write(scan: Scan, file: BinaryIO, tree: TiffTree, layout: Layout, page: int, source: BinaryIO | None) -> None:
    copied = stamp_of(source)[0] if source is not None else 0
    raw = layout.height * layout.width * layout.samples * layout.dtype.itemsize
    worst = raw * 3 // 2 if layout.compression in (LZW, PACKBITS) else raw  # grain does not compress
    tree = replace(tree, big=tree.big or worst + copied > _BIG)
    painted = _paint_page(scan, tree, layout, page)
    tree = replace(tree, pages=(*tree.pages[:page], painted[0], *tree.pages[page + 1 :]))
    pages = (painted if number == page else (ifd, None) for number, ifd in enumerate(tree.pages))
    write_tree(file, tree, source, pages)


def _paint_page(scan: Scan, tree: TiffTree, layout: Layout, page: int) -> PaintedPage:
    """A page whose pixels are written anew."""
    ifd = describe_page(tree, tree.pages[page], scan, layout)
    return ifd, (layout.offsets_code, encode_segments(scan, layout, tree.order))


def write_pages(scans: Iterator[Scan], file: BinaryIO) -> None:
    """Write a TIFF again with several of its pages changed; the others are copied as they lie in the source.

    Parameters
    ----------
    scans
        Pages of one file as :func:`read` returned them, in the order of the file; each is taken when the one before
        it is written, so that there is never more than one in memory.
    file
        Empty and seekable.

    Raises
    ------
    ScanError
        If the source has changed since it was read.
    """
    pending = [next(scans)]
    carried = _carried_tiff(pending[0])
    tree = carried.tree
    worst = sum(_raw_bytes(tree, ifd) * 3 // 2 for ifd in tree.pages)
    with carried.open() as source:
        tree = replace(tree, big=tree.big or worst + stamp_of(source)[0] > _BIG)

        def paint() -> Iterator[PaintedPage]:
            for number, ifd in enumerate(tree.pages):
                if not pending or pending[0].page != number:
                    yield ifd, None
                    continue
                layout = _current(pending[0], _lossless(_carried_tiff(pending[0]).layout))
                yield _paint_page(pending.pop(), tree, layout, number)
                pending.extend(islice(scans, 1))
                if pending and _carried_tiff(pending[0]).stamp != carried.stamp:
                    raise ScanError(f"{carried.path} has changed since it was read. Run the restoration again.")

        write_tree(file, tree, source, paint())


def _carried_tiff(scan: Scan) -> CarriedTiff:
    carried = scan.carried.get("tiff")
    if not isinstance(carried, CarriedTiff):
        raise ValueError("pages can be written together only if they were read from one TIFF")
    return carried


def _raw_bytes(tree: TiffTree, ifd: Ifd) -> int:
    height, width, samples, bits = (tree.number(ifd, code, 1) for code in (257, 256, 277, 258))
    return height * width * samples * -(-bits // 8)


def _lossless(layout: Layout) -> Layout:
    """JPEG inside a TIFF would change every pixel once more: its decoded pixels are written with Deflate."""
    if layout.compression != JPEG:
        return layout
    logger.info("the JPEG-compressed TIFF is written with lossless Deflate")
    photometric = RGB if layout.samples == 3 else layout.photometric
    return replace(layout, compression=DEFLATE, predictor=2, photometric=photometric)


def _current(scan: Scan, layout: Layout) -> Layout:
    """The layout with the extra planes the scan has now."""
    extras = _extras(scan)
    if set(extras) == set(layout.extras):
        return layout
    return replace(layout, extras=extras, samples=scan.channels + len(extras), premultiplied=False)


def _extras(scan: Scan) -> tuple[str, ...]:
    return tuple(name for name in ("alpha", "infrared") if getattr(scan, name) is not None)


def _new_layout(scan: Scan) -> Layout:
    height, width = scan.shape
    extras = _extras(scan)
    samples = scan.channels + len(extras)
    row_bytes = width * samples * scan.pixels.dtype.itemsize
    return Layout(
        height=height,
        width=width,
        samples=samples,
        dtype=scan.pixels.dtype,
        extras=extras,
        photometric=RGB if scan.channels == 3 else BLACK_IS_ZERO,
        compression=NO_COMPRESSION,
        predictor=1,
        planar=False,
        tile=None,
        rows=min(height, max(1, STRIP_BYTES // row_bytes)),
    )


def _new_tree(scan: Scan) -> TiffTree:
    """A tree of one page that holds what the EXIF block says, in the block's byte order."""
    block = exif.tree_of(scan.exif)
    if block is None:
        return TiffTree("<", False, (Ifd({}),))
    if len(block.pages) > 1:
        logger.warning("%s: the thumbnail inside its EXIF block is not carried into TIFF", scan.name)
    return TiffTree(block.order, False, (exif.descriptive(block.pages[0]),))
