"""The metadata blocks of a scan, to tell what was changed since it was read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from redust.core.arrays import Pixels, Plane
from redust.core.scan import Scan


@dataclass(frozen=True)
class Metadata:
    """The fields of a :class:`~redust.core.scan.Scan` that formats store side by side with the pixels."""

    dpi: tuple[float, float] | None = None
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    orientation: int = 1

    @classmethod
    def from_scan(cls, scan: Scan) -> Metadata:
        """Those of a scan."""
        return cls(scan.dpi, scan.icc, scan.exif, scan.xmp, scan.iptc, scan.orientation)

    def to_scan(
        self, pixels: Pixels, alpha: Plane | None, *, format: str, carried: Mapping[str, object], bits: int = 0
    ) -> Scan:
        """A scan with these blocks."""
        return Scan(
            pixels=pixels,
            alpha=alpha,
            bits=bits,
            dpi=self.dpi,
            icc=self.icc,
            exif=self.exif,
            xmp=self.xmp,
            iptc=self.iptc,
            orientation=self.orientation,
            format=format,
            carried=carried,
        )


BLOCK_NAMES = {"exif": "EXIF block", "xmp": "XMP block", "icc": "ICC profile", "iptc": "IPTC block"}


def list_repeated(roles: Iterable[str]) -> list[str]:
    """Name the blocks that a file holds more than once: a scan has one field for each.

    >>> list_repeated(["exif", "xmp", "exif"])
    ['a second EXIF block']
    """
    counts = Counter(roles)
    return [f"a second {name}" for role, name in BLOCK_NAMES.items() if counts[role] > 1]


def name_aspect(across: float, down: float, *, known: bool = False) -> list[str]:
    """Name the shape of pixels that are not square, where only their ratio is stored; with `known` units, nothing.

    >>> name_aspect(2, 1), name_aspect(1, 1), name_aspect(300, 600, known=True)
    (['the shape of its pixels (2 : 1)'], [], [])
    """
    square = across == down or not across or not down
    return [] if known or square else [f"the shape of its pixels ({across:g} : {down:g})"]


def round_dpi(per_metre: int) -> float:
    """Dots per inch of a whole number of pixels per metre.

    The whole number of dots per inch that rounds to it, if there is one: 11811 per metre means 300.

    >>> round_dpi(11811), round(round_dpi(11800), 2)
    (300.0, 299.72)
    """
    exact = per_metre * 0.0254
    return float(round(exact)) if round(round(exact) / 0.0254) == per_metre else exact
