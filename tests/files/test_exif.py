"""EXIF blocks as small trees: changed where the scan says so, and nowhere else."""

from __future__ import annotations

import dataclasses
import io
import struct

import pytest
from PIL import Image

from golden import metadata, picture
from redust.core.errors import UnreadableScan
from redust.core.scan import Scan
from redust.files import exif, photoshop
from redust.files.tiff_reader import read_tree

THUMBNAIL = b"\xff\xd8 a tiny JPEG, byte for byte \xff\xd9"


def with_thumbnail() -> bytes:
    """A little-endian block of two directories; the second points at a thumbnail."""
    block = bytearray(metadata.exif())
    order = "<" if block[:2] == b"II" else ">"
    (first,) = struct.unpack_from(order + "I", block, 4)
    (count,) = struct.unpack_from(order + "H", block, first)
    block += b"\0" * (len(block) % 2)
    struct.pack_into(order + "I", block, first + 2 + 12 * count, len(block))
    place = len(block) + 2 + 3 * 12 + 4
    tags = [(259, 3, 1, 6), (513, 4, 1, place), (514, 4, 1, len(THUMBNAIL))]
    block += struct.pack(order + "H", 3)
    for code, kind, number, value in tags:
        block += struct.pack(
            order + ("HHIHH" if kind == 3 else "HHII"), code, kind, number, value, *([0] * (kind == 3))
        )
    return bytes(block + bytes(4) + THUMBNAIL)


def told(block: bytes) -> dict[int, object]:
    """What Pillow reads in a block, inner directories included."""
    found = Image.Exif()
    found.load(block)
    facts = {code: value for code, value in found.items() if code not in (34665, 34853)}
    return {**facts, **found.get_ifd(34665), **found.get_ifd(34853)}


def test_a_block_that_agrees_is_not_touched() -> None:
    block = with_thumbnail()
    scan = Scan(picture(), exif=block, orientation=metadata.ORIENTATION, dpi=(metadata.DPI,) * 2)
    assert exif.block_for(scan) is block
    assert exif.block_for(scan, with_dpi=True) is block


def test_another_orientation_changes_that_and_keeps_the_thumbnail() -> None:
    scan = Scan(picture(), exif=with_thumbnail(), orientation=3)
    block = exif.block_for(scan)
    assert block is not None
    assert told(block) == {**told(with_thumbnail()), 274: 3}
    assert THUMBNAIL in block
    tree = read_tree(io.BytesIO(block))
    ((offset, length),) = tree.pages[1].segments[513]
    assert block[offset : offset + length] == THUMBNAIL


def test_without_a_block_one_is_made_only_if_there_is_something_to_say() -> None:
    scan = Scan(picture(), dpi=(300, 300))
    assert exif.block_for(scan) is None
    assert exif.facts_of(exif.block_for(scan, with_dpi=True)) == (1, (300, 300))
    assert exif.facts_of(exif.block_for(dataclasses.replace(scan, orientation=8))) == (8, None)


def test_the_other_byte_order_says_the_same() -> None:
    tree = exif.tree_of(metadata.exif())
    assert tree is not None
    other = exif.reorder_bytes(tree, ">" if tree.order == "<" else "<")
    assert exif.pack_block(other)[:2] != metadata.exif()[:2]
    assert told(exif.pack_block(other)) == told(metadata.exif())
    assert exif.reorder_bytes(tree, tree.order) is tree


@pytest.mark.parametrize("block", [b"", b"nonsense", b"II*\0\xff\xff\xff\x7f", metadata.exif()[:30]])
def test_a_damaged_block_is_carried_and_says_nothing(block: bytes) -> None:
    assert exif.facts_of(block) == (1, None)
    assert exif.block_for(Scan(picture(), exif=block or None)) == (block or None)


def test_resolution_per_centimetre_and_without_unit() -> None:
    block = Image.Exif()
    block[282], block[283], block[296] = 1000.0, 500.0, 3
    assert exif.facts_of(block.tobytes().removeprefix(b"Exif\0\0"))[1] == (2540.0, 1270.0)
    block[296] = 1
    assert exif.facts_of(block.tobytes().removeprefix(b"Exif\0\0"))[1] is None


def test_trees_too_deep_or_too_many_are_refused() -> None:
    """A chain of 20,000 pages of one tag each, and sub-images in sub-images."""
    pages = b"".join(struct.pack("<HHHIII", 1, 256, 4, 1, 9, 8 + 18 * (number + 1)) for number in range(20_000))
    with pytest.raises(UnreadableScan, match="too many"):
        read_tree(io.BytesIO(b"II*\0\x08\0\0\0" + pages))
    nested = b"".join(struct.pack("<HHHIII", 1, 330, 4, 1, 8 + 18 * (number + 1), 0) for number in range(50))
    with pytest.raises(UnreadableScan, match="too many"):
        read_tree(io.BytesIO(b"II*\0\x08\0\0\0" + nested + bytes(64)))


def test_iptc_inside_photoshop_resources() -> None:
    resources = metadata.photoshop()
    assert photoshop.iptc_of(resources) == metadata.iptc()
    assert photoshop.with_iptc(resources, metadata.iptc()) is resources
    changed = photoshop.with_iptc(resources, b"new")
    assert changed is not None
    assert photoshop.iptc_of(changed) == b"new"
    assert b"\x04\x14" in changed, "the other resource stays"
    assert photoshop.with_iptc(photoshop.with_iptc(None, b"new"), None) is None
    assert photoshop.iptc_of(resources[:20]) is None
