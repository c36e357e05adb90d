"""A trained network as generator, run by ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

from redust.core.arrays import Light
from redust.core.engines import Needs
from redust.models import shipped_for
from redust.models.runtime import open_model

_TILE = 768


class NetworkGenerator:
    """A network from a model folder.

    Parameters
    ----------
    folder
        Holds ``card.json`` and the ONNX file it names. The network takes (N, 3, H, W) float32 in 0..1 and gives the
        same without damage.
    threads
        Threads of ONNX Runtime; all cores unless given.

    Raises
    ------
    ModelError
        If the card or the weights are missing, damaged, or made for another task.
    """

    def __init__(self, folder: Path, *, threads: int | None = None) -> None:
        self.card, self._session = open_model(folder, "blind", threads=threads)
        self.name = self.card.name
        self.kind = "onnx"
        self.level = self.card.level
        self.needs = Needs(
            multiple_of=self.card.stride,
            minimum=self.card.stride,
            context=self.card.halo,
            channels=(self.card.channels,),
            per_tile=_TILE,
        )

    def generate(self, light: Light) -> Light:
        """Give the light without damage; see :class:`redust.core.engines.Generator`."""
        return self._session.run(light)


def shipped_blind(*, threads: int | None = None) -> NetworkGenerator:
    """The generator that comes with ReDust."""
    return NetworkGenerator(shipped_for("blind", "blind", "--generator"), threads=threads)
