"""How a detector's levels follow the scan, as data. What is done with it: :mod:`redust.core.grades`."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Adaptation(BaseModel):
    """How a detector's levels follow the scan.

    Parameters
    ----------
    prior
        The share of damaged pixels, 0..1, of a scan for which the levels hold as they are.
    strength
        The power by which the odds follow a scan's own share: 0 not at all, 1 as independent pixels would ask for.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    prior: Annotated[float, Field(gt=0, lt=1)]
    strength: Annotated[float, Field(ge=0, le=1)]
