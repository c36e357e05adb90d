"""Networks by name. Each maps light to logits and says what it needs of height and width.

Every network here is a ``torch.nn.Module`` from (N, 3, H, W) float32 in 0..1 to logits (N, 1, H, W), H and W
multiples of its ``stride``. A pixel of the answer depends on no pixel farther than ``halo`` away
(or, for a network that works in cells, on none outside its cell of ``stride`` x ``stride``).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from redust.core.errors import SettingsError

if TYPE_CHECKING:
    from torch import nn

_NETWORKS = {
    "cnn": "redust.models.networks.cnn:CellCNN",
    "unet": "redust.models.networks.unet:UNet",
    "unet-thesis": "redust.models.networks.unet_thesis:ThesisUNet",
}


def names() -> list[str]:
    """The names :func:`build` knows."""
    return list(_NETWORKS)


def build(name: str, **options: Any) -> nn.Module:
    """Make a network with fresh weights.

    Raises
    ------
    SettingsError
        If there is no network of that name, or it has no such option.
    """
    if name not in _NETWORKS:
        raise SettingsError(f"There is no network named `{name}`. Choose one of: {', '.join(_NETWORKS)}.")
    module, _, attribute = _NETWORKS[name].partition(":")
    factory = getattr(importlib.import_module(module), attribute)
    try:
        made: nn.Module = factory(**options)
    except (TypeError, ValueError) as error:
        raise SettingsError(f"The network `{name}` cannot be made so: {error}. Leave that option out.") from error
    return made
