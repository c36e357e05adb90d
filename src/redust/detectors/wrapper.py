"""What detectors share that ask another one in their own way."""

from __future__ import annotations

from typing import Any

from redust.core.engines import Detector, Needs


class DetectorWrapper:
    """A detector that asks another one; whatever else that has is lent as it is.

    Parameters
    ----------
    detector
        Any.
    """

    def __init__(self, detector: Detector) -> None:
        self.detector = detector

    @property
    def name(self) -> str:
        """The detector's."""
        return self.detector.name

    @property
    def needs(self) -> Needs:
        """The detector's."""
        return self.detector.needs

    @property
    def level(self) -> float:
        """The detector's."""
        return self.detector.level

    def __getattr__(self, name: str) -> Any:
        """What the detector has besides: levels, a card ..."""
        if name == "detector":  # not there yet, as while it is unpickled
            raise AttributeError(name)
        return getattr(self.detector, name)
