"""redust learn: scans with masks become a model folder that the pipeline uses."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from redust import Pipeline, RestoreSettings
from redust.core.errors import TrainingError
from redust.core.labels import Label
from redust.core.scan import Scan
from redust.decision.regions import Regions
from redust.detectors import make_detector
from redust.detectors.tophat import TopHat
from redust.files.pairs import find_splits
from redust.models.card import read_card
from redust.training.region_samples import MapCache, Source, label_regions, read_spots, roll_of
from redust.training.region_variants import Picture, add_hard_negatives, shrink_picture, vary_picture
from redust.training.regions import learn_regions
from training_samples import run

SIDE = 320


def dusty_picture(seed: int) -> Picture:
    """A soft scene with grain, dark bars and bright specks on it; the specks alone are damage."""
    rng = np.random.default_rng(seed)
    scene = cv2.resize(rng.uniform(40, 180, (6, 6, 3)).astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    picture = (scene + rng.normal(0, 3, scene.shape)).clip(0, 255).astype(np.uint8)
    for column in rng.integers(0, SIDE, 8).tolist():
        cv2.line(picture, (column, 0), (SIDE - column, SIDE), (8, 8, 8), 2)
    truth = np.zeros((SIDE, SIDE), np.uint8)
    for column, row in rng.integers(12, SIDE - 12, (14, 2)).tolist():
        cv2.circle(truth, (column, row), int(rng.integers(1, 4)), int(Label.damage), -1)
    picture[truth > 0] = 245
    return picture, truth


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scans")
    for number in range(4):
        picture, truth = dusty_picture(number)
        cv2.imwrite(str(folder / f"roll{number % 3}-{number}.png"), picture)
        cv2.imwrite(str(folder / f"roll{number % 3}-{number}_mask.png"), truth)
    return folder


def test_learning_makes_a_model_that_finds_such_damage(scans: Path, tmp_path: Path) -> None:
    target = tmp_path / "taught"
    said = run("learn", scans, "-o", target)
    assert "levels: shy" in said
    assert read_card(target).regions == "regions"
    assert read_card(target / "regions").task == "regions"
    picture, truth = dusty_picture(99)
    settings = RestoreSettings(detector=str(target), sensitivity="eager", grow=0)
    mask = Pipeline(settings).detect_mask(Scan(pixels=picture))
    damage = truth == Label.damage
    assert (mask & damage).sum() > 0.5 * damage.sum()
    assert (mask & ~(cv2.dilate(truth, np.ones((7, 7), np.uint8)) > 0)).sum() < 200


def test_a_folder_that_holds_something_is_refused(scans: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(TrainingError, match="not empty"):
        learn_regions([Source(find_splits(scans).train)], tmp_path, make_detector("unet"))


def test_what_fails_leaves_no_model(scans: Path, tmp_path: Path) -> None:
    pairs = find_splits(scans).train
    with pytest.raises(TrainingError, match="one roll"):
        learn_regions([Source(pairs[:2])], tmp_path / "new", make_detector("unet"), roll_pattern="roll")
    assert not (tmp_path / "new").exists()


def test_a_detector_without_a_model_is_refused(scans: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no network"):
        learn_regions([Source(find_splits(scans).train)], tmp_path / "new", TopHat())


def test_heavy_scans_get_trees_of_their_own_and_maps_are_kept(scans: Path, tmp_path: Path) -> None:
    (tmp_path / "heavy").mkdir()
    for number in range(2):
        picture, truth = dusty_picture(20 + number)
        cv2.imwrite(str(tmp_path / "heavy" / f"print{'ab'[number]}.png"), picture)
        cv2.imwrite(str(tmp_path / "heavy" / f"print{'ab'[number]}_mask.png"), truth)
    (tmp_path / "card.toml").write_text('licence = "mine"')
    command = ("learn", scans, "--heavy", f"{tmp_path / 'heavy'}=0.5", "--cache", tmp_path / "maps",
               "--card", tmp_path / "card.toml")  # fmt: skip
    run(*command, "-o", tmp_path / "first")
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "maps").iterdir()}
    assert len(kept) == 4 * 3 + 2
    run(*command, "-o", tmp_path / "second")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "maps").iterdir()} == kept
    first, second = (read_card(tmp_path / name / "regions") for name in ("first", "second"))
    assert first == second  # weights, levels and all
    assert first.options["pixel_share"] > 0
    assert first.licence == "mine"


def test_a_map_is_kept_for_a_picture_and_a_detector(tmp_path: Path) -> None:
    picture, _ = dusty_picture(1)
    maps = MapCache(make_detector("unet"), tmp_path)
    first = maps.read_or_detect(picture)
    np.testing.assert_array_equal(maps.read_or_detect(picture), first)
    maps.read_or_detect(picture[:300])
    MapCache(TopHat(), tmp_path).read_or_detect(picture)
    assert len(list(tmp_path.iterdir())) == 3


def test_known_dust_is_read_by_name(tmp_path: Path) -> None:
    (tmp_path / "dust.csv").write_text("name,row,column\na,1,2\nb,3,4\na,5,6\n")
    assert read_spots(tmp_path / "dust.csv") == {"a": [(1, 2), (5, 6)], "b": [(3, 4)]}
    (tmp_path / "other.csv").write_text("name,x,y\na,1,2\n")
    with pytest.raises(TrainingError, match="row and column"):
        read_spots(tmp_path / "other.csv")


def test_regions_are_labelled_by_what_lies_under_them() -> None:
    mask, truth = np.zeros((40, 60), np.bool_), np.zeros((40, 60), np.uint8)
    for column in (5, 20, 35, 50):
        mask[10:14, column : column + 4] = True
    truth[10:14, 6:9] = Label.damage
    truth[10:14, 15:19] = Label.damage  # touches the second
    truth[10:12, 35:39] = Label.ignore
    labels = label_regions(Regions(mask), truth)
    assert labels.tolist() == [Label.damage, Label.ignore, Label.ignore, Label.background]


def test_rolls_are_named_by_what_the_pattern_matches() -> None:
    assert roll_of("Zorki1-14") == "Zorki1"
    assert roll_of("0041") == "0041"
    assert roll_of("swiss-ui_japan2", "^swiss") == "swiss"


def test_variants_are_the_same_for_a_name_and_differ_from_the_scan() -> None:
    picture = dusty_picture(3)
    first, second = (list(vary_picture(picture, "a")) for _ in range(2))
    assert len(first) == 3
    for (pixels, truth), (again, _) in zip(first, second, strict=True):
        assert pixels.shape[:2] == truth.shape
        np.testing.assert_array_equal(pixels, again)
    assert first[1][0].shape[0] < SIDE / 1.4
    np.testing.assert_array_equal(first[0][0], picture[0])


def test_marks_that_vanish_when_shrunk_are_ignored() -> None:
    pixels, truth = np.full((90, 90, 1), 100, np.uint8), np.zeros((90, 90), np.uint8)
    truth[40, 40] = Label.damage
    truth[60:75, 60:75] = Label.damage
    small, labels = shrink_picture((pixels, truth), np.random.default_rng(1))
    assert small.shape[:2] == labels.shape
    assert Label.damage in labels
    centre = round(40 * labels.shape[0] / 90)
    assert labels[centre - 1 : centre + 2, centre - 1 : centre + 2].max() == Label.ignore


@pytest.mark.parametrize("name", ["a", "b", "c", "d"])
def test_hard_negatives_are_drawn_on_sound_pictures(name: str) -> None:
    pixels, _ = dusty_picture(1)
    variants = list(add_hard_negatives((pixels, np.zeros((SIDE, SIDE), np.uint8)), name))
    assert len(variants) == 5
    for drawn, truth in variants:
        assert drawn.dtype == np.uint8
        assert not truth.any()
    assert (variants[1][0] != pixels).any()
