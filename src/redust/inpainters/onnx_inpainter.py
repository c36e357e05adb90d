"""The fill ``network``: kriging, corrected by a trained network where a linear prediction fails.

The network gets the kriged window and the mask and predicts the error of kriging, relative to the detail of the sound
pixels around. So its correction is small in smooth areas. It computes in float32 at every depth.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from redust.core.arrays import Light, Mask, Pixels, from_light, to_light
from redust.core.engines import Inpainter, InpainterSpec, Needs
from redust.inpainters.fill_damage import fill_damage
from redust.inpainters.kriging import KrigingInpainter
from redust.models import shipped_for
from redust.models.runtime import open_model

_CONTEXT = 32  # pixels: the receptive radius of the network, and surroundings for its means


class OnnxInpainter(Inpainter):
    """An inpainting network from a model folder.

    Parameters
    ----------
    folder
        Holds ``card.json`` and the ONNX file it names. The network takes light and mask (N, 4, H, W) float32 in 0..1
        and gives filled light (N, 3, H, W).

    Raises
    ------
    ModelError
        If the card or the weights are missing, damaged, or made for another task.
    """

    def __init__(self, folder: Path) -> None:
        # One thread: windows are small, and `fill_damage` fills several at once.
        card, self._session = open_model(folder, "fill", threads=1)
        needs = Needs(context=_CONTEXT, multiple_of=card.stride, minimum=card.stride)
        self.spec = InpainterSpec(name=card.name, needs=needs, card=card, folder=folder, weights=self._session.weights)
        self._kriging = KrigingInpainter()

    def fill(self, pixels: Pixels, mask: Mask) -> Pixels:
        """Fill the masked pixels of one window; see :class:`redust.core.engines.Inpainter`."""
        # On light, as in training: in 8 bit the values would be rounded before the correction and once more after.
        source = pixels if pixels.dtype == np.float32 else to_light(pixels)
        kriged = fill_damage(self._kriging, source, mask, threads=1)
        light = to_light(kriged)
        correction = self._session.run(with_mask(light, mask)) - light
        if light.shape[2] == 1:
            correction = correction.mean(axis=2, keepdims=True)
        if pixels.dtype == np.float32:  # keeps values outside 0..1
            return np.asarray(kriged + correction, np.float32)
        return from_light(light + correction, pixels.dtype)


def with_mask(light: Light, mask: Mask) -> Light:
    """The input of the network: (H, W, 4), light with grey repeated, and the mask as 0 and 1."""
    colour = np.repeat(light, 3, axis=2) if light.shape[2] == 1 else light
    return np.concatenate([colour, mask[..., None].astype(np.float32)], axis=2)


def load_shipped_network() -> OnnxInpainter:
    """Load the network that ships with ReDust."""
    return OnnxInpainter(shipped_for("fill", "fill", "--fill"))
