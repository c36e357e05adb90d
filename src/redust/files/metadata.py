"""The metadata blocks of a scan, to tell what was changed since it was read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from redust.core.arrays import Pixels, Plane
from redust.core.scan import Scan


@dataclass(frozen=True)
class Metadata:
    """The fields of a :class:`~redust.core.scan.Scan` that every format has a place of its own for."""

    dpi: tuple[float, float] | None = None
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    orientation: int = 1

    @classmethod
    def of(cls, scan: Scan) -> Metadata:
        """Those of a scan."""
        return cls(scan.dpi, scan.icc, scan.exif, scan.xmp, scan.iptc, scan.orientation)

    def scan(
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


def snapped(per_metre: int) -> float:
    """Dots per inch of a whole number of pixels per metre.

    The whole number of dots per inch that rounds to it, if there is one: 11811 per metre means 300.

    >>> snapped(11811), round(snapped(11800), 2)
    (300.0, 299.72)
    """
    exact = per_metre * 0.0254
    return float(round(exact)) if round(round(exact) / 0.0254) == per_metre else exact
