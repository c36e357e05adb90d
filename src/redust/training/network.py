"""The network of a run: built, started from another model, applied to whole pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from redust.core.arrays import DamageMap, Light, Pixels, three_channels, to_light
from redust.core.errors import TrainingError
from redust.core.tiles import round_up, tiles, window
from redust.models import networks, read_card
from redust.models.card import weights_path
from redust.training.config import ARCHITECTURES, TrainConfig

_TILE = 1024


@dataclass(frozen=True)
class NetworkPlan:
    """How the network of a run is built.

    Parameters
    ----------
    architecture
        A name that `build` knows.
    options
        Arguments besides the defaults of the network.
    build
        Makes a network with fresh weights, as :func:`redust.models.networks.build`.
    """

    architecture: str
    options: Mapping[str, Any] = field(default_factory=dict)
    build: Callable[..., nn.Module] = networks.build

    def make(self) -> nn.Module:
        """The network with fresh weights."""
        return self.build(self.architecture, **self.options)

    def load(self, path: Path) -> nn.Module:
        """The network with weights from a file, on the CPU, in evaluation mode."""
        network = self.make().eval()
        network.load_state_dict(load_file(path))
        return network


def plan_network(config: TrainConfig) -> NetworkPlan:
    """The network of a task, as the configuration, or the model it starts from, has it."""
    options: dict[str, Any] = {}
    if config.model.start_folder:
        options |= read_card(config.model.start_folder).options
    if config.model.channels:
        options["channels"] = config.model.channels
    return NetworkPlan(ARCHITECTURES[config.run.task], options)


def make_network(config: TrainConfig, plan: NetworkPlan) -> nn.Module:
    """The network of a run, with fresh weights or those of the model it starts from.

    Raises
    ------
    TrainingError
        If that model is of another architecture.
    """
    torch.manual_seed(config.run.seed)
    network = plan.make()
    if config.model.start_folder:
        _load_start(network, config.model.start_folder, plan.architecture)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs
    return network


def _load_start(network: nn.Module, folder: Path, architecture: str) -> None:
    """Load the weights of a model in place; a network of another kind may lack some, or have fewer inputs."""
    weights, initial = load_file(weights_path(folder, "safetensors")), network.state_dict()
    missing = tuple(getattr(network, "missing_keys", ()))
    weights |= {
        name: value
        for name, value in initial.items()
        if name.startswith(missing) and (name not in weights or weights[name].shape != value.shape)
    }
    for name in getattr(network, "expand_in_channels", ()):
        weights[name] = _expand_in_channels(weights[name], initial[name].shape[1])
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise TrainingError(
            f"The weights of {folder} ({read_card(folder).architecture}) do not fit the network {architecture}. "
            "Start from a model of the same network, with the same channels."
        ) from error


def _expand_in_channels(weight: Tensor, inputs: int) -> Tensor:
    """The weight of a convolution (out, in, h, w) with zeros for further input channels."""
    return functional.pad(weight, (0, 0, 0, 0, 0, max(0, inputs - weight.shape[1])))


def save_weights(network: nn.Module, path: Path) -> None:
    """Write the weights as safetensors; the file appears whole or not at all."""
    write_tensors(network.state_dict(), path)


def write_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors as safetensors; the file appears whole or not at all."""
    from safetensors.torch import save

    from redust.core.atomic import whole_file

    # Not save_file: its files can be read by their owner alone, and a model is made to be passed on.
    with whole_file(path, overwrite=True) as file:
        file.write(save({name: tensor.contiguous().cpu() for name, tensor in tensors.items()}))


@torch.no_grad()
def predict_map(network: nn.Module, pixels: Pixels) -> DamageMap:
    """The damage map of a whole picture by a network in memory.

    A picture up to 1024 x 1024 is one tile, extended only to the network's stride, as training does with patches; a
    larger one is cut into tiles with a halo.

    Parameters
    ----------
    pixels : (H, W, C) uint8, uint16 or float32

    Returns
    -------
    damage : (H, W) float32 in 0..1
    """
    stride, halo = int(network.stride), int(network.halo)  # type: ignore[arg-type]
    shape = pixels.shape[0], pixels.shape[1]
    side = round_up(_TILE, stride)
    damage = np.empty(shape, np.float32)
    training = network.training
    network.eval()
    for tile in tiles(shape, side, halo=0 if max(shape) <= side else halo, multiple_of=stride):
        logits = network(_to_batch(network, three_channels(to_light(window(pixels, tile)))))
        damage[tile.core] = torch.sigmoid(logits.float())[0, 0].cpu().numpy()[tile.core_in_window]
    network.train(training)
    return damage


@torch.no_grad()
def predict_light(network: nn.Module, inputs: Light) -> Light:
    """The light (H, W, 3) float32 that a network in memory gives for a whole input (H, W, C)."""
    training = network.training
    network.eval()
    restored = network(_to_batch(network, inputs)).float()[0].cpu().numpy()
    network.train(training)
    return np.asarray(np.clip(restored.transpose(1, 2, 0), 0.0, 1.0))


def _to_batch(network: nn.Module, planes: Light) -> Tensor:
    """Planes (H, W, C) as a batch of one on the network's device."""
    batch = torch.from_numpy(np.ascontiguousarray(planes.transpose(2, 0, 1)))[None]
    return batch.to(next(network.parameters()).device).contiguous(memory_format=torch.channels_last)
