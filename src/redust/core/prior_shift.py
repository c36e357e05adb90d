"""How a detector's levels follow the scan, as data. What is done with it: :mod:`redust.core.logits`,
:mod:`redust.decision.threshold`."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class PriorShift(BaseModel):
    """How a detector's levels follow the scan.

    Parameters
    ----------
    prior
        The share of damaged pixels, 0..1, of a scan for which the levels hold as they are.
    exponent
        The power by which the odds follow a scan's own share: 0 not at all, 1 as independent pixels would ask for.
    minority_exponent
        The power by which the odds of the polarity, dark or bright, that a scan shows less of follow its share of the
        scan's damage: 0 not at all.
    max_prior
        The share, 0..1, above which levels fall no further: a scan that shows more damage is judged as if it showed
        this much. Much that is marked is as often texture as damage.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    prior: Annotated[float, Field(gt=0, lt=1)]
    exponent: Annotated[float, Field(ge=0, le=1)]
    minority_exponent: Annotated[float, Field(ge=0, le=4)] = 0.0
    max_prior: Annotated[float, Field(gt=0, le=1)] = 1.0
