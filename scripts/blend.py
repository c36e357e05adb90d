"""Blend the weights of two detectors of one architecture, the second fine-tuned from the first.

    python scripts/blend.py FIRST SECOND --share 0.4 --data PAIRS -o MODEL [--mean-statistics]
    python scripts/blend.py FIRST NAME.pt --share 0.4 ...    # the last weights that train_at_once.py or learn_looks.py
                                                             # kept, or with --state 0.2 others

Each weight is (1 - share) of the first model's and share of the second's (Wortsman et al., Robust fine-tuning of
zero-shot models, 2022, doi:10.48550/arXiv.2109.01903); what batch norms know of their inputs is taken anew from
pictures of PAIRS, or with ``--mean-statistics`` blended like the weights. With ``--blur 0.6`` it sees these pictures
blurred, as a network for soft scans does. The card is the first model's, but for
what the weights tell; its levels and metrics have to be measured anew, and how it is softened said anew.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch.optim.swa_utils import update_bn

import plainly
from redust.core.arrays import Light, three_channels, to_light
from redust.core.errors import TrainingError
from redust.models import networks
from redust.models.card import read_card
from redust.models.card import weights as card_weights
from redust.training.export import export_model
from redust.training.pairs import find_splits, read_picture
from redust.training.synthesis.shapes import soften

PICTURES, BATCH, STRIDE = 480, 8, 16
CALIBRATION = 32  # pictures that the INT8 weights are calibrated on; 128 hold rarer extremes, and bytes get coarser
COMPUTED = {"parameters", "gflop_per_megapixel", "scales", "channels", "normalisation", "stride", "halo", "files"}
STALE = {"sha256", "metrics", "f1_by_weights", "false_positive_rates", "softening"}


def weights_of(path: Path, state: str = "") -> dict[str, torch.Tensor]:
    """The weights of a model folder, or those that a training kept after a share of its time, the last unless given."""
    if path.suffix != ".pt":
        return dict(load_file(card_weights(path, "safetensors")))
    kept: dict[str, dict[str, torch.Tensor]] = torch.load(path, weights_only=True)
    state = state or max(kept, key=float)
    if state not in kept:
        raise TrainingError(f"{path} holds the states {', '.join(kept)}, not {state}. Choose one of them.")
    return {name: one.float() if one.is_floating_point() else one for name, one in kept[state].items()}


def shapes(weights: dict[str, torch.Tensor]) -> dict[str, torch.Size]:
    """What tells architectures apart."""
    return {name: one.shape for name, one in weights.items()}


def pictures(folder: Path, blur: float = 0.0) -> list[Light]:
    """Some of the damaged pictures of a folder of pairs, in random order, blurred by so many pixels."""
    pairs = find_splits(folder).train
    order = np.random.default_rng(0).permutation(len(pairs))[:PICTURES]
    return [soften(three_channels(to_light(read_picture(pairs[index].picture))), blur) for index in order]


def batches(lights: list[Light]) -> Iterator[torch.Tensor]:
    """Batches (8, 3, H, W) of pictures of one size, cut to what the network's stride divides."""
    for first in range(0, len(lights), BATCH):
        some = np.stack(lights[first : first + BATCH])
        height, width = (length // STRIDE * STRIDE for length in some.shape[1:3])
        yield torch.from_numpy(some[:, :height, :width].transpose(0, 3, 1, 2).copy())


def main() -> None:
    """Write the blended model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("--share", type=float, default=0.5)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--mean-statistics", action="store_true")
    parser.add_argument("--state", default="")
    parser.add_argument("--blur", type=float, default=0.0)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    card = read_card(options.first)
    one, other = weights_of(options.first), weights_of(options.second, options.state)
    if shapes(one) != shapes(other):
        raise TrainingError(f"{options.second} is of another architecture than {options.first}: only alike ones blend.")
    blended = {
        name: torch.lerp(weights, other[name], options.share) if weights.is_floating_point() else weights
        for name, weights in one.items()
    }
    network = networks.build(card.architecture, **card.options, scales=card.scales)
    network.load_state_dict(blended)
    lights = pictures(options.data, options.blur)
    if not options.mean_statistics:
        update_bn(batches(lights), network)
    facts = {name: value for name, value in card.model_dump().items() if name not in COMPUTED | STALE}
    export_model(network, options.output, lights[:CALIBRATION], facts)


if __name__ == "__main__":
    plainly.run(main)
