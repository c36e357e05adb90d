"""Writes the tree of a TIFF file or EXIF block, with its pixels."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import BinaryIO, TypeAlias

from redust.core.errors import UnreadableScan
from redust.files.tiff_tree import POINTER_TYPES, SEGMENTS, SIZES, Buffer, Ifd, Tag, TiffTree

#: Yields, for each strip or tile in order, the number of its bytes, and the bytes in one or more pieces.
Painting: TypeAlias = Iterable[tuple[int, Iterable[Buffer]]]


#: A directory, and (offsets tag, new segments) where its pixels are written anew.
PaintedPage: TypeAlias = tuple[Ifd, tuple[int, Painting] | None]


def write_tree(file: BinaryIO, tree: TiffTree, source: BinaryIO | None, pages: Iterable[PaintedPage]) -> None:
    """Write all directories with their pixels.

    Parameters
    ----------
    file
        Empty and seekable.
    tree
        Says the byte order, and which bytes must stay where they are.
    source
        The file that segments of directories lie in, to be copied as they are; not needed if none has segments.
    pages
        What to write; each page is taken when the one before it is written.

    Raises
    ------
    OverflowError
        If a classic TIFF would pass 4 GiB.
    """
    _Writer(file, tree, source).write(pages)


class _Writer:
    """Writes a tree from front to back, around the bytes that must stay where they are."""

    def __init__(self, file: BinaryIO, tree: TiffTree, source: BinaryIO | None) -> None:
        self.file, self.tree, self.source = file, tree, source
        self.offset_code, self.inline = ("Q", 8) if tree.big else ("I", 4)
        self.header = 16 if tree.big else 8
        tags = [tag for page in tree.pages for ifd in page.walk() for tag in ifd.tags.values()]
        self.fixed = sorted({(tag.offset, tag.offset + len(tag.data)) for tag in tags if tag.offset >= self.header})
        self.end = 0  # of what is written from front to back

    def write(self, pages: Iterable[PaintedPage]) -> None:
        mark = b"II" if self.tree.order == "<" else b"MM"
        head = struct.pack(f"{self.tree.order}3H", 43, 8, 0) if self.tree.big else self._pack("H", 42)
        self.file.write(mark + head)
        pointer = self.file.tell()
        self.file.write(bytes(self.inline))
        self.end = self.file.tell()
        for page, painting in pages:
            offset, following = self._write_ifd(page, painting)
            self._patch(pointer, offset)
            pointer = following

    def _write_ifd(self, ifd: Ifd, painting: tuple[int, Painting] | None = None) -> tuple[int, int]:
        """Write one directory; return its offset and where its pointer to the next one lies."""
        tags = dict(ifd.tags)
        for code, segments in ifd.segments.items():
            self._list_segments(tags, code, [self._copy(offset, count) for offset, count in segments])
        if painting is not None:
            self._list_segments(tags, painting[0], [self._paint(count, pieces) for count, pieces in painting[1]])
        for code, children in ifd.children.items():
            kind = ifd.pointer_types.get(code, 4)
            tags[code] = self._offsets_tag([self._write_ifd(child)[0] for child in children], kind)
        listed = sorted([*tags.items(), *ifd.duplicates], key=lambda item: item[0])
        entries = [self._entry(code, tag) for code, tag in listed]
        table = self._pack("Q" if self.tree.big else "H", len(entries)) + b"".join(entries) + bytes(self.inline)
        return self._write_block(table), self.end - self.inline

    def _list_segments(self, tags: dict[int, Tag], code: int, segments: list[tuple[int, int]]) -> None:
        tags[code] = self._offsets_tag([offset for offset, _ in segments], 4)
        tags[SEGMENTS[code]] = self.tree.long(*(count for _, count in segments))

    def _offsets_tag(self, offsets: list[int], kind: int) -> Tag:
        """A tag of offsets: LONG or IFD (13), as wide as the file needs them."""
        wide, narrow = (18, 13) if kind in POINTER_TYPES else (16, 4)
        data = b"".join(self._pack(self.offset_code, offset) for offset in offsets)
        return Tag(wide if self.tree.big else narrow, len(offsets), data)

    def _paint(self, count: int, pieces: Iterable[Buffer]) -> tuple[int, int]:
        offset = self._seek_free(count)
        for piece in pieces:
            self.file.write(piece)
        self.end = self.file.tell()
        return offset, count

    def _copy(self, offset: int, count: int) -> tuple[int, int]:
        if not count:
            return 0, 0  # a sparse file: this strip has no data
        if self.source is None:
            raise ValueError("the tree has pixels in a file that was not given")
        self.source.seek(offset)
        return self._paint(count, _read_pieces(self.source, count))

    def _entry(self, code: int, tag: Tag) -> bytes:
        head = struct.pack(f"{self.tree.order}2H", code, tag.type) + self._pack(self.offset_code, tag.count)
        if tag.type not in SIZES or len(tag.data) <= self.inline:
            return head + tag.data[: self.inline].ljust(self.inline, b"\0")
        return head + self._pack(
            self.offset_code, self._write_fixed(tag) if tag.offset >= self.header else self._write_block(tag.data)
        )

    def _write_block(self, data: bytes) -> int:
        offset = self._seek_free(len(data))
        self.file.write(data)
        self.end = self.file.tell()
        return offset

    def _write_fixed(self, tag: Tag) -> int:
        self.file.seek(tag.offset)
        self.file.write(tag.data)
        return tag.offset

    def _seek_free(self, length: int) -> int:
        """Go to the next even offset from which `length` bytes meet nothing that must stay where it is."""
        offset = self.end + self.end % 2
        for start, end in self.fixed:
            if start < offset + length and offset < end:
                offset = end + end % 2
        self.file.seek(offset)
        return offset

    def _patch(self, pointer: int, offset: int) -> None:
        self.file.seek(pointer)
        self.file.write(self._pack(self.offset_code, offset))

    def _pack(self, code: str, value: int) -> bytes:
        if code == "I" and value >= 1 << 32:
            raise OverflowError("more than 4 GiB in a classic TIFF")
        return struct.pack(self.tree.order + code, value)


def _read_pieces(source: BinaryIO, count: int) -> Iterator[bytes]:
    while count:
        piece = source.read(min(count, 1 << 20))
        if not piece:
            raise UnreadableScan("A further page ends before its pixels do. Use a sound copy of the scan.")
        count -= len(piece)
        yield piece
