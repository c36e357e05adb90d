"""Networks by name, each for one task.

A network that detects is a ``torch.nn.Module`` from light (N, 3, H, W) float32 in 0..1 to logits (N, 1, H, W), H and
W multiples of its ``stride``. One that fills maps light and mask (N, 4, H, W) to light (N, 3, H, W), one that
restores without a mask light and damage map (N, 4, H, W) to light. A pixel of the answer depends on no pixel farther
than ``halo`` away.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from redust.core.errors import SettingsError

if TYPE_CHECKING:
    from torch import nn

NETWORKS = {
    "unet": "redust.models.networks.unet:UNet",
    "gated": "redust.models.networks.gated:GatedFill",
    "attentive": "redust.models.networks.attentive:AttentiveUNet",
}


def build(name: str, **options: Any) -> nn.Module:
    """Make a network with fresh weights.

    Raises
    ------
    SettingsError
        If there is no network of that name, or it has no such option.
    """
    return build_from(NETWORKS, name, **options)


def build_from(table: dict[str, str], name: str, **options: Any) -> nn.Module:
    """As :func:`build`, of the networks in a table of ``module:class`` by name."""
    if name not in table:
        raise SettingsError(f"There is no network named `{name}`. Choose one of: {', '.join(table)}.")
    module, _, attribute = table[name].partition(":")
    factory = getattr(importlib.import_module(module), attribute)
    try:
        network: nn.Module = factory(**options)
    except (TypeError, ValueError) as error:
        raise SettingsError(f"The network `{name}` cannot be made so: {error}. Leave that option out.") from error
    return network


def fuse_for_inference(network: nn.Module) -> nn.Module:
    """A trained network in the form in which it runs fastest: the same answers but for rounding."""
    from redust.models.networks.fused import FusedUNet
    from redust.models.networks.unet import UNet

    return FusedUNet(network) if type(network) is UNet else network
