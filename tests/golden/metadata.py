"""The metadata the full golden scans carry, as other programs write it."""

import struct
from functools import cache

from PIL import Image, ImageCms

DPI = 2400
ORIENTATION = 6
MAKE, SOFTWARE, ARTIST = "Flextight", "Scanner 3.1", "Anna Atkins"
TAKEN, FOCAL = "1978:05:17 11:22:33", 50.0
XMP = (
    b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    b'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="4">'
    b"<dc:title><rdf:Alt><rdf:li xml:lang='x-default'>K\xc3\xbcste</rdf:li></rdf:Alt></dc:title>"
    b"</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end='w'?>"
)


@cache
def icc() -> bytes:
    """A small real profile."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def iptc() -> bytes:
    """A record with a caption and a keyword."""
    values = ((5, b"Pier"), (25, b"film"), (120, b"The pier at low tide"))
    return b"".join(struct.pack(">BBBH", 0x1C, 2, number, len(text)) + text for number, text in values)


def photoshop() -> bytes:
    """Image resources: the IPTC record, and a resource that only Photoshop knows."""
    blocks = ((0x0404, iptc()), (0x0414, b"\0\0\0\x07"))
    return b"".join(
        b"8BIM" + struct.pack(">HHI", number, 0, len(data)) + data + b"\0" * (len(data) % 2) for number, data in blocks
    )


def exif(*, orientation: int = ORIENTATION) -> bytes:
    """An EXIF block with an inner directory and a place on Earth."""
    block = Image.Exif()
    block[271], block[305], block[315], block[274] = MAKE, SOFTWARE, ARTIST, orientation
    block[282] = block[283] = float(DPI)
    block[296] = 2
    block.get_ifd(0x8769).update({0x9003: TAKEN, 0x920A: FOCAL, 0x927C: b"maker's own \x00\x01\x02"})
    block.get_ifd(0x8825).update({1: "N", 2: (52.0, 30.0, 15.0)})
    return block.tobytes().removeprefix(b"Exif\0\0")
