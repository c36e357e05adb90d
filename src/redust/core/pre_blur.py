"""How a detector may look at a scan blurred, as data. What is done with it: :mod:`redust.detectors.choose_view`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field


class PreBlur(BaseModel):
    """How a detector may look at a scan blurred, where it is surer of what it sees then.

    Parameters
    ----------
    sigma
        Of the Gaussian, in pixels.
    max_uncertainty_ratio
        A scan is looked at blurred if that leaves less than this share, 0..1, of the doubt there is without.
    network
        The folder, inside the model's own, of a network that has learned to see blurred scans and does so in the
        other's place once that is decided; empty if it is the same network.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sigma: Annotated[float, Field(gt=0, le=3)]
    max_uncertainty_ratio: Annotated[float, Field(gt=0, le=1)] = 0.97
    network: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]*$")] = ""


def pre_blur_at(sigma: float, before: PreBlur | None) -> PreBlur | None:
    """A pre_blur by `sigma` in pixels, with the network of the one before; None for 0."""
    return PreBlur(sigma=sigma, network=before.network if before else "") if sigma else None


def pre_blur_of(engine: Any) -> PreBlur | None:
    """How an engine may look at a scan blurred; None where it never does unless told."""
    found: PreBlur | None = getattr(engine, "pre_blur", None)
    return found
