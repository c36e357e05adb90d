"""How the pixels of one TIFF page lie in the file, read from its tags and checked before anything is decoded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from redust.core.errors import UnreadableScan, UnsupportedScan
from redust.files.limits import Request, check_size
from redust.files.tiff_tree import Ifd, TiffTree

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, YCBCR = 0, 1, 2, 3, 6
PHOTOMETRICS = (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, YCBCR)
MAX_SAMPLE_VALUE, SMAX_SAMPLE_VALUE = 281, 341
NO_COMPRESSION, LZW, JPEG, DEFLATE, PACKBITS, LZMA, ZSTD = 1, 5, 7, 8, 32773, 34925, 50000
OLD_DEFLATE = 32946
DNG_VERSION = 50706
#: Compressions that ReDust reads; all but JPEG it also writes.
COMPRESSIONS = {
    NO_COMPRESSION: "none",
    LZW: "LZW",
    JPEG: "JPEG",
    DEFLATE: "Deflate",
    OLD_DEFLATE: "Deflate",
    PACKBITS: "PackBits",
    LZMA: "LZMA",
    ZSTD: "ZSTD",
}
_PHOTOMETRIC = {
    3: "palette colours",
    4: "a transparency mask",
    5: "CMYK",
    8: "CIELab",
    9: "ICCLab",
    32803: "raw sensor data",
}
_FOREIGN = {
    33629: "a MetaMorph stack",
    34412: "a Zeiss LSM stack",
    65420: "a Hamamatsu NDPI slide",
}
#: Compressions under which readers obey a predictor; they ignore it elsewhere.
PREDICTED = {LZW, DEFLATE, OLD_DEFLATE, LZMA, ZSTD}
_LARGEST_TILE = 64 << 20  # bytes
_SMALLEST_WHITE = 8  # bits
#: (SampleFormat, BitsPerSample) to the dtype in memory; integers that are packed, and half floats, are widened.
DTYPES = {
    (1, 8): "uint8",
    (1, 10): "uint16",
    (1, 12): "uint16",
    (1, 14): "uint16",
    (1, 16): "uint16",
    (3, 16): "float32",
    (3, 32): "float32",
}
#: What the numbers of tag 338 mean here.
EXTRAS = {0: "infrared", 1: "alpha", 2: "alpha"}
#: Tags of one number, and of one for each sample, that decide how pixels are decoded.
_SINGLE_VALUES = (256, 257, 259, 262, 266, 277, 278, 284, 317, 322, 323)
_VALUE_LISTS = (258, 338, 339)
_BYTE_TYPES = (1, 6)


@dataclass(frozen=True)
class Layout:
    """How the pixels of one page lie in the file.

    Parameters
    ----------
    height, width, samples
        Size in pixels; samples per pixel, extra ones included.
    dtype
        Of one sample in memory, in native byte order.
    extras
        What each sample beyond grey or R G B is: ``"alpha"`` or ``"infrared"``.
    photometric, compression, predictor
        As the TIFF tags number them.
    planar
        Whether each sample lies in a plane of its own.
    tile
        (height, width) of a tile, None for strips.
    rows
        Rows per strip.
    premultiplied
        Whether colour has been multiplied by alpha.
    bits
        Significant bits, if white is smaller than the largest number; else 0.
    narrow_bits
        Of one sample in the file, where that is narrower than `dtype`: 10, 12 or 14 bits packed, or a half float.
    """

    height: int
    width: int
    samples: int
    dtype: np.dtype[np.generic]
    extras: tuple[str, ...]
    photometric: int
    compression: int
    predictor: int
    planar: bool
    tile: tuple[int, int] | None
    rows: int
    premultiplied: bool = False
    bits: int = 0
    narrow_bits: int = 0

    @property
    def stored_bits(self) -> int:
        """Bits of one sample in the file."""
        return self.narrow_bits or 8 * self.dtype.itemsize

    @property
    def packed_bits(self) -> int:
        """Bits of one packed integer, 0 if samples fill whole bytes."""
        return self.narrow_bits if self.dtype == np.uint16 else 0

    def row_bytes(self, width: int) -> int:
        """Bytes of an uncompressed row of so many pixels in one plane of the file."""
        return -(-width * (self.samples // self.planes) * self.stored_bits // 8)

    @property
    def offsets_code(self) -> int:
        """The tag that holds the offsets of strips or tiles."""
        return 273 if self.tile is None else 324

    @property
    def chunk(self) -> tuple[int, int]:
        """(height, width) of a full strip or tile."""
        return self.tile or (self.rows, self.width)

    @property
    def planes(self) -> int:
        """Separate planes in the file: 1 unless planar."""
        return self.samples if self.planar else 1

    @property
    def chunks(self) -> int:
        """Number of strips or tiles."""
        tall, wide = self.chunk
        return -(-self.height // tall) * -(-self.width // wide) * self.planes


def layout_of(tree: TiffTree, ifd: Ifd, request: Request) -> Layout:
    """Read a page's layout.

    Raises
    ------
    UnsupportedScan
        If the page is of a kind ReDust refuses.
    UnreadableScan
        If its tags contradict each other.
    ScanTooLarge
        If it claims more pixels than allowed.
    """
    check_kind(tree, ifd)
    _check_values(tree, ifd)
    height, width = tree.number(ifd, 257, 0), tree.number(ifd, 256, 0)
    check_size(height, width, request)
    samples = tree.number(ifd, 277, 1)
    photometric = tree.number(ifd, 262, BLACK_IS_ZERO)
    extras, premultiplied = _extras(tree, ifd, samples, photometric)
    dtype, bits = _dtype(tree, ifd, samples), tree.number(ifd, 258, 1)
    compression = tree.number(ifd, 259, NO_COMPRESSION)
    layout = Layout(
        height=height,
        width=width,
        samples=samples,
        dtype=dtype,
        extras=extras,
        photometric=photometric,
        compression=compression,
        predictor=tree.number(ifd, 317, 1) if compression in PREDICTED else 1,
        planar=tree.number(ifd, 284, 1) == 2 and samples > 1,
        tile=_tile(tree, ifd, request),
        rows=min(max(tree.number(ifd, 278, height), 1), height),
        premultiplied=premultiplied,
        narrow_bits=bits if bits < 8 * dtype.itemsize else 0,
    )
    _check_coding(tree, ifd, layout)
    _check_tile(layout)
    return layout


def declared_bits(tree: TiffTree, ifd: Ifd, dtype: np.dtype[np.generic]) -> int:
    """Significant bits by SMaxSampleValue or MaxSampleValue, 0 if they declare no smaller white.

    Both may also be mere statistics of the picture: only 2**bits - 1, the same for all samples, is taken for white.
    """
    for code in (SMAX_SAMPLE_VALUE, MAX_SAMPLE_VALUE):
        values = set(tree.ints(ifd, code) or ())
        top = values.pop() if len(values) == 1 else 0
        if dtype == np.uint16 and top & (top + 1) == 0 and _SMALLEST_WHITE <= top.bit_length() < 16:
            return top.bit_length()
    return 0


def check_segments(layout: Layout, ifd: Ifd) -> None:
    """Refuse a page whose strips or tiles are not all there.

    Raises
    ------
    UnreadableScan
        If one is missing, empty or too short.
    """
    segments = ifd.segments.get(layout.offsets_code, ())
    if len(segments) != layout.chunks:
        raise UnreadableScan(
            f"It promises {layout.chunks} strips or tiles and lists {len(segments)}: damaged. Use a sound copy."
        )
    for index, (offset, count) in enumerate(segments):
        min_bytes = _min_bytes(layout, index)
        if count < min_bytes or not offset:
            raise UnreadableScan("A strip or tile has too few bytes: truncated or damaged. Use a sound copy.")


def _min_bytes(layout: Layout, index: int) -> int:
    if layout.compression != NO_COMPRESSION:
        return 1
    tall, wide = layout.chunk
    if layout.tile is None:
        strips = layout.chunks // layout.planes
        tall = min(tall, layout.height - (index % strips) * tall)
    return tall * layout.row_bytes(wide)


def check_kind(tree: TiffTree, ifd: Ifd, *, photometrics: Iterable[int] = PHOTOMETRICS) -> None:
    """Refuse a page of a kind that ReDust does not take.

    Raises
    ------
    UnsupportedScan
        It names the kind.
    """
    for code, kind in _FOREIGN.items():
        if code in ifd.tags:
            raise UnsupportedScan(f"It is {kind}. Develop or export it as a plain TIFF first.")
    photometric = tree.number(ifd, 262, BLACK_IS_ZERO)
    if photometric not in photometrics:
        kind = _PHOTOMETRIC.get(photometric, f"photometric kind {photometric}")
        raise UnsupportedScan(f"It holds {kind}. Convert it to grey or RGB first.")
    if tree.number(ifd, 254, 0) & 1 and any(not tree.number(sub, 254, 0) & 1 for sub in ifd.children.get(330, ())):
        raise UnsupportedScan("Its page is a thumbnail and the picture a sub-image. Save it as a plain TIFF first.")
    if tree.number(ifd, 32997, 1) != 1 or _stack(tree, ifd):
        raise UnsupportedScan("It is a stack of pictures in one page. Save each as a file of its own first.")
    if _layers(ifd):
        raise UnsupportedScan("It holds Photoshop layers, which would still show the damage. Flatten it first.")


def _check_values(tree: TiffTree, ifd: Ifd) -> None:
    """Refuse tags that say how pixels lie and hold other than whole numbers of two bytes or more, or several.

    Readers take such tags differently: a byte is 1 to some and a text of one character to others.
    """
    for code in (*_SINGLE_VALUES, *_VALUE_LISTS):
        if code not in ifd.tags:
            continue
        values = tree.ints(ifd, code)
        is_single = code in _VALUE_LISTS or len(set(values or ())) == 1
        if not values or not is_single or ifd.tags[code].type in _BYTE_TYPES:
            raise UnreadableScan(
                f"Its tag {code} says how its pixels lie, and holds no number that all readers take alike. "
                "Use a sound copy, or save it anew in another program."
            )


def _stack(tree: TiffTree, ifd: Ifd) -> bool:
    """ImageJ and tifffile may keep further pictures right behind the first, without directories."""
    text = tree.text(ifd, 270)
    return (text.startswith("ImageJ=") and "\nimages=" in text) or ('"shape"' in text and '"truncated": true' in text)


def _layers(ifd: Ifd) -> bool:
    tag = ifd.tags.get(37724)
    names = (b"8BIMLayr", b"8BIMLr16", b"8BIMLr32", b"MIB8ryaL", b"MIB861rL", b"MIB823rL")
    return tag is not None and any(name in tag.data for name in names)


def _dtype(tree: TiffTree, ifd: Ifd, samples: int) -> np.dtype[np.generic]:
    bits = tree.ints(ifd, 258) or (1,)
    formats = tree.ints(ifd, 339) or (1,)
    if len(set(bits)) > 1 or len(set(formats)) > 1 or len(bits) not in (1, samples):
        raise UnsupportedScan("Its channels differ in depth. Convert it to one depth for all first.")
    name = DTYPES.get((formats[0], bits[0]))
    if name is None:
        kind = {1: "integer", 2: "signed", 3: "float", 5: "complex", 6: "complex"}.get(formats[0], "undefined")
        raise UnsupportedScan(
            f"It has {bits[0]}-bit {kind} samples. Convert it to 8 or 16 bit, or 32-bit float, first."
        )
    return np.dtype(name)


def _extras(tree: TiffTree, ifd: Ifd, samples: int, photometric: int) -> tuple[tuple[str, ...], bool]:
    count = samples - (3 if photometric in (RGB, YCBCR) else 1)
    kinds = extra_kinds(tree, ifd, min(count, len(EXTRAS)))  # a damaged tag may claim billions
    names = tuple(EXTRAS.get(kind, "unknown") for kind in kinds)
    if not 0 <= count < len(EXTRAS) or len(set(names)) < len(names) or "unknown" in names:
        raise UnsupportedScan(
            f"It has {samples} channels per pixel. Save it as grey or RGB with at most alpha and infrared."
        )
    return names, 1 in kinds


def extra_kinds(tree: TiffTree, ifd: Ifd, count: int) -> tuple[int, ...]:
    """What tag 338 says of each extra sample; 0, unspecified, of those that it does not list."""
    kinds = (tree.ints(ifd, 338) or ())[: max(count, 0)]
    return kinds + (0,) * (count - len(kinds))


def _tile(tree: TiffTree, ifd: Ifd, request: Request) -> tuple[int, int] | None:
    if 324 not in ifd.segments:
        return None
    tile = tree.number(ifd, 323, 0), tree.number(ifd, 322, 0)
    check_size(*tile, request)
    return tile


def _check_tile(layout: Layout) -> None:
    """A tile is decoded whole."""
    tall, wide = layout.tile or (0, 0)
    pixel_bytes = layout.samples // layout.planes * layout.dtype.itemsize
    if tall * wide * pixel_bytes > max(_LARGEST_TILE, layout.height * layout.width * pixel_bytes):
        raise UnsupportedScan(f"Its tiles of {wide} x {tall} pixels are larger than the scan. Save it in strips first.")


def _check_coding(tree: TiffTree, ifd: Ifd, layout: Layout) -> None:
    if layout.compression not in COMPRESSIONS:
        raise UnsupportedScan(
            f"It is compressed by method {layout.compression}. Save it uncompressed, or with LZW or Deflate, first."
        )
    if layout.photometric == YCBCR and layout.compression != JPEG:
        raise UnsupportedScan("It holds YCbCr colours. Convert it to RGB first.")
    if layout.compression == JPEG and (layout.dtype != np.uint8 or layout.extras):
        raise UnsupportedScan("It is a JPEG-compressed TIFF of an unusual kind. Save it uncompressed first.")
    fitting = {2: not layout.packed_bits, 3: layout.dtype == np.float32}
    if layout.predictor != 1 and not fitting.get(layout.predictor):
        raise UnsupportedScan(f"It uses predictor {layout.predictor}. Save it uncompressed first.")
    if layout.photometric == WHITE_IS_ZERO and layout.dtype == np.float32:
        raise UnsupportedScan("It is a float TIFF in which white is zero. Save it with black as zero first.")
    if tree.number(ifd, 284, 1) not in (1, 2) or tree.number(ifd, 32998, 1) != 1:
        raise UnsupportedScan("Its planes are in an order that TIFF does not know. Save it again with another program.")
    if tree.number(ifd, 266, 1) != 1:
        raise UnsupportedScan("It stores its bits in reverse order. Save it again with another program.")
