"""Photoshop image resources: a list of numbered blocks, one of which may hold IPTC.

They lie in TIFF tag 34377 and in the APP13 segments of a JPEG.
Source: Adobe Photoshop File Formats Specification, "Image Resources Section".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from redust.core.scan import Scan

MARK = b"8BIM"
_IPTC = 0x0404


def iptc_of(resources: bytes | None) -> bytes | None:
    """The IPTC block inside, None if there is none."""
    for number, data, _ in _blocks(resources or b""):
        if number == _IPTC:
            return data
    return None


def with_iptc(resources: bytes | None, iptc: bytes | None) -> bytes | None:
    """The same resources with this IPTC block; None if nothing is left."""
    if iptc_of(resources) == iptc:
        return resources
    remaining = b"".join(block for number, _, block in _blocks(resources or b"") if number != _IPTC)
    return remaining + (_block(iptc) if iptc is not None else b"") or None


def resources_of(scan: Scan) -> bytes | None:
    """The resources a scan carries, with its IPTC block; None if there is nothing to hold."""
    resources = scan.carried.get("photoshop")
    return with_iptc(resources if isinstance(resources, bytes) else None, scan.iptc)


def beyond_iptc(scan: Scan) -> bool:
    """Whether a scan carries resources other than IPTC."""
    resources = scan.carried.get("photoshop")
    return isinstance(resources, bytes) and with_iptc(resources, None) is not None


def _block(iptc: bytes) -> bytes:
    return MARK + struct.pack(">HHI", _IPTC, 0, len(iptc)) + iptc + b"\0" * (len(iptc) % 2)


def _blocks(resources: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """(number, data, whole block) of each resource; stops where the list is damaged."""
    at = 0
    while at + 12 <= len(resources):
        (number,) = struct.unpack_from(">H", resources, at + 4)
        name = resources[at + 6] + 1
        size_at = at + 6 + name + name % 2
        if size_at + 4 > len(resources):
            return
        (size,) = struct.unpack_from(">I", resources, size_at)
        end = size_at + 4 + size
        if end > len(resources):
            return
        yield number, resources[size_at + 4 : end], resources[at : end + size % 2]
        at = end + size % 2
