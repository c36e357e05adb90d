"""A training run from data to model: check, fit, export, score.

A run ``NAME`` keeps its state in ``runs/NAME``, and ends in ``models/NAME`` (a model folder that
`redust detect --detector` takes) and ``results/NAME`` (figures, curves, pictures, the configuration).
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import math
import pickle
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import lightning.pytorch as pl
import torch
from torch import nn

from redust.core.errors import TargetExists, TrainingError
from redust.core.heap import keep_memory
from redust.evaluation.scoring import PictureSubset
from redust.training.checkpoint import LAST, CheckpointCallback, Interrupted, ProgressCallback
from redust.training.config import Precision, Task, TrainConfig
from redust.training.data import TrainingData
from redust.training.detect import DetectionModule, finish_detection, prepare_detection
from redust.training.fill import FillModule, finish_fill, prepare_fill
from redust.training.generator import GeneratorModule, finish_generator, prepare_generator
from redust.training.loader import PatchStream, make_loader
from redust.training.module import RunClock, TrainingModule
from redust.training.network import NetworkPlan, make_network, plan_network
from redust.training.result import CardText, FittedRun, RunFolders, TrainingResult

log = logging.getLogger(__name__)

_FREE_TO_CHANGE = {
    # Where data lies; what lies there is compared by its fingerprint.
    "data": {"data", "photos", "recipe", "material", "workers"},
    "model": {"attention", "teacher"},  # by their fingerprints too
    "run": {"out", "threads", "accelerator", "card"},
}
_MAX_VALIDATIONS = 50  # of a run that is limited by epochs
# Of a budget: one validation, the scores at the end, the largest share that is kept for the end.
_VALIDATION_SHARE, _SCORE_SHARE, _MAX_RESERVE = 0.03, 0.25, 0.6
# Export and plots take 12 seconds where loading torch takes 5: on a slow or busy machine both take longer.
_EXPORT_SECONDS, _MIN_EXPORT_SECONDS, _EXPORT_PER_STARTUP = 12.0, 6.0, 2.3
_SCORED_ENGINES, _MIN_SCORED = 3, 4  # float32, INT8 and tophat; pictures


class _TaskPlan(NamedTuple):
    """What a task consists of."""

    prepare: Callable[[TrainConfig, int, int | None], TrainingData]
    module: Callable[..., TrainingModule]
    finish: Callable[[FittedRun, int | None], TrainingResult]


_TASKS = {
    Task.detect: _TaskPlan(prepare_detection, DetectionModule, finish_detection),
    Task.fill: _TaskPlan(prepare_fill, FillModule, finish_fill),
    Task.generator: _TaskPlan(prepare_generator, GeneratorModule, finish_generator),
}


def train(
    config: TrainConfig,
    *,
    resume: bool = False,
    on_progress: ProgressCallback | None = None,
    started: float | None = None,
) -> TrainingResult:
    """Train a network, export it and score it.

    Parameters
    ----------
    config
        The run.
    resume
        Continue the run of this name; without a saved state it starts from the beginning.
    on_progress
        Called after every step; it may raise KeyboardInterrupt to stop the run.
    started
        When the command began, by ``time.monotonic``: a budget counts from there. Now unless given.

    Returns
    -------
    result : TrainingResult
        Unfinished if it was interrupted (Ctrl-C): call again with `resume`.

    Raises
    ------
    TrainingError
        If the data cannot be used, memory runs out, the loss is not finite, or the saved state belongs to another
        configuration or other data.
    SettingsError
        If the text of the card cannot be read.
    TargetExists
        If a run of this name exists and is not to be resumed.
    """
    CardText.of_run(config)  # what is wrong with it is said before the run, not after
    fitted = fit(config, resume=resume, on_progress=on_progress, started=started)
    if fitted.interrupted:
        return TrainingResult(fitted.folders)
    return _TASKS[config.run.task].finish(fitted, _max_scored(fitted.module))


def fit(
    config: TrainConfig, *, resume: bool = False, on_progress: ProgressCallback | None = None,
    plan: NetworkPlan | None = None, train_size: int | None = None, started: float | None = None,
) -> FittedRun:  # fmt: skip
    """The part of :func:`train` that learns: its best weights and its state lie in the run's folder.

    From then on the process keeps the memory that it frees; see :func:`redust.core.heap.keep_memory`.

    Parameters
    ----------
    plan
        Another network than the task's own.
    train_size
        Train on at most so many pictures.
    """
    clock = RunClock(started)
    folders = RunFolders.of(config)
    state = folders.state / LAST
    if state.exists() and not resume:
        raise TargetExists(
            f"There is a run named {config.run.name} in {folders.state} already. "
            "Go on with --resume, or choose another --name."
        )
    keep_memory()
    if config.run.threads:
        torch.set_num_threads(config.run.threads)
    plan = plan or plan_network(config)
    network = make_network(config, plan)
    data = _TASKS[config.run.task].prepare(config, int(network.stride), train_size)  # type: ignore[arg-type]
    module = _make_module(config, network, data)
    module.clock = clock
    saved = _read_state(state, config, data) if state.exists() else None
    folders.make()
    (folders.results / "config.toml").write_text(config.to_toml(), encoding="utf-8")
    fitted = FittedRun(module, data, plan, folders, interrupted=False)
    if saved is not None and saved["finished"]:
        module.on_load_checkpoint({"redust": saved})
        return fitted
    _fit_to_budget(module, len(data.test))
    try:
        _run_trainer(fitted, state if saved else None, on_progress)
    except Interrupted:
        log.info("The run %s was interrupted at step %d.", config.run.name, module.global_step)
        return dataclasses.replace(fitted, interrupted=True)
    return fitted


def _make_module(config: TrainConfig, network: nn.Module, data: TrainingData) -> TrainingModule:
    """The Lightning module; the run is rounded up to whole validations, so that none of it goes unscored."""
    per_epoch = data.items / config.optimiser.batch_size
    interval = count_validation_steps(config, data)
    steps = max(1, round(config.run.epochs * per_epoch))
    return _TASKS[config.run.task].module(
        config, network, data.validation, steps=-(-steps // interval) * interval, steps_per_epoch=per_epoch,
        data_sha256=data.sha256,
    )  # fmt: skip


def count_validation_steps(config: TrainConfig, data: TrainingData) -> int:
    """Steps between two validations: an epoch, or more in a run of many."""
    per_epoch, epochs = data.items / config.optimiser.batch_size, config.run.epochs
    interval = max(1, round(per_epoch * max(1.0, epochs / _MAX_VALIDATIONS)))
    return min(max(1, round(epochs * per_epoch)), interval)


def _fit_to_budget(module: TrainingModule, test_pictures: int) -> None:
    """Choose how much is validated in a run with a budget, and how much time is kept for its end."""
    if not module.config.run.budget_minutes:
        return
    seconds = 60 * module.config.run.budget_minutes
    module.score_item(0)  # the first prediction is slower
    started = time.monotonic()
    module.score_item(0)
    module.item_seconds = max(time.monotonic() - started, 1e-6)
    count = max(_MIN_SCORED, int(_VALIDATION_SHARE * seconds / module.item_seconds))
    module.validation = PictureSubset(module.validation, count)
    scored = min(_max_scored(module) or 0, test_pictures or len(module.validation))
    startup = module.clock.startup_seconds
    export = max(_MIN_EXPORT_SECONDS, _EXPORT_PER_STARTUP * startup) if startup else _EXPORT_SECONDS
    reserve = export + module.item_seconds * (2 * len(module.validation) + _SCORED_ENGINES * scored)
    module.reserved_seconds = min(_MAX_RESERVE * seconds, reserve)


def _max_scored(module: TrainingModule) -> int | None:
    """How many pictures can be scored at the end of a run; None if it has no budget."""
    minutes = module.config.run.budget_minutes
    if not minutes or not module.item_seconds:
        return None
    return max(_MIN_SCORED, int(_SCORE_SHARE * 60 * minutes / (_SCORED_ENGINES * module.item_seconds)))


def _read_state(path: Path, config: TrainConfig, data: TrainingData) -> dict[str, Any]:
    """What ReDust keeps in a checkpoint, compared with this run."""
    try:
        saved: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)["redust"]
    except (OSError, RuntimeError, KeyError, EOFError, pickle.UnpicklingError) as error:
        raise TrainingError(f"The saved state {path} cannot be read: {error}. Copy it again, or delete it.") from error
    changed = find_changes(saved["config"], config.model_dump(mode="json"))
    if changed:
        raise TrainingError(
            f"The saved run {config.run.name} was made with other choices: {'; '.join(changed)}. "
            "Resume with the same, or choose another --name."
        )
    if saved["data"] != data.sha256:
        raise TrainingError(
            f"The data changed since the run {config.run.name} was saved. Bring the same files back, or choose "
            "another --name."
        )
    return saved


def find_changes(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Choices that differ and must not when a run is resumed, in words; a field unknown before had its default."""
    defaults = TrainConfig.model_construct().model_dump(mode="json")
    return [
        f"{name} was {old}, is {value}"
        for section, fields in now.items()
        for name, value in fields.items()
        if name not in _FREE_TO_CHANGE.get(section, set())
        and (old := before.get(section, {}).get(name, defaults[section][name])) != value
    ]


