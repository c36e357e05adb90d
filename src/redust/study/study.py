"""The questions of the thesis, asked again with one command.

A study is a grid of cells. A cell trains one network under one configuration and scores it on the test half at
full size. Cells lie in ``cells/NAME``; one that is done is never done again, one that was interrupted goes on.
Epochs are scaled down, all by one factor, until the grid fits the budget.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict

from redust.core.errors import SettingsError, TrainingError
from redust.core.labels import Label
from redust.detectors import make_detector
from redust.evaluation.metrics import MetricCounter, Metrics
from redust.evaluation.plots import sample_sheet, write_picture
from redust.evaluation.scoring import score_detector
from redust.files.pairs import Library, Pictures, find_splits, fingerprint
from redust.study.report import Findings, write_report
from redust.study.unseen import DISTURBANCES, OTHER_KINDS, Disturbed, OtherDamage, thesis_loss
from redust.training.config import TrainConfig
from redust.training.export import card_of
from redust.training.keeper import BEST, LAST, Listener
from redust.training.opinion import opinion
from redust.training.run import Fitted, Folders, choose_level, facts_of, fit, load_network, make_network, precision_of

log = logging.getLogger(__name__)

BASE = "base"
_EPOCHS = 45
_VALIDATIONS = 15
_OVERTIME = 1.25
_TRIAL_STEPS, _TRIAL_BATCH, _TRIAL_SIDE = 2, 4, 112
_SAMPLES = 8
_UNREGULARISED: dict[str, Any] = {"weight_decay": 0.0, "dropout": 0.0, "augment": False}


@dataclass(frozen=True)
class Cell:
    """One network, one configuration, one result.

    Parameters
    ----------
    name, question
        Cells of one question are compared with each other.
    choices
        Fields of :class:`TrainConfig` that differ from the base.
    epochs
        As the thesis would have it, before the budget scales it.
    whole
        The budget does not scale it: a check that means nothing when it is cut short, and costs little.
    shown
        What the report calls it.
    """

    name: str
    question: str
    shown: str
    choices: dict[str, Any] = field(default_factory=dict)
    epochs: int = _EPOCHS
    whole: bool = False

    def scaled(self, scale: float) -> int:
        """The epochs it gets in a study whose epochs are scaled by `scale`."""
        return self.epochs if self.whole else max(1, round(self.epochs * scale))


class CellResult(BaseModel):
    """What became of a cell."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    epochs: float
    wanted_epochs: int
    seconds: float
    parameters: int
    device: str
    level: float
    figures: Metrics
    train_figures: Metrics
    history: list[dict[str, float | None]]


@dataclass(frozen=True)
class StudyPlan:
    """What is studied, where, how.

    Parameters
    ----------
    data
        Pairs in two halves.
    out
        The report's folder; the cells lie in it.
    mask_level
        Grey masks are cut here.
    grid
        The cells; :func:`thesis_grid` unless given.
    shared
        Fields that all cells share, over the base's.
    """

    data: Path
    out: Path
    mask_level: int = 128
    seed: int = 0
    threads: int | None = None
    grid: tuple[Cell, ...] = ()
    shared: dict[str, Any] = field(default_factory=dict)

    def cells(self) -> tuple[Cell, ...]:
        """The grid of this study."""
        return self.grid or thesis_grid(torch.cuda.is_available())

    def config(self, cell: Cell, epochs: int) -> TrainConfig:
        """The run of one cell."""
        choices = {
            "data": self.data, "mask_level": self.mask_level, "name": cell.name, "out": self.out / "cells",
            "seed": self.seed, "threads": self.threads, "dropout": 0.1, "epochs": epochs,
            "validate_every": max(1.0, epochs / _VALIDATIONS), "save_minutes": 2.0, "samples": 0,
            "accelerator": "cpu",
        }  # fmt: skip
        return TrainConfig.load(flags=choices | self.shared | cell.choices)


