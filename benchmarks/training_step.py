"""How much a training run costs beyond the network itself: its step against the same step in plain PyTorch.

    python benchmarks/training_step.py --data DIR [--mask-level 128] [--steps 40]

Both do the same: forward, loss, backward, clipping, AdamW and the running average of the weights, on patches
of the same size; the run also makes its patches and goes through Lightning. Rounds of the two alternate, so that a busy
machine slows both; the median round is reported. Both keep the memory they free, as `redust train` does; the bare step
is also timed once before that.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import lightning.pytorch as pl
import torch

from redust.core.heap import keep_memory
from redust.training.config import TrainConfig
from redust.training.detect import DetectionModule, prepare_detection
from redust.training.module import clip_gradient
from redust.training.network import make_network, plan_network
from redust.training.run import choose_precision, make_trainer, open_stream

ROUNDS = 5


class Timed(pl.Callback):
    """Seconds from the end of one step to the end of the next, and how much of that was spent in the step."""

    def __init__(self) -> None:
        self.whole: list[float] = []
        self.inside: list[float] = []
        self._last = self._begun = time.perf_counter()

    def on_train_start(self, *_: object) -> None:
        self._last = time.perf_counter()

    def on_train_batch_start(self, *_: object) -> None:
        self._begun = time.perf_counter()

    def on_train_batch_end(self, *_: object) -> None:
        now = time.perf_counter()
        self.whole.append(now - self._last)
        self.inside.append(now - self._begun)
        self._last = now


def bare(config: TrainConfig, patch: int, steps: int) -> Iterator[float]:
    """Seconds of each step of the network alone, on one fixed batch."""
    torch.manual_seed(0)
    network = make_network(config, plan_network(config))
    module = DetectionModule(config, network, [], steps=steps, steps_per_epoch=1.0)
    (optimiser,) = module.configure_optimizers()
    light = torch.rand(config.optimiser.batch_size, 3, patch, patch).contiguous(memory_format=torch.channels_last)
    truth = (torch.rand(config.optimiser.batch_size, 1, patch, patch) > 0.98).byte() * 255
    for _ in range(steps):
        started = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=module_precision(config) == "bf16-mixed"):
            loss = module.loss(network(light), truth)
        loss.backward()
        clip_gradient(network)
        optimiser.step()
        optimiser.zero_grad()
        module.averaged.update_parameters(network)
        yield time.perf_counter() - started


def module_precision(config: TrainConfig) -> str:
    """Lightning's name of the precision that is used."""
    return str(choose_precision(config.run.precision, config.run.accelerator))


def run(config: TrainConfig, steps: int) -> Timed:
    """The same steps as a run makes them."""
    network = make_network(config, plan_network(config))
    data = prepare_detection(config, int(network.stride))
    module = DetectionModule(config, network, data.validation, steps=steps, steps_per_epoch=1.0)
    timed = Timed()
    trainer = make_trainer(module, [timed])
    trainer.fit(module, train_dataloaders=open_stream(module, data, trainer))
    return timed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--mask-level", type=int)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--batch-size", type=int, default=16)
    options = parser.parse_args()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    flags = {"data": options.data, "batch_size": options.batch_size, "accelerator": "cpu"}
    config = TrainConfig.load(flags=flags | ({"mask_level": options.mask_level} if options.mask_level else {}))
    patch = prepare_detection(config, 16).patches.patch
    giving_back = statistics.median(list(bare(config, patch, options.steps))[2:])
    keep_memory()
    plain, whole, inside = [], [], []
    for _ in range(ROUNDS):
        plain.append(statistics.median(list(bare(config, patch, options.steps))[2:]))
        timed = run(config, options.steps)
        whole.append(statistics.median(timed.whole[2:]))
        inside.append(statistics.median(timed.inside[2:]))
    alone, step, within = (statistics.median(one) for one in (plain, whole, inside))
    how = f"{module_precision(config)}, {torch.get_num_threads()} threads"
    print(f"{options.batch_size} patches of {patch} x {patch}, {how}")
    print(
        f"bare step          {1000 * alone:8.1f} ms   {giving_back / alone:.2f} times that while memory is given back"
    )
    print(f"step of a run      {1000 * step:8.1f} ms   {step / alone:.3f} times")
    print(f"  in the step      {1000 * within:8.1f} ms")
    print(f"  between steps    {1000 * (step - within):8.1f} ms   making patches, loops, logs")


if __name__ == "__main__":
    main()
