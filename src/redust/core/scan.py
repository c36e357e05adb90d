"""A scan: pixels plus all that must survive the trip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from redust.core.arrays import Pixels, Plane, check_pixels

_NOTHING: Mapping[str, object] = MappingProxyType({})


@dataclass(frozen=True, eq=False)
class Scan:
    """One page of one scanned picture, as read.

    Parameters
    ----------
    pixels : (H, W, C) uint8, uint16 or float32
        Light as scanned, C = 1 (grey) or 3 (R, G, B). Never turned: `orientation` is a tag.
    alpha, infrared : (H, W), dtype of `pixels`, optional
        Further planes; they pass through unchanged.
    bits
        Significant bits per sample in the file (8, 16 or 32; 12 in a 16-bit container stays 12).
    dpi
        Resolution (horizontal, vertical) in dots per inch.
    icc, exif, xmp, iptc
        Metadata blocks, byte for byte as found.
    orientation
        The EXIF orientation tag, 1..8.
    source, page
        Where it came from; page counts from 0.
    further_pages
        The other pages of its file, without reduced copies; they count from 0.
    format
        Name of the file format it was read from, such as ``"TIFF"``; empty for an array.
    linear
        Whether samples are linear in light, as in a linear DNG; elsewhere they are encoded for a screen.
    warnings
        What the reader warned of, in whole sentences.
    carried
        What only :mod:`redust.files` understands and needs to write the same kind of file again
        (compression, JPEG tables, further pages).
    """

    pixels: Pixels
    alpha: Plane | None = None
    infrared: Plane | None = None
    bits: int = 0
    dpi: tuple[float, float] | None = None
    icc: bytes | None = field(default=None, repr=False)
    exif: bytes | None = field(default=None, repr=False)
    xmp: bytes | None = field(default=None, repr=False)
    iptc: bytes | None = field(default=None, repr=False)
    orientation: int = 1
    source: Path | None = None
    page: int = 0
    further_pages: tuple[int, ...] = ()
    format: str = ""
    linear: bool = False
    warnings: tuple[str, ...] = ()
    carried: Mapping[str, object] = field(default_factory=lambda: _NOTHING, repr=False)

    def __post_init__(self) -> None:
        check_pixels(self.pixels)
        for name in ("alpha", "infrared"):
            plane = getattr(self, name)
            if plane is not None and plane.shape != self.shape:
                raise ValueError(f"{name} is {plane.shape}, the pixels are {self.shape}")
        if not self.bits:
            object.__setattr__(self, "bits", 8 * self.pixels.dtype.itemsize)

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def channels(self) -> int:
        """1 (grey) or 3 (R, G, B)."""
        return int(self.pixels.shape[2])

    @property
    def megapixels(self) -> float:
        """Height times width, in millions."""
        return self.shape[0] * self.shape[1] / 1e6

    @property
    def name(self) -> str:
        """The source's file name, or a word for an array without one."""
        return self.source.name if self.source else "array"

    def with_pixels(self, pixels: Pixels) -> Scan:
        """The same scan with other pixels of the same shape and dtype.

        Raises
        ------
        ValueError
            If shape or dtype differ: a scan never changes its depth or size.
        """
        if pixels.shape != self.pixels.shape or pixels.dtype != self.pixels.dtype:
            raise ValueError(
                f"new pixels are {pixels.dtype}{pixels.shape}, the scan is {self.pixels.dtype}{self.pixels.shape}"
            )
        return replace(self, pixels=pixels)
