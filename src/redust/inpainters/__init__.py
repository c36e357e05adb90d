"""Inpainting: fill the masked pixels of a scan.

:func:`make_inpainter` makes an engine by name; :func:`redust.inpainters.fill_damage.fill_damage` runs it on a scan.
"""

from __future__ import annotations

from redust.core.catalogue import Catalogue
from redust.core.engines import Inpainter

catalogue = Catalogue(
    "fill",
    {
        "kriging": "redust.inpainters.kriging:KrigingInpainter",
        "auto": "redust.inpainters.auto:MeanInpainter",
        "network": "redust.inpainters.onnx_inpainter:load_shipped_network",
        "fsr": "redust.inpainters.frequency:FrequencyInpainter",
        "telea": "redust.inpainters.marching:make_telea",
        "navier-stokes": "redust.inpainters.marching:make_navier_stokes",
        "biharmonic": "redust.inpainters.biharmonic:BiharmonicInpainter",
    },
    "redust.inpainters",
    model="redust.inpainters.onnx_inpainter:OnnxInpainter",
    protocol=Inpainter,
)


def make_inpainter(name: str, *, radius: float = 3.0) -> Inpainter:
    """Make an inpainting engine by its name in the catalogue.

    Parameters
    ----------
    name
        One of ``catalogue.names()``, or the path of a model folder that `redust train --task fill` made (anything
        with a path separator, or an existing folder that holds a ``card.json``).
    radius : pixels
        Neighbourhood of the fills that use one; passed only to factories with a parameter of that name.

    Raises
    ------
    UnknownEngine
        If the catalogue has no such name.
    EngineError
        If the engine cannot be loaded, or breaks its contract.
    ModelError
        If its weights or card are missing or damaged.
    """
    inpainter: Inpainter = catalogue.make(name, radius=radius)
    return inpainter
