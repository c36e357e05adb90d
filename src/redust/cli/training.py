"""The commands that make networks: `train` and `study`.

Nothing of torch is loaded before a command runs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from redust.cli.flags import with_flags
from redust.cli.learning import learn
from redust.cli.measuring import calibrate, evaluate, make_console, show_figures
from redust.training.config import TrainConfig, flag_settings

if TYPE_CHECKING:
    from redust.training.checkpoint import TrainingProgress
    from redust.training.result import TrainingResult

_PLAIN_LINE_SECONDS = 15.0
_USES = {
    "detect": "redust detect --detector {} SCAN -o masks",
    "fill": "redust restore --fill {} SCAN -o restored.tif",
    "generator": "redust restore --method generator --generator {} SCAN -o restored.tif",
}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(no_args_is_help=True)(with_flags(flag_settings(), leave_out=("start",))(train))
    app.command(no_args_is_help=True)(evaluate)
    app.command(no_args_is_help=True)(calibrate)
    app.command(no_args_is_help=True)(study)
    app.command(no_args_is_help=True)(learn)


def train(
    *,
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE.toml", help="Choices from a file; flags win over it."),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option("--from", metavar="MODEL", help="Fine-tune this model: a name, or a model folder."),
    ] = None,
    infrared: Annotated[
        Path | None,
        typer.Option(
            "--infrared",
            metavar="DIR",
            help="Scans with infrared, which marks their dust: the pairs to learn from, in OUT/infrared-pairs.",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the interrupted run of this name; else begin it.")
    ] = False,
    **choices: Any,
) -> None:
    """Train a network to detect, to fill or to restore: on pairs with masks, or on photos with drawn damage."""
    started = time.monotonic()
    flags = {name: value for name, value in choices.items() if value not in ([], ())}
    if infrared is not None:
        flags["data"] = _make_infrared_pairs(infrared, flags)
    chosen = TrainConfig.load(config, flags | ({"start": start} if start else {}))
    with require_extra():
        from redust.training.run import train as run_training

    with training_screen(lambda: chosen.run.name) as show_progress:
        result = run_training(chosen, resume=resume, on_progress=show_progress, started=started)
    _show_result(result)


def _make_infrared_pairs(folder: Path, flags: Mapping[str, Any]) -> Path:
    """The pairs that a folder of scans with infrared makes, beside the results of the run."""
    from redust.core.errors import SettingsError

    if "data" in flags:
        raise SettingsError("--infrared makes the pairs that --data names: give one of them.")
    with require_extra():
        from redust.training.infrared_pairs import write_infrared_pairs
    return write_infrared_pairs(folder, Path(flags.get("out", ".")) / "infrared-pairs")


def study(
    *,
    data: Annotated[Path, typer.Option("--data", metavar="DIR", help="Pairs in two halves, train and test.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Where the report and the cells are put.")],
    budget_minutes: Annotated[
        float | None,
        typer.Option(min=0.01, help="Fit the study into this time: epochs are scaled down, and the report says so."),
    ] = None,
    mask_level: Annotated[int, typer.Option(min=1, max=255, help="Cut grey masks here.")] = 128,
    only: Annotated[
        list[str] | None, typer.Option(metavar="CELL", help="Run these cells only; may be given several times.")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; all cores unless given.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides everything random.")] = 0,
) -> None:
    """Repeat the questions of the thesis on a dataset, and write a report. Run it again to continue."""
    started = time.monotonic()
    with require_extra():
        from redust.study.grid import StudyPlan
        from redust.study.study import run_study

    plan = StudyPlan(data=data, out=out, mask_level=mask_level, seed=seed, threads=threads)
    label = "study"

    def name_cell(cell: str, share: float) -> None:
        nonlocal label
        label = f"{cell} ({share:.0%} of the study)"
        make_console().print(f"cell {label}")

    with training_screen(lambda: label) as show_progress:
        report = run_study(
            plan,
            budget_minutes=budget_minutes,
            only=only or None,
            on_cell=name_cell,
            on_progress=show_progress,
            started=started,
        )
    typer.echo(report)


@contextmanager
def require_extra() -> Iterator[None]:
    """Say what to install where the training extra is missing."""
    from redust.core.errors import SettingsError

    try:
        yield
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"Training needs {error.name}, which is not installed. Install it: pip install 'redust[train]'."
        ) from error


@contextmanager
def training_screen(label: Callable[[], str]) -> Iterator[Callable[[TrainingProgress], None]]:
    """A bar with loss and score on a terminal, elsewhere a line now and then; yields the progress callback of a run."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console = make_console()
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[facts]}", markup=False),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
    shown_at = time.monotonic() - _PLAIN_LINE_SECONDS
    task = bar.add_task(label(), total=1.0, facts="")

    def show_progress(progress: TrainingProgress) -> None:
        nonlocal shown_at
        facts = describe_progress(progress)
        bar.update(task, description=label(), completed=progress.share, facts=facts)
        if not console.is_terminal and time.monotonic() - shown_at >= _PLAIN_LINE_SECONDS:
            shown_at = time.monotonic()
            step = f"step {progress.step}" + (f"/{progress.steps}" if progress.steps else "")
            console.print(f"{label()}: {progress.share:4.0%}  {step}  {facts}")

    with bar:
        yield show_progress


def describe_progress(progress: TrainingProgress) -> str:
    """Epoch, loss and score of a run, each from when it is known."""
    facts = [f"epoch {progress.epoch:.1f}"]
    if math.isfinite(progress.loss):
        facts.append(f"loss {progress.loss:.4f}")
    if math.isfinite(progress.score):
        facts.append(f"{progress.measure} {progress.score:.3f}")
    return "  ".join(facts)


def _show_result(result: TrainingResult) -> None:
    results = result.folders.results
    if not result.finished:
        typer.echo(f"Interrupted. Continue with: redust train --config {results / 'config.toml'} --resume")
        return
    if result.figures:
        for name, figures in result.figures.items():
            typer.echo(f"{name:>12}  " + "  ".join(f"{figure} {value:.2f}" for figure, value in figures.items()))
    else:
        show_figures(result.counters, as_json=False)
    assert result.card is not None
    typer.echo(f"model:   {result.folders.model}   ({_USES[result.card.task].format(result.folders.model)})")
    typer.echo(f"results: {results}")
