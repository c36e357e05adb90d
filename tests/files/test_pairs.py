from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from redust.core.errors import TrainingError
from redust.files.pairs import (
    Library,
    PairPaths,
    find_photos,
    find_restored,
    find_splits,
    fingerprint,
    pairs_to_score,
    read_truth,
)
from training_samples import picture, write_pairs


def test_finds_halves(pairs: Path) -> None:
    splits = find_splits(pairs)
    assert [one.name for one in splits.train] == [str(number) for number in range(10)]
    assert pairs_to_score(pairs) == splits.test


def test_finds_the_layout_of_the_thesis(tmp_path: Path) -> None:
    for half, numbers in (("train", range(3)), ("test", range(3, 5))):
        write_pairs(tmp_path / f"{half}_images", tmp_path / f"{half}_masks", numbers)
    splits = find_splits(tmp_path)
    assert (len(splits.train), len(splits.test)) == (3, 2)


@pytest.mark.parametrize(("pictures", "masks"), [("images", "masks"), ("damaged", "mask")])
def test_finds_one_folder_of_pairs_and_scores_on_all(tmp_path: Path, pictures: str, masks: str) -> None:
    write_pairs(tmp_path / pictures, tmp_path / masks, range(3))
    assert len(pairs_to_score(tmp_path)) == 3


def test_finds_masks_beside_pictures(tmp_path: Path) -> None:
    for name in ("a.jpg", "a_mask.png", "b.jpg", "b_mask.png"):
        cv2.imwrite(str(tmp_path / name), np.zeros((4, 4), np.uint8))
    assert [(one.name, one.mask.name if one.mask else "") for one in find_splits(tmp_path).train] == [
        ("a", "a_mask.png"),
        ("b", "b_mask.png"),
    ]


def test_says_which_partner_is_missing(pairs: Path) -> None:
    (pairs / "train/masks/3.png").unlink()
    with pytest.raises(TrainingError, match=r"no mask: 3\."):
        find_splits(pairs)


def test_refuses_two_pictures_of_one_name(pairs: Path) -> None:
    (pairs / "train/images/3.jpg").write_bytes((pairs / "train/images/3.png").read_bytes())
    with pytest.raises(TrainingError, match="one name"):
        find_splits(pairs)


@pytest.mark.parametrize("make", [False, True])
def test_refuses_a_folder_without_pairs(tmp_path: Path, make: bool) -> None:
    folder = tmp_path / "nothing"
    if make:
        folder.mkdir()
    with pytest.raises(TrainingError, match="images"):
        find_splits(folder)
    with pytest.raises(TrainingError, match="folder"):
        find_photos(folder)


def write_grey(path: Path, rows: list[list[int]]) -> None:
    cv2.imwrite(str(path), np.array(rows, np.uint8))


def mask_file(folder: Path, mask: np.ndarray) -> Path:
    path = folder / "mask.png"
    cv2.imwrite(str(path), mask)
    return path


def test_reads_three_valued_masks(tmp_path: Path) -> None:
    mask = np.array([[0, 128, 255]], np.uint8)
    assert read_truth(mask_file(tmp_path, mask), (1, 3), None).tolist() == [[0, 128, 255]]


@pytest.mark.parametrize(("level", "expected"), [(1, [0, 255, 255, 255]), (128, [0, 0, 255, 255])])
def test_cuts_grey_masks_of_any_depth(tmp_path: Path, level: int, expected: list[int]) -> None:
    for factor, dtype in ((1, np.uint8), (257, np.uint16)):
        mask = (np.array([[0, 60, 128, 250]], np.uint32) * factor).astype(dtype)
        assert read_truth(mask_file(tmp_path, mask), (1, 4), level).tolist() == [expected]


def test_grey_masks_are_not_cut_in_silence(tmp_path: Path) -> None:
    path = mask_file(tmp_path, np.array([[0, 60, 128, 250]], np.uint8))
    with pytest.raises(TrainingError, match="--mask-level 128"):
        read_truth(path, (1, 4), None)


def test_refuses_a_mask_of_another_size_and_a_coloured_one(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="4 x 1, its picture 5 x 1"):
        read_truth(mask_file(tmp_path, np.zeros((1, 4), np.uint8)), (1, 5), None)
    coloured = np.zeros((1, 4, 3), np.uint8)
    coloured[0, 0] = 255, 0, 0
    with pytest.raises(TrainingError, match="coloured"):
        read_truth(mask_file(tmp_path, coloured), (1, 4), None)


