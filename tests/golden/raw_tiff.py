"""Classic TIFFs laid out byte by byte, for what no library writes."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 13: 4, 129: 1}

Tags = list[tuple[int, int, Any]]


class RawTiff:
    """A TIFF in little-endian order that grows at its end."""

    def __init__(self) -> None:
        self.data = bytearray(b"II*\0\0\0\0\0")

    def add(self, data: bytes) -> int:
        """Append bytes; their offset."""
        self.data += bytes(len(self.data) % 2)
        self.data += data
        return len(self.data) - len(data)

    def add_ifd(self, tags: Tags, following: int = 0) -> int:
        """Append a directory of (code, type, bytes or numbers); its offset."""
        entries = b""
        for code, kind, value in sorted(tags, key=lambda tag: tag[0]):
            if not isinstance(value, bytes):
                numbers = value if isinstance(value, list) else [value]
                value = struct.pack(f"<{len(numbers)}{'H' if kind == 3 else 'I'}", *numbers)
            stored = value.ljust(4, b"\0") if len(value) <= 4 else struct.pack("<I", self.add(value))
            entries += struct.pack("<HHI", code, kind, len(value) // _SIZES.get(kind, 1)) + stored
        return self.add(struct.pack("<H", len(tags)) + entries + struct.pack("<I", following))

    def add_page(self, grey: Any, *, without: tuple[int, ...] = (), extra: Tags = (), following: int = 0) -> int:
        """Append an uncompressed grey page of 8 bit; the offset of its directory."""
        height, width = grey.shape
        pixels = self.add(grey.tobytes())
        sizes = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, pixels)]
        tags = [*sizes, (277, 3, 1), (278, 4, height), (279, 4, height * width)]
        return self.add_ifd([tag for tag in tags if tag[0] not in without] + list(extra), following)

    def write(self, path: Path, first: int) -> Path:
        """Write the file, whose first directory is at an offset."""
        struct.pack_into("<I", self.data, 4, first)
        path.write_bytes(self.data)
        return path
