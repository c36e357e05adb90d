"""Patches per second of drawing damage: the NumPy path in one process, and whole batches with torch.

    python benchmarks/synthesis.py [PHOTO_DIR] [--device cpu|cuda] [--batch 256] [--seconds 10] [--bandwidth 4.8]

Patches are 256 x 256; without photos smooth ones are made. Besides the count it prints how many bytes the tensor
operations of one batch read and write (each operation's arguments and results, as they run one by one), and from it
the most patches per second that a card of the given memory bandwidth (in TB/s; an H200 has 4.8) could draw if it
did nothing but move them: an estimate where no such card is at hand.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from redust.core.arrays import three_channels, to_light
from redust.files import read_scan
from redust.training.synthesis.batch import BatchSynthesizer
from redust.training.synthesis.synthesizer import Synthesizer
from redust.training.synthesis.writing import gather_photos

SIDE = 256
_VIEWS = ("view", "expand", "slice", "select", "unsqueeze", "permute", "detach", "alias", "unbind", "as_strided")


class Traffic(TorchDispatchMode):
    """Counts the bytes that tensor operations read and write."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0
        self.operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.__name__.split(".")[0].lstrip("_").startswith(_VIEWS):
            self.operations += 1
            for one in tree_leaves((args, kwargs, result)):
                if isinstance(one, torch.Tensor):
                    # An expanded tensor is read once, not as often as it is repeated.
                    self.bytes += min(one.numel() * one.element_size(), one.untyped_storage().nbytes())
        return result


def patches(folder: Path | None, count: int) -> np.ndarray:
    """Sound patches, (count, 256, 256, 3) float32 in 0..1."""
    rng = np.random.default_rng(0)
    if folder is None:
        coarse = [rng.random((12, 12, 3)).astype(np.float32) for _ in range(count)]
        return np.stack([cv2.resize(one, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC).clip(0, 1) for one in coarse])
    found = []
    for path in gather_photos([folder])[:count]:
        light = three_channels(to_light(read_scan(path).pixels))
        if min(light.shape[:2]) >= SIDE:
            row, column = (int(rng.integers(side - SIDE + 1)) for side in light.shape[:2])
            found.append(light[row : row + SIDE, column : column + SIDE])
    return np.stack([found[number % len(found)] for number in range(count)])


def numpy_rate(photos: np.ndarray, seconds: float) -> tuple[float, float]:
    """Patches per second of one process with one thread: by the clock, and by its own processor time."""
    cv2.setNumThreads(1)
    synthesizer, number, start, spent = Synthesizer(), 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - start < seconds:
        synthesizer.draw(photos[number % len(photos)], number)
        number += 1
    return number / (time.perf_counter() - start), number / (time.process_time() - spent)


def torch_rate(photos: torch.Tensor, seconds: float) -> tuple[float, float]:
    """Patches per second of whole batches on the photos' device: by the clock, and by processor time."""
    synthesizer = BatchSynthesizer(device=photos.device)
    generator = torch.Generator(photos.device).manual_seed(0)
    synthesizer.draw(photos, generator)  # the first call also loads kernels
    drawn, start, spent = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - start < seconds:
        synthesizer.draw(photos, generator)
        if photos.is_cuda:
            torch.cuda.synchronize()
        drawn += len(photos)
    return drawn / (time.perf_counter() - start), drawn / (time.process_time() - spent)


def main() -> None:
    """Print the rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, nargs="?")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--bandwidth", type=float, default=4.8)
    options = parser.parse_args()
    torch.set_num_threads(1)
    made = patches(options.photos, options.batch)
    say = "{}: {:.0f} patches per second by the clock, {:.0f} per second of processor time"
    print(say.format("NumPy, one thread", *numpy_rate(made, options.seconds)))
    batch = torch.from_numpy(made).permute(0, 3, 1, 2).contiguous().to(options.device)
    rates = torch_rate(batch, options.seconds)
    print(say.format(f"torch on {options.device}, one thread, batches of {options.batch}", *rates))
    with Traffic() as traffic:
        BatchSynthesizer(device=options.device).draw(batch, torch.Generator(options.device).manual_seed(0))
    each = traffic.bytes / options.batch
    print(f"{traffic.operations} operations per batch, {each / 1e6:.0f} MB moved per patch:")
    print(f"at {options.bandwidth} TB/s at most {options.bandwidth * 1e12 / each:.0f} patches per second (estimate)")


if __name__ == "__main__":
    main()
