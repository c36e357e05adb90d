"""What happens between the steps of a run: validation, progress, checkpoints, interruption."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch

from redust.core.atomic import whole_file
from redust.evaluation.plots import write_picture
from redust.training.module import Row, TrainingModule
from redust.training.network import save_weights

LAST, BEST, HISTORY, SAMPLES = "last.ckpt", "best.safetensors", "history.csv", "samples.png"
SAMPLE_COUNT = 8
_SAVE_SECONDS = 300.0
_BUDGET_VALIDATIONS = 10  # of a run that is limited by time


class Interrupted(Exception):
    """The run was saved and stopped before its end; it can be resumed."""


@dataclass(frozen=True)
class TrainingProgress:
    """The progress of a run.

    ``share`` is 0..1 of the whole run over all sessions; ``steps`` are those of the whole run, None where the time
    limits them; ``loss`` is the latest training loss; ``score`` the latest figure on the validation pictures by which
    the best weights are selected, and ``measure`` its name. Both figures are NaN before the first.
    """

    step: int
    steps: int | None
    epoch: float
    share: float
    loss: float
    score: float
    seconds: float
    measure: str = "f1"


ProgressCallback = Callable[[TrainingProgress], None]


class CheckpointCallback(pl.Callback):  # type: ignore[misc]  # Lightning has no types
    """Validates, keeps the folder of a run up to date, and decides when to stop.

    Parameters
    ----------
    state, results
        Folders of ``last.ckpt`` and ``best.safetensors``, and of ``history.csv`` and ``samples.png``.
    validation_steps
        Steps between validations; a run that is limited by time is validated after each tenth of it instead.
    on_progress
        Called after every step. Where it raises KeyboardInterrupt, the run is saved and stops.
    """

    def __init__(
        self, state: Path, results: Path, validation_steps: int, on_progress: ProgressCallback | None = None
    ) -> None:
        self.state = state
        self.results = results
        self.validation_steps = validation_steps
        self.on_progress = on_progress
        self.interrupted = False
        self.best_score = -math.inf
        self._saved_seconds = 0.0

    def state_dict(self) -> dict[str, Any]:
        """The state of a checkpoint."""
        return {"best_score": self.best_score}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore it."""
        self.best_score = state_dict["best_score"]

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Validate if it is time to; report; stop at the end of the run; save or stop if asked to."""
        assert isinstance(pl_module, TrainingModule)
        complete = pl_module.progress >= 1.0
        if complete or self._is_validation_due(pl_module):
            with trainer.precision_plugin.val_step_context():
                pl_module.record_validation()
            self._keep_results(pl_module)
        self._report(pl_module)
        if complete:
            trainer.should_stop = True
        elif self.interrupted or pl_module.clock.total_seconds - self._saved_seconds >= _SAVE_SECONDS:
            self._save(trainer, pl_module)
            if self.interrupted:
                raise Interrupted

    def _is_validation_due(self, module: TrainingModule) -> bool:
        if module.config.run.budget_minutes:
            return module.progress >= (len(module.history) + 1) / _BUDGET_VALIDATIONS
        return int(module.global_step) % self.validation_steps == 0

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the state of a run that is complete."""
        assert isinstance(pl_module, TrainingModule)
        pl_module.finished = True
        self._save(trainer, pl_module)

    def _keep_results(self, module: TrainingModule) -> None:
        """Keep the weights if they are the best so far; write the history and samples."""
        score = module.history[-1][module.monitor]
        if score > self.best_score:
            self.best_score = score
            save_weights(module.best_network, self.state / BEST)
        write_history(module.history, self.results / HISTORY)
        with torch.no_grad():
            write_picture(module.sample_sheet(min(SAMPLE_COUNT, len(module.validation))), self.results / SAMPLES)

    def _report(self, module: TrainingModule) -> None:
        if self.on_progress is None:
            return
        score = module.history[-1][module.monitor] if module.history else float("nan")
        step, seconds = module.global_step, module.clock.total_seconds
        steps = None if module.config.run.budget_minutes else module.steps
        progress = TrainingProgress(
            step, steps, step / module.steps_per_epoch, module.progress, module.last_loss, score, seconds,
            module.measure,
        )  # fmt: skip
        try:
            self.on_progress(progress)
        except KeyboardInterrupt:
            self.interrupted = True

    def _save(self, trainer: pl.Trainer, module: TrainingModule) -> None:
        """Save the state; a half-written file never takes the name of a whole one."""
        partial = self.state / f"{LAST}.part"
        trainer.save_checkpoint(partial)
        os.replace(partial, self.state / LAST)
        self._saved_seconds = module.clock.total_seconds


def write_history(history: list[Row], path: Path) -> None:
    """Write one line per validation as CSV; the file appears whole or not at all."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in history for name in row)))
    writer.writeheader()
    writer.writerows(history)
    with whole_file(path, overwrite=True) as file:
        file.write(text.getvalue().encode())
