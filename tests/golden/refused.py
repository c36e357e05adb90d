"""Files that must be refused: kinds ReDust does not take, and files that are damaged or lie."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from PIL import Image

from golden.jpegs import coded
from golden.pictures import picture
from golden.pngs import with_chunks


def _tiff(pixels: Any, **options: Any) -> Callable[[Path], None]:
    return lambda path: tifffile.imwrite(path, pixels, metadata=None, **options)


def _text(data: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(data)

    return write


def _cut(maker: Callable[[Path], None], share: float) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        maker(path)
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])

    return write


def _save(format: str, mode: str, **options: Any) -> Callable[[Path], None]:
    return lambda path: Image.fromarray(picture()).convert(mode).save(path, format, **options)


def _tags(order: str, tags: list[tuple[int, int, int, int]], following: int = 0, start: int = 8) -> bytes:
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", start)
    table = b"".join(struct.pack(order + "HHII", *tag) for tag in tags)
    return head + struct.pack(order + "H", len(tags)) + table + struct.pack(order + "I", following)


_SIZE = [(256, 4, 1, 60_000), (257, 4, 1, 60_000), (258, 3, 1, 8), (262, 3, 1, 1), (277, 3, 1, 1)]


def huge_tiff(path: Path) -> None:
    """60,000 x 60,000 pixels in a few hundred bytes; each strip is said to be there."""
    path.write_bytes(_tags("<", [*_SIZE, (273, 4, 1, 8), (278, 4, 1, 60_000), (279, 4, 1, 64)]).ljust(656, b"\0"))


def _huge_png(path: Path) -> None:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 16, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 10)), (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(b)) + n + b + struct.pack(">I", zlib.crc32(n + b)) for n, b in chunks)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def _huge_jpeg(path: Path) -> None:
    jpeg = bytearray(coded())
    struct.pack_into(">HH", jpeg, jpeg.index(b"\xff\xc0") + 5, 60_000, 60_000)
    path.write_bytes(jpeg)


def _huge_webp(path: Path) -> None:
    """A small picture in a container that claims the largest size."""
    coded = imagecodecs.webp_encode(picture(), lossless=True)
    body = b"WEBPVP8X" + struct.pack("<II", 10, 0) + b"\xff" * 6 + coded[12:]
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)


def _huge_jp2(path: Path) -> None:
    """The boxes tell the truth, the codestream inside does not."""
    data = bytearray(imagecodecs.jpeg2k_encode(picture(), level=0, reversible=True))
    struct.pack_into(">II", data, data.index(b"\xff\x4f\xff\x51") + 8, 60_000, 60_000)
    path.write_bytes(data)


def _nan(path: Path) -> None:
    pixels = picture(3, np.float32)
    pixels[3, 4, 1] = np.nan
    tifffile.imwrite(path, pixels, metadata=None, photometric="rgb")


def _loop(path: Path) -> None:
    """The first page says that the next one is the first."""
    tifffile.imwrite(path, picture(), metadata=None, photometric="rgb")
    data = bytearray(path.read_bytes())
    (first,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, first)
    struct.pack_into("<I", data, first + 2 + 12 * count, first)
    path.write_bytes(data)


def _sub_loop(path: Path) -> None:
    """A sub-image that is the page itself."""
    path.write_bytes(_tags("<", [(256, 4, 1, 8), (257, 4, 1, 8), (330, 4, 1, 8)]))


def _short_strip(path: Path) -> None:
    """The last strip has half the bytes its rows need."""
    tifffile.imwrite(path, picture(), metadata=None, photometric="rgb", rowsperstrip=8)
    with tifffile.TiffFile(path, mode="r+b") as file:
        counts = file.pages[0].tags[279]
        counts.overwrite([*counts.value[:-1], counts.value[-1] // 2])


def _damaged_png(path: Path) -> None:
    png = bytearray(imagecodecs.png_encode(picture(3, np.uint16)))
    png[len(png) // 2] ^= 0x55
    path.write_bytes(png)


def _bomb(path: Path) -> None:
    """A text chunk of a few hundred kilobytes that unpacks to 300 MB."""
    packer = zlib.compressobj(9)
    text = b"".join(packer.compress(bytes(1 << 20)) for _ in range(300)) + packer.flush()
    path.write_bytes(with_chunks(imagecodecs.png_encode(picture()), [(b"iCCP", b"x\0\0" + text)]))


def _animated(path: Path) -> None:
    frames = [Image.fromarray(picture(seed=seed)) for seed in (0, 1)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


def _layers(path: Path) -> None:
    data = b"Adobe Photoshop Document Data Block\0" + b"MIB8ryaL" + bytes(16)
    tags = [(37724, 7, len(data), data, True)]
    tifffile.imwrite(path, picture(), metadata=None, photometric="rgb", extratags=tags)


def _imagej(path: Path) -> None:
    stack = np.stack([picture(1, seed=seed)[..., 0] for seed in (0, 1, 2)])
    tifffile.imwrite(path, stack, imagej=True)


#: Name to (maker); the error each must raise is told in the test.
MAKERS: dict[str, Callable[[Path], None]] = {
    "tiff-cmyk": _tiff(picture(4), photometric="separated"),
    "tiff-palette": _tiff(picture(1)[..., 0], photometric="palette", colormap=np.zeros((3, 256), np.uint16)),
    "tiff-float64": _tiff(picture(3, np.float32).astype(np.float64), photometric="rgb"),
    "tiff-int16": _tiff(picture(3).astype(np.int16), photometric="rgb"),
    "tiff-uint32": _tiff(picture(3).astype(np.uint32), photometric="rgb"),
    "tiff-complex": _tiff(picture(1, np.float32)[..., 0].astype(np.complex64), photometric="minisblack"),
    "tiff-11-bit": _tiff(picture(3, np.uint16) >> 5, photometric="rgb", bitspersample=11),
    "tiff-six-channels": _tiff(picture(6), photometric="rgb", planarconfig="contig"),
    "tiff-bilevel": _tiff(picture(1)[..., 0] > 99, photometric="minisblack"),
    "tiff-nan": _nan,
    "tiff-layers": _layers,
    "tiff-imagej": _imagej,
    "tiff-dng": _tiff(picture(), photometric="rgb", extratags=[(50706, 1, 4, b"\1\4\0\0", True)]),
    "tiff-pixarlog": _text(
        _tags(
            "<",
            [
                *((c, k, n, 8 if c in (256, 257) else v) for c, k, n, v in _SIZE),
                (259, 3, 1, 32909),
                (273, 4, 1, 8),
                (279, 4, 1, 9),
            ],
        )
    ),
    "tiff-huge": huge_tiff,
    "tiff-loop": _loop,
    "tiff-sub-loop": _sub_loop,
    "tiff-short-strip": _short_strip,
    "tiff-truncated": _cut(_tiff(picture(3, np.uint16), photometric="rgb"), 0.6),
    "tiff-truncated-deflate": _cut(_tiff(picture(3, np.uint16), photometric="rgb", compression="zlib"), 0.6),
    "tiff-header-only": _text(b"II*\0\x08\0\0\0"),
    "tiff-no-page": _text(b"II*\0\0\0\0\0"),
    "tiff-lying-tag": _text(_tags("<", [(256, 4, 0xFFFFFFFF, 8)])),
    "png-bilevel": _save("PNG", "1"),
    "png-animated": _animated,
    "png-huge": _huge_png,
    "png-truncated": _cut(lambda path: path.write_bytes(imagecodecs.png_encode(picture())) and None, 0.7),
    "png-damaged": _damaged_png,
    "png-bomb": _bomb,
    "jpeg-cmyk": _save("JPEG", "CMYK"),
    "jpeg-lossless": lambda path: path.write_bytes(imagecodecs.jpeg8_encode(picture(), lossless=True)) and None,
    "jpeg-huge": _huge_jpeg,
    "jpeg-truncated": _cut(lambda path: path.write_bytes(coded()) and None, 0.7),
    "jpeg-header-only": _text(b"\xff\xd8\xff\xe0\0\x10JFIF"),
    "webp-huge": _huge_webp,
    "webp-animated": _animated,
    "webp-truncated": _cut(lambda path: path.write_bytes(imagecodecs.webp_encode(picture())) and None, 0.7),
    "jp2-huge": _huge_jp2,
    "jp2-truncated": _cut(lambda path: path.write_bytes(imagecodecs.jpeg2k_encode(picture(), level=0)) and None, 0.7),
    "empty": _text(b""),
    "text": _text(b"Dear diary, this is no picture.\n"),
    "fits": _text(b"SIMPLE  =                    T".ljust(2880)),
    "gif": _save("GIF", "P"),
    "bmp": _save("BMP", "RGB"),
    "pdf": _text(b"%PDF-1.7\n"),
    "one-byte": _text(b"I"),
}
