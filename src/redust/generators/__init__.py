"""A scan becomes a restored scan, without a mask: blind inpainting."""

from __future__ import annotations

from redust.core.catalogue import Catalogue
from redust.core.engines import Generator
from redust.core.settings import Provider, Weights

catalogue = Catalogue(
    "generator",
    {"attentive": "redust.generators.onnx_generator:shipped_generator"},
    "redust.generators",
    model="redust.generators.onnx_generator:OnnxGenerator",
    protocol=Generator,
)


def make_generator(
    name: str,
    *,
    threads: int | None = None,
    provider: Provider = Provider.cpu,
    weights: Weights = Weights.auto,
) -> Generator:
    """Make the generator `name`.

    Parameters
    ----------
    name
        A name of the catalogue, or the path of a model folder that `redust train --task generator` made (anything with
        a path separator, or an existing folder that holds a ``card.json``).
    threads
        Threads it may use; all cores unless given.
    provider, weights
        For networks; see :class:`redust.models.runtime.Session` and :func:`redust.models.runtime.open_model`. A
        factory gets them, and `threads`, if it has parameters of these names.

    Raises
    ------
    UnknownEngine
        If there is none of that name.
    EngineError
        If it cannot be loaded, or is no engine by its contract.
    ModelError
        If its weights or card are missing or damaged.
    """
    generator: Generator = catalogue.make(name, threads=threads, provider=provider, weights=weights)
    return generator
