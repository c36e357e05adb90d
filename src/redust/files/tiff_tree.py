"""The tree inside a TIFF file or an EXIF block: directories of tags, kept as raw bytes.

A TIFF file is a chain of image file directories (IFDs), each of which may point to further ones (SubIFDs,
EXIF, GPS). Values stay as they lie in the file, in its byte order, so that what ReDust does not understand
survives as well. Maker notes hold offsets from the start of the file: they are written where they were read.
Nothing here decodes a pixel.

Source: Adobe, TIFF Revision 6.0 (1992); Adobe, TIFF Technical Note 1 (SubIFDs); BigTIFF (libtiff, 2007).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Literal, TypeAlias

Order: TypeAlias = Literal["<", ">"]
Buffer: TypeAlias = bytes | bytearray | memoryview

#: Size in bytes of one value of each TIFF type.
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8, 129: 1}
INTEGER_CODES = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}
POINTER_TYPES = {13, 18}
SUB_IFDS, EXIF_IFD, GPS_IFD, INTEROP_IFD = 330, 34665, 34853, 40965
METADATA_POINTERS = {EXIF_IFD, GPS_IFD, INTEROP_IFD}
#: Offsets tag to byte-counts tag: where pixels, or a thumbnail's JPEG stream, lie.
SEGMENTS = {273: 279, 324: 325, 513: 514}
_LARGEST = (1 << 32) - 1
_MAX_VALUES = 1 << 20


@dataclass(frozen=True)
class Tag:
    """One tag.

    Parameters
    ----------
    type
        As TIFF numbers it. Of an unknown type (not in `SIZES`), `data` is the entry's own four or eight bytes.
    count
        The number of values.
    data
        The values in the byte order of the tree.
    offset
        Where the bytes must lie in the file, 0 for anywhere.
    """

    type: int
    count: int
    data: bytes
    offset: int = 0


@dataclass(frozen=True)
class Ifd:
    """One directory.

    Parameters
    ----------
    tags
        Code to tag, without pointers and without the places of pixels.
    children
        Code of a pointer tag to the directories it points to.
    segments
        Code of an offsets tag to the (offset, byte count) pairs in the file the tree was read from.
    pointer_types
        Code of a pointer tag to its TIFF type, where that is not LONG.
    duplicates
        (code, tag) of every further tag of a code that `tags` holds already.
    """

    tags: Mapping[int, Tag]
    children: Mapping[int, tuple[Ifd, ...]] = field(default_factory=dict)
    segments: Mapping[int, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    pointer_types: Mapping[int, int] = field(default_factory=dict)
    duplicates: tuple[tuple[int, Tag], ...] = ()

    def without(self, codes: Iterable[int]) -> Ifd:
        """The same directory without some tags and pointers."""
        removed = set(codes)
        return replace(
            self,
            tags={code: tag for code, tag in self.tags.items() if code not in removed},
            children={code: child for code, child in self.children.items() if code not in removed},
            duplicates=tuple((code, tag) for code, tag in self.duplicates if code not in removed),
        )

    def walk(self) -> Iterator[Ifd]:
        """This directory and all below it."""
        yield self
        for children in self.children.values():
            for child in children:
                yield from child.walk()


@dataclass(frozen=True)
class TiffTree:
    """All directories of one TIFF file or EXIF block.

    Parameters
    ----------
    order
        ``"<"`` or ``">"``, as :mod:`struct` writes byte orders.
    big
        BigTIFF: 64-bit offsets.
    pages
        The main chain.
    """

    order: Order
    big: bool
    pages: tuple[Ifd, ...]

    def ints(self, ifd: Ifd, code: int) -> tuple[int, ...] | None:
        """The values of an integer tag, None if it is absent, holds something else or absurdly many values."""
        tag = ifd.tags.get(code)
        if tag is None or tag.type not in INTEGER_CODES or tag.count > _MAX_VALUES:
            return None
        return struct.unpack(f"{self.order}{tag.count}{INTEGER_CODES[tag.type]}", tag.data)

    def number(self, ifd: Ifd, code: int, default: int) -> int:
        """The first value of an integer tag."""
        tag = ifd.tags.get(code)
        if tag is None or tag.type not in INTEGER_CODES or not tag.count:
            return default
        return int(struct.unpack_from(self.order + INTEGER_CODES[tag.type], tag.data)[0])

    def ratio(self, ifd: Ifd, code: int) -> float | None:
        """The first value of an unsigned rational tag, None if it is absent or not a positive number."""
        tag = ifd.tags.get(code)
        if tag is None or tag.type != 5 or tag.count < 1:
            return None
        above, below = struct.unpack_from(f"{self.order}2I", tag.data)
        return above / below if above and below else None

    def text(self, ifd: Ifd, code: int) -> str:
        """The text of a tag, empty if it is absent."""
        tag = ifd.tags.get(code)
        return tag.data.rstrip(b"\0").decode("utf-8", "replace") if tag is not None else ""

    def short(self, *values: int) -> Tag:
        """A tag of unsigned 16-bit values."""
        return Tag(3, len(values), struct.pack(f"{self.order}{len(values)}H", *values))

    def long(self, *values: int) -> Tag:
        """A tag of unsigned 32-bit values, 64-bit in a BigTIFF where they need it."""
        wide = self.big and max(values, default=0) >= 1 << 32
        return Tag(
            16 if wide else 4, len(values), struct.pack(f"{self.order}{len(values)}{'Q' if wide else 'I'}", *values)
        )

    def rational(self, value: float) -> Tag:
        """A tag of one unsigned rational, for a value from 1 / 4294967295 to 4294967295."""
        if value < 1:
            inverse = Fraction(1 / value).limit_denominator(max(1, min(10_000, int(_LARGEST * value))))
            return Tag(5, 1, struct.pack(f"{self.order}2I", inverse.denominator, inverse.numerator))
        ratio = Fraction(value).limit_denominator(max(1, min(10_000, int(_LARGEST / value))))
        return Tag(5, 1, struct.pack(f"{self.order}2I", ratio.numerator, ratio.denominator))


def byte_tag(data: bytes, kind: int = 7) -> Tag:
    """A tag that holds bytes, of type 7 (undefined) unless `kind` says otherwise."""
    return Tag(kind, len(data), data)
