"""Networks by name, each for one task.

A network that detects is a ``torch.nn.Module`` from light (N, 3, H, W) float32 in 0..1 to logits (N, 1, H, W), H and
W multiples of its ``stride``. One that fills maps light and mask (N, 4, H, W) to light (N, 3, H, W), one that
restores blindly light, or light and damage map (N, 4, H, W), to light. A pixel of the answer depends on no pixel
farther than ``halo`` away (or, for a network that works in cells, on none outside its cell of ``stride`` x ``stride``).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from redust.core.errors import SettingsError

if TYPE_CHECKING:
    from torch import nn

_NETWORKS = {
    "detect": {
        "cnn": "redust.models.networks.cnn:CellCNN",
        "unet": "redust.models.networks.unet:UNet",
        "unet-thesis": "redust.models.networks.unet_thesis:ThesisUNet",
    },
    "fill": {"gated": "redust.models.networks.gated:GatedFill"},
    "generator": {
        "attentive": "redust.models.networks.attentive:AttentiveUNet",
        "residual": "redust.models.networks.residual:ResidualUNet",
    },
}
_PLACES = {name: place for places in _NETWORKS.values() for name, place in places.items()}


def names(task: str = "detect") -> list[str]:
    """The networks for a task: ``detect``, ``fill`` or ``blind``."""
    return list(_NETWORKS[task])


def build(name: str, **options: Any) -> nn.Module:
    """Make a network with fresh weights.

    Raises
    ------
    SettingsError
        If there is no network of that name, or it has no such option.
    """
    if name not in _PLACES:
        raise SettingsError(f"There is no network named `{name}`. Choose one of: {', '.join(_PLACES)}.")
    module, _, attribute = _PLACES[name].partition(":")
    factory = getattr(importlib.import_module(module), attribute)
    try:
        made: nn.Module = factory(**options)
    except (TypeError, ValueError) as error:
        raise SettingsError(f"The network `{name}` cannot be made so: {error}. Leave that option out.") from error
    return made


def to_run(network: nn.Module) -> nn.Module:
    """A trained network in the form in which it runs fastest: the same answers but for rounding."""
    from redust.models.networks.unet import UNet
    from redust.models.networks.unfolded import UnfoldedUNet

    return UnfoldedUNet(network) if type(network) is UNet else network
