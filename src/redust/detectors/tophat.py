"""Classical detection without weights: what is small and stands out from its surroundings."""

from __future__ import annotations

import cv2
import numpy as np

from redust.core.arrays import DamageMap, Light
from redust.core.engines import Needs

_WIDTH = 11  # pixels: wider things are taken for the picture
_BUSY = 31  # pixels: window of the local contrast


class TopHat:
    """Morphological top-hat of both polarities over local contrast.

    A white top-hat keeps bright details narrower than the structuring element, a black one dark details
    (Serra, Image Analysis and Mathematical Morphology, 1982). Divided by the local contrast, a step that
    is large on a smooth sky and usual in foliage counts for what it is.
    """

    name = "tophat"
    level = 0.5
    needs = Needs(context=_WIDTH + _BUSY, channels=(1,), per_tile=1024)

    def __init__(self, *, threads: int | None = None) -> None:  # noqa: ARG002  # every detector is made alike
        self._element = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_WIDTH, _WIDTH))

    def detect(self, light: Light) -> DamageMap:
        """Give the strength of small details, 0..1; see :class:`redust.core.engines.Detector`."""
        grey = cv2.GaussianBlur(light[..., 0], (3, 3), 0.6)
        bright = cv2.morphologyEx(grey, cv2.MORPH_TOPHAT, self._element)
        dark = cv2.morphologyEx(grey, cv2.MORPH_BLACKHAT, self._element)
        detail = np.maximum(bright, dark)
        # The mean detail nearby is what is usual there; 0.01 keeps flat grounds from blowing noise up.
        usual = cv2.blur(detail, (_BUSY, _BUSY)) + np.float32(0.01)
        ratio = detail / usual
        damage: DamageMap = (ratio / (ratio + np.float32(5.0))).astype(np.float32)
        return damage
