"""What happens to one scan, written down while it happens; at the end it is the report."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any, TypeAlias

import numpy as np

import redust
from redust.core.arrays import Mask
from redust.core.report import Report
from redust.core.scan import Scan
from redust.core.settings import ScanSettings
from redust.decision.regions import Regions

Progress: TypeAlias = Callable[[str, float], None]

_LOG = logging.getLogger(__name__)
_MUCH = 0.05


class ReportBuilder:
    """Facts, times and warnings about one scan.

    Parameters
    ----------
    source
        The scan's name in the report.
    settings
        The choices in force.
    progress
        Told each step's name and the share of it that is done, 0..1.
    """

    def __init__(self, source: str, settings: ScanSettings, progress: Progress | None = None) -> None:
        self._facts: dict[str, Any] = {
            "source": source,
            "page": settings.page,
            "settings": settings.model_dump(mode="json"),
        }
        self._seconds: dict[str, float] = {}
        self._models: dict[str, str] = {}
        self._warnings: list[str] = []
        self._progress = progress

    @contextmanager
    def step(self, name: str) -> Iterator[Callable[[float], None]]:
        """Time a step; yields what its engine may tell its progress to."""
        tell = self._teller(name)
        tell(0.0)
        start = perf_counter()
        yield tell
        seconds = perf_counter() - start
        self._seconds[name] = self._seconds.get(name, 0.0) + seconds
        _LOG.info("%s: %s took %.2f seconds", self._facts["source"], name, seconds)
        tell(1.0)

    def _teller(self, name: str) -> Callable[[float], None]:
        def tell(share: float) -> None:
            if self._progress is not None:
                self._progress(name, share)

        return tell

    def note(self, **facts: Any) -> None:
        """Write down fields of the report."""
        self._facts |= facts

    def warn(self, sentence: str) -> None:
        """Write down what the user should look at."""
        _LOG.warning("%s: %s", self._facts["source"], sentence)
        self._warnings.append(sentence)

    def keep(self, sentence: str) -> None:
        """Write down a warning that has been logged already."""
        self._warnings.append(sentence)

    def saw_scan(self, scan: Scan) -> None:
        """Write down what was read."""
        height, width = scan.shape
        self.note(height=height, width=width, channels=scan.channels, bits=scan.bits)

    def used(self, role: str, engine: Any) -> None:
        """Write down an engine and its weights."""
        self._facts[role] = engine.name
        if role != "fill":
            self._facts["provider"] = getattr(engine, "provider", "cpu")
        self.used_weights(engine)

    def used_weights(self, engine: Any) -> None:
        """Write down the hashes of an engine's weights, if it has a card."""
        card = getattr(engine, "card", None)
        if card is not None:
            used = getattr(engine, "kind", None)
            self._models |= {f"{engine.name} {kind}": one for kind, one in card.sha256.items() if used in (None, kind)}

    def cut_at(self, level: float) -> None:
        """Write down the level, and warn of one that decides everything by itself."""
        self.note(level=level)
        if level == 0.0:
            self.warn("Level 0 marks every pixel. Choose a higher level.")
        elif level == 1.0:
            self.warn("Level 1 marks only what the detector is certain of. Choose a lower level to find more.")

    def saw_mask(self, mask: Mask, *, wanted: bool = False) -> None:
        """Write down how much is marked, and warn if that is more than damage looks like and nobody `wanted` it."""
        coverage = np.count_nonzero(mask) / mask.size
        self.note(coverage=coverage, regions=Regions(mask).count)
        if coverage > _MUCH and not wanted:
            self.warn(
                f"{coverage:.1%} of the scan is marked: more than damage looks like. "
                "Look at the mask; raise the level or protect areas if it marks what is sound."
            )

    def report(self, status: str) -> Report:
        """All of it as data."""
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
