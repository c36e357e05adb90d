"""A scan becomes a damage map."""

from __future__ import annotations

from redust.core.catalogue import Catalogue
from redust.core.engines import Detector
from redust.core.settings import Provider, Weights

catalogue = Catalogue(
    "detector",
    {
        "unet": "redust.detectors.onnx_detector:shipped_unet",
        "tophat": "redust.detectors.tophat:TopHat",
        "infrared": "redust.detectors.infrared:InfraredDetector",
    },
    "redust.detectors",
    model="redust.detectors.onnx_detector:OnnxDetector",
    protocol=Detector,
)


def make_detector(
    name: str,
    *,
    threads: int | None = None,
    provider: Provider = Provider.cpu,
    weights: Weights = Weights.auto,
) -> Detector:
    """Make the detector `name`.

    Parameters
    ----------
    name
        A name of the catalogue, or the path of a model folder that `redust train` made (anything with a
        path separator, or an existing folder that holds a ``card.json``).
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
    detector: Detector = catalogue.make(name, threads=threads, provider=provider, weights=weights)
    return detector
