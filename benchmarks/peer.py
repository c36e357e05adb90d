"""Speed of the shipped detector beside a U-Net of the shape that restorers of old photos commonly use.

    python benchmarks/peer.py [--side 512] [--rounds 9] [--threads 2] [--also MODEL ...]

The peer is the shape of the best-known restorer's scratch detector: a U-Net of depth 4 with 64 channels at the top
(64-128-256-512-1024), two 3 x 3 convolutions per level, concatenated skips. Its weights are random: it is timed, not
judged. All run in ONNX Runtime with the same threads on the same tiles, in turn, so that a busy machine slows all
alike; between them runs a plain float32 matrix product of NumPy. With `--also` the INT8 weights of other model folders
run too, such as those of an earlier version. Columns:

GFLOP/MP     billions of operations per megapixel of scan; a multiply-add counts as 2
MP/s         megapixels of scan per second, from the median of the rounds (halos are not counted out; the smaller
             scales of the shipped network are counted in)
GFLOP/s      the product of the two
of the time  the median, over the rounds, of the time in which the matrix product does as many multiply-adds,
             as a share of the network's time: above 100 % it is faster than a plain product

Needs the training extra. OpenBLAS, which multiplies for NumPy, is given as many threads.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from bench_sets import run_main
from redust.core.settings import Weights
from redust.models import shipped_folder
from redust.models.card import read_card
from redust.models.runtime import Session, open_model
from redust.training.export import Probability, gflop_per_megapixel, write_onnx

PEER = "U-Net 64-1024"
MATRIX = 1536
PAUSE = 0.2  # seconds: the threads of the one before go on spinning for a while


class Peer(nn.Module):
    """The U-Net of Ronneberger et al. (doi:10.1007/978-3-319-24574-4_28), padded, with batch norm."""

    stride = 16

    def __init__(self, top: int = 64, depth: int = 4) -> None:
        super().__init__()
        widths = [top * 2**level for level in range(depth + 1)]
        self.down = nn.ModuleList(_make_block(*pair) for pair in zip([3, *widths], widths, strict=False))
        self.widen = nn.ModuleList(nn.ConvTranspose2d(2 * width, width, 2, stride=2) for width in widths[:-1])
        self.up = nn.ModuleList(_make_block(2 * width, width) for width in widths[:-1])
        self.head = nn.Conv2d(top, 1, 1)

    def forward(self, light: Tensor) -> Tensor:
        """Light (N, 3, H, W) to logits (N, 1, H, W)."""
        skips = [self.down[0](light)]  # (N, 64, H, W)
        for down in list(self.down)[1:]:
            skips.append(down(functional.max_pool2d(skips[-1], 2)))
        features = skips.pop()  # (N, 1024, H/16, W/16)
        for widen, up in reversed(list(zip(self.widen, self.up, strict=True))):
            features = up(torch.cat([skips.pop(), widen(features)], 1))
        logits: Tensor = self.head(features)
        return logits


def _make_block(inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before in (inputs, outputs):
        layers += [nn.Conv2d(before, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers)


def make_peer(threads: int) -> tuple[Session, float]:
    """The peer, ready to be run, and its GFLOP per megapixel."""
    network = Peer().eval()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "peer.onnx"
        write_onnx(Probability(network).eval(), path, stride=network.stride)
        return Session(path, threads), gflop_per_megapixel(network)


def open_detector(folder: Path, weights: Weights, threads: int) -> tuple[Session, float]:
    """A detector with some weights, and its GFLOP per megapixel of a scan, over all its scales."""
    card, session = open_model(folder, "detect", threads=threads, weights=weights)
    assert card.gflop_per_megapixel is not None
    return session, card.gflop_per_megapixel


def pixel_ratio(folder: Path) -> float:
    """Megapixels that a detector computes per megapixel of a scan, over all its scales."""
    return sum(1 / scale**2 for scale in read_card(folder).scales)


def time_call(action: Callable[[], object]) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def main() -> None:
    """Time all in turn and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=512, help="of the square tile")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--also", type=Path, action="append", default=[], metavar="MODEL")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    light = rng.random((options.side, options.side, 3), dtype=np.float32)
    matrix = rng.random((MATRIX, MATRIX), dtype=np.float32)
    unet = shipped_folder("unet")
    detectors = {"unet, float32": (unet, Weights.float32), "unet, int8": (unet, Weights.int8)}
    detectors |= {f"{folder}, int8": (folder, Weights.int8) for folder in options.also}
    networks = {name: open_detector(*model, options.threads) for name, model in detectors.items()} | {
        PEER: make_peer(options.threads)
    }
    ratios = {name: pixel_ratio(folder) for name, (folder, _) in detectors.items()}
    times: dict[str, list[float]] = {name: [] for name in networks}
    shares: dict[str, list[float]] = {name: [] for name in networks}
    rates = []
    megapixels = options.side**2 / 1e6
    for number in range(options.rounds + 1):
        for name, (session, gflop) in networks.items():
            product = min(time_call(lambda: matrix @ matrix) for _ in range(2))
            time.sleep(PAUSE)
            seconds = min(time_call(lambda run=session.run: run(light)) for _ in range(2))
            seconds *= ratios.get(name, 1.0)
            if number:  # the first round warms up
                rates.append(2 * MATRIX**3 / product / 1e9)
                times[name].append(seconds)
                shares[name].append(gflop * megapixels / rates[-1] / seconds)
    print(f"tile {options.side} x {options.side}, {options.threads} threads, median of {options.rounds} rounds")
    width = max(map(len, networks)) + 2
    print(f"{'network':<{width}}{'GFLOP/MP':>10}{'MP/s':>8}{'GFLOP/s':>9}{'of the time':>13}")
    for name, (_, gflop) in networks.items():
        speed = megapixels / statistics.median(times[name])
        share = statistics.median(shares[name])
        print(f"{name:<{width}}{gflop:>10.1f}{speed:>8.3g}{gflop * speed:>9.0f}{share:>13.0%}")
    print(f"plain float32 matrix product: {statistics.median(rates):.0f} GFLOP/s")


if __name__ == "__main__":
    run_main(main)
