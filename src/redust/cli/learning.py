"""The command that teaches a detector by corrected scans: `learn`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from redust.cli.measuring import progress_bar

if TYPE_CHECKING:
    from redust.files.pairs import PairPaths
    from redust.training.region_samples import Source

_PHOTO_WEIGHT = 0.3  # of a photo beside a scan


def learn(
    *,
    data: Annotated[
        list[str],
        typer.Argument(
            metavar="DIR[=WEIGHT]",
            help="Scans with masks: NAME.jpg beside NAME_mask.png, or images/ and masks/. A weight below 1 makes those "
            "of a folder count less.",
        ),
    ],
    out: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="The new model folder.")],
    heavy: Annotated[
        list[str] | None,
        typer.Option(
            "--heavy", metavar="DIR[=WEIGHT]", help="Heavily damaged scans with masks; they have trees of their own."
        ),
    ] = None,
    sound: Annotated[
        list[Path] | None,
        typer.Option(
            "--sound",
            metavar="DIR",
            help="Scans without damage; their false spots set the levels (without these scans, those of --photos).",
        ),
    ] = None,
    photos: Annotated[
        list[Path] | None,
        typer.Option(
            "--photos", metavar="DIR", help="Undamaged photos, as --sound; wires, lamps, lettering are drawn on them."
        ),
    ] = None,
    photo_count: Annotated[int, typer.Option(min=1, help="Photos of a folder that are learnt, evenly chosen.")] = 140,
    uncounted: Annotated[
        str,
        typer.Option(metavar="PATTERN", help="Regular expression: names of sound scans and photos that set no level."),
    ] = "",
    dust: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Specks on sound scans that are dust: name,row,column in each line."),
    ] = None,
    detector: Annotated[str, typer.Option(metavar="NAME|DIR", help="The detector that is taught.")] = "unet",
    roll: Annotated[
        str,
        typer.Option(
            metavar="PATTERN",
            help="Regular expression: what it matches of a name tells the roll. Else it is the name without its last "
            "number.",
        ),
    ] = "",
    mask_level: Annotated[
        int | None, typer.Option(min=1, max=255, help="Threshold for grey masks; else they hold 0, 128 and 255.")
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep damage maps here: a stopped run goes on, the next is quick."),
    ] = None,
    card: Annotated[
        Path | None, typer.Option(metavar="TOML", help="Fields of the classifier's card, such as data and licence.")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads; all cores unless given.")] = None,
) -> None:
    """Teach a detector which regions are damage, by scans with corrected masks: minutes, no network is trained."""
    from redust.cli.training import require_extra  # that module registers this command
    from redust.detectors import make_detector

    with require_extra():
        from redust.training.regions import learn_regions
    sources = _find_sources(data, heavy or (), sound or (), (photos or (), photo_count), uncounted, dust)
    with progress_bar("learn") as show_share:
        written = learn_regions(
            sources, out, make_detector(detector, threads=threads), roll_pattern=roll, mask_level=mask_level,
            cache=cache, facts=_read_facts(card) if card else None, progress=show_share,
        )  # fmt: skip
    levels = ", ".join(f"{name.value} {level:g}" for name, level in written.levels.items())
    typer.echo(f"levels: {levels}")
    typer.echo(f"model:  {out}   (redust detect --detector {out} SCAN -o masks)")


def _read_facts(path: Path) -> dict[str, Any]:
    from redust.core.errors import TrainingError

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainingError(f"{path} cannot be read as TOML: {error}. Mend it.") from error


def _find_sources(
    scans: Sequence[str], heavy: Sequence[str], sound: Sequence[Path], photos: tuple[Sequence[Path], int],
    uncounted: str, dust: Path | None,
) -> list[Source]:  # fmt: skip
    """What is learnt: scans, heavily damaged scans, sound ones and photos."""
    from redust.files.pairs import find_photos, find_splits
    from redust.training.region_samples import Source, read_spots
    from redust.training.region_trees import ScanKind
    from redust.training.region_variants import add_hard_negatives, keep_picture

    def counts(name: str) -> bool:
        return not (uncounted and re.search(uncounted, name))

    def counts_photo(name: str) -> bool:
        return not sound and counts(name)  # a photo is sharper than film: it would set the levels for all

    ordinary, alone = frozenset({ScanKind.ordinary}), frozenset({ScanKind.heavy})
    photo_folders, photo_count = photos
    specks = read_spots(dust) if dust else {}
    return [
        *(Source(find_splits(folder).train, weight, kinds=ordinary, has_unmarked=weight == 1)
          for folder, weight in map(_parse_weighted, scans)),
        *(Source(find_splits(folder).train, weight, keep_picture, has_unmarked=False, kinds=alone)
          for folder, weight in map(_parse_weighted, heavy)),
        *(Source(find_photos(folder), calibrates=counts, dust=specks) for folder in sound),
        *(Source(_choose_evenly(find_photos(folder), photo_count), _PHOTO_WEIGHT, add_hard_negatives,
                 has_unmarked=False, calibrates=counts_photo, has_rolls=False)
          for folder in photo_folders),
    ]  # fmt: skip


def _choose_evenly(pairs: Sequence[PairPaths], count: int) -> Sequence[PairPaths]:
    """At most so many, evenly from first to last."""
    return pairs[:: -(-len(pairs) // count)]


def _parse_weighted(text: str) -> tuple[Path, float]:
    """A folder and its weight, 1 unless given.

    >>> _parse_weighted("plates=0.3")[1], _parse_weighted("film")[1]
    (0.3, 1.0)
    """
    name, separator, weight = text.rpartition("=")
    if separator and weight.replace(".", "", 1).isdigit():
        return Path(name), float(weight)
    return Path(text), 1.0
