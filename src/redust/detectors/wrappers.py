"""Detectors that run another detector: on a blurred scan, or as test-time augmentation.

A network trained on many sharp photos relies on sharpness. Old glass plates are soft, and their grain is finer than the
dirt on them: blurred by less than a pixel, they are marked better (decision 35). Only the detector's input is blurred,
never the scan.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil

import cv2
import numpy as np

from redust.core.arrays import DamageMap, Light
from redust.core.engines import Detector, DetectorSpec
from redust.core.errors import SettingsError
from redust.core.settings import TTA_COUNTS
from redust.detectors.multiscale import clipped_logits

_REACH = 3  # sigmas to where a blur reaches: 0.3 % of a Gaussian lie beyond
#: Quarter turns and the step along columns, -1 to mirror; the first N are the views of a test-time augmentation by N.
_DIHEDRAL = ((0, 1), (0, -1), (2, 1), (2, -1), (1, 1), (1, -1), (3, 1), (3, -1))


class DetectorWrapper(Detector):
    """A detector that runs another one, with a spec of its own.

    Parameters
    ----------
    detector
        Any.
    spec
        That of the detector unless given.
    """

    def __init__(self, detector: Detector, spec: DetectorSpec | None = None) -> None:
        self.detector = detector
        self.spec = spec or detector.spec

    def detect(self, light: Light) -> DamageMap:
        """The detector's answer; see :class:`redust.core.engines.Detector`."""
        return self.detector.detect(light)

    def release_memory(self) -> None:
        """Let the detector give back memory."""
        self.detector.release_memory()


class BlurredDetector(DetectorWrapper):
    """A detector on blurred light.

    Parameters
    ----------
    detector
        Any.
    sigma
        Of the Gaussian, in pixels of the tile, above 0.
    blurred_detector
        A detector that serves blurred scans in its place; itself unless given.
    """

    def __init__(self, detector: Detector, sigma: float, blurred_detector: Detector | None = None) -> None:
        self.sigma = sigma
        self.blurred_detector = blurred_detector or detector
        needs = self.blurred_detector.spec.needs
        needs = replace(needs, context=needs.context + ceil(_REACH * sigma))
        super().__init__(detector, replace(detector.spec, needs=needs))

    def detect(self, light: Light) -> DamageMap:
        """The answer for the blurred light; see :class:`redust.core.engines.Detector`."""
        side = 2 * ceil(_REACH * self.sigma) + 1
        blurred = cv2.GaussianBlur(light, (side, side), self.sigma, borderType=cv2.BORDER_REPLICATE)
        blurred_light: Light = np.asarray(blurred, np.float32).reshape(light.shape)
        blurred_light.flags.writeable = False
        return self.blurred_detector.detect(blurred_light)


def blur_detector(detector: Detector, sigma: float) -> Detector:
    """The detector on light blurred by `sigma` pixels, served as its spec says; 0 leaves it as it is."""
    if sigma <= 0:
        return detector
    open_blurred = detector.spec.open_blurred
    return BlurredDetector(detector, sigma, open_blurred() if open_blurred is not None else None)


class AugmentedDetector(DetectorWrapper):
    """Test-time augmentation: the mean of the logits over flips and rotations of each tile.

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
        """The mean over all views; see :class:`redust.core.engines.Detector`."""
        total = np.zeros(light.shape[:2], np.float32)
        for quarters, step in _DIHEDRAL[: self.tta]:
            view = np.ascontiguousarray(np.rot90(light, quarters)[:, ::step])
            view.flags.writeable = False
            total += np.rot90(clipped_logits(self.detector.detect(view))[:, ::step], -quarters)
        mean: DamageMap = 1 / (1 + np.exp(-total / np.float32(self.tta)))
        return mean


def augment_detector(detector: Detector, tta: int) -> Detector:
    """The detector with test-time augmentation over so many views.

    Raises
    ------
    SettingsError
        If `tta` is not 1, 2, 4 or 8.
    """
    if tta not in TTA_COUNTS:
        raise SettingsError(f"tta cannot be {tta}: choose 1, 2, 4 or 8.")
    return detector if tta == 1 else AugmentedDetector(detector, tta)
