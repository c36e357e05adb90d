"""The report of a study, as Markdown and as HTML, from one list of blocks."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from redust.evaluation.metrics import Metrics
from redust.evaluation.plots import draw_bars, draw_lines

if TYPE_CHECKING:
    from redust.study.grid import Cell, CellResult

    Done = Sequence[tuple[Cell, CellResult]]

_COLUMNS = ("f1", "f1_strict", "precision", "recall", "iou", "ap", "accuracy", "loss", "ece")
_MIN_EPOCHS = 10  # of a run from which something is concluded
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;font-size:.9rem}td,th{border:1px solid #8886;padding:.2rem .5rem;text-align:right}"
    "td:first-child,th:first-child{text-align:left}img{max-width:100%}"
)


@dataclass(frozen=True)
class Heading:
    """A heading; level 1 is the title."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Table:
    """Rows of text, headings first."""

    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Image:
    """A picture in the report's folder."""

    file: str
    caption: str


Block = Heading | Text | Table | Image


def to_markdown(blocks: Sequence[Block]) -> str:
    """Blocks as Markdown."""
    return "\n\n".join(_block_to_markdown(block) for block in blocks) + "\n"


def _block_to_markdown(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"{'#' * level} {text}"
        case Text(text):
            return text
        case Image(file, caption):
            return f"![{caption}]({file})"
        case Table(rows):
            lines = ["| " + " | ".join(row) + " |" for row in rows]
            return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]])