def _run_trainer(fitted: FittedRun, state: Path | None, on_progress: ProgressCallback | None) -> None:
    module, data, folders = fitted.module, fitted.data, fitted.folders
    interval = count_validation_steps(module.config, data)
    callback = CheckpointCallback(folders.state, folders.results, interval, on_progress)
    with _quiet_lightning(), _explain_memory_error(module.config), _catch_signals(callback):
        trainer = make_trainer(module, [callback])
        trainer.fit(
            module,
            train_dataloaders=open_stream(module, data, trainer),
            ckpt_path=state,
            weights_only=True if state else None,
        )
    if not math.isfinite(callback.best_score):
        raise TrainingError("The run ended before anything was scored. Give it more epochs or a larger budget.")


def make_trainer(module: TrainingModule, callbacks: list[pl.Callback]) -> pl.Trainer:
    """The Lightning trainer of a run. To it, the run is one endless epoch: see :class:`PatchStream`."""
    run = module.config.run
    return pl.Trainer(
        accelerator=run.accelerator,
        devices=1,
        precision=choose_precision(run.precision, run.accelerator),
        max_steps=module.steps,
        max_epochs=-1,
        logger=False,
        callbacks=callbacks,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def open_stream(module: TrainingModule, data: TrainingData, trainer: pl.Trainer) -> Any:
    """The batches of a run, from the step that the trainer has reached."""
    config = module.config
    stream = PatchStream(data.items, config.optimiser.batch_size, config.run.seed, lambda: trainer.global_step)
    return make_loader(data.patches, stream, config.data.workers)


def choose_precision(precision: Precision, accelerator: str) -> Any:
    """Lightning's name of a precision; auto takes bf16 where the hardware multiplies it natively."""
    if precision is Precision.auto:
        on_gpu = accelerator != "cpu" and torch.cuda.is_available()
        native = torch.cuda.is_bf16_supported() if on_gpu else bool(torch.cpu.get_capabilities().get("avx512_bf16"))
        precision = Precision.bf16 if native else Precision.float32
    return {Precision.float32: "32-true", Precision.bf16: "bf16-mixed"}[precision]


@contextlib.contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Drop Lightning's advertisements, and its warnings of what is intended here; errors still come through."""
    names = ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero")
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.WARNING)
    with warnings.catch_warnings():
        for start in (
            ".*does not have many workers",  # in-memory data needs none
            ".*GPU available but not used",
            ".*in eval mode at the start of training",  # the average is never trained
            ".*isinstance.treespec, LeafSpec",  # Lightning's own use of torch
            ".*DataLoader will create",  # more workers than cores: the user chose so
        ):
            warnings.filterwarnings("ignore", start)
        yield
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@contextlib.contextmanager
def _explain_memory_error(config: TrainConfig) -> Iterator[None]:
    """Say what to do when memory runs out."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        known = isinstance(error, (torch.OutOfMemoryError, MemoryError))
        if not known and "can't allocate memory" not in str(error):
            raise
        batch = config.optimiser.batch_size
        raise TrainingError(
            f"Memory ran out with {batch} patches per step. Say --batch-size {max(1, batch // 2)}, or a smaller "
            "--patch."
        ) from error


@contextlib.contextmanager
def _catch_signals(callback: CheckpointCallback) -> Iterator[None]:
    """The first Ctrl-C (or SIGTERM) saves and stops after the step; a second one breaks off at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def interrupt(*_: object) -> None:
        log.warning("Saving, then stopping. Press Ctrl-C again to break off at once.")
        callback.interrupted = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    for number in before:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
