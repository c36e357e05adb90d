"""The questions of the thesis, answered again with one command.

A study is a grid of cells. A cell trains one network under one configuration and scores it on the test half at
full size. Cells lie in ``cells/NAME``; one that is done is never done again, an interrupted one is resumed.
Epochs are scaled down, all by one factor, until the grid fits the budget.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from safetensors.torch import load_file

from redust.core.errors import TrainingError
from redust.core.labels import Label
from redust.detectors import make_detector
from redust.evaluation.metrics import MetricCounter, Metrics
from redust.evaluation.plots import sample_sheet, write_picture
from redust.evaluation.scoring import PictureSubset, score_detector
from redust.files.pairs import Library, Pictures, Splits, find_splits, fingerprint
from redust.study.cost import REPORT_SHARE, TRAIN_SAMPLE, choose_scale, estimate_cost
from redust.study.grid import BASE, Cell, CellResult, StudyPlan
from redust.study.report import Findings, write_report
from redust.study.unseen import DISTURBANCES, OTHER_KINDS, DisturbedPictures, OtherDamage, measure_thesis_loss
from redust.training.checkpoint import BEST, LAST, ProgressCallback, TrainingProgress
from redust.training.detect import choose_level
from redust.training.export import make_card
from redust.training.network import predict_map, write_tensors
from redust.training.result import FittedRun, describe_run, finite_rows, spread_indices
from redust.training.run import fit

log = logging.getLogger(__name__)

_EXAMPLES = 8
_MIN_UNSEEN = 4  # pictures


def run_study(
    plan: StudyPlan,
    *,
    budget_minutes: float | None = None,
    only: Sequence[str] | None = None,
    on_cell: Callable[[str, float], None] | None = None,
    on_progress: ProgressCallback | None = None,
    started: float | None = None,
) -> str:
    """Run the unfinished cells of a study and write its report.

    Parameters
    ----------
    budget_minutes
        For all cells and the report; the first call scales the epochs by it, later ones keep that scale and only go
        on. A cell that takes longer than it should is saved and left to the next call.
    only
        Names of cells to run; the others are left as they are.
    on_cell
        Called with the name of each cell before it runs and the share of the grid that is done, 0..1.
    on_progress
        Called with the progress of the cell that runs.
    started
        When the command began, by ``time.monotonic``: the budget counts from there. Now unless given.

    Returns
    -------
    report : str
        Path of ``report.md``; ``report.html`` lies beside it.

    Raises
    ------
    TrainingError
        If the data has no test half, or belongs to another study than the one in the folder.
    SettingsError
        If `only` names an unknown cell.
    """
    started = time.monotonic() if started is None else started
    cells = plan.choose_cells(only)
    splits = find_splits(plan.data)
    if not splits.test:
        raise TrainingError(f"{plan.data} has no test half. Give a folder with train/ and test/, as the thesis had.")
    plan.out.mkdir(parents=True, exist_ok=True)
    end = started + 60 * budget_minutes if budget_minutes else None
    deadline = None if end is None else end - REPORT_SHARE * (end - started)
    scale = _load_scale(plan, cells, budget_minutes, splits, end)
    for number, cell in enumerate(cells):
        if plan.read_result(cell) is not None:
            continue
        if deadline is not None and not _fits_budget(plan, cell, scale, splits, deadline):
            log.warning("The cell %s does not fit the budget and is left out.", cell.name)
            continue
        if on_cell:
            on_cell(cell.name, number / len(cells))
        if not run_cell(plan, cell, cell.scale_epochs(scale), _stop_at(deadline, cell, on_progress)):
            break
    return str(_write_study_report(plan, scale, splits, end))


def _stop_at(deadline: float | None, cell: Cell, on_progress: ProgressCallback | None) -> ProgressCallback | None:
    """A progress callback that also saves and stops a cell that is not done by the deadline."""
    if deadline is None:
        return on_progress

    def watch(progress: TrainingProgress) -> None:
        if on_progress:
            on_progress(progress)
        if time.monotonic() > deadline:
            log.warning("The budget ended in the cell %s at %.0f %%.", cell.name, 100 * progress.share)
            raise KeyboardInterrupt

    return watch


def _load_scale(
    plan: StudyPlan, cells: Sequence[Cell], budget_minutes: float | None, splits: Splits, end: float | None
) -> float:
    """The factor of all epochs: decided by the cells of the first call, then kept in ``plan.json``."""
    path = plan.out / "plan.json"
    data = fingerprint((*splits.train, *splits.test), plan.mask_level)
    if path.exists():
        saved = json.loads(path.read_text(encoding="utf-8"))
        if saved["data"] != data:
            raise TrainingError(f"{plan.out} holds a study of other data. Choose another --out.")
        return float(saved["scale"])
    scale = 1.0
    if end is not None:
        costs = [(cell, estimate_cost(plan, cell, splits)) for cell in cells]
        scale = choose_scale(costs, end - time.monotonic())
        log.info("Epochs are scaled by %.3f to fit %g minutes.", scale, budget_minutes)
    path.write_text(json.dumps({"scale": scale, "data": data, "budget_minutes": budget_minutes}), encoding="utf-8")
    return scale


def _fits_budget(plan: StudyPlan, cell: Cell, scale: float, splits: Splits, deadline: float) -> bool:
    seconds = estimate_cost(plan, cell, splits).total_seconds(cell.scale_epochs(scale))
    return time.monotonic() + seconds <= deadline


def run_cell(plan: StudyPlan, cell: Cell, epochs: int, on_progress: ProgressCallback | None = None) -> bool:
    """Train and score one cell; False if it was interrupted."""
    config, network_plan = plan.make_config(cell, epochs), plan.plan_network(cell)
    fitted = fit(config, resume=True, on_progress=on_progress, plan=network_plan, train_size=cell.train_size)
    if fitted.interrupted:
        return False
    network = network_plan.load(fitted.folders.state / BEST)
    level = choose_level(network, fitted.data.validation)
    tested = score_network(network, _open_test(plan, cell), level)
    pairs = fitted.data.patches.pairs
    learned = score_network(network, Library(pairs.pairs[:TRAIN_SAMPLE], pairs.mask_level), level)
    result = CellResult(
        name=cell.name,
        epochs=fitted.module.history[-1]["epoch"],
        planned_epochs=cell.epochs,
        seconds=fitted.module.history[-1]["seconds"],
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        device="GPU" if config.run.accelerator == "gpu" else "CPU",
        level=level,
        figures=tested.figures(),
        train_figures=learned.figures(),
        history=finite_rows(fitted.module.history),
    )
    _keep_cell(fitted, network, result)
    return True


def score_network(network: torch.nn.Module, pictures: Pictures, level: float) -> MetricCounter:
    """A network scored over pictures at full size."""
    counter = MetricCounter(level)
    for index in range(len(pictures)):
        pixels, truth = pictures[index]
        counter.add(truth, predict_map(network, pixels))
    return counter


def _keep_cell(fitted: FittedRun, network: torch.nn.Module, result: CellResult) -> None:
    """Write result, card, weights and configuration of a cell; free what only training needs."""
    folder, state = fitted.folders.results, fitted.folders.state
    weights = load_file(state / BEST)
    # In half precision: the dense layer of the plain CNN has 104 million weights.
    half = {name: value.half() if value.ndim > 1 else value for name, value in weights.items()}
    write_tensors(half, folder / BEST)
    metrics = {"test": {name: round(getattr(result.figures, name), 6) for name in ("f1_strict", "ap")}}
    facts = describe_run(fitted, result.level) | {"metrics": metrics}
    make_card(network, folder, {"safetensors": BEST}, facts).to_folder(folder)
    for name in (LAST, BEST):
        (state / name).unlink(missing_ok=True)
    # Last of all: a cell with this file is done.
    (folder / "cell.json").write_text(result.model_dump_json(indent=1) + "\n", encoding="utf-8")


def _open_test(plan: StudyPlan, cell: Cell) -> Library:
    return Library(find_splits(plan.data).test, plan.make_config(cell, 1).data.mask_level)


def _load_cell(plan: StudyPlan, cell: Cell) -> torch.nn.Module:
    return plan.plan_network(cell).load(plan.find_folders(cell).results / BEST)


def score_unseen(plan: StudyPlan, cell: Cell, end: float | None = None) -> Iterator[tuple[str, str, Metrics]]:
    """The network of a cell under disturbances and other damage: (group, name, figures).

    With an `end`, a reading of the monotonic clock, only as many test pictures are scored as fit before it, but
    four at least.
    """
    result = plan.read_result(cell)
    if result is None:
        return
    network, test = _load_cell(plan, cell), _open_test(plan, cell)
    sets: list[tuple[str, str, Pictures]] = [("noise", kind, DisturbedPictures(test, kind)) for kind in DISTURBANCES]
    sets += [("damage", kind, OtherDamage(test, kind)) for kind in OTHER_KINDS]
    count = None if end is None else _count_affordable(network, [pictures for _, _, pictures in sets], end)
    for group, kind, pictures in sets:
        yield group, kind, score_network(network, PictureSubset(pictures, count), result.level).figures()


def _count_affordable(network: torch.nn.Module, sets: Sequence[Pictures], end: float) -> int:
    """How many pictures of each set can be scored before `end`, by the time that the first of each takes."""
    started = time.monotonic()
    for pictures in sets:
        predict_map(network, pictures[0][0])
    now = time.monotonic()
    return max(_MIN_UNSEEN, int((end - now) / max(now - started, 1e-6)))


def _write_study_report(plan: StudyPlan, scale: float, splits: Splits, end: float | None = None) -> str:
    """Gather what is done and write the report, before `end` if that can be."""
    done = [(cell, result) for cell in plan.cells if (result := plan.read_result(cell))]
    names = {cell.name for cell, _ in done}
    test = Library(splits.test, plan.mask_level)
    yardsticks = {name: tally.figures() for name, tally in score_detector([make_detector("tophat")], test).items()}
    base = next((cell for cell, _ in done if cell.name == BASE), None)
    if base:
        _draw_examples(plan, base, test)
    findings = Findings(
        done=done,
        missing=[cell.title for cell in plan.cells if cell.name not in names],
        yardsticks=yardsticks,
        unseen=list(score_unseen(plan, base, end)) if base else [],
        scale=scale,
        thesis=measure_thesis_loss([test[index][1] for index in range(len(test))]),
        coverages={level: _measure_coverage(Library(splits.test, level)) for level in (plan.mask_level, 1)},
        machine=f"{platform.machine()}, {os.cpu_count()} CPU cores, torch {torch.__version__}",
        gpu=torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        pairs=(len(splits.train), len(splits.test)),
    )
    return str(write_report(plan.out, findings))


def _measure_coverage(library: Library) -> float:
    """Mean share of damaged pixels."""
    return float(np.mean([(library[index][1] == Label.damage).mean() for index in range(len(library))]))


def _draw_examples(plan: StudyPlan, cell: Cell, test: Library) -> None:
    result = plan.read_result(cell)
    assert result is not None
    network = _load_cell(plan, cell)
    samples = [(*test[index], predict_map(network, test[index][0])) for index in spread_indices(len(test), _EXAMPLES)]
    write_picture(sample_sheet(samples, result.level), plan.out / "examples.png")
