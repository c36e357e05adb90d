"""A training run from data to model: check, fit, export, measure.

A run ``NAME`` keeps its state in ``runs/NAME``, and ends in ``models/NAME`` (a model folder that
`redust detect --detector` takes) and ``results/NAME`` (figures, curves, pictures, the configuration).
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import pickle
import platform
import signal
import threading
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from redust import __version__
from redust.core.arrays import Light
from redust.core.errors import TargetExists, TrainingError
from redust.core.labels import Label
from redust.core.settings import Weights
from redust.detectors import make_detector
from redust.detectors.onnx_detector import OnnxDetector
from redust.detectors.run_detector import detect_damage
from redust.evaluation.metrics import MetricCounter
from redust.evaluation.plots import draw_curves, draw_precision_recall, sample_sheet, write_picture
from redust.evaluation.scoring import score_detector
from redust.files.pairs import Library, Pictures
from redust.models import ModelCard, networks, read_card
from redust.models.card import FLOAT32, INT8, weights_path
from redust.training.config import Architecture, ModelConfig, Precision, Task, TrainConfig
from redust.training.data import Ahead, Numbers, Stream, TrainingData, prepare, stack
from redust.training.export import export_model
from redust.training.generative.data import prepare_restoring
from redust.training.generative.finishing import export_and_measure
from redust.training.generative.module import RestoringModule
from redust.training.keeper import BEST, LAST, Keeper, Listener, Paused
from redust.training.memory import keep_memory
from redust.training.module import LOG_STEPS, DamageModule, TrainingModule
from redust.training.opinion import opinion, scales_of

log = logging.getLogger(__name__)

_MATERIAL = ("recipe", "overlays", "outlines", "cracks", "folds", "transplant")
_FREE_TO_CHANGE = {
    # Where data lies; what lies there is compared by its fingerprint.
    "data": {*_MATERIAL, "data", "photos", "workers", "cache_megabytes"},
    "model": {"attention", "teacher"},  # by its fingerprint too
    "run": {"out", "save_minutes", "threads", "accelerator", "samples", "tophat"},
}
_CALIBRATION_PICTURES = 32  # with 16, INT8 lost 0.009 of f1 on real plates; with 24, nothing
_LEVELS = (0.05, 0.95)


@dataclass(frozen=True)
class Folders:
    """Where a run puts what it makes."""

    state: Path
    model: Path
    results: Path

    @classmethod
    def of(cls, config: TrainConfig) -> Folders:
        """The folders of a run, not yet made."""
        out, name = config.run.out, config.run.name
        return cls(out / "runs" / name, out / "models" / name, out / "results" / name)

    def make(self) -> None:
        """Make those that are used from the start."""
        for folder in (self.state, self.results):
            folder.mkdir(parents=True, exist_ok=True)


@dataclass(frozen=True)
class TrainingResult:
    """What became of a run.

    ``card`` is None where it was paused, and in all processes but the ``main`` one; ``tallies`` hold the counts of
    detectors, ``figures`` those of networks that fill or restore blindly, and of what they are compared with.
    """

    folders: Folders
    card: ModelCard | None
    tallies: dict[str, MetricCounter]
    main: bool = True
    figures: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        """Whether the run came to its end."""
        return self.card is not None


@dataclass(frozen=True)
class Fitted:
    """A run as far as it was fitted, not yet exported."""

    module: TrainingModule
    data: TrainingData
    folders: Folders
    paused: bool


def train(config: TrainConfig, *, resume: bool = False, listener: Listener | None = None) -> TrainingResult:
    """Train a network, export it and measure it.

    Parameters
    ----------
    config
        The run.
    resume
        Go on where the run of this name was paused; without a saved state it starts from the beginning.
    listener
        Told how far the run is, after every step.

    Returns
    -------
    result : TrainingResult
        Unfinished if it was paused (Ctrl-C): call again with `resume`.

    Raises
    ------
    TrainingError
        If the data cannot be learned from, memory runs out, the loss is no number, or the saved state belongs
        to another configuration or other data.
    TargetExists
        If a run of this name exists and is not to be resumed.
    """
    fitted = fit(config, resume=resume, listener=listener)
    main = fitted.module.global_rank == 0
    if fitted.paused or not main:
        return TrainingResult(fitted.folders, None, {}, main)
    return finish(fitted)


def fit(config: TrainConfig, *, resume: bool = False, listener: Listener | None = None) -> Fitted:
    """The part of :func:`train` that learns: its best weights and its state lie in the run's folder.

    From then on the process keeps the memory that it frees; see :func:`redust.training.memory.keep_memory`.
    """
    folders = Folders.of(config)
    state = folders.state / LAST
    if state.exists() and not resume:
        raise TargetExists(
            f"There is a run named {config.run.name} in {folders.state} already. "
            "Go on with --resume, or choose another --name."
        )
    keep_memory()
    if config.run.threads:
        torch.set_num_threads(config.run.threads)
    network = make_network(config.model, seed=config.run.seed)
    look = prepare if config.run.task is Task.detect else prepare_restoring
    data = look(config, max(scales_of(network)) * int(network.stride))  # type: ignore[arg-type]
    module = _module(config, network, data)
    saved = _read_state(state, config, data) if state.exists() else None
    folders.make()
    (folders.results / "config.toml").write_text(config.to_toml(), encoding="utf-8")
    if saved is not None and saved["finished"]:
        module.on_load_checkpoint({"redust": saved})
        return Fitted(module, data, folders, paused=False)
    try:
        _fit(module, data, folders, state if saved else None, listener)
    except Paused:
        log.info("The run %s was paused at step %d.", config.run.name, module.global_step)
        return Fitted(module, data, folders, paused=True)
    return Fitted(module, data, folders, paused=False)


def make_network(config: ModelConfig, seed: int) -> nn.Module:
    """The network of a run, with fresh weights or those of the model it starts from.

    Raises
    ------
    TrainingError
        If that model is of another architecture.
    """
    torch.manual_seed(seed)
    network = networks.build(config.architecture.value, **options_of(config))
    if config.start:
        start_from(network, config)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs
    return network


def load_network(config: TrainConfig, path: Path) -> nn.Module:
    """The network of a run with weights from a file, on the CPU, ready to be asked."""
    network = networks.build(config.model.architecture.value, **options_of(config.model)).eval()
    network.load_state_dict(load_file(path))
    return network


def options_of(config: ModelConfig) -> dict[str, Any]:
    """What the network is built with besides its defaults."""
    options: dict[str, Any] = {}
    if config.start_folder:
        options |= read_card(config.start_folder).options
        if config.architecture is not Architecture.unet:
            for name in ("scales", "blocks"):  # a detector's alone
                options.pop(name, None)
    if config.channels:
        options["channels"] = config.channels
    if config.side and config.architecture is Architecture.cnn:
        options["side"] = config.side
    if config.dropout:
        options["dropout"] = config.dropout
    if config.architecture is Architecture.unet:
        options |= {
            name: value for name in ("finish", "scales", "blocks") if (value := getattr(config, name)) is not None
        }
    return options


def start_from(network: nn.Module, config: ModelConfig) -> None:
    """Load the weights of the model the configuration starts from, in place.

    Raises
    ------
    TrainingError
        If they do not fit the network.
    """
    folder = config.start_folder
    assert folder is not None
    found = load_file(weights_path(folder, "safetensors"))
    fresh = tuple(getattr(network, "fresh", ()))  # parts that another task's network lacks keep their own beginning
    own = network.state_dict()
    found |= {
        name: value
        for name, value in own.items()
        if name.startswith(fresh) and (name not in found or found[name].shape != value.shape)
    }
    for name in getattr(network, "widened", ()):
        found[name] = widened(found[name], own[name].shape[1])
    surplus = tuple(getattr(network, "surplus", ()))
    found = {name: value for name, value in found.items() if name in own or not name.startswith(surplus)}
    try:
        network.load_state_dict(found)
    except RuntimeError as error:
        raise TrainingError(
            f"The weights of {config.start} ({read_card(folder).architecture}) do not fit the network "
            f"{config.architecture.value}. Train the same --architecture, with the same channels."
        ) from error


def widened(weight: Tensor, inputs: int) -> Tensor:
    """A convolution's weight (out, in, h, w) that looks at more channels: at the new ones not yet."""
    return functional.pad(weight, (0, 0, 0, 0, 0, max(0, inputs - weight.shape[1])))


