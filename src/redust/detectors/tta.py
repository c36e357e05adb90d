"""Several looks at every tile, turned and mirrored, and the mean of what a detector says to them.

A network is not quite sure of what it sees: the same hair, turned, gets another opinion. The mean of several is nearer
to the truth, at the price of as many times the work. Known as test-time augmentation.
"""

from __future__ import annotations

import numpy as np

from redust.core.arrays import DamageMap, Light
from redust.core.engines import Detector
from redust.core.errors import SettingsError
from redust.core.settings import TTA_COUNTS
from redust.detectors.multiscale import clipped_logits
from redust.detectors.wrapper import DetectorWrapper

#: Quarter turns and the step along columns, -1 to mirror; the first so many are the looks.
_TURNS = ((0, 1), (0, -1), (2, 1), (2, -1), (1, 1), (1, -1), (3, 1), (3, -1))


class AugmentedDetector(DetectorWrapper):
    """A detector that is asked several times; turned tiles fulfil its needs too.

    Parameters
    ----------
    detector
        Any.
    tta
        1, 2, 4 or 8. 2: as it is and mirrored. 4: both upside down besides. 8: all four with quarter turns besides.
    """

    def __init__(self, detector: Detector, tta: int) -> None:
        super().__init__(detector)
        self.tta = tta

    def detect(self, light: Light) -> DamageMap:
        """The mean of the logits of all looks; see :class:`redust.core.engines.Detector`."""
        total = np.zeros(light.shape[:2], np.float32)
        for quarters, step in _TURNS[: self.tta]:
            turned = np.ascontiguousarray(np.rot90(light, quarters)[:, ::step])
            turned.flags.writeable = False
            total += np.rot90(clipped_logits(self.detector.detect(turned))[:, ::step], -quarters)
        mean: DamageMap = 1 / (1 + np.exp(-total / np.float32(self.tta)))
        return mean


def augment_detector(detector: Detector, tta: int) -> Detector:
    """The detector, asked so many times.

    Raises
    ------
    SettingsError
        If `tta` is not 1, 2, 4 or 8.
    """
    if tta not in TTA_COUNTS:
        raise SettingsError(f"{tta} views are no whole set of turns: choose 1, 2, 4 or 8.")
    return detector if tta == 1 else AugmentedDetector(detector, tta)
