"""The commands that make and measure networks: `train`, `evaluate`, `calibrate`, `study`.

Nothing of torch is loaded before a command runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from redust.cli.flags import with_flags
from redust.core.settings import Weights
from redust.training.config import TrainConfig, flag_settings

if TYPE_CHECKING:
    from rich.console import Console

    from redust.evaluation.calibration import Calibration
    from redust.evaluation.metrics import MetricCounter
    from redust.training.keeper import TrainingProgress
    from redust.training.run import TrainingResult

_PLAIN_LINE_SECONDS = 15.0
_FEW_PIXELS = 100
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


def train(
    *,
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE.toml", help="Choices from a file; flags win over it."),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option("--from", metavar="MODEL", help="Fine-tune: start from this model (a name or a model folder)."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where the run of this name was paused; else begin it.")
    ] = False,
    **choices: Any,
) -> None:
    """Train a network to detect, to fill or to restore blindly: on pairs with masks, or on photos with drawn damage."""
    given = {name: value for name, value in choices.items() if value not in ([], ())}
    chosen = TrainConfig.load(config, given | ({"start": start} if start else {}))
    with _needs_extra():
        from redust.training.run import train as run_training

    with training_screen(chosen.run.name) as listen:
        result = run_training(chosen, resume=resume, listener=listen)
    _tell_result(result)


def evaluate(
    *,
    data: Annotated[
        Path, typer.Option("--data", metavar="DIR", help="Pairs: images/ and masks/, or damaged/ and mask/.")
    ],
    model: Annotated[
        list[str] | None,
        typer.Option("--model", metavar="NAME|DIR", help="A detector or a model folder; may be given several times."),
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option("--predictions", metavar="DIR", help="Score masks or maps that lie here as NAME.png instead."),
    ] = None,
    mask_level: Annotated[
        int | None, typer.Option(min=1, max=255, help="Cut grey true masks here; else they hold 0, 128 and 255.")
    ] = None,
    level: Annotated[
        float | None, typer.Option(min=0, max=1, help="Cut damage maps here instead of at the model's own level.")
    ] = None,
    tolerance: Annotated[int, typer.Option(min=0, max=64, help="Pixels by which a finding may miss.")] = 2,
    tta: Annotated[
        int, typer.Option(help="Look at each picture 1, 2, 4 or 8 times, turned and mirrored; the mean counts.")
    ] = 1,
    blur: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=3,
            help="Look at each picture blurred by this many pixels (sigma), 0 for as it is; as suits it unless given.",
        ),
    ] = None,
    tophat: Annotated[bool, typer.Option(help="Score the classical detector too.")] = True,
    weights: Annotated[
        Weights, typer.Option(help="Which weights of the networks to score; auto as for restoring.", show_default=False)
    ] = Weights.float32,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads; all cores unless given.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="All figures as JSON on standard output.")] = False,
) -> None:
    """Score detectors at full size on pictures with true masks, beside an empty mask and `tophat`."""
    from redust.core.errors import SettingsError
    from redust.detectors import make_detector
    from redust.evaluation.scoring import score_detector, score_files
    from redust.files.pairs import Library, pairs_to_score

    names = model or ([] if predictions else ["unet"])
    if model and predictions:
        raise SettingsError("--model and --predictions exclude each other. Give one of them.")
    chosen = dict.fromkeys([*names, *["tophat"] * tophat])
    detectors = [make_detector(name, threads=threads, weights=weights) for name in chosen]
    pairs = pairs_to_score(data)
    with _bar("evaluate") as tell:
        library = Library(pairs, mask_level, megabytes=0)
        tallies = score_detector(
            detectors, library, level=level, tolerance=tolerance, blur=blur, tta=tta, progress=tell
        )
        if predictions:
            cut = 0.5 if level is None else level
            written = score_files(pairs, predictions, mask_level, level=cut, tolerance=tolerance)
            tallies = {predictions.name: written} | tallies
    show_figures(tallies, as_json=as_json)


def calibrate(
    *,
    photos: Annotated[
        Path, typer.Option("--photos", metavar="DIR", help="Undamaged pictures, the more the better, at full size.")
    ],
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DIR", help="Pairs, to compare the INT8 weights with float32 on as well."),
    ] = None,
    model: Annotated[
        str, typer.Option("--model", metavar="NAME|DIR", help="A detector, or the folder of a model.")
    ] = "unet",
    strength: Annotated[
        float | None,
        typer.Option(
            "--strength",
            min=0,
            max=1,
            help="Let levels follow how dirty a scan is, by this power; 0 not at all. As the model does unless given.",
        ),
    ] = None,
    prior: Annotated[
        float, typer.Option("--prior", min=1e-5, max=0.5, help="With --strength: the share of damage that is usual.")
    ] = 0.01,
    polarity: Annotated[
        float,
        typer.Option(
            "--polarity",
            min=0,
            max=4,
            help="With --strength: the power by which damage must be surer that is dark where nearly all is bright, or "
            "bright where nearly all is dark.",
        ),
    ] = 0.0,
    most: Annotated[
        float,
        typer.Option(
            "--most", min=1e-5, max=1, help="With --strength: the share of damage above which levels fall no further."
        ),
    ] = 1.0,
    blur: Annotated[
        float | None,
        typer.Option(
            "--blur",
            min=0,
            max=3,
            help="Let it see scans blurred by this many pixels (sigma) where that leaves it less in doubt; 0 never. As "
            "the model does unless given.",
        ),
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Write the levels into the model's card.")] = False,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads; all cores unless given.")] = None,
) -> None:
    """Find a detector's levels for `--sensitivity` shy, normal and eager by what it marks on undamaged pictures."""
    from dataclasses import replace

    from redust.core.engines import PriorShift, pre_blur_at
    from redust.core.errors import SettingsError
    from redust.detectors import make_detector
    from redust.detectors.wrappers import DetectorWrapper
    from redust.evaluation.calibration import calibrate as find_levels
    from redust.evaluation.calibration import compare_weights
    from redust.files.pairs import Library, find_photos, pairs_to_score
    from redust.models.card import CARD_NAME, read_card

    detector = make_detector(model, threads=threads, weights=Weights.float32)
    if blur is not None:
        spec = replace(detector.spec, pre_blur=pre_blur_at(blur, detector.spec.pre_blur))
        detector = DetectorWrapper(detector, spec)
    folder = detector.spec.folder
    if (write or data) and folder is None:
        raise SettingsError(
            f"{model} has no card and no weights. Leave --write and --data out, or name a model folder."
        )
    pairs = pairs_to_score(data) if data else ()
    with _bar("calibrate") as tell:
        follow = None
        if strength is not None:
            follow = PriorShift(prior=prior, exponent=strength, minority_exponent=polarity, max_prior=most)
        pictures = Library(find_photos(photos), None, megabytes=0)
        found = find_levels(detector, pictures, prior_shift=follow, progress=tell)
    _tell_calibration(found)
    f1_by_weights = {}
    if pairs and folder is not None:
        with _bar("compare weights") as tell:
            library = Library(pairs, None, megabytes=0)
            f1_by_weights = compare_weights(folder, library, found, threads=threads, progress=tell)
        typer.echo("f1 at normal: " + ", ".join(f"{kind} {f1:.4f}" for kind, f1 in f1_by_weights.items()))
    if write and folder is not None:
        card = read_card(folder)
        found.on_card(card, f1_by_weights).to_folder(folder)
        typer.echo(f"Written to {folder / CARD_NAME}; the level was {card.level:g}.")


