"""The commands that show: `models`, `doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from redust.models import ModelCard
    from redust.pipeline.health import Engine

_TITLES = {
    "detector": "Detectors: --detector NAME",
    "fill": "Fills: --fill NAME",
    "generator": "Generators: --method generator --generator NAME",
}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(models)
    app.command()(doctor)


def models() -> None:
    """List the detectors, fills and generators, and the cards of those that carry weights."""
    from rich.console import Console
    from rich.table import Table

    from redust.pipeline.health import engines

    console = Console(highlight=False)
    found = engines()
    for kind, title in _TITLES.items():
        table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
        for heading in ("name", "level", "weights", "licence", "remark"):
            table.add_column(heading, justify="left", overflow="fold")
        for engine in found:
            if engine.kind == kind:
                table.add_row(*_cells(engine))
        console.print(table)
        console.print()
    for engine in found:
        if engine.card is not None:
            console.print(f"{engine.name}: {engine.card.summary}", soft_wrap=True)
            if engine.kind == "detector":
                console.print(f"  {_levels(engine.card)}", soft_wrap=True)
            _hashes(console, engine.card)
            if engine.blurred is not None:
                console.print(f"{engine.blurred.name}: {engine.blurred.summary}", soft_wrap=True)
                _hashes(console, engine.blurred)


def _hashes(console: Console, card: ModelCard) -> None:
    """What tells the files of a model apart from any others."""
    for name, digest in card.sha256.items():
        console.print(f"  sha256 of {name}: {digest}", soft_wrap=True)


def _cells(engine: Engine) -> tuple[str, str, str, str, str]:
    """One row of the table."""
    level = "" if engine.level is None else f"{engine.level:g}"
    size = f"{engine.size / 1e6:.1f} MB" if engine.size else ""
    licence = "" if engine.card is None else engine.card.licence
    remark = engine.problem or ("the default" if engine.default else "")
    return engine.name, level, size, licence, remark


def _levels(card: ModelCard) -> str:
    """A model's levels by sensitivity, and how much each marks of what is not damaged."""
    if not card.levels:
        return f"level {card.level:g} for every sensitivity (not calibrated)"
    parts = []
    for name, level in card.levels.items():
        rate = card.false_positive_rates.get(name)
        said = "" if rate is None else f" ({1e6 * rate:.3g} ppm of undamaged pictures)"
        parts.append(f"{name} {level:g}{said}")
    follow = "" if card.prior_shift is None else "; they follow how dirty a scan is"
    follow += ", and whether dark or bright" if card.prior_shift and card.prior_shift.minority_exponent else ""
    soft = "; soft and grainy scans are seen blurred" if card.pre_blur else ""
    return f"levels by sensitivity: {', '.join(parts)}{follow}{soft}"


def doctor() -> None:
    """Look at everything ReDust needs and restore a small scan; the exit code is 1 if something is broken."""
    from rich.console import Console

    from redust.pipeline.health import examine

    console = Console(highlight=False, soft_wrap=True, markup=False)
    broken = 0
    for finding in examine():
        broken += finding.state == "broken"
        console.print(f"{finding.state:7} {finding.name}: {finding.detail}")
    if broken:
        console.print(f"{broken} broken: ReDust does not work as it should.")
        raise typer.Exit(1)
    console.print("Everything works.")