def _module(config: TrainConfig, network: nn.Module, data: TrainingData) -> TrainingModule:
    """The Lightning module; the run is rounded up to whole validations, so that none of it goes unscored."""
    per_epoch = data.items / (config.optimiser.batch_size * config.run.devices)
    between = validate_steps(config, data)
    steps = max(1, round(config.run.epochs * per_epoch))
    kind = DamageModule if config.run.task is Task.detect else RestoringModule
    return kind(
        config, network, data.validation, steps=-(-steps // between) * between, steps_per_epoch=per_epoch,
        data_sha256=data.sha256,
    )  # fmt: skip


def validate_steps(config: TrainConfig, data: TrainingData) -> int:
    """Steps between two validations."""
    per_epoch = data.items / (config.optimiser.batch_size * config.run.devices)
    whole = max(1, round(config.run.epochs * per_epoch))
    return min(whole, max(1, round(config.run.validate_every * per_epoch)))


def _read_state(path: Path, config: TrainConfig, data: TrainingData) -> dict[str, Any]:
    """What ReDust keeps in a saved state, checked against this run."""
    try:
        saved: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)["redust"]
    except (OSError, RuntimeError, KeyError, EOFError, pickle.UnpicklingError) as error:
        raise TrainingError(f"The saved state {path} cannot be read: {error}. Copy it again, or delete it.") from error
    changed = changes(saved["config"], config.model_dump(mode="json"))
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


