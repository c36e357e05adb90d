"""Look at a scan blurred a little, so that its grain is less and soft damage is what stands out.

A network that learned much from sharp photos leans on sharpness. Old glass plates are soft, and their grain is finer
than what lies on them: blurred by less than a pixel, they are marked better (decision 35). Only what the detector sees
is blurred, never what is restored.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil

import cv2
import numpy as np

from redust.core.arrays import DamageMap, Light
from redust.core.engines import Detector, Needs
from redust.detectors.asked import Asked

_REACH = 3  # sigmas to where a blur reaches: 0.3 % of a Gaussian lie beyond


class Softened(Asked):
    """A detector that sees everything blurred.

    Parameters
    ----------
    detector
        Any.
    sigma
        Of the Gaussian, in pixels of what the detector is shown, above 0.
    """

    def __init__(self, detector: Detector, sigma: float) -> None:
        super().__init__(detector)
        self.sigma = sigma

    @property
    def needs(self) -> Needs:
        """The detector's, and as much around it as the blur reaches."""
        needs = self.detector.needs
        return replace(needs, context=needs.context + ceil(_REACH * self.sigma))

    def detect(self, light: Light) -> DamageMap:
        """What the detector says of the blurred light; see :class:`redust.core.engines.Detector`."""
        side = 2 * ceil(_REACH * self.sigma) + 1
        blurred = cv2.GaussianBlur(light, (side, side), self.sigma, borderType=cv2.BORDER_REPLICATE)
        shown: Light = np.asarray(blurred, np.float32).reshape(light.shape)
        shown.flags.writeable = False
        return self.detector.detect(shown)


def softening(detector: Detector, sigma: float) -> Detector:
    """The detector, shown everything blurred by so many pixels; 0 leaves it as it is."""
    return Softened(detector, sigma) if sigma > 0 else detector