def thesis_grid(gpu: bool) -> tuple[Cell, ...]:
    """The thesis's questions as cells; those for a GPU only where there is one."""
    thesis_net = {"architecture": "unet-thesis", "learning_rate": 1e-3}
    plain = {"architecture": "cnn", "learning_rate": 1e-3}
    cells = [
        Cell(BASE, "architecture", "U-Net as shipped (the base of all comparisons)"),
        Cell("cnn", "architecture", "plain CNN of the thesis", plain),
        Cell("unet-thesis", "architecture", "U-Net of the thesis", thesis_net),
        Cell("batch-8", "batch size", "8 patches", {"batch_size": 8}),
        Cell("batch-32", "batch size", "32 patches", {"batch_size": 32}),
        Cell("batch-128", "batch size", "128 patches", {"batch_size": 128}),
        Cell("epochs-500", "epochs", "500 epochs", epochs=500),
        Cell("plain", "regularisation", "none", _UNREGULARISED),
        Cell("l2", "regularisation", "L2 (weight decay) only", _UNREGULARISED | {"weight_decay": 0.1}),
        Cell("dropout", "regularisation", "dropout only", _UNREGULARISED | {"dropout": 0.3}),
        Cell("augmented", "regularisation", "augmentation only", _UNREGULARISED | {"augment": True}),
        Cell(
            "overfit-8", "overfitting", "8 pairs by heart",
            _UNREGULARISED | {"overfit": 8, "batch_size": 8, "learning_rate": 5e-3}, epochs=800, whole=True,
        ),
        Cell("cut-1", "mask level", "masks cut at 1", {"mask_level": 1}),
        Cell("size-100", "training size", "100 pairs", {"train_size": 100}),
        Cell("size-300", "training size", "300 pairs", {"train_size": 300}),
        Cell("loss-bce", "loss", "cross-entropy", {"loss": "bce"}),
        Cell("loss-tversky", "loss", "focal Tversky", {"loss": "focal-tversky"}),
        Cell("loss-cldice", "loss", "cross-entropy + clDice", {"loss": "cldice"}),
    ]  # fmt: skip
    if gpu:
        cells.append(Cell("gpu", "device", "GPU", {"accelerator": "gpu"}))
    return tuple(cells)


def run_study(
    plan: StudyPlan,
    *,
    budget_minutes: float | None = None,
    only: Sequence[str] | None = None,
    progress: Callable[[float], None] | None = None,
    listener: Listener | None = None,
) -> Path:
    """Run what is left of a study and write its report.

    Parameters
    ----------
    budget_minutes
        For all cells together; the first call scales the epochs by it, later ones keep that scale and only go on.
    only
        Names of cells to run; the others are left as they are.
    progress
        Called with the share of the grid that is done, 0..1.
    listener
        Told how far the cell at hand is.

    Returns
    -------
    report : Path
        ``report.md``; ``report.html`` lies beside it.

    Raises
    ------
    TrainingError
        If the data has no test half, or belongs to another study than the one in the folder.
    SettingsError
        If `only` names an unknown cell.
    """
    cells = _chosen(plan.cells(), only)
    splits = find_splits(plan.data)
    if not splits.test:
        raise TrainingError(f"{plan.data} has no test half. Give a folder with train/ and test/, as the thesis had.")
    plan.out.mkdir(parents=True, exist_ok=True)
    scale = _scale(plan, cells, budget_minutes, fingerprint((*splits.train, *splits.test), plan.mask_level))
    for number, cell in enumerate(cells):
        if progress:
            progress(number / len(cells))
        if _result(plan, cell) is not None:
            continue
        if budget_minutes and _spent(plan) > _OVERTIME * 60 * budget_minutes:
            log.warning("The budget is used up; %s and what follows is left out.", cell.name)
            break
        if not run_cell(plan, cell, cell.scaled(scale), listener):
            break
    if progress:
        progress(1.0)
    return _report(plan, scale)


def _chosen(cells: tuple[Cell, ...], only: Sequence[str] | None) -> tuple[Cell, ...]:
    names = {cell.name for cell in cells}
    unknown = set(only or ()) - names
    if unknown:
        raise SettingsError(f"There is no cell {', '.join(sorted(unknown))}. Choose of: {', '.join(sorted(names))}.")
    return tuple(cell for cell in cells if not only or cell.name in only)


