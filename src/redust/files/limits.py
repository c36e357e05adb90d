"""What is accepted, asked of the header before anything is decoded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from redust.core.errors import ScanTooLarge, UnreadableScan


@dataclass(frozen=True)
class Request:
    """What a reader is asked for, and the most it accepts.

    Parameters
    ----------
    path
        The file's name.
    page
        Which page, from 0.
    max_megapixels
        The most pixels, in millions, that a header may claim.
    bilevel
        Whether 1-bit TIFF and 1 to 4-bit grey PNG are accepted: as masks they make sense, as scans not.
    """

    path: Path
    page: int
    max_megapixels: float
    bilevel: bool = False


def check_size(height: int, width: int, request: Request) -> None:
    """Refuse a size that cannot be, or is beyond the limit.

    Parameters
    ----------
    height, width
        Pixels, as the header claims.
    request
        The most that is accepted.

    Raises
    ------
    UnreadableScan
        If a side is not positive.
    ScanTooLarge
        If there are more pixels than allowed.
    """
    if height < 1 or width < 1:
        raise UnreadableScan(f"Its header claims {width} x {height} pixels: damaged. Use a sound copy.")
    if height * width > request.max_megapixels * 1e6:
        raise ScanTooLarge(
            f"Its header claims {width} x {height} pixels, {height * width / 1e6:,.0f} megapixels; the limit is "
            f"{request.max_megapixels:,.0f}. If that size is real, raise the limit with --max-megapixels."
        )
