from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from redust.core.arrays import DamageMap
from redust.core.labels import Truth
from redust.decision.filters import dilate_mask
from redust.evaluation.metrics import MetricCounter, Metrics, area_names, format_table, recall_by_size


def drawn(number: int) -> tuple[Truth, DamageMap]:
    """A truth with blocks, a line, a dot and an area not to be judged (two have none), and a wavy opinion."""
    rows, columns = np.mgrid[0:48, 0:64]
    truth = np.zeros((48, 64), np.uint8)
    if number < 3:
        truth[8:12, 10 + number : 40] = 255
        truth[30 : 31 + 9 * number, 50:53] = 255
        truth[20 + number, 5] = 255
        truth[40:46, 8:20] = 128
    wave = 0.5 + 0.5 * np.sin(0.35 * rows + 0.11 * (number + 1) * columns) * np.cos(
        0.07 * rows * (number + 1) - 0.5 * columns
    )
    offsets = [(row, column) for row in (0, 1, 2) for column in (-1, 0, 1)]
    near = sum(np.roll(truth == 255, (row, column + number), (0, 1)) for row, column in offsets) / 9
    damage = np.rint(np.clip(0.75 * near + 0.53 * wave**3, 0, 1) * 65535)
    return truth, (damage / 65535).astype(np.float32)


def tallied(tolerance: int = 2, *, cut: bool = False) -> MetricCounter:
    tally = MetricCounter(0.5, tolerance)
    for number in range(5):
        truth, damage = drawn(number)
        tally.add(truth, (damage >= 0.5).astype(np.float32) if cut else damage)
    return tally


# Figures of an independent scorer on the same five pairs written as files. Its false spots count otherwise beside
# ignored pixels.
SCORER = {
    2: {
        "files": 5, "precision": 0.7536466774716369, "recall": 0.9863013698630136, "f1": 0.8544194770891552,
        "f1_strict": 0.566824644549763, "objects": 0.7777777777777778, "false_ppm": 10036.978341257263,
        "ap": 0.581772875406702,
    },
    0: {
        "files": 5, "precision": 0.4846029173419773, "recall": 0.682648401826484, "f1": 0.566824644549763,
        "f1_strict": 0.566824644549763, "objects": 0.4444444444444444, "false_ppm": 20998.41521394612,
        "ap": 0.581772875406702,
    },
}  # fmt: skip


@pytest.mark.parametrize("tolerance", [0, 2])
def test_gives_the_figures_of_the_bench_scorer(tolerance: int) -> None:
    figures = tallied(tolerance).figures()
    assert {name: getattr(figures, name) for name in SCORER[tolerance]} == pytest.approx(SCORER[tolerance])


def test_a_mask_gets_the_same_figures_but_no_average_precision() -> None:
    figures = tallied(cut=True).figures()
    expected = {name: value for name, value in SCORER[2].items() if name != "ap"}
    assert {name: getattr(figures, name) for name in expected} == pytest.approx(expected)
    assert np.isnan(figures.ap)


def truth_of(text: str) -> Truth:
    return np.array([[{"#": 255, "?": 128, ".": 0}[one] for one in row] for row in text.split()], np.uint8)


def map_of(rows: list[list[float]]) -> NDArray[np.float32]:
    return np.array(rows, np.float32)


def figures_of(truth: str, damage: list[list[float]], tolerance: int = 0) -> Metrics:
    tally = MetricCounter(0.5, tolerance)
    tally.add(truth_of(truth), map_of(damage))
    return tally.figures()


def test_counts_by_hand() -> None:
    figures = figures_of("##.. ....", [[0.9, 0.2, 0.7, 0.0], [0.0, 0.0, 0.0, 0.1]])
    assert (figures.precision_strict, figures.recall_strict) == (0.5, 0.5)
    assert figures.iou == pytest.approx(1 / 3)
    assert figures.accuracy == pytest.approx(6 / 8)
    assert figures.coverage == figures.true_coverage == pytest.approx(2 / 8)
    opinions = [0.9, 0.2, 0.3, 1 - 1e-6, 1 - 1e-6, 1 - 1e-6, 1 - 1e-6, 0.9]
    assert figures.loss == pytest.approx(-np.mean(np.log(opinions)), rel=1e-5)


def test_what_is_not_to_be_judged_changes_nothing() -> None:
    sure, unsure = [[0.9, 0.2, 1.0]], [[0.9, 0.2, 0.0]]
    assert figures_of("#.?", sure).model_dump_json() == figures_of("#.?", unsure).model_dump_json()


