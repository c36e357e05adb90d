"""What is accepted, by the header, before anything is decoded."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path

from redust.core.errors import ScanTooLarge, UnreadableScan

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """What a reader shall read, and the most it accepts.

    Parameters
    ----------
    path
        The file's name.
    page
        Which page, from 0.
    max_megapixels
        The most pixels, in millions, that a header may claim.
    mask
        Whether pictures that make sense as masks only are accepted: less than 8 bit, palettes.
    keep_damaged
        Whether a picture that is not all there is accepted, with a warning.
    warnings
        What the reader has warned of.
    """

    path: Path
    page: int
    max_megapixels: float
    mask: bool = False
    keep_damaged: bool = False
    warnings: list[str] = field(default_factory=list)

    def report_damage(self, damage: str) -> None:
        """Refuse a picture that is not all there, or warn if the user insists; nothing if `damage` is empty.

        Raises
        ------
        UnreadableScan
            With `damage`, one sentence, and what to do.
        """
        if damage and not self.keep_damaged:
            raise UnreadableScan(f"{damage} Use a sound copy, or restore what is there with --damaged-files keep.")
        if damage:
            self.warn(f"{damage} What is there is restored.")

    def warn(self, sentence: str) -> None:
        """Log a warning, and collect it for the scan."""
        logger.warning("%s: %s", self.path, sentence)
        self.warnings.append(sentence)


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
