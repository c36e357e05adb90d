"""The commands that measure networks: `evaluate` and `calibrate`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from redust.core.settings import Weights

if TYPE_CHECKING:
    from rich.console import Console

    from redust.evaluation.calibration import Calibration
    from redust.evaluation.metrics import MetricCounter

_FEW_PIXELS = 100


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
        int | None, typer.Option(min=1, max=255, help="Threshold for grey true masks; else they hold 0, 128 and 255.")
    ] = None,
    level: Annotated[
        float | None, typer.Option(min=0, max=1, help="Threshold for damage maps, in place of the model's own level.")
    ] = None,
    tolerance: Annotated[int, typer.Option(min=0, max=64, help="Pixels by which a finding may miss.")] = 2,
    tta: Annotated[
        int, typer.Option(help="Test-time augmentation: the mean of 1, 2, 4 or 8 flips and quarter turns.")
    ] = 1,
    blur: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=3,
            help="Pre-blur by this many pixels (sigma), 0 for none; as suits each picture unless given.",
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
    with progress_bar("evaluate") as show_share:
        library = Library(pairs, mask_level, megabytes=0)
        tallies = score_detector(
            detectors, library, level=level, tolerance=tolerance, blur=blur, tta=tta, progress=show_share
        )
        if predictions:
            threshold = 0.5 if level is None else level
            scored = score_files(pairs, predictions, mask_level, level=threshold, tolerance=tolerance)
            tallies = {predictions.name: scored} | tallies
    show_figures(tallies, as_json=as_json)


def calibrate(
    *,
    photos: Annotated[
        Path | None,
        typer.Option("--photos", metavar="DIR", help="Undamaged pictures, the more the better, at full size."),
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(
            "--data",
            metavar="DIR",
            help="Pairs to measure the model on at its new level, and INT8 beside float32; may be given several times.",
        ),
    ] = None,
    model: Annotated[
        str, typer.Option("--model", metavar="NAME|DIR", help="A detector, or the folder of a model.")
    ] = "unet",
    prior: Annotated[
        float | None, typer.Option(min=1e-5, max=0.5, help="Prior shift: damaged share of a usual scan.")
    ] = None,
    exponent: Annotated[
        float | None,
        typer.Option("--prior-exponent", min=0, max=1, help="Prior shift: power by which odds follow it; 0: none."),
    ] = None,
    minority_exponent: Annotated[
        float | None,
        typer.Option(min=0, max=4, help="Prior shift: power for the rarer polarity, dark or bright."),
    ] = None,
    max_prior: Annotated[
        float | None, typer.Option(min=1e-5, max=1, help="Prior shift: the largest share that levels follow.")
    ] = None,
    blur: Annotated[
        float | None, typer.Option(min=0, max=3, help="Pre-blur for soft and grainy scans, in pixels (sigma); 0: none.")
    ] = None,
    scale: Annotated[
        list[int] | None, typer.Option(min=1, max=16, help="Factor by which scans are shrunk; several are averaged.")
    ] = None,
    scale_weight: Annotated[
        list[float] | None, typer.Option(min=0, max=1, help="Weight of each --scale; all alike unless given.")
    ] = None,
    shape_classes: Annotated[
        bool, typer.Option("--shape-classes", help="Fit the table of shape classes instead, and show how good it is.")
    ] = False,
    material: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="With --shape-classes: folder with outlines/ (JSON) and cracks.npz."),
    ] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Write the result into the model's card, or the table.")
    ] = False,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads; all cores unless given.")] = None,
) -> None:
    """Find a detector's levels for `--sensitivity` by what it marks on undamaged pictures, and measure it there."""
    from redust.core.errors import SettingsError
    from redust.detectors import make_detector
    from redust.evaluation.calibration import CardChanges, calibrate_model
    from redust.evaluation.calibration import calibrate as find_levels
    from redust.files.pairs import Library, find_photos, pairs_to_score
    from redust.models import shipped_folder
    from redust.models.card import CARD_NAME, read_card

    if shape_classes:
        _calibrate_shapes(material, write=write)
        return
    if photos is None:
        raise SettingsError("There is nothing to calibrate on. Give --photos, a folder of undamaged pictures.")
    shift = {"prior": prior, "exponent": exponent, "minority_exponent": minority_exponent, "max_prior": max_prior}
    changes = CardChanges(
        {name: value for name, value in shift.items() if value is not None}, blur, tuple(scale or ()) or None,
        tuple(scale_weight or ()),
    )  # fmt: skip
    pictures = Library(find_photos(photos), None, megabytes=0)
    folder = next((path for path in (shipped_folder(model), Path(model)) if path.is_dir()), None)
    if folder is None:
        if write or data or changes != CardChanges():
            raise SettingsError(f"{model} has no card and no weights. Name a model folder, or give --photos alone.")
        with progress_bar("calibrate") as show_share:
            _show_calibration(find_levels(make_detector(model, threads=threads), pictures, progress=show_share))
        return
    sets = {path.name: Library(pairs_to_score(path), None, megabytes=0) for path in data or ()}
    with progress_bar("calibrate") as show_share:
        calibration, card = calibrate_model(folder, pictures, sets, changes, threads=threads, progress=show_share)
    _show_calibration(calibration)
    for name, metrics in card.metrics.items():
        typer.echo(f"{name}: " + "  ".join(f"{metric} {value:.4g}" for metric, value in metrics.items()))
    if card.f1_by_weights:
        typer.echo("f1 at normal: " + ", ".join(f"{kind} {f1:.4f}" for kind, f1 in card.f1_by_weights.items()))
    if write:
        before = read_card(folder).level
        card.to_folder(folder)
        typer.echo(f"Written to {folder / CARD_NAME}; the level was {before:g}.")


