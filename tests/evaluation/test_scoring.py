"""Detectors and files scored over pictures, and what a run draws of them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from doubles import Bright, Wary
from redust.core.arrays import DamageMap, Pixels
from redust.core.errors import TrainingError
from redust.core.labels import Label, Truth
from redust.decision.filters import dilate_mask
from redust.evaluation.metrics import MetricCounter, recall_by_size
from redust.evaluation.plots import sample_sheet, write_picture
from redust.evaluation.scoring import EMPTY, PictureSubset, score_detector, score_files
from redust.files import read_scan
from redust.files.pairs import PairPaths, find_splits


class Marked:
    """Pictures whose white squares are damaged, as many as their number says."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> tuple[Pixels, Truth]:
        pixels, truth = np.full((32, 32, 3), 60, np.uint8), np.zeros((32, 32), np.uint8)
        for square in range(index):
            rows, columns = slice(4 + 10 * square, 8 + 10 * square), slice(4, 8)
            pixels[rows, columns], truth[rows, columns] = 255, Label.damage
        return pixels, truth


@given(total=st.integers(1, 300), count=st.one_of(st.none(), st.integers(1, 40)))
def test_a_subset_is_spread_over_all_pictures_without_repeats(total: int, count: int | None) -> None:
    subset = PictureSubset(range(total), count)
    chosen = [subset[index] for index in range(len(subset))]
    assert len(set(chosen)) == len(chosen) == (total if count is None else min(count, total))
    assert chosen == sorted(chosen)
    assert chosen[0] == 0
    if count is None or count > 1:
        assert chosen[-1] == total - 1


def test_a_detector_that_is_right_scores_one_beside_an_empty_mask() -> None:
    shares: list[float] = []
    counters = score_detector([Bright()], Marked(), progress=shares.append)
    assert list(counters) == ["bright", EMPTY]
    assert counters["bright"].figures().f1_strict == 1.0
    empty = counters[EMPTY].figures()
    assert (empty.recall_strict, empty.coverage) == (0.0, 0.0)
    assert empty.true_coverage == counters["bright"].figures().true_coverage
    assert shares == pytest.approx([1 / 3, 2 / 3, 1])


def test_a_level_cuts_the_first_detector_alone() -> None:
    """The second, `wary`, gives damage 0.9."""
    counters = score_detector([Bright(), Wary()], Marked(), level=0.95)
    assert [counters[name].figures().recall_strict for name in ("bright", "wary")] == [1.0, 1.0]
    assert (counters["bright"].level, counters["wary"].level) == (0.95, 0.5)
    assert score_detector([Wary()], Marked(), level=0.95)["wary"].figures().recall_strict == 0.0
    assert score_detector([Wary()], Marked())["wary"].figures().recall_strict == 1.0


@pytest.mark.parametrize("tta", [1, 2, 8])
def test_views_of_a_detector_that_sees_single_pixels_do_not_change_its_score(tta: int) -> None:
    figures = score_detector([Bright()], Marked(), tta=tta, blur=0.0)["bright"].figures()
    assert figures.f1_strict == 1.0


def test_without_pictures_there_are_no_figures() -> None:
    counters = score_detector([Bright()], PictureSubset([], None))
    assert np.isnan(counters["bright"].figures().accuracy)
    assert score_detector([], Marked())[EMPTY].figures().files == 3


@pytest.fixture
def predictions(pairs: Path, tmp_path: Path) -> Path:
    """The true masks of the test half, as another tool's predictions."""
    folder = tmp_path / "predictions"
    folder.mkdir()
    for path in (pairs / "test/masks").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def test_files_of_the_truth_itself_score_one(pairs: Path, predictions: Path) -> None:
    figures = score_files(find_splits(pairs).test, predictions).figures()
    assert (figures.f1_strict, figures.files) == (1.0, 2)
    assert np.isnan(figures.ap)  # masks have no order of levels


@pytest.mark.parametrize("level", [0.3, 0.7])
def test_files_of_sixteen_bit_are_cut_on_their_own_scale(pairs: Path, predictions: Path, level: float) -> None:
    for path in predictions.iterdir():
        mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert mask is not None
        cv2.imwrite(str(path), (mask > 0).astype(np.uint16) * 32768)
    figures = score_files(find_splits(pairs).test, predictions, level=level).figures()
    assert figures.recall_strict == (1.0 if level < 0.5 else 0.0)


def test_a_missing_or_misshapen_prediction_is_named(pairs: Path, predictions: Path) -> None:
    first, second = sorted(predictions.iterdir())
    cv2.imwrite(str(first), np.zeros((3, 3), np.uint8))
    with pytest.raises(TrainingError, match=rf"{first.name} has another size .*Predict at full size"):
        score_files(find_splits(pairs).test, predictions)
    first.unlink()
    with pytest.raises(TrainingError, match=rf"no prediction .*{first.name}\. Write one for every picture"):
        score_files([PairPaths("20", pairs / "test/images/20.png", pairs / "test/masks/20.png")], predictions)
    assert second.exists()


def sample(side: int = 12) -> tuple[Pixels, Truth, DamageMap]:
    """A picture whose first row is found, second is missed, third is a false alarm; the fourth is not judged."""
    truth, damage = np.zeros((side, side), np.uint8), np.zeros((side, side), np.float32)
    truth[0], truth[1], truth[3] = Label.damage, Label.damage, Label.ignore
    damage[0] = damage[2] = damage[3] = 0.8
    return np.full((side, side, 3), 90, np.uint8), truth, damage