def test_calibration_error_is_the_gap_between_stated_and_true_share() -> None:
    tally = MetricCounter()
    truth = np.zeros((10, 10), np.uint8)
    truth[:3] = 255
    tally.add(truth, np.full((10, 10), 0.8, np.float32))
    assert tally.figures().ece == pytest.approx(0.5, abs=1e-6)
    tally = MetricCounter()
    tally.add(truth, np.full((10, 10), 0.3, np.float32))
    assert tally.figures().ece == pytest.approx(0.0, abs=1e-6)


def test_recall_by_size_and_false_alarms_on_clean_pictures() -> None:
    truth = np.zeros((40, 40), np.uint8)
    truth[2:5, 2:5] = 255  # 9 pixels
    truth[20:30, 20:30] = 255  # 100 pixels
    damage = np.zeros((40, 40), np.float32)
    damage[20:30, 20:24] = 1
    tally = MetricCounter(0.5, 0)
    tally.add(truth, damage)
    clean = np.zeros((40, 40), np.float32)
    clean[0, 0] = clean[10, 10] = clean[30:33, 5] = 0.9
    tally.add(np.zeros((40, 40), np.uint8), clean)
    figures = tally.figures()
    by_area = figures.objects_by_area
    assert list(by_area) == area_names()
    assert (by_area["1-15"], by_area["64-255"]) == (0.0, 1.0)
    assert np.isnan(by_area["1024+"])
    assert recall_by_size(figures) == "objects found by size  1-15 px 0.00  64-255 px 1.00"
    assert figures.false_spots_per_clean_picture == 3


def test_an_empty_mask_scores_high_accuracy_and_no_f1() -> None:
    truth = np.zeros((100, 100), np.uint8)
    truth[:2, :50] = 255
    tally = MetricCounter()
    tally.add(truth, np.zeros((100, 100), np.float32))
    figures = tally.figures()
    assert (figures.accuracy, figures.f1, figures.f1_strict) == (0.99, 0.0, 0.0)
    assert np.isnan(figures.precision)


def test_merging_is_as_counting_together_and_so_is_the_state() -> None:
    apart = [MetricCounter(), MetricCounter()]
    for number in range(5):
        apart[number % 2].add(*drawn(number))
    apart[0].merge(apart[1])
    loaded = MetricCounter()
    loaded.load(apart[0].state())
    # Floating-point sums depend on their order in the last bits.
    np.testing.assert_allclose(loaded.state(), tallied().state(), rtol=1e-12)
    assert loaded.figures().f1 == tallied().figures().f1
    with pytest.raises(ValueError, match="one level"):
        apart[0].merge(MetricCounter(0.4))


def test_the_best_level_separates_what_can_be_separated() -> None:
    tally = MetricCounter()
    tally.add(truth_of("##..."), map_of([[0.30, 0.28, 0.2, 0.1, 0.05]]))
    level, f1 = tally.best()
    assert f1 == pytest.approx(1.0)
    assert 0.2 < level <= 0.28


def test_sizes_must_agree() -> None:
    with pytest.raises(ValueError, match="damage map is"):
        MetricCounter().add(np.zeros((3, 4), np.uint8), np.zeros((4, 3), np.float32))


def test_undefined_figures_become_null_in_json_and_the_table_has_a_row_each() -> None:
    figures = figures_of("..", [[0.0, 0.0]])
    assert '"recall":null' in figures.model_dump_json()
    rows = list(format_table({"a": figures, "b": figures}))
    assert [row[0] for row in rows] == ["", "a", "b"]
    assert len({len(row) for row in rows}) == 1


@pytest.mark.parametrize(("row", "column", "f1"), [(0, 2, 1.0), (1, 1, 1.0), (1, 2, 0.0), (2, 2, 0.0)])
def test_the_tolerance_is_a_disc_whichever_way_a_picture_is_turned(row: int, column: int, f1: float) -> None:
    truth, damage = np.zeros((9, 9), np.uint8), np.zeros((9, 9), np.float32)
    truth[4, 4], damage[4 + row, 4 + column] = 255, 1.0
    for turns in range(4):
        for view in (slice(None), slice(None, None, -1)):
            counter = MetricCounter()
            counter.add(np.rot90(truth, turns)[view], np.rot90(damage, turns)[view])
            counter.add(np.rot90(truth, turns)[view].T, np.rot90(damage, turns)[view].T)
            assert counter.figures().f1 == f1


def test_a_disc_of_radius_two_has_thirteen_pixels() -> None:
    single = np.zeros((7, 7), np.bool_)
    single[3, 3] = True
    rows, columns = np.nonzero(dilate_mask(single, 2))
    assert len(rows) == 13
    assert ((rows - 3) ** 2 + (columns - 3) ** 2 <= 4).all()
