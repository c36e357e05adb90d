"""TIFF in and out. Pixels are tifffile's and imagecodecs', the structure :mod:`redust.files.tiff_tree`'s."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

from redust.core.arrays import Pixels, Plane
from redust.core.errors import ScanError, UnreadableScan
from redust.core.scan import Scan
from redust.files import exif, photoshop
from redust.files.depth import expand_depth, shrink_depth
from redust.files.limits import Request
from redust.files.metadata import name_aspect
from redust.files.threads import cores, in_order
from redust.files.tiff_jpeg import check_streams, read_streams
from redust.files.tiff_layout import (
    BLACK_IS_ZERO,
    DEFLATE,
    EXTRAS,
    JPEG,
    LZMA,
    LZW,
    NO_COMPRESSION,
    OLD_DEFLATE,
    PACKBITS,
    PREDICTED,
    RGB,
    WHITE_IS_ZERO,
    ZSTD,
    Layout,
    check_segments,
    declared_bits,
    extra_kinds,
    layout_of,
)
from redust.files.tiff_mask import check_lossless, is_mask_only, read_mask_page
from redust.files.tiff_reader import check_bounds, read_tree
from redust.files.tiff_tree import Buffer, Ifd, Order, Tag, TiffTree, byte_tag
from redust.files.tiff_writer import Painting, write_tree

logger = logging.getLogger(__name__)

ICC, XMP, IPTC, PHOTOSHOP = 34675, 700, 33723, 34377
_NATIVE: Order = "<" if sys.byteorder == "little" else ">"
_STRIP_BYTES = 1 << 20
_BIG = (1 << 32) - (64 << 20)
_ENCODERS: dict[int, Callable[..., bytes | bytearray]] = {
    LZW: imagecodecs.lzw_encode,
    DEFLATE: imagecodecs.deflate_encode,
    OLD_DEFLATE: imagecodecs.deflate_encode,
    LZMA: imagecodecs.lzma_encode,
    ZSTD: imagecodecs.zstd_encode,
}


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
        bits=layout.bits,
        dpi=exif.dpi_of(tree, ifd),
        icc=bytes_of(ifd, ICC),
        exif=exif.block_of(tree, ifd),
        xmp=bytes_of(ifd, XMP),
        iptc=_iptc(ifd),
        orientation=exif.orientation_of(tree, ifd),
        page=page,
        format="TIFF",
        carried={
            "tiff": carried,
            "photoshop": bytes_of(ifd, PHOTOSHOP),
            "only here": _list_unportable(tree, page, layout),
            "lost anyway": tuple(exif.list_unknown_tags(tree)),
        },
    )


def bytes_of(ifd: Ifd, code: int) -> bytes | None:
    """The bytes of a tag, None if it is absent or empty."""
    tag = ifd.tags.get(code)
    return (tag.data or None) if tag is not None else None


def _iptc(ifd: Ifd) -> bytes | None:
    return bytes_of(ifd, IPTC) or photoshop.iptc_of(bytes_of(ifd, PHOTOSHOP))


def _has_second_iptc(ifd: Ifd) -> bool:
    """Whether Photoshop's resources hold another IPTC block than the page itself."""
    return photoshop.iptc_of(bytes_of(ifd, PHOTOSHOP)) not in (None, bytes_of(ifd, IPTC))


def _list_unportable(tree: TiffTree, page: int, layout: Layout) -> tuple[str, ...]:
    """What no other format holds. Reduced copies of the picture do not count: they hold nothing of their own."""
    pages = [ifd for number, ifd in enumerate(tree.pages) if number != page and not tree.number(ifd, 254, 0) & 1]
    below = [ifd for ifd in tree.pages[page].children.get(330, ()) if not tree.number(ifd, 254, 0) & 1]
    names = []
    if pages:
        names.append(f"{len(pages)} further page{'s' * (len(pages) > 1)}")
    if below:
        names.append(f"{len(below)} sub-image{'s' * (len(below) > 1)}")
    if 37724 in tree.pages[page].tags:
        names.append("Photoshop's document data")
    if layout.premultiplied:
        names.append("an alpha channel that colours are multiplied by")
    if bytes_of(tree.pages[page], IPTC) and _has_second_iptc(tree.pages[page]):
        names.append("a second IPTC block")
    aspect = exif.aspect_of(tree, tree.pages[page])
    return (*names, *exif.list_beyond_block(tree.pages[page]), *name_aspect(*aspect))


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
            _fill_planes(tiff.pages[page], layout, pixels, planes)
    except Exception as error:
        raise UnreadableScan(f"Its pixels cannot be decoded: {error}. Use a sound copy.") from error
    if streams:
        check_streams(file, ifd, layout, streams, pixels, request)
    bits = _expand(declared_bits(tree, ifd, layout.dtype), [pixels, *planes.values()])
    if layout.photometric == WHITE_IS_ZERO:
        np.invert(pixels, out=pixels)
    return pixels, planes, bits


