"""The command that teaches a detector by corrected scans: `learn`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from redust.cli.measuring import progress_bar


def learn(
    *,
    data: Annotated[
        list[str],
        typer.Argument(
            metavar="DIR[=WEIGHT]",
            help="Scans with masks: NAME.jpg beside NAME_mask.png, or images/ and masks/. A weight below 1 makes those "
            "of a folder count less, their large marks more than specks.",
        ),
    ],
    out: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="The new model folder.")],
    sound: Annotated[
        list[Path] | None,
        typer.Option("--sound", metavar="DIR", help="Scans without damage; their false spots set the levels."),
    ] = None,
    photos: Annotated[
        list[Path] | None,
        typer.Option("--photos", metavar="DIR", help="Undamaged photos; wires, lamps and lettering are drawn on them."),
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
    threads: Annotated[int | None, typer.Option(min=1, help="Threads; all cores unless given.")] = None,
) -> None:
    """Teach a detector which regions are damage, by scans with corrected masks: minutes, no network is trained."""
    from redust.cli.training import require_extra  # that module registers this command
    from redust.detectors import make_detector
    from redust.files.pairs import find_photos, find_splits

    with require_extra():
        from redust.training.region_variants import add_hard_negatives
        from redust.training.regions import Source, learn_regions
    sources = [
        Source(find_splits(folder).train, weight, by_area=weight < 1, has_unmarked=weight == 1)
        for folder, weight in map(_parse_weighted, data)
    ]
    sources += [Source(find_photos(folder), calibrates=True) for folder in sound or ()]
    sources += [Source(find_photos(folder), 0.3, add_hard_negatives, has_unmarked=False) for folder in photos or ()]
    with progress_bar("learn") as show_share:
        card = learn_regions(
            sources, out, make_detector(detector, threads=threads), roll_pattern=roll, mask_level=mask_level,
            progress=show_share,
        )  # fmt: skip
    levels = ", ".join(f"{name.value} {level:g}" for name, level in card.levels.items())
    typer.echo(f"levels: {levels}")
    typer.echo(f"model:  {out}   (redust detect --detector {out} SCAN -o masks)")


def _parse_weighted(text: str) -> tuple[Path, float]:
    """A folder and its weight, 1 unless given.

    >>> _parse_weighted("plates=0.3")[1], _parse_weighted("film")[1]
    (0.3, 1.0)
    """
    name, separator, weight = text.rpartition("=")
    if separator and weight.replace(".", "", 1).isdigit():
        return Path(name), float(weight)
    return Path(text), 1.0
