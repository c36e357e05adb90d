"""The engines of a pipeline."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import cached_property
from typing import Any

from redust.core.engines import Detector, Generator, Inpainter, check_engine
from redust.core.settings import RestoreSettings
from redust.detectors import make_detector
from redust.generators import make_generator
from redust.inpainters import make_inpainter

_LOG = logging.getLogger(__name__)


class Engines:
    """The engines of a pipeline, loaded when first used, then kept for every further scan.

    Parameters
    ----------
    settings
        Which engines, and how networks are run.
    detector, inpainter, generator
        Engines to use instead of those that the settings name.
    """

    def __init__(
        self,
        settings: RestoreSettings,
        detector: Detector | None = None,
        inpainter: Inpainter | None = None,
        generator: Generator | None = None,
    ) -> None:
        for engine, protocol in ((detector, Detector), (inpainter, Inpainter), (generator, Generator)):
            if engine is not None:
                check_engine(engine, protocol)
        self._settings = settings
        self._detector, self._inpainter, self._generator = detector, inpainter, generator

    @cached_property
    def detector(self) -> Detector:
        """Predicts the damage map."""
        detector = self._detector or make_detector(self._settings.detector, **self._runtime_options)
        log_warnings(detector.spec.warnings)
        return detector

    @cached_property
    def inpainter(self) -> Inpainter:
        """Fills damage."""
        return self._inpainter or make_inpainter(self._settings.fill, radius=self._settings.fill_radius)

    @cached_property
    def generator(self) -> Generator:
        """Restores with the method ``generator``."""
        generator = self._generator or make_generator(self._settings.generator, **self._runtime_options)
        log_warnings(generator.spec.warnings)
        return generator

    @property
    def _runtime_options(self) -> dict[str, Any]:
        settings = self._settings
        return {"threads": settings.threads, "provider": settings.provider, "weights": settings.weights}


def log_warnings(sentences: Iterable[str]) -> None:
    """Log what the user should know."""
    for sentence in sentences:
        _LOG.warning(sentence)