def _tell_calibration(found: Calibration) -> None:
    """A row per sensitivity, and whether the pictures were enough."""
    from redust.evaluation.calibration import RATES

    typer.echo(f"{'':8}{'level':>9}{'marked, ppm':>13}{'at most':>9}   pictures left unmarked")
    for name, level in found.levels.items():
        measured, allowed = 1e6 * found.rates[name], 1e6 * RATES[name]
        typer.echo(f"{name:8}{level:9.5f}{measured:13.2f}{allowed:9g}   {found.unmarked[name]} of {found.pictures}")
    least = min(RATES.values())
    if found.megapixels * 1e6 * least < _FEW_PIXELS:
        typer.echo(
            f"There are only {found.megapixels:.1f} megapixels: a rate of {least:g} is less than {_FEW_PIXELS} pixels "
            "of them. Add pictures to trust the level `shy`.",
            err=True,
        )


def study(
    *,
    data: Annotated[Path, typer.Option("--data", metavar="DIR", help="Pairs in two halves, train and test.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Where the report and the cells are put.")],
    budget_minutes: Annotated[
        float | None,
        typer.Option(min=0.01, help="Fit the whole study into this time: epochs are scaled down, and it is said so."),
    ] = None,
    mask_level: Annotated[int, typer.Option(min=1, max=255, help="Cut grey masks here.")] = 128,
    only: Annotated[
        list[str] | None, typer.Option(metavar="CELL", help="Run these cells only; may be given several times.")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; all cores unless given.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides everything random.")] = 0,
) -> None:
    """Repeat the questions of the thesis on a dataset, and write a report. Run it again to go on."""
    with _needs_extra():
        from redust.study.study import StudyPlan, run_study

    plan = StudyPlan(data=data, out=out, mask_level=mask_level, seed=seed, threads=threads)
    with _bar("study") as tell, training_screen("cell") as listen:
        report = run_study(plan, budget_minutes=budget_minutes, only=only or None, progress=tell, listener=listen)
    typer.echo(report)


@contextmanager
def _needs_extra() -> Iterator[None]:
    """Say what to install where the training extra is missing."""
    from redust.core.errors import SettingsError

    try:
        yield
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"Training needs {error.name}, which is not installed. Install it: pip install 'redust[train]'."
        ) from error


