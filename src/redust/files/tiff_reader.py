"""Reads the tree of a TIFF file or EXIF block, bounded in depth, number and memory whatever the file claims."""

from __future__ import annotations

import io
import struct
from typing import BinaryIO

from redust.core.errors import UnreadableScan, UnsupportedScan
from redust.files.tiff_tree import (
    INTEGER_CODES,
    METADATA_POINTERS,
    POINTER_TYPES,
    SEGMENTS,
    SIZES,
    SUB_IFDS,
    Ifd,
    Order,
    Tag,
    TiffTree,
)

#: Further directories that a tag of type LONG points to: GlobalParameters, and those of Kodak and Leaf.
_PRIVATE_POINTERS = {400, 33424, 34954, 65024}
_FIRST_PRIVATE_CODE = 32768
#: Tags whose values hold offsets from the start of the file: maker notes, Adobe's private data.
_FIXED_CODES = {37500, 50740}
_BYTE_COUNTS = {*SEGMENTS.values()}
_OLD_JPEG_TABLES = {519, 520, 521}  # offsets of tables, without a length
_DROPPED = {288, 289}  # free lists: they point at nothing
_MAX_IFDS, _MAX_DEPTH, _MAX_TAGS, _MAX_SEGMENTS = 10_000, 8, 200_000, 1 << 20
_SLACK = 64 << 20


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


def check_bounds(tree: TiffTree, size: int) -> None:
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
        for offset, count in (span for spans in ifd.segments.values() for span in spans):
            total += count
            if offset + count > size or total > size + _SLACK:
                raise UnreadableScan("Pixels lie outside the file: truncated or damaged. Use a sound copy.")


