"""The fill ``fsr``: frequency-selective reconstruction."""

from __future__ import annotations

import cv2
import numpy as np

from redust.core.arrays import Mask, Pixels
from redust.core.engines import Needs


class FrequencyInpainter:
    """Fills by frequency-selective reconstruction."""

    name = "fsr"
    needs = Needs(context=16, channels=(1,), multiple_of=16)

    def fill(self, pixels: Pixels, mask: Mask) -> Pixels:
        """Fill the masked pixels of one channel; see :class:`redust.core.engines.Inpainter`."""
        plane = pixels[..., 0].astype(np.float64)
        low, high = plane[~mask].min(), plane[~mask].max()
        scale = 1.0 if pixels.dtype == np.uint8 else max(high - low, 1e-12) / 255
        offset = 0.0 if pixels.dtype == np.uint8 else low
        small = np.rint((plane - offset) / scale).clip(0, 255).astype(np.uint8)
        filled = np.empty_like(small)
        cv2.xphoto.inpaint(small, np.where(mask, 0, 255).astype(np.uint8), filled, cv2.xphoto.INPAINT_FSR_FAST)
        return (filled[..., None] * scale + offset).astype(pixels.dtype)
