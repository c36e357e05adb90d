"""Collects what happens to one scan, and builds the report of it."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter
from typing import Any, TypeAlias

import numpy as np

import redust
from redust.core.arrays import Mask
from redust.core.engines import EngineSpec, InpainterSpec
from redust.core.report import Report
from redust.core.scan import Scan
from redust.core.settings import Provider, ScanSettings
from redust.decision.regions import Regions
from redust.decision.shape_classes import count_classes

Progress: TypeAlias = Callable[[str, float], None]

_LOG = logging.getLogger(__name__)
_HIGH_COVERAGE = 0.05
_GIVEN_MASK = "given"  # in place of a detector's name


class ReportBuilder:
    """Facts, times and warnings about one scan.

    Parameters
    ----------
    source
        The scan's name in the report.
    settings
        The choices in force.
    progress
        Called with each step's name and the share of it that is done, 0..1.
    """

    def __init__(self, source: str, settings: ScanSettings, progress: Progress | None = None) -> None:
        self._facts: dict[str, Any] = {
            "source": source,
            "page": settings.first_page + 1,
            "settings": settings.model_dump(mode="json"),
        }
        self._seconds: dict[str, float] = {}
        self._models: dict[str, str] = {}
        self._warnings: list[str] = []
        self._progress = progress

    @contextmanager
    def step(self, name: str) -> Iterator[Callable[[float], None]]:
        """Time a step; yields a progress callback for it."""
        report_share = self._step_progress(name)
        report_share(0.0)
        start = perf_counter()
        yield report_share
        seconds = perf_counter() - start
        self._seconds[name] = self._seconds.get(name, 0.0) + seconds
        _LOG.info("%s: %s took %.2f seconds", self._facts["source"], name, seconds)
        report_share(1.0)

    def _step_progress(self, name: str) -> Callable[[float], None]:
        def report_share(share: float) -> None:
            if self._progress is not None:
                self._progress(name, share)

        return report_share

    def set(self, **facts: Any) -> None:
        """Set fields of the report."""
        self._facts |= facts

    def add_warning(self, sentence: str) -> None:
        """Log a warning and add it to the report."""
        self.add_warnings([sentence])

    def add_warnings(self, sentences: Iterable[str], *, logged: bool = False) -> None:
        """Add warnings; they are logged too unless they have been `logged` already."""
        for sentence in sentences:
            if not logged:
                _LOG.warning("%s: %s", self._facts["source"], sentence)
            self._warnings.append(sentence)

    def record_scan(self, scan: Scan) -> None:
        """Record the size and depth of the scan, and what its reader warned of."""
        self.add_warnings(scan.warnings, logged=True)
        height, width = scan.shape
        self.set(height=height, width=width, channels=scan.channels, bits=scan.bits, page=scan.page + 1)

    def warn_of_pages(self, scan: Scan) -> None:
        """Warn of the pages of the scan's file that are left as they are."""
        if count := len(scan.further_pages):
            pages = "1 further page was" if count == 1 else f"{count} further pages were"
            self.add_warning(f"{pages} left as {'it is' if count == 1 else 'they are'}. Repair all with --page all.")

    def record_engine(self, role: str, spec: EngineSpec) -> None:
        """Record an engine that runs networks, its provider and its weights."""
        self.set(**{role: spec.name, "provider": spec.provider or Provider.cpu})
        self.record_weights(spec)

    def record_weights(self, spec: EngineSpec) -> None:
        """Record the hashes of an engine's weights, if it has any."""
        self.record_hashes(spec.sha256)

    def record_hashes(self, hashes: Mapping[str, str]) -> None:
        """Record the hashes of weights by their names."""
        self._models |= hashes

    def record_fill(self, spec: InpainterSpec) -> None:
        """Record the inpainter and its weights."""
        self.set(fill=spec.name)
        self.record_weights(spec)

    def record_level(self, level: float) -> None:
        """Record the level, and warn of one that decides everything by itself."""
        self.set(level=level)
        if level == 0.0:
            self.add_warning("Level 0 marks every pixel. Choose a higher level.")
        elif level == 1.0:
            self.add_warning("Level 1 marks only what the detector is certain of. Choose a lower level to find more.")

    def record_given_mask(self, mask: Mask) -> None:
        """Record that a person has given the whole mask."""
        self.set(detector=_GIVEN_MASK)
        self.record_classes(mask)

    def record_classes(self, mask: Mask) -> None:
        """Record the regions of a mask by their class."""
        self.set(classes=count_classes(mask))

    def record_mask(self, mask: Mask, *, intended: bool = False) -> None:
        """Record how much is marked; warn of more than damage ever covers unless that is `intended`."""
        coverage = np.count_nonzero(mask) / mask.size
        self.set(coverage=coverage, regions=Regions(mask).count, mask_sha256=hash_mask(mask))
        if coverage > _HIGH_COVERAGE and not intended:
            self.add_warning(
                f"{coverage:.1%} of the scan is marked: more than damage looks like. "
                "Look at the mask; raise the level or protect areas if it marks what is sound."
            )

    def exceeds(self, max_change: float | None) -> bool:
        """Whether more of the scan is marked than may be changed; adds a warning that says so."""
        exceeded = max_change is not None and self._facts["coverage"] > max_change
        if exceeded:
            self.add_warning(
                f"{self._facts['coverage']:.2%} of the scan would be changed, more than {max_change:.2%}: it was left "
                "alone. Look at its mask; restore it with a higher --max-change, or by hand."
            )
        return exceeded

    def build(self, status: str) -> Report:
        """The report."""
        return Report.model_validate(
            self._facts
            | {
                "redust": redust.__version__,
                "status": status,
                "models": self._models,
                "seconds": {name: round(seconds, 4) for name, seconds in self._seconds.items()},
                "warnings": self._warnings,
            }
        )


def hash_mask(mask: Mask) -> str:
    """SHA-256 of a mask packed to eight pixels a byte, row after row, hexadecimal."""
    return hashlib.sha256(np.packbits(mask).tobytes()).hexdigest()
