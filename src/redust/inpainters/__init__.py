"""Pixels and a mask become filled pixels.

:func:`make_inpainter` makes an engine by name; :func:`redust.inpainters.running.fill_damage` runs it on a scan.
"""

from __future__ import annotations

import inspect
from typing import Any, cast

from redust.core.catalogue import Catalogue
from redust.core.engines import Inpainter

catalogue = Catalogue(
    "fill",
    {
        "kriging": "redust.inpainters.kriging:KrigingInpainter",
        "fsr": "redust.inpainters.frequency:FrequencyInpainter",
        "telea": "redust.inpainters.marching:telea",
        "navier-stokes": "redust.inpainters.marching:navier_stokes",
        "biharmonic": "redust.inpainters.biharmonic:BiharmonicInpainter",
    },
    "redust.inpainters",
)


def make_inpainter(name: str, *, radius: float = 3.0) -> Inpainter:
    """Make a fill by its name in the catalogue.

    Parameters
    ----------
    name
        One of ``catalogue.names()``.
    radius : pixels
        Neighbourhood of the fills that have one; a factory gets it only if it has a parameter of that name.

    Raises
    ------
    UnknownEngine
        If there is none of that name.
    EngineError
        If it cannot be loaded.
    """
    factory = catalogue.factory(name)
    offered: dict[str, Any] = {"radius": radius}
    taken = inspect.signature(factory).parameters
    return cast(Inpainter, factory(**{key: value for key, value in offered.items() if key in taken}))
