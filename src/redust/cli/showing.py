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
    """List the detectors, fills and generators, with their model cards."""
    from redust.pipeline.health import list_engines

    console, engines = _make_console(), list_engines()
    for kind, title in _TITLES.items():
        _print_table(console, title, [engine for engine in engines if engine.kind == kind])
    for engine in engines:
        _print_cards(console, engine)


def _make_console() -> Console:
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True, markup=False)


def _print_table(console: Console, title: str, engines: list[Engine]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for heading in ("name", "level", "weights", "licence", "remark"):
        table.add_column(heading, justify="left", overflow="fold")
    for engine in engines:
        table.add_row(*map(Text, _format_row(engine)))
    console.print(table, soft_wrap=False)
    console.print()


def _format_row(engine: Engine) -> list[str]:
    from redust.core.escape import escape_controls

    level = "" if engine.level is None else f"{engine.level:g}"
    size = f"{engine.size / 1e6:.1f} MB" if engine.size else ""
    licence = "" if engine.card is None else engine.card.licence
    remark = "cannot be used" if engine.problem else "the default" if engine.default else ""
    return [escape_controls(cell) for cell in (engine.name, level, size, licence, remark)]


def _print_cards(console: Console, engine: Engine) -> None:
    """Print what the cards of an engine's models say, and the sha256 of their files."""
    if engine.problem:
        _print_lines(console, [f"{engine.name}: {engine.problem}"])
    if engine.card is None:
        return
    levels = [f"  {_describe_levels(engine.card)}"] if engine.kind == "detector" else []
    _print_lines(console, [f"{engine.name}: {engine.card.summary}", *levels, *_list_hashes(engine.card)])
    if engine.regions is not None:
        levels = [f"  {_describe_levels(engine.regions)}"]
        _print_lines(
            console, [f"{engine.regions.name}: {engine.regions.summary}", *levels, *_list_hashes(engine.regions)]
        )
    if engine.blurred is not None:
        _print_lines(console, [f"{engine.blurred.name}: {engine.blurred.summary}", *_list_hashes(engine.blurred)])


def _print_lines(console: Console, lines: list[str]) -> None:
    from redust.core.escape import escape_controls

    for line in lines:
        console.print(escape_controls(line))


def _list_hashes(card: ModelCard) -> list[str]:
    return [f"  sha256 of {name}: {digest}" for name, digest in card.sha256.items()]


def _describe_levels(card: ModelCard) -> str:
    """A model's levels by sensitivity, and how much each marks of what is not damaged."""
    if not card.levels:
        return f"level {card.level:g} for every sensitivity (not calibrated)"
    levels = []
    for name, level in card.levels.items():
        rate = card.false_positive_rates.get(name)
        levels.append(f"{name} {level:g}" + ("" if rate is None else f" ({1e6 * rate:.3g} ppm of undamaged pictures)"))
    shift = "" if card.prior_shift is None else "; they follow how dirty a scan is"
    shift += ", and whether dark or bright" if card.prior_shift and card.prior_shift.minority_exponent else ""
    blur = "; soft and grainy scans are seen blurred" if card.pre_blur else ""
    return f"levels by sensitivity: {', '.join(levels)}{shift}{blur}"


def doctor() -> None:
    """Check the installation and restore a small scan; exit code 1 if broken."""
    from redust.pipeline.health import check_installation

    console, broken = _make_console(), 0
    for finding in check_installation():
        broken += finding.state == "broken"
        _print_lines(console, [f"{finding.state:7} {finding.name}: {finding.detail}"])
    if broken:
        console.print(f"{broken} broken: ReDust does not work as it should.")
        raise typer.Exit(1)
    console.print("Everything works.")