def _expand(bits: int, arrays: Sequence[NDArray[Any]]) -> int:
    """Spread `bits` significant bits over the full range; 0 if a sample contradicts them."""
    if not bits or max(int(samples.max()) for samples in arrays) >= 1 << bits:
        return 0
    for samples in arrays:
        expand_depth(samples, bits)
    return bits


def _fill_planes(page: Any, layout: Layout, pixels: Pixels, planes: dict[str, Plane]) -> None:
    page.predictor = layout.predictor  # tifffile obeys one where other readers ignore it
    if page.is_contiguous and layout.predictor == 1 and not planes and not layout.planar:
        page.asarray(out=pixels.reshape(page.shaped), squeeze=False)
        return
    targets = [*(pixels[..., i] for i in range(pixels.shape[2])), *(planes[name] for name in layout.extras)]

    def store_segment(decoded: tuple[NDArray[Any] | None, tuple[int, ...], tuple[int, ...]]) -> None:
        segment, (plane, _, row, column, _), _ = decoded
        if segment is None:
            raise ValueError("a strip or tile has no data")
        block = segment[0, : layout.height - row, : layout.width - column]
        tall, wide = block.shape[:2]
        if not planes and not layout.planar:
            pixels[row : row + tall, column : column + wide] = block
            return
        for sample in range(block.shape[2]):
            targets[plane + sample][row : row + tall, column : column + wide] = block[..., sample]

    page.init_decode()
    for _ in page.segments(func=store_segment, maxworkers=cores(), buffersize=16 << 20, sort=True, _fullsize=False):
        pass


# --- encoding ---------------------------------------------------------------------------------------------


def write(scan: Scan, file: BinaryIO) -> None:
    """Write a scan as TIFF (see :func:`redust.files.write_scan`)."""
    carried = scan.carried.get("tiff")
    if isinstance(carried, CarriedTiff) and scan.format == "TIFF":
        tree, layout, page = carried.tree, _current(scan, _lossless(carried.layout)), scan.page
        with carried.open() if carried.needs_source(page) else nullcontext() as source:
            _write(scan, file, tree, layout, page, source)
    else:
        tree = _new_tree(scan)
        _write(scan, file, tree, _new_layout(scan), 0, None)


