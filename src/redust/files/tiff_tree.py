"""The tree inside a TIFF file or an EXIF block: directories of tags, kept as raw bytes.

A TIFF file is a chain of image file directories (IFDs), each of which may point to further ones (SubIFDs,
EXIF, GPS). Values stay as they lie in the file, in its byte order, so that what ReDust does not understand
survives as well. Nothing here decodes a pixel.

Source: Adobe, TIFF Revision 6.0 (1992); Adobe, TIFF Technical Note 1 (SubIFDs); BigTIFF (libtiff, 2007).
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import BinaryIO, Literal, TypeAlias

from redust.core.errors import UnreadableScan, UnsupportedScan

Order: TypeAlias = Literal["<", ">"]
Buffer: TypeAlias = bytes | bytearray | memoryview

#: Size in bytes of one value of each TIFF type.
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_CODES = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}
_POINTER_TYPES = {13, 18}
SUB_IFDS, EXIF_IFD, GPS_IFD, INTEROP_IFD = 330, 34665, 34853, 40965
_METADATA_POINTERS = {EXIF_IFD, GPS_IFD, INTEROP_IFD}
_POINTERS = {SUB_IFDS, *_METADATA_POINTERS}
#: Offsets tag to byte-counts tag: where pixels, or a thumbnail's JPEG stream, lie.
SEGMENTS = {273: 279, 324: 325, 513: 514}
_DROPPED = {288, 289}  # free lists: they point at nothing
_MAX_IFDS, _MAX_DEPTH = 10_000, 8
_SLACK = 64 << 20


@dataclass(frozen=True)
class Tag:
    """One tag: its type, the number of values, and their bytes in the byte order of the tree."""

    type: int
    count: int
    data: bytes


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
    """

    tags: Mapping[int, Tag]
    children: Mapping[int, tuple[Ifd, ...]] = field(default_factory=dict)
    segments: Mapping[int, tuple[tuple[int, int], ...]] = field(default_factory=dict)

    def without(self, codes: Iterable[int]) -> Ifd:
        """The same directory without some tags and pointers."""
        gone = set(codes)
        return replace(
            self,
            tags={code: tag for code, tag in self.tags.items() if code not in gone},
            children={code: child for code, child in self.children.items() if code not in gone},
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
        """The values of an integer tag, None if it is absent or holds something else."""
        tag = ifd.tags.get(code)
        if tag is None or tag.type not in _CODES:
            return None
        return struct.unpack(f"{self.order}{tag.count}{_CODES[tag.type]}", tag.data)

    def number(self, ifd: Ifd, code: int, default: int) -> int:
        """The first value of an integer tag."""
        values = self.ints(ifd, code)
        return values[0] if values else default

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
        """A tag of one unsigned rational."""
        ratio = Fraction(value).limit_denominator(10_000)
        return Tag(5, 1, struct.pack(f"{self.order}2I", ratio.numerator, ratio.denominator))


def blob(data: bytes, kind: int = 7) -> Tag:
    """A tag that holds bytes (type 7, undefined, unless told)."""
    return Tag(kind, len(data), data)


def read_tree(file: BinaryIO) -> TiffTree:
    """Read all directories.

    Parameters
    ----------
    file
        A seekable TIFF file or EXIF block.

    Raises
    ------
    UnreadableScan
        If an offset or size leads outside the file, directories form a loop, or there are absurdly many.
    UnsupportedScan
        If pages hang together in a way that cannot be written again.
    """
    return _Reader(file).tree()


def check_places(tree: TiffTree, size: int) -> None:
    """Refuse a tree whose pixels are not all in the file.

    Parameters
    ----------
    size
        Bytes in the file.

    Raises
    ------
    UnreadableScan
        If strips or tiles of any page lie outside the file, or claim far more bytes together than it has.
    """
    total = 0
    for ifd in (ifd for page in tree.pages for ifd in page.walk()):
        for offset, count in (place for places in ifd.segments.values() for place in places):
            total += count
            if offset + count > size or total > size + _SLACK:
                raise UnreadableScan("Pixels lie outside the file: truncated or damaged. Use a sound copy.")


class _Reader:
    """Reads a tree; remembers where it has been, so that no loop holds it."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.size = file.seek(0, io.SEEK_END)
        self.seen: set[int] = set()
        self.budget = self.size + _SLACK

    def tree(self) -> TiffTree:
        first = self._header()
        pages = []
        while first:
            ifd, first = self._ifd(first, 0)
            pages.append(ifd)
        if not pages:
            raise UnreadableScan("The TIFF holds no page. Scan it again, or use a sound copy.")
        return TiffTree(self.order, self.big, tuple(pages))

    def _header(self) -> int:
        head = self._bytes(0, 8)
        orders: dict[bytes, Order] = {b"II": "<", b"MM": ">"}
        if head[:2] not in orders:
            raise UnreadableScan("This is no TIFF. Use a sound copy.")
        self.order = orders[head[:2]]
        version = self._unpack("H", head[2:4])
        if version not in (42, 43):
            raise UnreadableScan(f"A TIFF of version {version} is unknown. Use a sound copy.")
        self.big = version == 43
        return self._unpack("Q", self._bytes(8, 8)) if self.big else self._unpack("I", head[4:8])

    def _ifd(self, offset: int, depth: int) -> tuple[Ifd, int]:
        if offset in self.seen:
            raise UnreadableScan("Its directories form a loop. Save the scan again with another program.")
        self.seen.add(offset)
        if len(self.seen) > _MAX_IFDS or depth > _MAX_DEPTH:
            raise UnreadableScan("It has too many directories. Save the scan again with another program.")
        count_size, entry_size, inline = (8, 20, 8) if self.big else (2, 12, 4)
        count = self._unpack("Q" if self.big else "H", self._bytes(offset, count_size))
        table = self._bytes(offset + count_size, count * entry_size + inline)
        tags: dict[int, Tag] = {}
        for at in range(0, count * entry_size, entry_size):
            code, tag = self._tag(table[at : at + entry_size], inline)
            if tag is not None and code not in _DROPPED:
                tags.setdefault(code, tag)
        following = self._unpack("Q" if self.big else "I", table[-inline:])
        return self._branch(tags, depth), following

    def _tag(self, entry: bytes, inline: int) -> tuple[int, Tag | None]:
        code, kind = struct.unpack_from(f"{self.order}2H", entry)
        count = self._unpack("Q" if self.big else "I", entry[4:-inline])
        if kind not in SIZES:
            return code, None  # readers must skip types they do not know
        length = count * SIZES[kind]
        if length <= inline:
            return code, Tag(kind, count, entry[-inline:][:length])
        self.budget -= length
        if self.budget < 0:
            raise UnreadableScan("Its tags claim more bytes than the file has. Use a sound copy.")
        return code, Tag(kind, count, self._bytes(self._unpack("Q" if self.big else "I", entry[-inline:]), length))

    def _branch(self, tags: dict[int, Tag], depth: int) -> Ifd:
        ifd = Ifd(tags)
        values = TiffTree(self.order, self.big, ()).ints
        children, segments = {}, {}
        for code in [code for code, tag in tags.items() if code in _POINTERS or tag.type in _POINTER_TYPES]:
            offsets = values(ifd, code)
            if offsets:
                children[code] = tuple(self._child(code, offset, depth) for offset in offsets)
                del tags[code]
        for code, counts_code in SEGMENTS.items():
            offsets, counts = values(ifd, code), values(ifd, counts_code)
            if offsets is not None and counts is not None and len(offsets) == len(counts):
                segments[code] = tuple(zip(offsets, counts, strict=True))
                del tags[code], tags[counts_code]
        return Ifd(tags, children, segments)

    def _child(self, code: int, offset: int, depth: int) -> Ifd:
        child, following = self._ifd(offset, depth + 1)
        # The end of an EXIF directory is often garbage; a sub-image's is a further picture.
        if following and code not in _METADATA_POINTERS:
            raise UnsupportedScan("Its sub-images form chains, which ReDust cannot carry. Save it without sub-images.")
        return child

    def _bytes(self, offset: int, length: int) -> bytes:
        if offset + length > self.size:
            raise UnreadableScan("It ends before its own directories do: truncated or damaged. Use a sound copy.")
        self.file.seek(offset)
        return self.file.read(length)

    def _unpack(self, code: str, data: bytes) -> int:
        return int(struct.unpack(self.order + code, data)[0])


#: Yields, for each strip or tile in order, its bytes in one or more pieces.
Painting: TypeAlias = Iterable[Iterable[Buffer]]


def write_tree(
    file: BinaryIO, tree: TiffTree, source: BinaryIO | None, paintings: Mapping[int, tuple[int, Painting]]
) -> None:
    """Write all directories with their pixels.

    Parameters
    ----------
    file
        Empty and seekable.
    tree
        What to write; its segments lie in `source` and are copied as they are.
    source
        The file the tree was read from; not needed if no directory has segments.
    paintings
        Page number to (offsets tag, new segments), for pages whose pixels are written anew.

    Raises
    ------
    OverflowError
        If a classic TIFF would pass 4 GiB.
    """
    _Writer(file, tree, source).write(paintings)


class _Writer:
    def __init__(self, file: BinaryIO, tree: TiffTree, source: BinaryIO | None) -> None:
        self.file, self.tree, self.source = file, tree, source
        self.offset_code, self.inline = ("Q", 8) if tree.big else ("I", 4)

    def write(self, paintings: Mapping[int, tuple[int, Painting]]) -> None:
        mark = b"II" if self.tree.order == "<" else b"MM"
        head = struct.pack(f"{self.tree.order}3H", 43, 8, 0) if self.tree.big else self._pack("H", 42)
        self.file.write(mark + head)
        pointer = self.file.tell()
        self.file.write(bytes(self.inline))
        for number, page in enumerate(self.tree.pages):
            offset, following = self._ifd(page, paintings.get(number))
            self._patch(pointer, offset)
            pointer = following

    def _ifd(self, ifd: Ifd, painting: tuple[int, Painting] | None = None) -> tuple[int, int]:
        """Write one directory; return its offset and where its pointer to the next one lies."""
        tags = dict(ifd.tags)
        for code, segments in ifd.segments.items():
            self._place(tags, code, [self._copy(offset, count) for offset, count in segments])
        if painting is not None:
            self._place(tags, painting[0], [self._paint(pieces) for pieces in painting[1]])
        for code, children in ifd.children.items():
            tags[code] = self._offsets([self._ifd(child)[0] for child in children])
        entries = [self._entry(code, tag) for code, tag in sorted(tags.items())]
        offset = self._align()
        self.file.write(
            self._pack("Q" if self.tree.big else "H", len(entries)) + b"".join(entries) + bytes(self.inline)
        )
        return offset, self.file.tell() - self.inline

    def _place(self, tags: dict[int, Tag], code: int, placed: list[tuple[int, int]]) -> None:
        tags[code] = self._offsets([offset for offset, _ in placed])
        tags[SEGMENTS[code]] = self.tree.long(*(count for _, count in placed))

    def _offsets(self, offsets: list[int]) -> Tag:
        return Tag(
            16 if self.tree.big else 4, len(offsets), b"".join(self._pack(self.offset_code, at) for at in offsets)
        )

    def _paint(self, pieces: Iterable[Buffer]) -> tuple[int, int]:
        offset = self._align()
        for piece in pieces:
            self.file.write(piece)
        return offset, self.file.tell() - offset

    def _copy(self, offset: int, count: int) -> tuple[int, int]:
        if not count:
            return 0, 0  # a sparse file: this strip has no data
        if self.source is None:
            raise ValueError("the tree has pixels in a file that was not given")
        self.source.seek(offset)
        return self._paint(_pieces(self.source, count))

    def _entry(self, code: int, tag: Tag) -> bytes:
        head = struct.pack(f"{self.tree.order}2H", code, tag.type) + self._pack(self.offset_code, tag.count)
        if len(tag.data) <= self.inline:
            return head + tag.data.ljust(self.inline, b"\0")
        offset = self._align()
        self.file.write(tag.data)
        return head + self._pack(self.offset_code, offset)

    def _patch(self, pointer: int, offset: int) -> None:
        self.file.seek(pointer)
        self.file.write(self._pack(self.offset_code, offset))
        self.file.seek(0, io.SEEK_END)

    def _align(self) -> int:
        position = self.file.tell()
        if position % 2:
            self.file.write(b"\0")
        return position + position % 2

    def _pack(self, code: str, value: int) -> bytes:
        if code == "I" and value >= 1 << 32:
            raise OverflowError("more than 4 GiB in a classic TIFF")
        return struct.pack(self.tree.order + code, value)


def _pieces(source: BinaryIO, count: int) -> Iterator[bytes]:
    while count:
        piece = source.read(min(count, 1 << 20))
        if not piece:
            raise UnreadableScan("A further page ends before its pixels do. Use a sound copy of the scan.")
        count -= len(piece)
        yield piece