@contextmanager
def training_screen(label: str) -> Iterator[Callable[[TrainingProgress], None]]:
    """A bar with loss and score on a terminal, elsewhere a line now and then; yields what a run tells its progress."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console = _console()
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[facts]}", markup=False),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
    told = time.monotonic() - _PLAIN_LINE_SECONDS
    task = bar.add_task(label, total=1.0, facts="")

    def tell(progress: TrainingProgress) -> None:
        nonlocal told
        facts = f"epoch {progress.epoch:.1f}  loss {progress.loss:.4f}  {progress.measure} {progress.score:.3f}"
        bar.update(task, completed=progress.share, facts=facts)
        if not console.is_terminal and time.monotonic() - told >= _PLAIN_LINE_SECONDS:
            told = time.monotonic()
            console.print(f"{label}: {progress.share:4.0%}  step {progress.step}/{progress.steps}  {facts}")

    with bar:
        yield tell


@contextmanager
def _bar(label: str) -> Iterator[Callable[[float], None]]:
    from rich.progress import Progress

    console = _console()
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(label, total=1.0)
        yield lambda share: bar.update(task, completed=share)


def _console() -> Console:
    from rich.console import Console

    return Console(stderr=True, soft_wrap=True, highlight=False, markup=False)


def _tell_result(result: TrainingResult) -> None:
    results = result.folders.results
    if not result.main:
        return
    if not result.finished:
        typer.echo(f"Paused. Go on with: redust train --config {results / 'config.toml'} --resume")
        return
    if result.figures:
        for name, figures in result.figures.items():
            typer.echo(f"{name:>12}  " + "  ".join(f"{what} {value:.2f}" for what, value in figures.items()))
    else:
        show_figures(result.tallies, as_json=False)
    assert result.card is not None
    typer.echo(f"model:   {result.folders.model}   ({_USES[result.card.task].format(result.folders.model)})")
    typer.echo(f"results: {results}")


def show_figures(tallies: dict[str, MetricCounter], *, as_json: bool) -> None:
    """Print the figures of several detectors: a table, or all of them as JSON."""
    import json

    from redust.evaluation.metrics import format_table, recall_by_size

    figures = {name: tally.figures() for name, tally in tallies.items()}
    if as_json:
        typer.echo(json.dumps({name: json.loads(one.model_dump_json()) for name, one in figures.items()}, indent=1))
        return
    rows = list(format_table(figures))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        typer.echo("  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True)))
    for name, one in figures.items():
        alarms = f"{one.false_spots_per_clean_picture:.2f} false alarms per clean picture"
        typer.echo(f"{name}: {recall_by_size(one)}; {alarms}")