def _scale(plan: StudyPlan, cells: Sequence[Cell], budget_minutes: float | None, data: str) -> float:
    """The factor of all epochs: decided by the cells of the first call, then kept in ``plan.json``."""
    path = plan.out / "plan.json"
    if path.exists():
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["data"] != data:
            raise TrainingError(f"{plan.out} holds a study of other data. Choose another --out.")
        return float(kept["scale"])
    scale = 1.0
    if budget_minutes:
        pairs = len(find_splits(plan.data).train)
        wanted = sum(seconds_of(plan, cell, pairs) for cell in cells if not cell.whole)
        whole = sum(seconds_of(plan, cell, pairs) for cell in cells if cell.whole)
        left = max(60 * budget_minutes - whole, 6 * budget_minutes)  # a tenth at least
        scale = min(1.0, left / wanted) if wanted else 1.0
        log.info("At full length the grid would take %.0f minutes; epochs are scaled by %.3f.", wanted / 60, scale)
    path.write_text(json.dumps({"scale": scale, "data": data, "budget_minutes": budget_minutes}), encoding="utf-8")
    return scale


_TRIALS: dict[str, float] = {}


def seconds_of(plan: StudyPlan, cell: Cell, pairs: int) -> float:
    """How long a cell would take at full length on this machine, by a few trial steps of its network."""
    config = plan.config(cell, cell.epochs)
    key = repr((config.model, config.run.accelerator))
    if key not in _TRIALS:
        _TRIALS[key] = _seconds_per_patch(config)
    patches = min(pairs, config.data.overfit or pairs, config.data.train_size or pairs)
    return _TRIALS[key] * patches * cell.epochs


def _seconds_per_patch(config: TrainConfig) -> float:
    if config.run.threads:
        torch.set_num_threads(config.run.threads)
    network = make_network(config.model, seed=0)
    stride = int(network.stride)  # type: ignore[arg-type]
    side = max(1, round(_TRIAL_SIDE / stride)) * stride
    light = torch.rand(_TRIAL_BATCH, 3, side, side).contiguous(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(network.parameters(), fused=True)
    mixed = precision_of(config.run.precision, "cpu") == "bf16-mixed"
    started = 0.0
    for step in range(_TRIAL_STEPS + 1):
        if step == 1:  # the first one warms up
            started = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mixed):
            loss = network(light).float().square().mean()
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    return (time.perf_counter() - started) / (_TRIAL_STEPS * _TRIAL_BATCH)


def run_cell(plan: StudyPlan, cell: Cell, epochs: int, listener: Listener | None = None) -> bool:
    """Train and score one cell; False if it was paused before its end."""
    config = plan.config(cell, epochs)
    fitted = fit(config, resume=True, listener=listener)
    if fitted.paused:
        return False
    network = load_network(config, fitted.folders.state / BEST)
    level = choose_level(network, fitted.data.validation)
    tested = scored(network, _test(plan, config), level)
    learned = scored(network, _first(fitted.data.patches.pairs, 64), level)
    result = CellResult(
        name=cell.name,
        epochs=fitted.module.history[-1]["epoch"],
        wanted_epochs=cell.epochs,
        seconds=fitted.module.history[-1]["seconds"],
        parameters=sum(one.numel() for one in network.parameters()),
        device="GPU" if config.run.accelerator == "gpu" else "CPU",
        level=level,
        figures=tested.figures(),
        train_figures=learned.figures(),
        history=[{name: value if np.isfinite(value) else None for name, value in row.items()}
                 for row in fitted.module.history],
    )  # fmt: skip
    _keep(fitted, network, result, tested)
    return True


def scored(network: torch.nn.Module, pictures: Pictures, level: float) -> MetricCounter:
    """A network scored over pictures at full size."""
    tally = MetricCounter(level)
    for index in range(len(pictures)):
        pixels, truth = pictures[index]
        tally.add(truth, opinion(network, pixels))
    return tally


