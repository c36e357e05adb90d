"""The command `synthesize`: draw damage on undamaged photos."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from redust.synthesis.synthesizer import Synthesizer
    from redust.synthesis.write_pairs import Plan, Record

_PAIRS, _MATERIAL = "Pairs to draw", "Your own material"
_SHEET_PHOTOS = 24  # a sheet cannot show more backgrounds


def _option(flag: str, help: str, panel: str, *short_flags: str, metavar: str | None = None, **bounds: Any) -> Any:
    return typer.Option(
        flag, *short_flags, help=help, rich_help_panel=panel, metavar=metavar, show_default=False, **bounds
    )


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(no_args_is_help=True)(synthesize)


def synthesize(
    photos: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PHOTO", show_default=False, help="Undamaged photos, or folders of them; 8 or 16 bit."),
    ] = None,
    *,
    output: Annotated[
        Path | None,
        _option("--output", "The folder for images/, masks/, clean/, recipe.toml and manifest.jsonl.", _PAIRS, "-o",
                metavar="DIR"),
    ] = None,
    count: Annotated[
        int | None, _option("--count", "How many pairs; one per photo unless given.", _PAIRS, min=1)
    ] = None,
    size: Annotated[
        int | None,
        _option("--size", "Cut square patches of this side out of the photos; whole photos unless given.", _PAIRS,
                min=32, max=8192),
    ] = None,
    seed: Annotated[int, _option("--seed", "The same seed draws the same pairs (default 0).", _PAIRS, min=0)] = 0,
    recipe: Annotated[
        Path | None, _option("--recipe", "Kinds and strengths; each run writes its own to recipe.toml.", _PAIRS,
                             metavar="FILE.toml"),
    ] = None,
    workers: Annotated[
        int | None,
        _option("--workers", "Processes; one per core unless given. The result does not depend on them.", _PAIRS,
                min=1, max=1024),
    ] = None,
    sheet: Annotated[
        Path | None,
        _option("--sheet", "Draw a contact sheet of all kinds; works without photos too.", _PAIRS, metavar="FILE.jpg"),
    ] = None,
    overlays: Annotated[
        Path | None, _option("--overlays", "Grey alpha shapes (PNG), one folder per kind.", _MATERIAL, metavar="DIR")
    ] = None,
    outlines: Annotated[
        list[Path] | None,
        _option("--outlines", "Outlines of real damage (JSON); repeatable.", _MATERIAL, metavar="FILE"),
    ] = None,
    cracks: Annotated[
        Path | None, _option("--cracks", "Packed crack shapes, `masks` of 224 x 224.", _MATERIAL, metavar="FILE.npz")
    ] = None,
    folds: Annotated[
        Path | None,
        _option("--folds", "Grey pictures of folds, crumples and rings; they multiply the light.", _MATERIAL,
                metavar="DIR"),
    ] = None,
    transplant: Annotated[
        Path | None,
        _option("--transplant", "Scans with masks, whose damage is cut out and pasted onto the photos.", _MATERIAL,
                metavar="DIR"),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show failures only.")] = False,
) -> None:  # fmt: skip
    """Draw damage on undamaged photos: pairs of damaged picture and true mask.

    By default the pairs are for training: every resolution from 800 dpi on, rare kinds of damage as often as common
    ones, faint marks among them. `recipes/usual-scan.toml` draws a usual scan at 3,600 dpi.
    """
    from redust.core.errors import SettingsError

    if output is None and sheet is None:
        raise SettingsError(
            "There is nothing to write. Give --output DIR for pairs, or --sheet FILE.jpg for a contact sheet."
        )
    if output is not None and not photos:
        raise SettingsError("There are no photos to draw on. Give undamaged photos, or folders of them.")
    from redust.synthesis.synthesizer import Synthesizer

    synthesizer = Synthesizer.from_files(
        recipe=recipe, overlays=overlays, outlines=outlines or (), cracks=cracks, folds=folds, transplant=transplant,
        seed=seed,
    )  # fmt: skip
    if sheet is not None:
        _draw_sheet(synthesizer, photos or [], sheet)
    if output is not None:
        _draw_pairs(_make_plan(synthesizer, photos or [], output, count, size), output, workers, quiet=quiet)


def _draw_sheet(synthesizer: Synthesizer, photos: list[Path], target: Path) -> None:
    from redust.core.arrays import three_channels, to_light
    from redust.files import check_path, read_scan
    from redust.synthesis.sheet import draw_sheet, write_sheet
    from redust.synthesis.write_pairs import gather_photos

    check_path(target)
    paths = gather_photos(photos)[:_SHEET_PHOTOS] if photos else ()
    backgrounds = [three_channels(to_light(read_scan(path).pixels)) for path in paths]
    write_sheet(draw_sheet(synthesizer, backgrounds), target)


def _make_plan(synthesizer: Synthesizer, photos: list[Path], output: Path, count: int | None, size: int | None) -> Plan:
    from redust.synthesis.write_pairs import Plan, gather_photos

    paths = gather_photos(photos, leave_out=output)
    return Plan(paths, synthesizer, count or len(paths), size)


def _draw_pairs(plan: Plan, output: Path, workers: int | None, *, quiet: bool) -> None:
    """Draw the missing pairs; unusable photos are reported and set the exit code."""
    from rich.console import Console

    from redust.core.errors import ScanError
    from redust.core.escape import escape_controls
    from redust.core.threads import count_cores
    from redust.synthesis.write_pairs import prepare_folder, write_pairs

    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    done = prepare_folder(plan, output)
    if done and not quiet:
        console.print(f"{done} of {plan.count} pairs exist already.")
    shares, contrasts, failed = [], [], 0
    for record in _with_progress(
        write_pairs(plan, output, done, workers or count_cores()), plan.count, done, console, quiet=quiet
    ):
        if record.error is None:
            shares.append(record.coverage)
            contrasts += [record.contrast] if record.coverage else []
        else:
            failed += 1
            console.print(escape_controls(f"error: {record.name}: {record.error}"))
    if not quiet:
        mean = f", {sum(shares) / len(shares):.2%} damaged on average" if shares else ""
        contrast = f", by {median(contrasts):.0f} of 255 steps in the median" if contrasts else ""
        typer.echo(f"{output}: {done + len(shares)} pairs{mean}{contrast}")
    if failed:
        raise typer.Exit(ScanError.exit_code)


def _with_progress(records: Iterator[Record], total: int, done: int, console: Any, *, quiet: bool) -> Iterator[Record]:
    """Pass records on, with a progress bar on a terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("drawing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task("drawing", total=total, completed=done)
        for record in records:
            yield record
            bar.advance(task)
