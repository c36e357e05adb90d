"""TIFF in and out. Pixels are tifffile's and imagecodecs', the structure :mod:`redust.files.tiff_tree`'s."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator
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
from redust.files.limits import Request
from redust.files.threads import cores, in_order
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
    RGB,
    WHITE_IS_ZERO,
    ZSTD,
    Layout,
    check_segments,
    layout_of,
)
from redust.files.tiff_tree import Buffer, Ifd, Order, Tag, TiffTree, blob, check_places, read_tree, write_tree

logger = logging.getLogger(__name__)

ICC, XMP, IPTC, PHOTOSHOP, ORIENTATION, SAMPLE_MAX = 34675, 700, 33723, 34377, 274, 281
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

    def more(self, page: int) -> bool:
        """Whether anything but the pixels of `page` must be copied out of the source."""
        inside = self.tree.pages[page]
        below = [ifd for ifd in inside.walk() if ifd is not inside]
        others = [ifd for number, other in enumerate(self.tree.pages) if number != page for ifd in other.walk()]
        own = set(inside.segments) - {self.layout.offsets_code}
        return bool(own) or any(ifd.segments for ifd in [*below, *others])

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
    layout = layout_of(tree, ifd, request)
    stamp = stamp_of(file)
    check_segments(layout, ifd)
    check_places(tree, stamp[0])
    pixels, planes = _decode(file, page, layout)
    return _scan(tree, ifd, page, layout, pixels, planes, CarriedTiff(request.path, stamp, tree, layout))


def _scan(
    tree: TiffTree, ifd: Ifd, page: int, layout: Layout, pixels: Pixels, planes: dict[str, Plane], carried: CarriedTiff
) -> Scan:
    top = tree.number(ifd, SAMPLE_MAX, 0) if layout.dtype == np.uint16 else 0
    return Scan(
        pixels=pixels,
        alpha=planes.get("alpha"),
        infrared=planes.get("infrared"),
        bits=top.bit_length() if 255 < top < 65535 else 0,
        dpi=exif.dpi_of(tree, ifd),
        icc=bytes_of(ifd, ICC),
        exif=exif.block_of(tree, ifd),
        xmp=bytes_of(ifd, XMP),
        iptc=_iptc(ifd),
        orientation=exif.orientation_of(tree, ifd),
        page=page,
        format="TIFF",
        carried={"tiff": carried, "photoshop": bytes_of(ifd, PHOTOSHOP), "only here": _only_here(tree, page, layout)},
    )


def bytes_of(ifd: Ifd, code: int) -> bytes | None:
    """The bytes of a tag, None if it is absent or empty."""
    tag = ifd.tags.get(code)
    return (tag.data or None) if tag is not None else None


def _iptc(ifd: Ifd) -> bytes | None:
    return bytes_of(ifd, IPTC) or photoshop.iptc_of(bytes_of(ifd, PHOTOSHOP))


def _only_here(tree: TiffTree, page: int, layout: Layout) -> tuple[str, ...]:
    """What no other format holds. Reduced copies of the picture do not count: they hold nothing of their own."""
    others = [ifd for number, ifd in enumerate(tree.pages) if number != page and not tree.number(ifd, 254, 0) & 1]
    inner = [ifd for ifd in tree.pages[page].children.get(330, ()) if not tree.number(ifd, 254, 0) & 1]
    found = []
    if others:
        found.append(f"{len(others)} further page{'s' * (len(others) > 1)}")
    if inner:
        found.append(f"{len(inner)} sub-image{'s' * (len(inner) > 1)}")
    if 37724 in tree.pages[page].tags:
        found.append("Photoshop's document data")
    if layout.premultiplied:
        found.append("an alpha channel that colours are multiplied by")
    return tuple(found)


# --- decoding ---------------------------------------------------------------------------------------------


def _decode(file: BinaryIO, page: int, layout: Layout) -> tuple[Pixels, dict[str, Plane]]:
    """Decode into arrays that are made once; min-is-white becomes light (white = large)."""
    channels = layout.samples - len(layout.extras)
    pixels: Pixels = np.empty((layout.height, layout.width, channels), layout.dtype)
    planes = {name: np.empty((layout.height, layout.width), layout.dtype) for name in layout.extras}
    file.seek(0)
    try:
        with tifffile.TiffFile(file) as tiff:
            _fill(tiff.pages[page], layout, pixels, planes)
    except Exception as error:
        raise UnreadableScan(f"Its pixels cannot be decoded: {error}. Use a sound copy.") from error
    if layout.photometric == WHITE_IS_ZERO:
        np.invert(pixels, out=pixels)
    return (pixels.view(np.uint8) * np.uint8(255) if layout.dtype == np.bool_ else pixels), planes


def _fill(page: Any, layout: Layout, pixels: Pixels, planes: dict[str, Plane]) -> None:
    if page.is_contiguous and layout.predictor == 1 and not planes and not layout.planar:
        page.asarray(out=pixels.reshape(page.shaped), squeeze=False)
        return
    targets = [*(pixels[..., i] for i in range(pixels.shape[2])), *(planes[name] for name in layout.extras)]

    def place(decoded: tuple[NDArray[Any] | None, tuple[int, ...], tuple[int, ...]]) -> None:
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
    for _ in page.segments(func=place, maxworkers=cores(), buffersize=16 << 20, sort=True, _fullsize=False):
        pass


# --- encoding ---------------------------------------------------------------------------------------------


def write(scan: Scan, file: BinaryIO) -> None:
    """Write a scan as TIFF (see :func:`redust.files.write_scan`)."""
    carried = scan.carried.get("tiff")
    if isinstance(carried, CarriedTiff) and scan.format == "TIFF":
        tree, layout, page = carried.tree, _current(scan, _lossless(carried.layout)), scan.page
        with carried.open() if carried.more(page) else nullcontext() as source:
            _write(scan, file, tree, layout, page, source)
    else:
        tree = _new_tree(scan)
        _write(scan, file, tree, _new_layout(scan), 0, None)


def _write(scan: Scan, file: BinaryIO, tree: TiffTree, layout: Layout, page: int, source: BinaryIO | None) -> None:
    others = stamp_of(source)[0] if source is not None else 0
    raw = layout.height * layout.width * layout.samples * layout.dtype.itemsize
    worst = raw * 3 // 2 if layout.compression in (LZW, PACKBITS) else raw  # grain does not compress
    tree = replace(tree, big=tree.big or worst + others > _BIG)
    ifd = _described(tree, tree.pages[page], scan, layout)
    pages = (*tree.pages[:page], ifd, *tree.pages[page + 1 :])
    painting = layout.offsets_code, _segments(scan, layout, tree.order)
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
    segments = {code: places for code, places in ifd.segments.items() if code not in (273, 324)}
    _set_structure(tree, tags, layout, scan)
    _set_bytes(tags, ICC, scan.icc, 7)
    _set_bytes(tags, XMP, scan.xmp, 1)
    if scan.format != "TIFF" or scan.iptc != _iptc(ifd):
        _set_bytes(tags, IPTC, scan.iptc, 7)
        if scan.carried.get("photoshop") is not None:
            _set_bytes(tags, PHOTOSHOP, photoshop.resources_of(scan), 7)
    exif.set_dpi(tree, ifd, tags, scan.dpi)
    exif.set_orientation(tree, ifd, tags, scan.orientation)
    return Ifd(tags, ifd.children, segments)


def _with_exif(tree: TiffTree, ifd: Ifd, scan: Scan) -> Ifd:
    """Take the EXIF of a scan whose block was changed since it was read."""
    bare = ifd.without([*exif.descriptive(ifd).tags, *exif.descriptive(ifd).children])
    block = exif.tree_of(scan.exif)
    if block is None:
        return bare
    told = exif.descriptive(exif.reordered(block, tree.order).pages[0])
    return replace(bare, tags={**bare.tags, **told.tags}, children={**bare.children, **told.children})


def _set_structure(tree: TiffTree, tags: dict[int, Tag], layout: Layout, scan: Scan) -> None:
    wanted: dict[int, tuple[int, ...]] = {
        256: (layout.width,),
        257: (layout.height,),
        258: (8 * layout.dtype.itemsize,) * layout.samples,
        259: (layout.compression,),
        262: (layout.photometric,),
        277: (layout.samples,),
        284: (2 if layout.planar else 1,),
        317: (layout.predictor,),
        339: (3 if layout.dtype == np.float32 else 1,) * layout.samples,
    }
    if layout.tile is None:
        wanted[278] = (layout.rows,)
    if layout.extras and _kinds(tree, tags) != layout.extras:
        wanted[338] = tuple(2 if name == "alpha" else 0 for name in layout.extras)
    elif not layout.extras:
        tags.pop(338, None)
    if scan.format == "JPEG 2000" and 8 < scan.bits < 16:  # elsewhere fewer bits do not mean smaller numbers
        wanted[SAMPLE_MAX] = ((1 << scan.bits) - 1,) * layout.samples
    defaults = {259: (1,), 262: (), 277: (1,), 284: (1,), 317: (1,), 339: (1,) * layout.samples}
    for code, values in wanted.items():
        if not _says(tree, tags, code, values, defaults.get(code)):
            tags[code] = tree.long(*values) if max(values) > 65535 else tree.short(*values)
    if layout.photometric == RGB:
        for code in (347, 529, 530, 531, 532):  # JPEG tables and YCbCr: they say nothing about RGB
            tags.pop(code, None)


def _kinds(tree: TiffTree, tags: dict[int, Tag]) -> tuple[str, ...]:
    return tuple(EXTRAS.get(kind, "") for kind in tree.ints(Ifd(tags), 338) or ())


def _says(
    tree: TiffTree, tags: dict[int, Tag], code: int, values: tuple[int, ...], default: tuple[int, ...] | None
) -> bool:
    """Whether the directory says so already, if only by default."""
    found = tree.ints(Ifd(tags), code)
    if found is None:
        return values == default
    if code == 278:
        return min(found[0], values[0]) == values[0] and found[0] >= values[0]
    return found == values or (len(found) == 1 and set(values) == set(found))


def _set_bytes(tags: dict[int, Tag], code: int, data: bytes | None, kind: int) -> None:
    if data is None:
        tags.pop(code, None)
    elif code not in tags or tags[code].data != data:
        tags[code] = blob(data, kind)


def _segments(scan: Scan, layout: Layout, order: Order) -> Iterator[Iterable[Buffer]]:
    """Each strip or tile of the page, encoded, in the order of the file."""
    if layout.compression == NO_COMPRESSION and layout.predictor == 1:
        return (_raw(scan, layout, order, place) for place in _places(layout))
    return in_order(lambda place: (_encoded(scan, layout, order, place),), _places(layout))


def _places(layout: Layout) -> Iterator[tuple[int, int, int]]:
    """(plane, row, column) of each strip or tile."""
    tall, wide = layout.chunk
    for plane in range(layout.planes):
        for row in range(0, layout.height, tall):
            for column in range(0, layout.width, wide):
                yield plane, row, column


def _raw(scan: Scan, layout: Layout, order: Order, place: tuple[int, int, int]) -> Iterator[Buffer]:
    """An uncompressed strip or tile in pieces of bounded size: a strip may be the whole picture."""
    plane, row, column = place
    tall, wide = layout.chunk
    if layout.tile is None:
        tall = min(tall, layout.height - row)
    step = max(1, _STRIP_BYTES // (wide * layout.samples * layout.dtype.itemsize))
    for start in range(0, tall, step):
        block = _block(scan, layout, (plane, row + start, column), min(step, tall - start), wide)
        yield _bytes(block, order)


def _encoded(scan: Scan, layout: Layout, order: Order, place: tuple[int, int, int]) -> Buffer:
    _, row, _ = place
    tall, wide = layout.chunk
    if layout.tile is None:
        tall = min(tall, layout.height - row)
    block = _block(scan, layout, place, tall, wide)
    if layout.predictor == 2:
        block = imagecodecs.delta_encode(block, axis=-2)
    elif layout.predictor == 3:
        block = imagecodecs.floatpred_encode(block, axis=-2)
        order = _NATIVE  # its bytes are sorted by weight already
    if layout.compression == PACKBITS:
        return bytes(imagecodecs.packbits_encode(np.ascontiguousarray(_ordered(block, order)), axis=-2))
    if layout.compression == NO_COMPRESSION:
        return _bytes(block, order)
    return bytes(_ENCODERS[layout.compression](_bytes(block, order)))


def _block(scan: Scan, layout: Layout, place: tuple[int, int, int], tall: int, wide: int) -> NDArray[Any]:
    """Samples (tall, wide, S) as the file wants them: with extra planes, white as zero, edges of tiles padded."""
    plane, row, column = place
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
