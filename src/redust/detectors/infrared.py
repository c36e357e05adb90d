"""The detector that goes by infrared alone: dust is what lacks infrared light, with its rim.

What it takes is measured beforehand, on the whole scan; see :mod:`redust.detectors.infrared_evidence`.
"""

from __future__ import annotations

import cv2
import numpy as np

from redust.core.arrays import DamageMap, Light
from redust.core.engines import Detector, DetectorSpec, Needs
from redust.core.settings import Sensitivity

_REACH = 5  # pixels from the middle of a speck to its rim
_RIM = 0.2  # of the density in the middle
_MIN_RIM = 0.5  # of the threshold: fainter is noise


class InfraredDetector(Detector):
    """Marks what infrared proves, from its darkest point out to where a fifth of that density is left.

    The level is that of the darkest point: r / (1 + r), where r is its density over the threshold that proves damage.
    """

    spec = DetectorSpec(
        name="infrared",
        needs=Needs(context=_REACH, per_tile=1024, infrared=True),
        level=0.5,
        levels={Sensitivity.shy: 0.6, Sensitivity.normal: 0.5, Sensitivity.eager: 0.43},
    )

    def __init__(self, *, threads: int | None = None) -> None:  # noqa: ARG002  # every detector is made alike
        self._disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _REACH + 1, 2 * _REACH + 1))

    def detect(self, light: Light) -> DamageMap:
        """How much infrared proves, 0..1; see :class:`redust.core.engines.Detector`."""
        proof = np.ascontiguousarray(light[..., -1])
        peak = np.asarray(cv2.dilate(proof, self._disc), np.float32)
        density, peak_density = _ratio(proof), _ratio(peak)
        rim = density >= np.maximum(np.float32(_RIM) * peak_density, np.float32(_MIN_RIM))
        return np.where(rim, peak, proof)


def _ratio(proof: DamageMap) -> DamageMap:
    """Density over the threshold, of its r / (1 + r)."""
    return np.asarray(proof / np.maximum(1 - proof, np.float32(1e-4)), np.float32)
