"""Classical detection without weights: small details that stand out from their surroundings."""

from __future__ import annotations

import cv2
import numpy as np

from redust.core.arrays import DamageMap, Light
from redust.core.engines import Detector, DetectorSpec, Needs

_WIDTH = 11  # pixels: wider details are taken for the picture
_CONTRAST_WINDOW = 31  # pixels: window of the local contrast


class TopHat(Detector):
    """Morphological top-hat of both polarities over local contrast.

    A white top-hat keeps bright details narrower than the structuring element, a black one dark details
    (Serra, Image Analysis and Mathematical Morphology, 1982). Divided by the local contrast, a step that
    is large on a smooth sky and common in foliage is weighted accordingly.
    """

    spec = DetectorSpec(
        name="tophat", needs=Needs(context=_WIDTH + _CONTRAST_WINDOW, channels=(1,), per_tile=1024), level=0.5
    )

    def __init__(self, *, threads: int | None = None) -> None:  # noqa: ARG002  # every detector is made alike
        self._element = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_WIDTH, _WIDTH))

    def detect(self, light: Light) -> DamageMap:
        """The strength of small details, 0..1; see :class:`redust.core.engines.Detector`."""
        grey = cv2.GaussianBlur(light[..., 0], (3, 3), 0.6)
        bright = cv2.morphologyEx(grey, cv2.MORPH_TOPHAT, self._element)
        dark = cv2.morphologyEx(grey, cv2.MORPH_BLACKHAT, self._element)
        detail = np.maximum(bright, dark)
        # The mean detail around a pixel is its noise; 0.01 keeps flat areas from amplifying it.
        mean_detail = cv2.blur(detail, (_CONTRAST_WINDOW, _CONTRAST_WINDOW)) + np.float32(0.01)
        ratio = detail / mean_detail
        damage: DamageMap = (ratio / (ratio + np.float32(5.0))).astype(np.float32)
        return damage
