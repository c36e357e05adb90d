"""The fill ``network``: kriging first, then a trained network puts right what a linear prediction cannot know.

The network sees the kriged region and the mask, and says by how much kriging is off, in units of the detail of the
sound pixels around. So it cannot stray far on smooth ground, and works in float32 at whatever depth the pixels have.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from redust.core.arrays import Light, Mask, Pixels, from_light, to_light
from redust.core.engines import Needs
from redust.inpainters.fill_damage import fill_damage
from redust.inpainters.kriging import KrigingInpainter
from redust.models import shipped_for
from redust.models.runtime import open_model

_CONTEXT = 32  # pixels: the network has the reach, and its means the ground


class OnnxInpainter:
    """A network from a model folder.

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
        # One thread: regions are small, and `fill_damage` fills several at once.
        self.card, self._session = open_model(folder, "fill", threads=1)
        self.name = self.card.name
        self.kind = self._session.kind
        self.needs = Needs(context=_CONTEXT, multiple_of=self.card.stride, minimum=self.card.stride)
        self._first = KrigingInpainter()

    def fill(self, pixels: Pixels, mask: Mask) -> Pixels:
        """Fill the masked pixels of one region; see :class:`redust.core.engines.Inpainter`."""
        # Of light, as in training: in 8 bit it would be rounded before it is put right, and once more after.
        whole = pixels if pixels.dtype == np.float32 else to_light(pixels)
        ground = fill_damage(self._first, whole, mask, threads=1)
        light = to_light(ground)
        off = self._session.run(with_mask(light, mask)) - light
        if light.shape[2] == 1:
            off = off.mean(axis=2, keepdims=True)
        if pixels.dtype == np.float32:  # keeps what lies outside 0..1
            return np.asarray(ground + off, np.float32)
        return from_light(light + off, pixels.dtype)


def with_mask(light: Light, mask: Mask) -> Light:
    """What the network sees: (H, W, 4), light with grey repeated, and the mask as 0 and 1."""
    three = np.repeat(light, 3, axis=2) if light.shape[2] == 1 else light
    return np.concatenate([three, mask[..., None].astype(np.float32)], axis=2)


def shipped_network() -> OnnxInpainter:
    """The network that comes with ReDust."""
    return OnnxInpainter(shipped_for("fill", "fill", "--fill"))