def _write(scan: Scan, file: BinaryIO, tree: TiffTree, layout: Layout, page: int, source: BinaryIO | None) -> None:
    copied = stamp_of(source)[0] if source is not None else 0
    raw = layout.height * layout.width * layout.samples * layout.dtype.itemsize
    worst = raw * 3 // 2 if layout.compression in (LZW, PACKBITS) else raw  # grain does not compress
    tree = replace(tree, big=tree.big or worst + copied > _BIG)
    ifd = _described(tree, tree.pages[page], scan, layout)
    pages = (*tree.pages[:page], ifd, *tree.pages[page + 1 :])
    painting = layout.offsets_code, _encode_segments(scan, layout, tree.order)
    write_tree(file, replace(tree, pages=pages), source, {page: painting})


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
        rows=min(height, max(1, _STRIP_BYTES // row_bytes)),
    )


def _new_tree(scan: Scan) -> TiffTree:
    """A tree of one page that holds what the EXIF block says, in the block's byte order."""
    block = exif.tree_of(scan.exif)
    if block is None:
        return TiffTree("<", False, (Ifd({}),))
    if len(block.pages) > 1:
        logger.warning("%s: the thumbnail inside its EXIF block is not carried into TIFF", scan.name)
    return TiffTree(block.order, False, (exif.descriptive(block.pages[0]),))


def _described(tree: TiffTree, ifd: Ifd, scan: Scan, layout: Layout) -> Ifd:
    """The page's directory with everything the scan says; what already agrees stays as it is, byte for byte."""
    if exif.block_of(tree, ifd) != scan.exif and scan.format == "TIFF":
        ifd = _with_exif(tree, ifd, scan)
    tags = dict(ifd.tags)
    segments = {code: spans for code, spans in ifd.segments.items() if code not in (273, 324)}
    _set_structure(tree, tags, layout)
    _set_bytes(tags, ICC, scan.icc, 7)
    _set_bytes(tags, XMP, scan.xmp, 1)
    if scan.format != "TIFF" or scan.iptc != _iptc(ifd):
        _set_bytes(tags, IPTC, scan.iptc, 7)
        if scan.carried.get("photoshop") is not None:
            _set_bytes(tags, PHOTOSHOP, photoshop.resources_of(scan), 7)
    exif.set_dpi(tree, ifd, tags, scan.dpi)
    exif.set_orientation(tree, ifd, tags, scan.orientation)
    return replace(ifd, tags=tags, segments=segments)


def _with_exif(tree: TiffTree, ifd: Ifd, scan: Scan) -> Ifd:
    """Take the EXIF of a scan whose block was changed since it was read."""
    carried = exif.descriptive(ifd)
    bare = ifd.without([*carried.tags, *carried.children])
    block = exif.tree_of(scan.exif)
    if block is None:
        return bare
    new = exif.descriptive(exif.reorder_bytes(block, tree.order).pages[0])
    return replace(
        bare,
        tags={**bare.tags, **new.tags},
        children={**bare.children, **new.children},
        pointer_types={**bare.pointer_types, **new.pointer_types},
        duplicates=(*bare.duplicates, *new.duplicates),
    )


def _set_structure(tree: TiffTree, tags: dict[int, Tag], layout: Layout) -> None:
    """Make the tags say how the pixels are stored; what says so already stays as it is."""
    values_of: dict[int, tuple[int, ...]] = {
        256: (layout.width,),
        257: (layout.height,),
        258: (8 * layout.dtype.itemsize,) * layout.samples,
        259: (layout.compression,),
        262: (layout.photometric,),
        284: (2 if layout.planar else 1,),
        339: (3 if layout.dtype == np.float32 else 1,) * layout.samples,
    }
    if layout.compression in PREDICTED:  # elsewhere readers ignore it
        values_of[317] = (layout.predictor,)
    if layout.tile is None:
        values_of[278] = (layout.rows,)
    if not layout.extras:
        tags.pop(338, None)
    elif not _declares_extras(tree, tags, layout):
        values_of[338] = tuple(2 if name == "alpha" else 0 for name in layout.extras)
    values_of[277] = (layout.samples,)
    defaults = {259: (1,), 262: (), 277: (1,), 284: (1,), 317: (1,), 339: (1,) * layout.samples}
    for code, values in values_of.items():
        if not _says(tree, tags, code, values, defaults.get(code)):
            tags[code] = tree.long(*values) if max(values) > 65535 else tree.short(*values)
    if layout.photometric == RGB:
        for code in (347, 529, 530, 531, 532):  # JPEG tables and YCbCr: they say nothing about RGB
            tags.pop(code, None)


def _declares_extras(tree: TiffTree, tags: dict[int, Tag], layout: Layout) -> bool:
    """Whether the tags of a page that was read say, if only by their silence, what its extra samples are."""
    if tree.number(Ifd(tags), 277, 0) != layout.samples:
        return False
    kinds = extra_kinds(tree, Ifd(tags), len(layout.extras))
    return tuple(EXTRAS.get(kind, "") for kind in kinds) == layout.extras


def _says(
    tree: TiffTree, tags: dict[int, Tag], code: int, values: tuple[int, ...], default: tuple[int, ...] | None
) -> bool:
    """Whether the directory says so already, if only by default."""
    current = tree.ints(Ifd(tags), code)
    if current is None:
        return values == default
    if code == 278:
        return min(current[0], values[0]) == values[0] and current[0] >= values[0]
    return current == values or (len(current) == 1 and set(values) == set(current))


def _set_bytes(tags: dict[int, Tag], code: int, data: bytes | None, kind: int) -> None:
    if data is None:
        tags.pop(code, None)
    elif code not in tags or tags[code].data != data:
        tags[code] = byte_tag(data, kind)


def _encode_segments(scan: Scan, layout: Layout, order: Order) -> Painting:
    """Each strip or tile of the page, encoded, in the order of the file."""
    if layout.compression == NO_COMPRESSION:
        return (_split_segment(scan, layout, order, corner) for corner in _corners(layout))
    encoded = in_order(lambda corner: _encode_segment(scan, layout, order, corner), _corners(layout))
    return ((len(data), (data,)) for data in encoded)


def _corners(layout: Layout) -> Iterator[tuple[int, int, int]]:
    """(plane, row, column) of each strip or tile."""
    tall, wide = layout.chunk
    for plane in range(layout.planes):
        for row in range(0, layout.height, tall):
            for column in range(0, layout.width, wide):
                yield plane, row, column


def _rows_at(layout: Layout, row: int) -> int:
    """How many rows the strip or tile has that begins at a row."""
    tall, _ = layout.chunk
    return tall if layout.tile else min(tall, layout.height - row)


def _split_segment(
    scan: Scan, layout: Layout, order: Order, corner: tuple[int, int, int]
) -> tuple[int, Iterator[Buffer]]:
    """An uncompressed strip or tile: its length, and pieces of bounded size, since it may be the whole picture."""
    plane, row, column = corner
    tall, wide = _rows_at(layout, row), layout.chunk[1]
    row_bytes = wide * (layout.samples // layout.planes) * layout.dtype.itemsize
    step = max(1, _STRIP_BYTES // row_bytes)
    pieces = (
        _bytes(_block(scan, layout, (plane, row + start, column), min(step, tall - start), wide), order)
        for start in range(0, tall, step)
    )
    return tall * row_bytes, pieces


def _encode_segment(scan: Scan, layout: Layout, order: Order, corner: tuple[int, int, int]) -> bytes:
    """A compressed strip or tile."""
    block = _block(scan, layout, corner, _rows_at(layout, corner[1]), layout.chunk[1])
    if layout.predictor == 2:
        block = imagecodecs.delta_encode(block, axis=-2)
    elif layout.predictor == 3:
        block = imagecodecs.floatpred_encode(block, axis=-2)
        order = _NATIVE  # its bytes are sorted by weight already
    if layout.compression == PACKBITS:
        return bytes(imagecodecs.packbits_encode(np.ascontiguousarray(_ordered(block, order)), axis=-2))
    return bytes(_ENCODERS[layout.compression](_bytes(block, order)))


def _block(scan: Scan, layout: Layout, corner: tuple[int, int, int], tall: int, wide: int) -> NDArray[Any]:
    """Samples (tall, wide, S) as they lie in the file: with extra planes, white as zero, edges of tiles padded."""
    plane, row, column = corner
    rows, columns = slice(row, row + tall), slice(column, column + wide)
    block: NDArray[Any]
    if layout.planar:
        block = _sample(scan, layout, plane)[rows, columns, None]
    elif layout.extras:
        block = np.dstack([_sample(scan, layout, sample)[rows, columns] for sample in range(layout.samples)])
    else:
        block = scan.pixels[rows, columns]
    if layout.photometric == WHITE_IS_ZERO and (not layout.planar or plane == 0):
        block = np.concatenate([np.invert(block[..., :1]), block[..., 1:]], axis=-1)
    block = shrink_depth(block, layout.bits)
    missing = tall - block.shape[0], wide - block.shape[1]
    return np.pad(block, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge") if any(missing) else block


def _sample(scan: Scan, layout: Layout, index: int) -> Plane:
    if index < scan.channels:
        return scan.pixels[..., index]
    plane = getattr(scan, layout.extras[index - scan.channels])
    if plane is None:
        raise ValueError(f"the scan has lost its {layout.extras[index - scan.channels]} plane")
    return np.asarray(plane)


def _ordered(block: NDArray[Any], order: Order) -> NDArray[Any]:
    return block.astype(block.dtype.newbyteorder(order), copy=False)


def _bytes(block: NDArray[Any], order: Order) -> memoryview:
    return np.ascontiguousarray(_ordered(block, order)).data.cast("B")
