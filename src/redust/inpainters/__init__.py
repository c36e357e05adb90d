"""Inpainting: fill the masked pixels of a scan.

:func:`make_inpainter` makes an engine by name; :func:`redust.inpainters.fill_damage.fill_damage` runs it on a scan.
"""

from __future__ import annotations

from pathlib import Path

from redust.core.catalogue import Catalogue
from redust.core.engines import Inpainter, check_engine

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
    folder = Path(name)
    if name not in catalogue.names() and (len(folder.parts) > 1 or (folder / "card.json").is_file()):
        from redust.inpainters.onnx_inpainter import OnnxInpainter

        return OnnxInpainter(folder)
    inpainter: Inpainter = catalogue.make(name, radius=radius)
    check_engine(inpainter, Inpainter)
    return inpainter