def test_a_sheet_shows_what_was_found_missed_and_invented() -> None:
    sheet = sample_sheet([sample()], 0.5)
    verdict = sheet[:12, 48:60].astype(int)
    assert sheet.shape == (16, 64, 3)
    assert verdict[0, 0].argmax() == 1  # green: found
    assert verdict[1, 0].argmax() == 2  # blue: missed
    assert verdict[2, 0].argmax() == 0  # red: a false alarm
    assert len(set(verdict[3, 0])) == len(set(verdict[9, 0])) == 1  # neither: the picture, darkened
    assert sample_sheet([sample()], 0.9)[0, 48].argmax() == 2  # above the level nothing is found


def test_samples_of_all_sizes_fit_one_sheet() -> None:
    grey = (np.zeros((5, 400, 1), np.uint16), np.zeros((5, 400), np.uint8), np.zeros((5, 400), np.float32))
    sheet = sample_sheet([sample(), sample(300), grey], 0.5)
    assert sheet.dtype == np.uint8
    assert sheet.shape == (3 * 164, 4 * 164, 3)


def test_a_drawn_picture_keeps_its_colours_on_disk(tmp_path: Path) -> None:
    picture = np.zeros((4, 6, 3), np.uint8)
    picture[..., 0] = 200
    write_picture(picture, tmp_path / "a.png")
    np.testing.assert_array_equal(read_scan(tmp_path / "a.png").pixels, picture)


masks = st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed).random((9, 11)) < 0.2)


@given(mask=masks)
def test_a_mask_that_is_the_truth_is_perfect(mask: np.ndarray) -> None:
    counter = MetricCounter()
    counter.add(np.where(mask, np.uint8(255), np.uint8(0)), mask.astype(np.float32))
    figures = counter.figures()
    assert figures.accuracy == 1.0
    assert figures.false_ppm == figures.false_spots == 0.0
    if mask.any():
        assert (figures.f1, figures.f1_strict, figures.iou, figures.objects) == (1.0, 1.0, 1.0, 1.0)


@given(truth=masks, predicted=masks, tolerance=st.integers(0, 3))
def test_tolerance_never_lowers_a_score(truth: np.ndarray, predicted: np.ndarray, tolerance: int) -> None:
    figures = []
    for radius in (tolerance, tolerance + 1):
        counter = MetricCounter(0.5, radius)
        counter.add(np.where(truth, np.uint8(255), np.uint8(0)), predicted.astype(np.float32))
        figures.append(counter.figures())
    for name in ("precision", "recall", "objects"):
        near, far = (getattr(measured, name) for measured in figures)
        assert (np.isnan(near) and np.isnan(far)) or near <= far
    assert figures[0].f1_strict == figures[1].f1_strict or np.isnan(figures[0].f1_strict)


@given(truth=masks, predicted=masks)
def test_counting_pictures_in_any_order_gives_the_same(truth: np.ndarray, predicted: np.ndarray) -> None:
    pairs = [(truth, predicted), (predicted, truth), (truth, ~predicted)]
    states = []
    for order in (pairs, pairs[::-1]):
        counter = MetricCounter()
        for true, mask in order:
            counter.add(np.where(true, np.uint8(255), np.uint8(0)), mask.astype(np.float32))
        states.append(counter.state())
    np.testing.assert_allclose(states[0], states[1], rtol=1e-12)


@given(mask=masks, radius=st.integers(0, 4))
def test_a_dilated_mask_holds_the_pixels_within_its_radius(mask: np.ndarray, radius: int) -> None:
    rows, columns = np.nonzero(mask)
    grid = np.indices(mask.shape)
    squares = [(grid[0] - row) ** 2 + (grid[1] - column) ** 2 for row, column in zip(rows, columns, strict=True)]
    near = np.min(squares, axis=0) <= radius**2 if squares else np.zeros_like(mask)
    np.testing.assert_array_equal(dilate_mask(mask, radius), near)


def test_the_curve_falls_in_level_and_rises_in_recall() -> None:
    rng = np.random.default_rng(0)
    truth = np.where(rng.random((40, 40)) < 0.1, np.uint8(255), np.uint8(0))
    counter = MetricCounter()
    counter.add(truth, (0.3 * rng.random((40, 40)) + 0.5 * (truth > 0)).astype(np.float32))
    levels, precision, recall = counter.curve()
    assert (np.diff(levels) < 0).all()
    assert (np.diff(recall) >= 0).all()
    assert recall[-1] == 1.0
    assert precision[-1] == pytest.approx((truth > 0).mean())
    level, f1 = counter.best()
    assert f1 == 1.0  # the two parts do not overlap
    assert 0.3 < level < 0.6
    assert counter.figures().ap == pytest.approx(1.0)


def test_recall_is_told_for_each_size() -> None:
    truth = np.zeros((30, 30), np.uint8)
    truth[2:4, 2:4] = truth[10:20, 10:20] = 255
    counter = MetricCounter(0.5, 0)
    counter.add(truth, (np.arange(30)[:, None] > 5) * (truth > 0).astype(np.float32))
    text = recall_by_size(counter.figures())
    assert "1-15 px 0.00" in text
    assert "64-255 px 1.00" in text
    assert "1024+" not in text  # there was no object of that size
