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
from redust.detectors.wrapper import DetectorWrapper

_REACH = 3  # sigmas to where a blur reaches: 0.3 % of a Gaussian lie beyond


class BlurredDetector(DetectorWrapper):
    """A detector that sees everything blurred.

    Parameters
    ----------
    detector
        Any.
    sigma
        Of the Gaussian, in pixels of what the detector is shown, above 0.
    seen_by
        A detector that sees what is blurred in its place; itself unless given.
    """

    def __init__(self, detector: Detector, sigma: float, seen_by: Detector | None = None) -> None:
        super().__init__(detector)
        self.sigma = sigma
        self.seen_by = seen_by or detector

    @property
    def needs(self) -> Needs:
        """Those of the detector that sees it, and as much around it as the blur reaches."""
        needs = self.seen_by.needs
        return replace(needs, context=needs.context + ceil(_REACH * self.sigma))

    def detect(self, light: Light) -> DamageMap:
        """What the detector says of the blurred light; see :class:`redust.core.engines.Detector`."""
        side = 2 * ceil(_REACH * self.sigma) + 1
        blurred = cv2.GaussianBlur(light, (side, side), self.sigma, borderType=cv2.BORDER_REPLICATE)
        shown: Light = np.asarray(blurred, np.float32).reshape(light.shape)
        shown.flags.writeable = False
        return self.seen_by.detect(shown)


def blur_detector(detector: Detector, sigma: float) -> Detector:
    """The detector, shown everything blurred by so many pixels; 0 leaves it as it is.

    One that has another ``blurred_detector`` lets that see it.
    """
    return BlurredDetector(detector, sigma, getattr(detector, "blurred_detector", None)) if sigma > 0 else detector
