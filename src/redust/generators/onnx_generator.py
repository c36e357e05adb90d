"""A trained network as generator, run by ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

from redust.core.arrays import Light
from redust.core.engines import Generator, GeneratorSpec, Needs
from redust.core.settings import Provider, Weights
from redust.models import shipped_for
from redust.models.runtime import open_model

_TILE = 448


class OnnxGenerator(Generator):
    """A network from a model folder.

    Parameters
    ----------
    folder
        Holds ``card.json`` and the ONNX file it names. The network takes light (N, 3, H, W) float32 in 0..1, or light
        and a damage map (N, 4, H, W) if its card names an attention detector, and gives light without damage.
    threads
        Threads of ONNX Runtime; all cores unless given.
    provider, weights
        What runs which weights; see :class:`redust.models.runtime.Session` and
        :func:`redust.models.runtime.open_model`.

    Raises
    ------
    ModelError
        If the card or the weights are missing, damaged, or made for another task.
    """

    def __init__(
        self,
        folder: Path,
        *,
        threads: int | None = None,
        provider: Provider = Provider.cpu,
        weights: Weights = Weights.auto,
    ) -> None:
        self.card, self._session = open_model(folder, "generator", threads=threads, provider=provider, weights=weights)
        self.spec = GeneratorSpec(
            name=self.card.name,
            needs=Needs(
                multiple_of=self.card.stride,
                minimum=self.card.stride,
                context=self.card.halo,
                channels=(self.card.channels,),
                per_tile=_TILE,
                attention=bool(self.card.attention),
                attention_shift=self.card.attention_shift,
            ),
            card=self.card,
            folder=folder,
            weights=self._session.weights,
            provider=self._session.provider,
            warnings=tuple(self._session.warnings),
            level=self.card.level,
        )

    def generate(self, light: Light) -> Light:
        """The light without damage; see :class:`redust.core.engines.Generator`."""
        return self._session.run(light)


def shipped_generator(
    *, threads: int | None = None, provider: Provider = Provider.cpu, weights: Weights = Weights.auto
) -> OnnxGenerator:
    """The generator that comes with ReDust."""
    folder = shipped_for("attentive", "generator", "--generator")
    return OnnxGenerator(folder, threads=threads, provider=provider, weights=weights)
