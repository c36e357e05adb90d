"""What a network in memory says of light: of a batch as training sees it, and of a whole picture."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from redust.core.arrays import DamageMap, Pixels, three_channels, to_light
from redust.core.tiles import round_up, tiles, window

_TILE = 1024


def scales_of(network: nn.Module) -> tuple[int, ...]:
    """The factors by which a scan is shrunk before the network sees it."""
    scales: tuple[int, ...] = tuple(getattr(network, "scales", (1,)))
    return scales


def judged(network: nn.Module, light: Tensor) -> Tensor:
    """Logits (N, 1, H, W) of a network for light (N, 3, H, W): the mean of those at its scales, if it has some."""
    found: Tensor = network.judged(light) if hasattr(network, "judged") else network(light)  # type: ignore[operator]
    return found


@torch.no_grad()
def opinion(network: nn.Module, pixels: Pixels) -> DamageMap:
    """The damage map of a whole picture by a network in memory.

    A picture up to 1024 x 1024 is seen in one piece, lengthened only to the network's stride, as training sees
    patches; a larger one in tiles with a halo.

    Parameters
    ----------
    pixels : (H, W, C) uint8, uint16 or float32

    Returns
    -------
    damage : (H, W) float32 in 0..1
    """
    coarsest = max(scales_of(network))
    stride, halo = (coarsest * int(length) for length in (network.stride, network.halo))  # type: ignore[arg-type]
    shape = pixels.shape[0], pixels.shape[1]
    side = round_up(_TILE, stride)
    whole = max(shape) <= side
    weight = next(network.parameters())
    damage = np.empty(shape, np.float32)
    training = network.training
    network.eval()
    for tile in tiles(shape, side, halo=0 if whole else halo, multiple_of=stride):
        light = three_channels(to_light(window(pixels, tile)))
        batch = torch.from_numpy(np.ascontiguousarray(light.transpose(2, 0, 1)))[None].to(weight.device)
        logits = judged(network, batch.contiguous(memory_format=torch.channels_last))
        damage[tile.core] = torch.sigmoid(logits.float())[0, 0].cpu().numpy()[tile.core_in_window]
    network.train(training)
    return damage