def _show_calibration(calibration: Calibration) -> None:
    """A row per sensitivity, and whether the pictures were enough."""
    from redust.evaluation.calibration import RATES

    typer.echo(f"{'':8}{'level':>9}{'marked, ppm':>13}{'at most':>9}   pictures left unmarked")
    for name, level in calibration.levels.items():
        measured, allowed = 1e6 * calibration.rates[name], 1e6 * RATES[name]
        unmarked = f"{calibration.unmarked[name]} of {calibration.pictures}"
        typer.echo(f"{name:8}{level:9.5f}{measured:13.2f}{allowed:9g}   {unmarked}")
    lowest = min(RATES.values())
    if calibration.megapixels * 1e6 * lowest < _FEW_PIXELS:
        typer.echo(
            f"There are only {calibration.megapixels:.1f} megapixels: a rate of {lowest:g} is less than {_FEW_PIXELS} "
            "pixels of them. Add pictures to trust the level `shy`.",
            err=True,
        )


def _calibrate_shapes(material: Path | None, *, write: bool) -> None:
    """Fit the table of shape classes, and print how often it is right."""
    from redust.decision.shape_classes import FILE
    from redust.evaluation.shape_fitting import draw_regions, fit_shape_classes, tabulate_confusion
    from redust.synthesis.material import Cracks

    outlines = sorted((material / "outlines").glob("*.json")) if material else []
    path = material / "cracks.npz" if material else None
    cracks = Cracks.from_file(path) if path and path.exists() else None
    classifier = fit_shape_classes(draw_regions(outlines, cracks, 120, half=0))
    _print_columns(list(tabulate_confusion(classifier, draw_regions(outlines, cracks, 40, half=1))))
    if write:
        FILE.write_text(classifier.to_json(), encoding="utf-8")
        typer.echo(f"Written to {FILE}.")


@contextmanager
def progress_bar(label: str) -> Iterator[Callable[[float], None]]:
    from rich.progress import Progress

    console = make_console()
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(label, total=1.0)
        yield lambda share: bar.update(task, completed=share)


def make_console() -> Console:
    """The console for progress: standard error, without markup."""
    from rich.console import Console

    return Console(stderr=True, soft_wrap=True, highlight=False, markup=False)


def _print_columns(rows: list[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        typer.echo("  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True)))


def show_figures(counters: Mapping[str, MetricCounter], *, as_json: bool) -> None:
    """Print the figures of several detectors: a table, or all of them as JSON."""
    import json

    from redust.evaluation.metrics import format_table, recall_by_size

    figures = {name: counter.figures() for name, counter in counters.items()}
    if as_json:
        rows = {name: json.loads(measured.model_dump_json()) for name, measured in figures.items()}
        typer.echo(json.dumps(rows, indent=1))
        return
    _print_columns(list(format_table(figures)))
    for name, measured in figures.items():
        alarms = measured.false_spots_per_clean_picture
        per_picture = "" if math.isnan(alarms) else f"; {alarms:.2f} false alarms per clean picture"
        typer.echo(f"{name}: {recall_by_size(measured)}{per_picture}")