class _Reader:
    """Reads a tree; remembers the directories it has read, so that no loop holds it."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.size = file.seek(0, io.SEEK_END)
        self.visited: set[int] = set()
        self.tag_count, self.segment_count = 0, 0
        self.budget = self.size + _SLACK

    def tree(self) -> TiffTree:
        offset = self._read_header()
        pages = []
        while offset:
            ifd, offset = self._read_ifd(offset, 0)
            pages.append(ifd)
        if not pages:
            raise UnreadableScan("The TIFF holds no page. Scan it again, or use a sound copy.")
        return TiffTree(self.order, self.big, tuple(pages))

    def _read_header(self) -> int:
        head = self._read_bytes(0, 8)
        orders: dict[bytes, Order] = {b"II": "<", b"MM": ">"}
        if head[:2] not in orders:
            raise UnreadableScan("This is no TIFF. Use a sound copy.")
        self.order = orders[head[:2]]
        version = self._unpack("H", head[2:4])
        if version not in (42, 43):
            raise UnreadableScan(f"A TIFF of version {version} is unknown. Use a sound copy.")
        self.big = version == 43
        return self._unpack("Q", self._read_bytes(8, 8)) if self.big else self._unpack("I", head[4:8])

    def _read_ifd(self, offset: int, depth: int) -> tuple[Ifd, int]:
        if offset in self.visited:
            raise UnreadableScan("Its directories form a loop. Save the scan again with another program.")
        self.visited.add(offset)
        entries, following = self._read_entries(offset)
        self.tag_count += len(entries)
        if len(self.visited) > _MAX_IFDS or depth > _MAX_DEPTH or self.tag_count > _MAX_TAGS:
            raise UnreadableScan("It has too many directories. Save the scan again with another program.")
        tags: dict[int, Tag] = {}
        duplicates = []
        for entry in entries:
            code, tag = self._read_tag(entry)
            if code not in _DROPPED and tags.setdefault(code, tag) is not tag:
                duplicates.append((code, tag))
        return self._follow_pointers(tags, tuple(duplicates), depth), following

    def _read_entries(self, offset: int) -> tuple[list[bytes], int]:
        """The entries of a directory, and the offset of the next one."""
        count_size, entry_size, inline = (8, 20, 8) if self.big else (2, 12, 4)
        count = self._unpack("Q" if self.big else "H", self._read_bytes(offset, count_size))
        table = self._read_bytes(offset + count_size, count * entry_size + inline)
        entries = [table[at : at + entry_size] for at in range(0, count * entry_size, entry_size)]
        return entries, self._unpack("Q" if self.big else "I", table[-inline:])

    def _entry_facts(self, entry: bytes) -> tuple[int, int, int, bytes]:
        """Code, type, count, and the bytes that hold the value or its offset."""
        inline = 8 if self.big else 4
        code, kind = struct.unpack_from(f"{self.order}2H", entry)
        return code, kind, self._unpack("Q" if self.big else "I", entry[4:-inline]), entry[-inline:]

    def _read_tag(self, entry: bytes) -> tuple[int, Tag]:
        code, kind, count, field_bytes = self._entry_facts(entry)
        if kind not in SIZES:
            return code, Tag(kind, count, field_bytes)
        length = count * SIZES[kind]
        if length <= len(field_bytes):
            return code, Tag(kind, count, field_bytes[:length])
        self.budget -= length
        if self.budget < 0:
            raise UnreadableScan("Its tags claim more bytes than the file has. Use a sound copy.")
        offset = self._unpack("Q" if self.big else "I", field_bytes)
        return code, Tag(
            kind, count, self._read_bytes(offset, length), offset if code in _FIXED_CODES and offset >= 8 else 0
        )

    def _follow_pointers(self, tags: dict[int, Tag], duplicates: tuple[tuple[int, Tag], ...], depth: int) -> Ifd:
        """The directory with those below it, and with the offsets of its pixels in order."""
        segments = self._segments(tags)
        children, types = {}, {}
        for code in [code for code, tag in tags.items() if self._is_pointer(code, tag)]:
            tag = tags[code]
            if tag.count > _MAX_IFDS:
                raise UnreadableScan("It has too many directories. Save the scan again with another program.")
            offsets = TiffTree(self.order, self.big, ()).ints(Ifd(tags), code)
            if offsets:
                children[code] = tuple(self._read_child(code, offset, depth) for offset in offsets)
                types[code] = tag.type
                del tags[code]
        moving = {*SEGMENTS, *_BYTE_COUNTS, SUB_IFDS, *METADATA_POINTERS}
        if any(code in moving for code, _ in duplicates):
            raise UnsupportedScan("One of its directories lists its pixels twice. Save it again with another program.")
        return Ifd(tags, children, segments, types, duplicates)

    def _is_pointer(self, code: int, tag: Tag) -> bool:
        if code == SUB_IFDS or code in METADATA_POINTERS or tag.type in POINTER_TYPES:
            return True
        if tag.type not in (4, 16) or tag.count != 1 or not (code in _PRIVATE_POINTERS or code >= _FIRST_PRIVATE_CODE):
            return False
        offset = self._unpack(INTEGER_CODES[tag.type], tag.data)
        return offset not in self.visited and self._is_ifd(offset)

    def _is_ifd(self, offset: int) -> bool:
        """Whether a well-formed directory lies there: codes in order, known types, values inside the file."""
        if offset < 8 or offset % 2:
            return False
        try:
            entries, following = self._read_entries(offset)
        except UnreadableScan:
            return False
        facts = [self._entry_facts(entry) for entry in entries[:1000]]
        codes = [code for code, *_ in facts]
        return bool(facts) and following == 0 and codes == sorted(set(codes)) and all(map(self._is_inside, facts))

    def _is_inside(self, facts: tuple[int, int, int, bytes]) -> bool:
        _, kind, count, field_bytes = facts
        length = count * SIZES.get(kind, 0)
        offset = self._unpack("Q" if self.big else "I", field_bytes)
        return length > 0 and (length <= len(field_bytes) or offset + length <= self.size)

    def _segments(self, tags: dict[int, Tag]) -> dict[int, tuple[tuple[int, int], ...]]:
        """Where pixels lie, taken out of `tags`."""
        segments = {}
        tree = TiffTree(self.order, self.big, ())
        if _OLD_JPEG_TABLES & set(tags):
            raise UnsupportedScan("It holds a page of old-style JPEG. Save it again with another program.")
        for code, counts_code in SEGMENTS.items():
            if code not in tags:
                continue
            limit = _segment_limit(tree, Ifd(tags)) if code != 513 else 1
            self.segment_count += tags[code].count
            if tags[code].count > limit or self.segment_count > _MAX_SEGMENTS:
                raise UnreadableScan(
                    f"A page lists {tags[code].count:,} strips or tiles for at most {min(limit, _MAX_SEGMENTS):,}. "
                    "Use a sound copy, or save it with larger strips."
                )
            offsets = tree.ints(Ifd(tags), code)
            counts = tree.ints(Ifd(tags), counts_code) if counts_code in tags else _derived_counts(tree, Ifd(tags))
            if code == 513 and (offsets is None or counts is None or len(offsets) != len(counts)):
                continue  # a thumbnail that nobody can find
            if offsets is None or counts is None or len(offsets) != len(counts):
                raise UnreadableScan(
                    "A page does not say how long its strips or tiles are. Save it again with another program."
                )
            segments[code] = tuple(zip(offsets, counts, strict=True))
            tags.pop(counts_code, None)
            del tags[code]
        return segments

    def _read_child(self, code: int, offset: int, depth: int) -> Ifd:
        child, following = self._read_ifd(offset, depth + 1)
        # The end of an EXIF directory is often garbage; a sub-image's is a further picture.
        if following and code not in METADATA_POINTERS:
            raise UnsupportedScan("Its sub-images form chains, which ReDust cannot carry. Save it without sub-images.")
        return child

    def _read_bytes(self, offset: int, length: int) -> bytes:
        if offset + length > self.size:
            raise UnreadableScan("It ends before its own directories do: truncated or damaged. Use a sound copy.")
        self.file.seek(offset)
        return self.file.read(length)

    def _unpack(self, code: str, data: bytes) -> int:
        return int(struct.unpack(self.order + code, data)[0])


def _segment_limit(tree: TiffTree, ifd: Ifd) -> int:
    """The most strips or tiles that a page of this size can have."""
    height, width, samples = (tree.number(ifd, code, 1) for code in (257, 256, 277))
    tall, wide = max(1, tree.number(ifd, 323, 1)), max(1, tree.number(ifd, 322, width))
    return max(1, samples) * max(1, -(-height // tall)) * max(1, -(-width // wide))


def _derived_counts(tree: TiffTree, ifd: Ifd) -> tuple[int, ...] | None:
    """Bytes of each uncompressed strip of a page that does not list them, None if they cannot be known."""
    if 273 not in ifd.tags or tree.number(ifd, 259, 1) != 1:
        return None
    height, width, samples = (tree.number(ifd, code, 1) for code in (257, 256, 277))
    bits = tree.number(ifd, 258, 1)
    rows = min(max(1, tree.number(ifd, 278, height)), height)
    planes = samples if tree.number(ifd, 284, 1) == 2 else 1
    row_bytes = -(-width * bits * (samples // planes) // 8)
    return tuple(row_bytes * min(rows, height - row) for row in range(0, height, rows)) * planes
