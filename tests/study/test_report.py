"""The report of a study says what was measured, and no more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from redust.evaluation.metrics import MetricCounter, Metrics
from redust.study import report
from redust.study.grid import Cell
from redust.study.report import Findings, Heading, Image, Table, Text, make_blocks, to_html, to_markdown, write_report
from redust.study.unseen import measure_thesis_loss
from study_samples import result_of
from training_samples import picture


def figures_of(share: float) -> Metrics:
    """Figures of a map that marks this share of a picture's damaged pixels, from the first on."""
    truth = picture(0)[1]
    damaged = np.flatnonzero(truth == 255)
    damage = np.zeros(truth.size, np.float32)
    damage[damaged[: round(share * damaged.size)]] = 1.0
    counter = MetricCounter()
    counter.add(truth, damage.reshape(truth.shape))
    return counter.figures()


@pytest.fixture
def findings(monkeypatch: pytest.MonkeyPatch) -> Findings:
    """Two architectures and a batch size; the plots are left out, which cost most of the time."""
    for name in ("draw_lines", "draw_bars"):
        monkeypatch.setattr(report, name, lambda *_: True)
    cells = [
        Cell("base", "architecture", "the base"),
        Cell("cnn", "architecture", "a CNN"),
        Cell("b", "batch size", "8"),
    ]
    return Findings(
        done=[(cell, result_of(cell.name, correct=cell.name != "cnn")) for cell in cells],
        missing=[], yardsticks={"tophat": figures_of(0.5), "empty mask": figures_of(0.0)},
        unseen=[("noise", "none", figures_of(1.0)), ("damage", "hair", figures_of(0.5))],
        scale=1.0, thesis=measure_thesis_loss([picture(0)[1]]), coverages={128: 0.04, 1: 0.05},
        machine="a machine", gpu=None, pairs=(10, 2),
    )  # fmt: skip


def text_of(folder: Path, findings: Findings) -> str:
    return to_markdown(list(make_blocks(folder, findings)))


def test_each_question_has_its_heading_its_table_and_its_curves(findings: Findings, tmp_path: Path) -> None:
    blocks = list(make_blocks(tmp_path, findings))
    headings = [block.text for block in blocks if isinstance(block, Heading)]
    assert len(headings) == len(set(headings))
    assert {"Architecture", "Batch size", "What mattered most", "Device"} <= set(headings)
    assert {"architecture.png", "batch-size.png"} <= {block.file for block in blocks if isinstance(block, Image)}


def test_a_question_is_answered_beside_the_base_but_for_that_of_the_base(findings: Findings, tmp_path: Path) -> None:
    blocks = list(make_blocks(tmp_path, findings))
    tables: dict[str, list[str]] = {}
    for block in blocks:
        if isinstance(block, Heading):
            heading = block.text
        elif isinstance(block, Table):
            tables[heading] = [row[0] for row in block.rows]
    assert tables["Architecture"] == ["", "the base", "a CNN"]
    assert tables["Batch size"] == ["", "the base", "8"]


def test_rows_of_a_table_are_of_one_length(findings: Findings, tmp_path: Path) -> None:
    for block in make_blocks(tmp_path, findings):
        if isinstance(block, Table):
            assert len({len(row) for row in block.rows}) == 1
            assert len(block.rows) > 1


def test_the_accuracy_of_an_empty_mask_is_that_of_the_undamaged_share(findings: Findings, tmp_path: Path) -> None:
    share = (picture(0)[1] == 255).mean()
    text = text_of(tmp_path, findings)
    assert f"scores {1 - share:.4f}, because only {share:.2%} of the pixels are damaged" in text


def test_short_runs_are_concluded_from_by_nobody(findings: Findings, tmp_path: Path) -> None:
    cell, result = findings.done[1]
    short = [findings.done[0], (cell, result.model_copy(update={"epochs": 3.0}))]
    text = text_of(tmp_path, replace(findings, done=short))
    assert "Nothing is concluded here: 1 of 2 runs had fewer than 10 epochs" in text
    assert "Difference in strict f1" not in text
    planned_so = [findings.done[0], (cell, result.model_copy(update={"epochs": 3.0, "planned_epochs": 3}))]
    assert "Nothing is concluded" not in text_of(tmp_path, replace(findings, done=planned_so))


def test_questions_are_ranked_by_what_their_answers_differ(findings: Findings, tmp_path: Path) -> None:
    text = text_of(tmp_path, findings)
    assert "the worst answer to each question: architecture 1.000, batch size 0.000." in text


def test_learning_by_heart_is_no_question_of_rank(findings: Findings, tmp_path: Path) -> None:
    by_heart = (Cell("overfit-8", "overfitting", "by heart"), result_of("overfit-8", correct=False))
    text = text_of(tmp_path, replace(findings, done=[findings.done[0], by_heart, findings.done[2]]))
    assert "each question: architecture 0.000, batch size 0.000." in text
    assert "A sanity check" in text


def test_without_the_base_nothing_is_ranked(findings: Findings, tmp_path: Path) -> None:
    text = text_of(tmp_path, replace(findings, done=findings.done[1:]))
    assert "What mattered most" not in text


@pytest.mark.parametrize(("scale", "epochs"), [(0.5, 22), (0.001, 1)])
def test_scaled_epochs_are_told(findings: Findings, tmp_path: Path, scale: float, epochs: int) -> None:
    assert f"scaled by {scale:.3f}" in text_of(tmp_path, replace(findings, scale=scale))
    assert f"this study trained {epochs}." in text_of(tmp_path, replace(findings, scale=scale))
    assert "scaled by" not in text_of(tmp_path, findings)


def test_cells_that_were_not_run_are_named(findings: Findings, tmp_path: Path) -> None:
    assert "Not run" not in text_of(tmp_path, findings)
    assert "Not run for want of time: 500 epochs, GPU." in text_of(
        tmp_path, replace(findings, missing=["500 epochs", "GPU"])
    )


def test_a_gpu_is_named_only_where_it_was_measured(findings: Findings, tmp_path: Path) -> None:
    on_gpu = replace(findings, gpu="H9000")
    assert "H9000" not in text_of(tmp_path, on_gpu)
    measured = (Cell("gpu", "device", "GPU"), result_of("gpu"))
    assert "The GPU is an H9000." in text_of(tmp_path, replace(on_gpu, done=[*findings.done, measured]))
    assert "has no GPU" in text_of(tmp_path, findings)


def test_examples_are_shown_if_they_were_drawn(findings: Findings, tmp_path: Path) -> None:
    assert "examples.png" not in text_of(tmp_path, findings)
    (tmp_path / "examples.png").write_bytes(b"")
    assert "](examples.png)" in text_of(tmp_path, findings)


def test_page_and_text_hold_the_same(findings: Findings, tmp_path: Path) -> None:
    path = write_report(tmp_path, findings)
    page = path.with_suffix(".html").read_text(encoding="utf-8")
    text = path.read_text(encoding="utf-8")
    assert (path.name, page.count("<h2>")) == ("report.md", text.count("\n## "))
    assert page.count("<img ") == text.count("\n![")
    assert page.count("<table>") == text.count(" --- |\n")


def test_a_page_runs_no_script_of_a_name() -> None:
    blocks = [Text("<script>1</script>"), Table([("<b>",)]), Image('x" onerror="y', "a<b>"), Heading("<i>", 3)]
    page = to_html(blocks, "</title><script>")
    assert "<script>" not in page
    assert 'onerror="y' not in page
    assert "<h3>&lt;i&gt;</h3>" in page
