"""The fills ``telea`` and ``navier-stokes``: OpenCV's two fast-marching methods.

They proceed from the edge of the damage inwards and set each pixel to a weighted mean of the sound and already filled
pixels within a radius.

Sources: A. Telea, "An Image Inpainting Technique Based on the Fast Marching Method", Journal of Graphics
Tools 9 (2004), doi:10.1080/10867651.2004.10487596; M. Bertalmio, A. L. Bertozzi, G. Sapiro, "Navier-Stokes,
Fluid Dynamics, and Image and Video Inpainting", CVPR 2001, doi:10.1109/CVPR.2001.990497. OpenCV's
``INPAINT_NS`` is a fast-marching approximation of the latter.

OpenCV is called on scaled float32 values at every depth. Its Telea adds up to 2 to each pixel it fills, whatever
the scale (one step too bright on flat 8-bit areas, more with every pixel inwards, and beyond white for light in 0..1);
scaled to a million steps that is below rounding.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from redust.core.arrays import Mask, Pixels
from redust.core.engines import Inpainter, InpainterSpec, Needs

# OpenCV leaves the first row and column of a picture unfilled, so a border is added.
_BORDER = 2
_STEPS = 20  # the brightest sound pixel is scaled to between 2 ** 19 and 2 ** 20


class MarchingInpainter(Inpainter):
    """Fast marching, each channel by itself.

    Parameters
    ----------
    name
        Its name in the catalogue.
    method
        ``cv2.INPAINT_TELEA`` or ``cv2.INPAINT_NS``.
    radius : pixels
        Radius of the neighbourhood; OpenCV rounds it and limits it to 1..100.
    """

    def __init__(self, name: str, method: int, radius: float) -> None:
        self.spec = InpainterSpec(name=name, needs=Needs(context=math.ceil(radius) + 2, channels=(1,)))
        self._method = method
        self._radius = radius

    def fill(self, pixels: Pixels, mask: Mask) -> Pixels:
        """Fill the masked pixels of one channel; see :class:`redust.core.engines.Inpainter`."""
        factor = 2.0 ** (_STEPS - np.frexp(np.abs(pixels[~mask], dtype=np.float64).max())[1])
        light = (pixels[..., 0] * np.float64(factor)).astype(np.float32)
        bordered, hole = (
            cv2.copyMakeBorder(plane, _BORDER, _BORDER, _BORDER, _BORDER, cv2.BORDER_REPLICATE)
            for plane in (light, mask.view(np.uint8))
        )
        inpainted = cv2.inpaint(bordered, hole, self._radius, self._method)
        filled = inpainted[_BORDER:-_BORDER, _BORDER:-_BORDER, None] / factor
        if pixels.dtype != np.float32:
            filled = np.rint(filled).clip(0, np.iinfo(pixels.dtype).max)
        return np.asarray(filled, pixels.dtype)


def make_telea(*, radius: float = 3.0) -> MarchingInpainter:
    """Make the fill ``telea``."""
    return MarchingInpainter("telea", cv2.INPAINT_TELEA, radius)


def make_navier_stokes(*, radius: float = 3.0) -> MarchingInpainter:
    """Make the fill ``navier-stokes``."""
    return MarchingInpainter("navier-stokes", cv2.INPAINT_NS, radius)