def _keep(fitted: Fitted, network: torch.nn.Module, result: CellResult, tested: MetricCounter) -> None:
    """Put result, card, weights and configuration into the cell's results; free what only training needs."""
    folder = fitted.folders.results
    shutil.copyfile(fitted.folders.state / BEST, folder / BEST)
    facts = facts_of(fitted.module, fitted.data, result.level)
    metrics = {"test": {"f1_strict": round(tested.figures().f1_strict, 6), "ap": round(tested.figures().ap, 6)}}
    card_of(network, folder, {"safetensors": BEST}, facts | {"metrics": metrics}).to_folder(folder)
    (fitted.folders.state / LAST).unlink(missing_ok=True)
    (fitted.folders.state / BEST).unlink(missing_ok=True)
    # Last of all: a cell with this file is done.
    (folder / "cell.json").write_text(result.model_dump_json(indent=1) + "\n", encoding="utf-8")


def _result(plan: StudyPlan, cell: Cell) -> CellResult | None:
    path = Folders.of(plan.config(cell, 1)).results / "cell.json"
    return CellResult.model_validate_json(path.read_text(encoding="utf-8")) if path.exists() else None


def _spent(plan: StudyPlan) -> float:
    return sum(result.seconds for cell in plan.cells() if (result := _result(plan, cell)))


def _test(plan: StudyPlan, config: TrainConfig) -> Library:
    return Library(find_splits(plan.data).test, config.data.mask_level)


def _first(library: Library | None, number: int) -> Library:
    assert library is not None
    return Library(library.pairs[:number], library.mask_level)


def unseen(plan: StudyPlan, cell: Cell) -> Iterator[tuple[str, str, Metrics]]:
    """The base network under disturbances and other damage: (group, name, figures)."""
    result = _result(plan, cell)
    if result is None:
        return
    config = plan.config(cell, 1)
    network = load_network(config, Folders.of(config).results / BEST)
    test = _test(plan, config)
    for kind in DISTURBANCES:
        yield "noise", kind, scored(network, Disturbed(test, kind), result.level).figures()
    for kind in OTHER_KINDS:
        yield "damage", kind, scored(network, OtherDamage(test, kind), result.level).figures()


def _report(plan: StudyPlan, scale: float) -> Path:
    """Gather what is done and write the report."""
    cells = [(cell, result) for cell in plan.cells() if (result := _result(plan, cell))]
    splits = find_splits(plan.data)
    test = Library(splits.test, plan.mask_level)
    yardsticks = {name: tally.figures() for name, tally in score_detector([make_detector("tophat")], test).items()}
    base = next((cell for cell in plan.cells() if cell.name == BASE), None)
    others = list(unseen(plan, base)) if base else []
    if base and _result(plan, base):
        _draw_examples(plan, base, test)
    findings = Findings(
        done=cells,
        missing=[cell.shown for cell in plan.cells() if cell.name not in {one.name for one, _ in cells}],
        yardsticks=yardsticks,
        unseen=others,
        scale=scale,
        thesis=thesis_loss([test[index][1] for index in range(len(test))]),
        coverages={level: _coverage(Library(splits.test, level)) for level in (plan.mask_level, 1)},
        machine=f"{platform.machine()}, {os.cpu_count()} CPU cores, torch {torch.__version__}",
        gpu=torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        pairs=(len(splits.train), len(splits.test)),
    )
    return write_report(plan.out, findings)


def _coverage(library: Library) -> float:
    """Mean share of damaged pixels."""
    return float(np.mean([(library[index][1] == Label.damage).mean() for index in range(len(library))]))


def _draw_examples(plan: StudyPlan, cell: Cell, test: Library) -> None:
    config, result = plan.config(cell, 1), _result(plan, cell)
    assert result is not None
    network = load_network(config, Folders.of(config).results / BEST)
    chosen = np.linspace(0, len(test) - 1, min(_SAMPLES, len(test))).astype(int)
    samples = [(*test[index], opinion(network, test[index][0])) for index in chosen]
    write_picture(sample_sheet(samples, result.level), plan.out / "examples.png")
