"""What happens between the steps of a run: reporting, saving, pausing, choosing the best, stopping early."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from safetensors.torch import save

from redust.evaluation.plots import write_picture
from redust.training.config import RunConfig
from redust.training.module import Row, TrainingModule

LAST, BEST, HISTORY, SAMPLES = "last.ckpt", "best.safetensors", "history.csv", "samples.png"


class Paused(Exception):
    """The run was saved and left before its end; it can be resumed."""


@dataclass(frozen=True)
class TrainingProgress:
    """How far a run is.

    ``share`` is 0..1 of the whole run over all slots; ``loss`` the latest training loss; ``score`` the latest
    figure on the validation pictures by which the best weights are chosen, and ``measure`` its name: strict f1 at
    its best level, or decibels. Both are NaN before the first.
    """

    step: int
    steps: int
    epoch: float
    share: float
    loss: float
    score: float
    seconds: float
    measure: str = "f1"


Listener = Callable[[TrainingProgress], None]


class Keeper(pl.Callback):  # type: ignore[misc]  # Lightning has no types
    """Keeps a run's folder up to date and decides when to stop.

    A state is saved only where it can be resumed exactly: after a step that no validation follows, or after
    the validation.

    Parameters
    ----------
    folder
        Of the run's state: ``last.ckpt`` and ``best.safetensors``.
    results
        Of what people look at: ``history.csv`` and ``samples.png``.
    run
        How long, how often.
    validate_steps
        Steps between validations.
    listener
        Told how far the run is, after every step.
    """

    def __init__(
        self, folder: Path, results: Path, run: RunConfig, validate_steps: int, listener: Listener | None = None
    ) -> None:
        self.folder = folder
        self.results = results
        self.run = run
        self.validate_steps = validate_steps
        self.listener = listener
        self.pause_wanted = False
        self.best = -math.inf
        self.since_best = 0
        self._saved_at = 0.0

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint holds of this."""
        return {"best": self.best, "since_best": self.since_best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take it over again."""
        self.best, self.since_best = state_dict["best"], state_dict["since_best"]

    def on_train_start(self, _: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock of this slot."""
        _own(pl_module).clock.start()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Report; stop if the time is used up; save or pause if it is time to."""
        module = _own(pl_module)
        self._report(module)
        if trainer.strategy.reduce_boolean_decision(module.progress >= 1.0, all=False):
            trainer.should_stop = True  # Lightning validates once more and ends
        elif trainer.global_step % self.validate_steps:
            self._keep(trainer, module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the weights if they are the best so far; stop early; save or pause."""
        if trainer.sanity_checking:
            return
        module = _own(pl_module)
        score = module.history[-1][module.monitor]
        self.since_best = 0 if score > self.best else self.since_best + 1
        if score > self.best:
            self.best = score
            if trainer.is_global_zero:
                save_weights(module.best_network, self.folder / BEST)
        if self.run.patience and self.since_best >= self.run.patience:
            trainer.should_stop = True
        if trainer.is_global_zero:
            write_history(module.history, self.results / HISTORY)
            self._draw_samples(trainer, module)
        self._report(module)
        if not trainer.should_stop:
            self._keep(trainer, module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the state of a run that came to its end."""
        _own(pl_module).finished = True
        self._save(trainer)

    def _report(self, module: TrainingModule) -> None:
        if self.listener is None or module.global_rank:
            return
        score = module.history[-1][module.monitor] if module.history else float("nan")
        step, epoch = module.global_step, module.global_step / module.steps_per_epoch
        self.listener(
            TrainingProgress(
                step, module.steps, epoch, module.progress, module.last_loss, score, module.clock.total, module.measure
            )
        )

    def _keep(self, trainer: pl.Trainer, module: TrainingModule) -> None:
        pause = self.pause_wanted
        due = module.clock.slot - self._saved_at >= 60 * self.run.save_minutes
        decide = trainer.strategy.reduce_boolean_decision
        pause, due = decide(pause, all=False), decide(due, all=False)
        if pause or due:
            self._save(trainer)
            self._saved_at = module.clock.slot
        if pause:
            raise Paused

    def _save(self, trainer: pl.Trainer) -> None:
        """Save the state; a half-written one never takes the place of a whole one."""
        part = self.folder / f"{LAST}.part"
        trainer.save_checkpoint(part)
        if trainer.is_global_zero:
            os.replace(part, self.folder / LAST)

    def _draw_samples(self, trainer: pl.Trainer, module: TrainingModule) -> None:
        number = min(self.run.samples, len(module.pictures))
        if not number:
            return
        with torch.no_grad():
            sheet = module.sample_sheet(number)
        write_picture(sheet, self.results / SAMPLES)
        for logger in trainer.loggers:
            logger.experiment.add_image("samples", sheet, trainer.global_step, dataformats="HWC")


def _own(module: pl.LightningModule) -> TrainingModule:
    assert isinstance(module, TrainingModule)
    return module


def save_weights(network: torch.nn.Module, path: Path) -> None:
    """Write the weights as safetensors; appears whole or not at all."""
    part = path.with_name(f"{path.name}.part")
    # Not save_file: its files can be read by their owner alone, and a model is made to be passed on.
    part.write_bytes(save({name: tensor.contiguous().cpu() for name, tensor in network.state_dict().items()}))
    os.replace(part, path)


def write_history(history: list[Row], path: Path) -> None:
    """Write one line per validation as CSV; appears whole or not at all."""
    part = path.with_name(f"{path.name}.part")
    with part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(history[0]))
        writer.writeheader()
        writer.writerows(history)
    os.replace(part, path)
