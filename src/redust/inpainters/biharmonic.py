"""The fill ``biharmonic``: the biharmonic surface through the sound pixels, by scikit-image.

Source: S. B. Damelin, N. S. Hoang, "On Surface Completion and Image Inpainting by Biharmonic Functions",
International Journal of Mathematics and Mathematical Sciences (2018), doi:10.1155/2018/3950312.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from redust.core.arrays import Mask, Pixels
from redust.core.engines import Inpainter, InpainterSpec, Needs
from redust.core.errors import EngineError


class BiharmonicInpainter(Inpainter):
    """Solves the biharmonic equation for each hole, in float64.

    Raises
    ------
    EngineError
        If scikit-image is not installed.
    """

    spec = InpainterSpec(name="biharmonic", needs=Needs(context=8))

    def __init__(self) -> None:
        try:
            from skimage.restoration import inpaint_biharmonic
        except ImportError as error:
            raise EngineError(
                "The fill `biharmonic` needs scikit-image. Install it with `pip install redust[biharmonic]`, "
                "or choose another fill."
            ) from error
        self._inpaint: Any = inpaint_biharmonic

    def fill(self, pixels: Pixels, mask: Mask) -> Pixels:
        """Fill the masked pixels of one window; see :class:`redust.core.engines.Inpainter`."""
        filled = self._inpaint(pixels.astype(np.float64), mask, channel_axis=2)
        return np.asarray(filled if pixels.dtype == np.float32 else np.rint(filled)).astype(pixels.dtype)