def to_html(blocks: Sequence[Block], title: str) -> str:
    """Blocks as one HTML page."""
    body = "\n".join(_block_to_html(block) for block in blocks)
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{_STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'


def _block_to_html(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"<h{level}>{html.escape(text)}</h{level}>"
        case Text(text):
            return f"<p>{html.escape(text)}</p>"
        case Image(file, caption):
            return f'<img src="{html.escape(file)}" alt="{html.escape(caption)}">'
        case Table(rows):
            marks = ["th", *["td"] * (len(rows) - 1)]
            cells = [
                "".join(f"<{mark}>{html.escape(text)}</{mark}>" for text in row)
                for mark, row in zip(marks, rows, strict=True)
            ]
            return "<table>" + "".join(f"<tr>{row}</tr>" for row in cells) + "</table>"


@dataclass(frozen=True)
class Findings:
    """All that a report is made of.

    Parameters
    ----------
    done
        The cells that were finished.
    missing
        What the report calls those that were not.
    yardsticks
        Figures of `tophat` and of the empty mask on the same pictures.
    unseen
        (group, name, figures) of the base network on what it never saw.
    scale
        Factor of all epochs.
    thesis
        See :func:`redust.study.unseen.measure_thesis_loss`.
    coverages
        Share of damaged pixels of the test half, by the level at which its masks are cut.
    machine, gpu
        What it was measured on; None where there is no GPU.
    pairs
        How many there are to learn from and to be tested on.
    """

    done: Done
    missing: Sequence[str]
    yardsticks: dict[str, Metrics]
    unseen: Sequence[tuple[str, str, Metrics]]
    scale: float
    thesis: dict[str, float]
    coverages: dict[int, float]
    machine: str
    gpu: str | None
    pairs: tuple[int, int]


def write_report(folder: Path, findings: Findings) -> Path:
    """Write ``report.md``, ``report.html`` and their plots into `folder`; returns the first."""
    blocks = list(make_blocks(folder, findings))
    path = folder / "report.md"
    path.write_text(to_markdown(blocks), encoding="utf-8")
    (folder / "report.html").write_text(to_html(blocks, "The study"), encoding="utf-8")
    return path


def make_blocks(folder: Path, findings: Findings) -> Iterator[Block]:
    """The blocks of a report; draws its plots into `folder`."""
    yield Heading("The questions of the thesis, measured again", 1)
    yield from _describe_setting(findings)
    yield from _explain_first_loss(findings)
    yield from _explain_accuracy(findings)
    for question in dict.fromkeys(cell.question for cell, _ in findings.done):
        yield from _answer_question(folder, question, findings)
    yield from _describe_devices(findings)
    yield from _report_unseen(folder, findings)
    yield from _rank_questions(folder, findings)
    if (folder / "examples.png").exists():
        yield Heading("Masks of the base")
        yield Text(
            "Per row: the picture, the true mask, the damage map, the verdict "
            "(green found, blue missed, red false alarm)."
        )
        yield Image("examples.png", "Pictures, true masks, damage maps and verdicts")


def _describe_setting(findings: Findings) -> Iterator[Block]:
    train, test = findings.pairs
    seconds = sum(result.seconds for _, result in findings.done)
    yield Text(
        f"{train} pairs to learn from, {test} to be tested on; {findings.machine}. {len(findings.done)} runs, "
        f"{seconds / 60:.0f} minutes of training. Every figure below is on the test half, at full size, with the "
        "weights and the level that were best on pairs kept back from the training half."
    )
    if findings.scale < 1:
        yield Text(
            f"To fit the budget, epochs were scaled by {findings.scale:.3f}: where the thesis trained 45 epochs, "
            f"this study trained {max(1, round(45 * findings.scale))}. The columns say how many each run had."
        )
    if findings.missing:
        yield Text(f"Not run for want of time: {', '.join(findings.missing)}.")


def _explain_first_loss(findings: Findings) -> Iterator[Block]:
    thesis = findings.thesis
    yield Heading("Why was the loss high and the accuracy low at first?")
    yield Text(
        "Because both were measured on the wrong thing. The first network was compiled (`CNN/main.py` of "
        "https://github.com/ostrowskaaa/ReDust) with Keras's categorical cross-entropy and `accuracy` over 100 x 100 "
        "masks. That takes each row of pixels for one sample of 100 classes: the loss divides a row by its sum, so it "
        "cannot become 0 where a row has more than one damaged pixel, and accuracy asks only whether the brightest "
        "pixel of the row was guessed. Masks that were not divided by 255 make it 255 times worse. On the true masks "
        "of this test half:"
    )
    yield Table(
        [
            ("answer", "loss", "loss, masks 0..255", "row accuracy"),
            *(
                (
                    title, f"{thesis[f'{name}_loss']:.2f}", f"{thesis[f'{name}_loss_zero_to_255']:.0f}",
                    f"{thesis[f'{name}_row_accuracy']:.3f}",
                )
                for name, title in (("perfect", "the true masks themselves"), ("grey", "0.5 everywhere"))
            ),
        ]
    )  # fmt: skip
    yield Text(
        f"Even the perfect answer has a loss of {thesis['perfect_loss']:.2f}, or "
        f"{thesis['perfect_loss_zero_to_255']:.0f}: a high loss said nothing about the network."
    )
    plain = next((result.figures for cell, result in findings.done if cell.name == "cnn"), None)
    if plain is not None:
        yield Text(
            f"Judged pixel by pixel, and trained so, the same plain CNN has a loss of {plain.loss:.4f} and an accuracy "
            f"of {plain.accuracy:.4f} here, though its f1 is {plain.f1_strict:.3f}: what was mended first was the "
            "yardstick."
        )


def _explain_accuracy(findings: Findings) -> Iterator[Block]:
    empty = findings.yardsticks["empty mask"]
    yield Heading('What does "accuracy close to 1" mean?')
    yield Text(
        f"Next to nothing: a mask that marks no pixel at all scores {empty.accuracy:.4f}, because only "
        f"{empty.true_coverage:.2%} of the pixels are damaged. f1 and average precision tell networks apart."
    )
    rows = [*((cell.title, result.figures) for cell, result in findings.done if cell.question == "architecture")]
    yield _tabulate_figures([*rows, *findings.yardsticks.items()])


def _tabulate_figures(rows: Sequence[tuple[str, Metrics]]) -> Table:
    return Table([("", *_COLUMNS), *((name, *_format_figures(figures)) for name, figures in rows)])


def _format_figures(figures: Metrics) -> tuple[str, ...]:
    return tuple(f"{getattr(figures, column):.4f}" for column in _COLUMNS)


_REMARKS = {
    "architecture": "The plain CNN judges a whole cell through one dense layer; both U-Nets judge every pixel from its "
    "surroundings.",
    "overfitting": "A sanity check: a network and data that are in order learn a handful of pairs by heart "
    "(f1 on what was learned above 0.99). The test figures of this run mean nothing.",
    "mask level": "Cut at 1, JPEG noise around the marks becomes damage. Each row is scored against masks cut as it "
    "was trained, so that the two rows answer different questions.",
}


def _answer_question(folder: Path, question: str, findings: Findings) -> Iterator[Block]:
    base = [pair for pair in findings.done if pair[0].name == "base"]
    cells = [pair for pair in findings.done if pair[0].question == question]
    compared = cells if question == "architecture" else [*base, *cells]
    yield Heading(question[0].upper() + question[1:])
    if question in _REMARKS:
        yield Text(_REMARKS[question])
    if question == "mask level":
        shares = " and ".join(f"{share:.2%} cut at {level}" for level, share in findings.coverages.items())
        yield Text(f"Share of damaged pixels in the test half: {shares}.")
    yield Table(
        [
            ("", "epochs", "minutes", "parameters", *_COLUMNS[:6], "f1_strict on what was learned"),
            *(
                (
                    cell.title, f"{result.epochs:.0f}", f"{result.seconds / 60:.1f}", f"{result.parameters:,}",
                    *_format_figures(result.figures)[:6], f"{result.train_figures.f1_strict:.4f}",
                )
                for cell, result in compared
            ),
        ]
    )  # fmt: skip
    name = f"{question.replace(' ', '-')}.png"
    histories = {cell.title: result.history for cell, result in compared}
    if draw_lines(histories, ("train_loss", "val_loss", "val_f1_best_level", "val_ap"), folder / name):
        yield Image(name, f"{question}: loss, validation loss, f1 and average precision by epoch")


def _describe_devices(findings: Findings) -> Iterator[Block]:
    if findings.gpu is None:
        yield Heading("Device")
        yield Text("This machine has no GPU: CPU against GPU was not measured here. Run the study where there is one.")
    elif any(cell.question == "device" for cell, _ in findings.done):
        yield Text(f"The GPU is an {findings.gpu}.")


def _report_unseen(folder: Path, findings: Findings) -> Iterator[Block]:
    if not findings.unseen:
        return
    yield Heading("What the network never saw")
    scored, tested = findings.unseen[0][2].files, findings.pairs[1]
    pictures = "the same test pictures" if scored >= tested else f"{scored} of the {tested} test pictures"
    yield Text(f"The base on {pictures} under noise it was not trained with; the truth stays as it was.")
    noise = [(name, figures) for group, name, figures in findings.unseen if group == "noise"]
    yield _tabulate_figures(noise)
    draw_bars({name: figures.f1_strict for name, figures in noise}, "strict f1 under noise", folder / "noise.png")
    yield Image("noise.png", "Strict f1 under noise")
    yield Text(
        "And other damage, drawn on the test pictures. The truth is what was drawn; what was damaged before is not "
        "judged."
    )
    yield _tabulate_figures([(name, figures) for group, name, figures in findings.unseen if group == "damage"])


def _rank_questions(folder: Path, findings: Findings) -> Iterator[Block]:
    """By how much the best and the worst answer to a question differ, where the runs were long enough."""
    base = next((result for cell, result in findings.done if cell.name == "base"), None)
    if base is None:
        return
    yield Heading("What mattered most")
    short = [cell.title for cell, result in findings.done if result.epochs < min(_MIN_EPOCHS, result.planned_epochs)]
    if short:
        yield Text(
            f"Nothing is concluded here: {len(short)} of {len(findings.done)} runs had fewer than {_MIN_EPOCHS} "
            "epochs, too few to compare networks by. Give the study a larger --budget-minutes."
        )
        return
    spread = _measure_spread(findings, base)
    yield Text(
        "Difference in strict f1 between the best and the worst answer to each question: "
        + ", ".join(f"{question} {value:.3f}" for question, value in spread.items())
        + ". Each is of one run with one seed."
    )
    draw_bars(spread, "spread of strict f1 by question", folder / "ranking.png")
    yield Image("ranking.png", "Spread of strict f1 by question")


def _measure_spread(findings: Findings, base: CellResult) -> dict[str, float]:
    """By question, the difference in strict f1 of its best and worst cell, the largest first."""
    spread: dict[str, float] = {}
    for question in dict.fromkeys(cell.question for cell, _ in findings.done if cell.question != "overfitting"):
        scores = [result.figures.f1_strict for cell, result in findings.done if cell.question == question]
        scores.append(base.figures.f1_strict)
        if len(scores) > 1:
            spread[question] = max(scores) - min(scores)
    return dict(sorted(spread.items(), key=lambda item: -item[1]))
