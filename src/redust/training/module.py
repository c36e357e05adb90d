"""One network being trained, as Lightning sees it.

Everything random is a function of the seed and the step, so a run that was paused ends as one never paused.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Sized
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from redust.core.errors import TrainingError
from redust.evaluation.metrics import MetricCounter
from redust.evaluation.plots import Picture, sample_sheet
from redust.files.pairs import Pictures
from redust.training.config import OptimiserConfig, Precision, Schedule, TrainConfig
from redust.training.distillation import teachers_of
from redust.training.losses import MaskedLoss, taught_loss
from redust.training.opinion import judged, opinion

Row = dict[str, float]

LOG_STEPS = 10
_LOSS_CHECK_STEPS = 25  # looking at the loss makes a GPU wait
_LOWEST_RATE = 0.01  # of the highest, at the end of a cosine


class Clock:
    """Seconds of training over all slots."""

    def __init__(self) -> None:
        self.before = 0.0
        self._start = time.monotonic()

    def start(self) -> None:
        """Start this slot."""
        self._start = time.monotonic()

    @property
    def slot(self) -> float:
        """Seconds of this slot."""
        return time.monotonic() - self._start

    @property
    def total(self) -> float:
        """Seconds of all slots."""
        return self.before + self.slot


class TrainingModule(pl.LightningModule):  # type: ignore[misc]  # Lightning has no types
    """What every task shares: a network and its average, how far the run is, and what is saved of it.

    Parameters
    ----------
    config
        The run.
    network
        What is trained; see :mod:`redust.models.networks`.
    steps, steps_per_epoch
        Optimiser steps of the whole run, and of one epoch.
    data_sha256
        Written into checkpoints, so that a run is not resumed on other data.
    """

    monitor: str
    """The column of the history by which the best weights are chosen: the highest."""

    measure: str
    """What people call it."""

    pictures: Sized
    """What is scored at every validation."""

    def __init__(
        self, config: TrainConfig, network: nn.Module, *, steps: int, steps_per_epoch: float, data_sha256: str = ""
    ) -> None:
        super().__init__()
        self.config = config
        self.network = network
        self.averaged = AveragedModel(network, use_buffers=True) if config.optimiser.ema else None
        if self.averaged is not None:
            self.averaged.requires_grad_(False)
        self.steps = steps
        self.steps_per_epoch = steps_per_epoch
        self.data_sha256 = data_sha256
        self.clock = Clock()
        self.history: list[Row] = []
        self.last_loss = float("nan")
        self.finished = False
        self._losses: list[Tensor] = []

    @property
    def best_network(self) -> nn.Module:
        """The weights that are scored and shipped: the average where there is one."""
        if self.averaged is None:
            return self.network
        average: nn.Module = self.averaged.module
        return average

    @property
    def progress(self) -> float:
        """Share of the run that is done, by steps or by the clock, whichever is farther."""
        done = self.global_step / self.steps
        minutes = self.config.run.budget_minutes
        return float(min(1.0, max(done, self.clock.total / (60 * minutes)) if minutes else done))

    @abstractmethod
    def sample_sheet(self, number: int) -> Picture:
        """At most `number` validation pictures with what the averaged network makes of them."""

    def optimiser_of(self, network: nn.Module, **options: Any) -> torch.optim.Optimizer:
        """As :func:`optimiser_for`, as the run has it."""
        # The fused step is the fastest, but cannot be clipped under fp16's gradient scaling.
        fused = self.config.run.precision is not Precision.fp16
        return optimiser_for(network, self.config.optimiser, fused=fused, **options)

    def on_train_batch_start(self, *_: Any) -> None:
        """Set what this step depends on: the random state, the learning rate, and whether batch norms learn."""
        place = [self.config.run.seed, self.global_step, self.global_rank]
        torch.manual_seed(int(np.random.SeedSequence(place).generate_state(1, np.uint64)[0]))
        set_rate(self.trainer.optimizers[0], self.config.optimiser, self.progress)
        if self.config.model.keep_statistics:
            keep_statistics(self.network)

    def follow(self) -> None:
        """Follow the weights with their average."""
        if self.averaged is not None:
            follow(self.averaged, self.network, self.global_step, self.config.optimiser.ema)

    def place(self) -> Row:
        """How far the run is: the first columns of a row of the history."""
        losses = torch.stack(self._losses).mean().item() if self._losses else float("nan")
        self._losses = []
        return {
            "step": float(self.global_step),
            "epoch": self.global_step / self.steps_per_epoch,
            "seconds": self.clock.total,
            "learning_rate": self.config.optimiser.learning_rate * rate_factor(self.progress, self.config.optimiser),
            "train_loss": losses,
        }

    def keep_loss(self, loss: Tensor, batch_idx: int) -> None:
        """Note the loss of a step, and look now and then whether it is still a number."""
        self._losses.append(loss.detach())
        if loss.device.type == "cpu" or batch_idx % _LOSS_CHECK_STEPS == 0:
            self.last_loss = float(loss.detach())
            _check_loss(self.last_loss, self.global_step)
        if (self.global_step + 1) % LOG_STEPS == 0:  # Lightning would drop the others, at a millisecond each
            self.log("train_loss", loss)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what Lightning does not know."""
        checkpoint["redust"] = {
            "config": self.config.model_dump(mode="json"),
            "data": self.data_sha256,
            "finished": self.finished,
            "seconds": self.clock.total,
            "history": self.history,
            "losses": [float(one) for one in self._losses],
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take it over again."""
        own = checkpoint["redust"]
        self.clock.before, self.history = own["seconds"], own["history"]
        self._losses = [torch.tensor(one) for one in own["losses"]]


class DamageModule(TrainingModule):
    """A network that detects, its loss and its optimiser.

    Parameters
    ----------
    config, network, steps, steps_per_epoch, data_sha256
        See :class:`TrainingModule`.
    validation
        Pictures scored at every validation, at full size, with the averaged weights.
    """

    # At the best level: while a network is unsure of everything, f1 at 0.5 is 0 and says nothing.
    monitor = "val_f1_best_level"
    measure = "f1"

    def __init__(
        self,
        config: TrainConfig,
        network: nn.Module,
        validation: Pictures,
        *,
        steps: int,
        steps_per_epoch: float,
        data_sha256: str = "",
    ) -> None:
        super().__init__(config, network, steps=steps, steps_per_epoch=steps_per_epoch, data_sha256=data_sha256)
        self.loss = MaskedLoss(config.loss)
        # No module of torch's: what is registered here is saved and moved with the student.
        self.teachers = teachers_of(config.model)
        self.pictures: Pictures = validation
        self.tally = MetricCounter()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """One for the network."""
        return self.optimiser_of(self.network)

    def configure_gradient_clipping(self, *_: Any, **__: Any) -> None:
        """Clip the gradient's norm. Lightning's own clipping refuses fused optimisers, also where it need not."""
        if self.config.optimiser.gradient_clip:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.config.optimiser.gradient_clip)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """The loss of one batch of light (N, 3, H, W) and truth (N, 1, H, W)."""
        light, truth = batch
        logits = judged(self.network, light.contiguous(memory_format=torch.channels_last))
        loss: Tensor = self.loss(logits, truth) if self.teachers is None else self._taught(logits, light, truth)
        self.keep_loss(loss, batch_idx)
        return loss

    def _taught(self, logits: Tensor, light: Tensor, truth: Tensor) -> Tensor:
        assert self.teachers is not None
        share = self.config.loss.teaching
        loss = share * taught_loss(logits, self.teachers.opinion(light), self.config.loss.balance)
        return loss if share == 1 else loss + (1 - share) * self.loss(logits, truth)

    def optimizer_step(self, *arguments: Any, **named: Any) -> None:
        """Step, then follow the weights with their average."""
        # Not on_train_batch_end: the keeper's comes first, and would save a state without this step's average.
        super().optimizer_step(*arguments, **named)
        self.follow()

    def on_validation_epoch_start(self) -> None:
        """Start counting."""
        self.tally = MetricCounter()

    def validation_step(self, number: int) -> None:
        """Count one picture, whole."""
        pixels, truth = self.pictures[int(number)]
        self.tally.add(truth, opinion(self.best_network, pixels))

    def on_validation_epoch_end(self) -> None:
        """Sum the counts of all processes and write them down."""
        if self.trainer.world_size > 1:
            state = torch.from_numpy(self.tally.state()).to(self.device)
            self.tally.load(self.all_gather(state).sum(0).cpu().numpy())
        self.history.append(self._row(self.tally))
        self.log_dict({name: value for name, value in self.history[-1].items() if name != "step"}, rank_zero_only=True)

    def _row(self, tally: MetricCounter) -> Row:
        numbers = tally.figures().model_dump(exclude={"objects_by_area", "files", "level", "tolerance"})
        numbers["f1_best_level"] = tally.best()[1]
        return self.place() | {f"val_{name}": float(value) for name, value in numbers.items()}

    def sample_sheet(self, number: int) -> Picture:
        """Pictures, truth, damage map and what was found."""
        chosen = [self.pictures[index] for index in np.linspace(0, len(self.pictures) - 1, number).astype(int)]
        return sample_sheet(
            [(pixels, truth, opinion(self.best_network, pixels)) for pixels, truth in chosen], level=0.5
        )


def optimiser_for(network: nn.Module, choices: OptimiserConfig, **options: Any) -> torch.optim.Optimizer:
    """AdamW; weight decay on matrices and kernels, none on norms and biases."""
    weights = [one for one in network.parameters() if one.ndim > 1]
    others = [one for one in network.parameters() if one.ndim <= 1]
    groups = [
        {"params": weights, "weight_decay": choices.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=choices.learning_rate, **options)


def follow(average: AveragedModel, network: nn.Module, steps: int, decay: float, every: int = 1) -> None:
    """Let an average follow a network, more closely while it moves fast; `every` so many of its steps."""
    kept = min(decay, (1 + steps) / (10 + steps)) ** every
    average.multi_avg_fn = get_ema_multi_avg_fn(kept)  # type: ignore[no-untyped-call]
    average.update_parameters(network)


def keep_statistics(network: nn.Module) -> None:
    """Let batch norms use what they know of their inputs and learn no more of them, until the network trains anew."""
    for one in network.modules():
        if isinstance(one, nn.BatchNorm2d):
            one.eval()


def set_rate(optimiser: torch.optim.Optimizer, choices: OptimiserConfig, progress: float) -> None:
    """Set the learning rate of a run's `progress` of 0..1."""
    rate = choices.learning_rate * rate_factor(progress, choices)
    for group in optimiser.param_groups:
        group["lr"] = rate


def rate_factor(progress: float, choices: OptimiserConfig) -> float:
    """The learning rate as a share of the highest, at a `progress` of 0..1: a linear rise, then a fall."""
    warmup = choices.warmup
    if progress < warmup:
        return 0.02 + 0.98 * progress / warmup
    if choices.schedule is Schedule.constant:
        return 1.0
    fallen = (progress - warmup) / max(1 - warmup, 1e-9)
    return _LOWEST_RATE + (1 - _LOWEST_RATE) * 0.5 * (1 + float(np.cos(np.pi * fallen)))


def _check_loss(loss: float, step: int) -> None:
    if not np.isfinite(loss):
        raise TrainingError(
            f"The loss became {loss} at step {step}. The best weights so far are kept. Try a third of the learning "
            "rate (--learning-rate), a lower --gradient-clip, or --precision float32."
        )