def changes(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Choices that differ and must not when a run is resumed, in words; what was no choice yet was at its default."""
    usual = TrainConfig.model_construct().model_dump(mode="json")
    return [
        f"{name} was {was}, is {value}"
        for section, fields in now.items()
        for name, value in fields.items()
        if name not in _FREE_TO_CHANGE.get(section, set())
        and (was := before.get(section, {}).get(name, usual[section][name])) != value
    ]


def _fit(
    module: TrainingModule, data: TrainingData, folders: Folders, state: Path | None, listener: Listener | None
) -> None:
    config = module.config
    keeper = Keeper(folders.state, folders.results, config.run, validate_steps(config, data), listener)
    with _quiet_lightning(), _memory_explained(config), _interruptible(keeper):
        trainer = make_trainer(module, folders, [keeper])
        trainer.fit(
            module,
            train_dataloaders=train_loader(module, data, trainer),
            val_dataloaders=_validation_loader(data, trainer),
            ckpt_path=state,
            weights_only=True if state else None,
        )
    if not math.isfinite(keeper.best):
        raise TrainingError("The run ended before anything was scored. Give it more epochs or a larger budget.")


def make_trainer(module: TrainingModule, folders: Folders, callbacks: list[pl.Callback]) -> pl.Trainer:
    """The Lightning trainer of a run. To it, the run is one endless epoch: see :class:`Stream`."""
    run = module.config.run
    between = callbacks[0].validate_steps if callbacks and isinstance(callbacks[0], Keeper) else None
    return pl.Trainer(
        accelerator=run.accelerator,
        devices=run.devices,
        strategy="ddp" if run.devices > 1 else "auto",
        precision=precision_of(run.precision, run.accelerator),
        max_steps=module.steps,
        max_epochs=-1,
        val_check_interval=between,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        logger=TensorBoardLogger(folders.state, name="tensorboard", version="", default_hp_metric=False),
        log_every_n_steps=LOG_STEPS,
        callbacks=callbacks,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )


def precision_of(wanted: Precision, accelerator: str) -> Any:
    """Lightning's name of a precision; auto takes bf16 where the hardware multiplies it natively."""
    if wanted is Precision.auto:
        on_gpu = accelerator != "cpu" and torch.cuda.is_available()
        native = torch.cuda.is_bf16_supported() if on_gpu else bool(torch.cpu.get_capabilities().get("avx512_bf16"))
        wanted = Precision.bf16 if native else Precision.float32
    return {Precision.float32: "32-true", Precision.bf16: "bf16-mixed", Precision.fp16: "16-mixed"}[wanted]


def train_loader(module: TrainingModule, data: TrainingData, trainer: pl.Trainer) -> Iterable[Any]:
    """The batches of a run, from the step at which the trainer is."""
    config = module.config
    stream = Stream(
        data.items, config.optimiser.batch_size, config.run.seed,
        step=lambda: trainer.global_step, rank=trainer.global_rank, world=trainer.world_size,
    )  # fmt: skip
    workers = config.data.workers
    loader = DataLoader(
        data.patches,
        batch_sampler=stream,
        collate_fn=stack,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
    )
    return loader if workers else Ahead(loader)


def _validation_loader(data: TrainingData, trainer: pl.Trainer) -> DataLoader[int]:
    numbers = Numbers(len(data.validation))
    # Not DistributedSampler: it repeats pictures until all processes have equally many, and would count them twice.
    own = range(trainer.global_rank, len(numbers), trainer.world_size)
    return DataLoader(numbers, batch_size=None, sampler=own)


@contextlib.contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Lightning advertises and warns of what is meant so here; errors still come through."""
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
            ".*DataLoader will create",  # more workers than cores: they were asked for
            ".*sync_dist=True",  # the counts were summed before they became figures
        ):
            warnings.filterwarnings("ignore", start)
        yield
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@contextlib.contextmanager
def _memory_explained(config: TrainConfig) -> Iterator[None]:
    """Say what to do when memory runs out."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise _out_of_memory(config) from error
    except RuntimeError as error:
        if "can't allocate memory" not in str(error):
            raise
        raise _out_of_memory(config) from error


def _out_of_memory(config: TrainConfig) -> TrainingError:
    batch = config.optimiser.batch_size
    return TrainingError(
        f"Memory ran out with {batch} patches per step. Say --batch-size {max(1, batch // 2)}, or a smaller --patch."
    )


@contextlib.contextmanager
def _interruptible(keeper: Keeper) -> Iterator[None]:
    """The first Ctrl-C (or SIGTERM) saves and pauses after the step; a second one breaks off at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(*_: object) -> None:
        log.warning("Saving, then pausing. Press Ctrl-C again to break off at once.")
        keeper.pause_wanted = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    for number in before:
        signal.signal(number, ask)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def finish(fitted: Fitted) -> TrainingResult:
    """The part of :func:`train` that exports the best weights and measures them, as engines run."""
    module, data, folders = fitted.module, fitted.data, fitted.folders
    config = module.config
    network = load_network(config, folders.state / BEST)
    if isinstance(module, RestoringModule):
        card, figures = export_and_measure(network, module, folders.model, folders.results, facts_of(module, data))
        return TrainingResult(folders, card, {}, figures=figures)
    assert isinstance(module, DamageModule)
    level = choose_level(network, data.validation)
    card = export_model(network, folders.model, _calibration(data), facts_of(module, data, level))
    pictures: Pictures = Library(data.test, config.data.mask_level) if data.test else data.validation
    detector = OnnxDetector(folders.model, weights=Weights.float32)
    beside = [make_detector("tophat")] if config.run.tophat else []
    tallies = score_detector([detector, *beside], pictures)
    fast = score_detector([OnnxDetector(folders.model, weights=Weights.int8)], pictures)[detector.spec.name]
    card = _with_metrics(card, tallies[detector.spec.name], fast, "test" if data.test else "validation")
    card.to_folder(folders.model)
    write_results(folders.results, module, tallies, detector, pictures)
    return TrainingResult(folders, card, tallies)


def choose_level(network: nn.Module, pictures: Pictures) -> float:
    """The level, 0.05 to 0.95, at which strict f1 on the validation pictures is highest."""
    tally = MetricCounter()
    for index in range(len(pictures)):
        pixels, truth = pictures[index]
        tally.add(truth, opinion(network, pixels))
    return round(float(np.clip(tally.best()[0], *_LEVELS)), 3)


def _calibration(data: TrainingData) -> list[Light]:
    """Patches as they are trained on, to calibrate INT8 by."""
    return [
        data.patches[(number, number % data.items)][0].permute(1, 2, 0).numpy()
        for number in range(_CALIBRATION_PICTURES)
    ]


def facts_of(module: TrainingModule, data: TrainingData, level: float = 0.5) -> dict[str, Any]:
    """What the card of a run's model says besides what its weights tell."""
    config = module.config
    steps = module.history[-1]["step"]
    return {
        "name": config.run.name,
        "task": config.run.task.value,
        "summary": f"{config.model.architecture.value} trained on {'; '.join(data.facts)}",
        "architecture": config.model.architecture.value,
        "options": {name: list(value) if isinstance(value, tuple) else value
                    for name, value in options_of(config.model).items()},
        "attention": config.model.attention if config.model.architecture is Architecture.attentive else "",
        "patch": data.patch,
        "level": level,
        "data": [*data.facts, f"sha256 {data.sha256}"],
        "cost": f"{steps:.0f} steps of {config.optimiser.batch_size} patches in {module.history[-1]['seconds']:.0f} s "
                f"on {platform.machine()}, {os.cpu_count()} CPU cores"
                + (f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""),
        "made_with": f"redust {__version__}, torch {torch.__version__}",
    }  # fmt: skip


def _with_metrics(card: ModelCard, full: MetricCounter, fast: MetricCounter, on: str) -> ModelCard:
    names = ("f1", "f1_strict", "precision", "recall", "iou", "ap", "objects", "false_ppm", "accuracy", "ece")
    measured = {
        f"{on}{kind}": {name: round(value, 6) for name in names if np.isfinite(value := getattr(figures, name))}
        for kind, figures in (("", full.figures()), (", int8", fast.figures()))
    }
    by_weights = {FLOAT32: full.figures().f1, INT8: fast.figures().f1}
    by_weights = {kind: round(f1, 6) for kind, f1 in by_weights.items() if np.isfinite(f1)}
    return card.model_copy(update={"metrics": measured, "f1_by_weights": by_weights})


def write_results(
    folder: Path, module: DamageModule, tallies: dict[str, MetricCounter], detector: OnnxDetector, pictures: Pictures
) -> None:
    """Write ``metrics.json``, ``curves.png``, ``precision_recall.png`` and ``predictions.png``."""
    metrics = {
        "figures": {name: json.loads(tally.figures().model_dump_json()) for name, tally in tallies.items()},
        "data_sha256": module.data_sha256,
        "history": [{name: value if np.isfinite(value) else None for name, value in row.items()}
                    for row in module.history],
    }  # fmt: skip
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
    draw_curves(module.history, folder / "curves.png")
    mapped = {name: tally for name, tally in tallies.items() if np.isfinite(tally.figures().ap)}
    draw_precision_recall(mapped, folder / "precision_recall.png")
    damaged = [index for index in range(len(pictures)) if (pictures[index][1] == Label.damage).any()]
    count = min(module.config.run.samples, len(damaged))
    if count:
        chosen = [pictures[damaged[place]] for place in np.linspace(0, len(damaged) - 1, count).astype(int)]
        rows = [(pixels, truth, detect_damage(detector, pixels)) for pixels, truth in chosen]
        write_picture(sample_sheet(rows, detector.spec.level), folder / "predictions.png")
