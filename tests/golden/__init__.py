"""Small scans of every kind, made on the spot by other programs' code than ReDust's own.

>>> from golden import GOLDEN, REFUSED, make
>>> path = make("tiff-rgb16", tmp_path)  # doctest: +SKIP

Each of `GOLDEN` must survive the trip through ReDust; each of `REFUSED` must be refused. All are
`HEIGHT` x `WIDTH` pixels; those in `FULL` carry every metadata block in `golden.metadata`.
"""

from pathlib import Path

from golden import jpegs, newer, pngs, refused, tiffs
from golden.pictures import HEIGHT, WIDTH, picture

GOLDEN = {**tiffs.MAKERS, **pngs.MAKERS, **jpegs.MAKERS, **newer.MAKERS}
REFUSED = refused.MAKERS
FULL = ("tiff-rgb16", "tiff-big-endian", "tiff-rgb8", "png-rgb16", "jpeg-exif", "jp2-rgb8")
SUFFIXES = {"tiff": ".tif", "png": ".png", "jpeg": ".jpg", "webp": ".webp", "jp2": ".jp2"}

__all__ = ["FULL", "GOLDEN", "HEIGHT", "REFUSED", "WIDTH", "make", "picture"]


def make(name: str, folder: Path) -> Path:
    """Make the scan `name`, such as ``"tiff-rgb16"``, in a folder."""
    path = folder / (name + SUFFIXES.get(name.split("-")[0], ".tif"))
    {**GOLDEN, **REFUSED}[name](path)
    return path