def test_black_masks_are_refused_before_training(tmp_path: Path) -> None:
    write_pairs(tmp_path / "images", tmp_path / "masks", range(2))
    for path in (tmp_path / "masks").iterdir():
        cv2.imwrite(str(path), np.zeros((40, 48), np.uint8))
    with pytest.raises(TrainingError, match="all black"):
        Library(find_splits(tmp_path).train, None).check()


def test_a_broken_picture_is_named(pairs: Path) -> None:
    broken = pairs / "train/images/4.png"
    broken.write_bytes(broken.read_bytes()[:60])
    with pytest.raises(TrainingError, match=r"4\.png"):
        Library(find_splits(pairs).train, None).check()


def test_a_library_lends_the_same_with_and_without_memory(pairs: Path) -> None:
    train = find_splits(pairs).train
    kept, fresh = Library(train, None), Library(train, None, megabytes=0)
    for index in (0, 9, 0):
        for one, other in zip(kept[index], fresh[index], strict=True):
            np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(kept[3][0], picture(3)[0])
    assert kept[3][0] is kept[3][0]
    assert fresh[3][0] is not fresh[3][0]


def test_the_fingerprint_sees_every_change(pairs: Path) -> None:
    train = find_splits(pairs).train
    before = fingerprint(train, None)
    assert before == fingerprint(train, None)
    assert before != fingerprint(train, 128)
    assert before != fingerprint(train[:-1], None)
    cv2.imwrite(str(train[0].picture), np.zeros((40, 48, 3), np.uint8))
    assert before != fingerprint(train, None)


@pytest.mark.parametrize("names", [["10", "9", "2"], ["b", "a", "10"], ["2", "10", "1"]])
def test_numbered_pictures_come_in_the_order_of_their_numbers(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        write_grey(tmp_path / f"{name}.png", [[0]])
    listed = [pair.name for pair in find_photos(tmp_path)]
    numbers = [int(name) for name in listed if name.isdigit()]
    assert numbers == sorted(numbers)
    assert set(listed) == set(names)


def test_hidden_files_and_other_kinds_are_no_photos(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"no photos in .*\. Give a folder of undamaged pictures"):
        find_photos(tmp_path)
    write_grey(tmp_path / "a.png", [[0]])
    (tmp_path / ".b.png").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "c.png").mkdir()
    assert [(pair.name, pair.mask) for pair in find_photos(tmp_path)] == [("a", None)]


def test_restored_pictures_need_a_partner_each_and_masks_are_optional(tmp_path: Path) -> None:
    for folder in ("images", "clean"):
        (tmp_path / folder).mkdir()
        write_grey(tmp_path / folder / "1.png", [[0]])
    (pair,) = find_restored(tmp_path)
    assert (pair.mask, pair.clean) == (None, tmp_path / "clean/1.png")
    (tmp_path / "masks").mkdir()
    write_grey(tmp_path / "masks/1.png", [[255]])
    assert find_restored(tmp_path)[0].mask == tmp_path / "masks/1.png"
    write_grey(tmp_path / "images/2.png", [[0]])
    with pytest.raises(TrainingError, match=r"1 of 2 pairs .* have no clean picture: 2\."):
        find_restored(tmp_path)


def test_pictures_without_restored_ones_say_where_these_belong(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    with pytest.raises(TrainingError, match=r"holds no restored pictures\. Put damaged pictures into .*clean"):
        find_restored(tmp_path)


def test_many_missing_partners_are_counted_and_a_few_named(tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for number in range(20):
        write_grey(tmp_path / f"images/{number}.png", [[0]])
    with pytest.raises(TrainingError, match=r"20 of 20 pairs .* \.\.\.\. Add them") as caught:
        find_splits(tmp_path)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("level", [1, 128, 255])
def test_a_cut_mask_judges_every_pixel(tmp_path: Path, level: int) -> None:
    write_grey(tmp_path / "m.png", [[0, 1, 127, 128, 254, 255]])
    truth = read_truth(tmp_path / "m.png", (1, 6), level)
    assert set(np.unique(truth)) <= {0, 255}
    np.testing.assert_array_equal(truth[0] == 255, np.array([0, 1, 127, 128, 254, 255]) >= level)


def test_coverage_is_of_judged_pixels(tmp_path: Path) -> None:
    write_grey(tmp_path / "p.png", [[9] * 8])
    write_grey(tmp_path / "m.png", [[255, 0, 0, 0, 128, 128, 128, 128]])
    library = Library([PairPaths("p", tmp_path / "p.png", tmp_path / "m.png")], None)
    assert library.check() == (0.25, 8.0)
    assert len(library) == 1
