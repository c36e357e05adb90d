"""Trees over region features: fitted out of fold, the same in ONNX Runtime."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from redust.core.engines import DetectorSpec, PriorShift
from redust.core.errors import ModelError, TrainingError
from redust.core.labels import Label
from redust.core.logits import QuantisedMap
from redust.core.settings import Sensitivity
from redust.decision.region_classifier import (
    RegionClassifier,
    RegionThreshold,
    load_classifier,
    score_regions,
    threshold_of,
)
from redust.decision.region_features import FEATURES, RegionTable
from redust.decision.threshold import Threshold
from redust.models.card import read_card
from redust.training.region_trees import FittedTrees, RegionSample, ScanKind, assign_folds, doubt_labels, fit_trees
from redust.training.regions import FittedKinds, calibrate_levels, write_classifier

LEVELS = {Sensitivity.shy: 0.8, Sensitivity.normal: 0.5, Sensitivity.eager: 0.2}
MAP_MAX = FEATURES.index("map_max")


def sample(roll: str, seed: int, *, sound: bool = False) -> RegionSample:
    """Regions of which those with a high map are damage."""
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 1, (400, len(FEATURES))).astype(np.float32)
    values[:, MAP_MAX] = rng.uniform(6.5, 14, 400)
    values[:, FEATURES.index("hat_max")] = 1
    damaged = (values[:, MAP_MAX] > 10) & (not sound)
    return RegionSample(roll, 4.0, values, np.where(damaged, Label.damage, Label.background).astype(np.int16))


@pytest.fixture(scope="module")
def samples() -> list[RegionSample]:
    return [sample(f"roll{number % 3}", number) for number in range(6)]


@pytest.fixture(scope="module")
def fitted(samples: list[RegionSample]) -> FittedTrees:
    return fit_trees(samples)


@pytest.fixture(scope="module")
def folder(fitted: FittedTrees, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("model") / "regions"
    write_classifier(target, FittedKinds(fitted), LEVELS, {"summary": "A test."})
    return target


@pytest.fixture(scope="module")
def two_kinds(fitted: FittedTrees, samples: list[RegionSample], tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("model") / "regions"
    heavy = fit_trees(samples, ScanKind.heavy, seed=5, folds=2)
    write_classifier(target, FittedKinds(fitted, heavy), LEVELS, {"summary": "A test."})
    return target


def test_scores_out_of_fold_tell_damage(samples: list[RegionSample], fitted: FittedTrees) -> None:
    assert len(fitted.committee) == 3  # as many as there are rolls
    for known, scores in zip(samples, fitted.scores, strict=True):
        assert ((scores > 0.5) == (known.labels == Label.damage)).mean() > 0.97


def test_onnx_scores_as_scikit_learn_does(folder: Path, fitted: FittedTrees) -> None:
    values = sample("new", 99).values
    scores = RegionClassifier(folder).score(RegionTable(values))
    np.testing.assert_allclose(scores[:, 0], fitted.predict(values), atol=1e-5)
    np.testing.assert_array_equal(scores[:, 0], scores[:, 1])


def test_each_kind_of_scan_has_its_trees(two_kinds: Path, fitted: FittedTrees, samples: list[RegionSample]) -> None:
    values = sample("new", 98).values
    scores = RegionClassifier(two_kinds).score(RegionTable(values))
    heavy = fit_trees(samples, ScanKind.heavy, seed=5, folds=2)
    np.testing.assert_allclose(scores[:, 0], fitted.predict(values), atol=1e-5)
    np.testing.assert_allclose(scores[:, 1], heavy.predict(values), atol=1e-5)


def test_trees_learn_from_the_scans_of_their_kind(samples: list[RegionSample]) -> None:
    wrong = [
        replace(known, labels=(Label.damage - known.labels).astype(np.int16), kinds=frozenset({ScanKind.heavy}))
        for known in samples
    ]
    right = [replace(known, kinds=frozenset({ScanKind.ordinary})) for known in samples]
    values = sample("new", 97).values
    damaged = sample("new", 97).labels == Label.damage
    ordinary = fit_trees([*right, *wrong]).predict(values)
    assert ((ordinary > 0.5) == damaged).mean() > 0.97


def test_a_surer_map_never_lowers_a_score(folder: Path) -> None:
    values = np.repeat(sample("new", 5).values[:1], 50, axis=0)
    values[:, MAP_MAX] = np.linspace(6, 14, 50)
    scores = RegionClassifier(folder).score(RegionTable(values))
    assert (np.diff(scores, axis=0) >= -1e-6).all()


def test_rolls_lie_in_one_fold() -> None:
    rolls = ["a", "b", "a", "c", "b", "d", "e", "f"]
    fold_of = assign_folds(rolls, [5, 9, 2, 7, 1, 1, 1, 1], 3)
    assert len(set(zip(rolls, fold_of, strict=True))) == len(set(rolls))
    assert set(fold_of) == {0, 1, 2}


def test_scans_of_one_roll_cannot_be_held_back() -> None:
    with pytest.raises(TrainingError, match="another roll"):
        assign_folds(["a", "a"], [3, 4], 5)


def test_masks_without_damage_are_refused() -> None:
    with pytest.raises(TrainingError, match="show no damage"):
        fit_trees([sample("a", 1, sound=True), sample("b", 2, sound=True)])


def test_what_people_missed_is_ignored_only_where_they_may_have(
    samples: list[RegionSample], fitted: FittedTrees
) -> None:
    missed = samples[0].labels.copy()
    missed[np.argmax(fitted.scores[0])] = Label.background
    by_eye = RegionSample("roll0", 4.0, samples[0].values, missed, has_unmarked=True)
    drawn = RegionSample("roll0", 4.0, samples[0].values, missed)
    changed, same = doubt_labels([by_eye, drawn], FittedTrees(scores=[fitted.scores[0]] * 2))
    assert changed.labels[np.argmax(fitted.scores[0])] == Label.ignore
    assert same is drawn


def test_levels_follow_from_false_spots_per_megapixel() -> None:
    scores = np.linspace(0, 0.9, 1001, dtype=np.float32)
    sound = RegionSample("a", 10.0, np.zeros((1001, len(FEATURES)), np.float32), np.zeros(1001, np.int16))
    levels = calibrate_levels(FittedKinds(FittedTrees(scores=[scores])), [sound], [True])
    for sensitivity, most in ((Sensitivity.shy, 1), (Sensitivity.normal, 5), (Sensitivity.eager, 30)):
        assert np.count_nonzero(scores >= levels[sensitivity]) == most


def test_what_the_map_marks_and_trees_of_heavy_scans_accept_counts_as_a_false_spot_too() -> None:
    scores = np.linspace(0, 0.9, 1001, dtype=np.float32)
    is_marked = np.arange(1001) < 500
    sound = RegionSample(
        "a", 10.0, np.zeros((1001, len(FEATURES)), np.float32), np.zeros(1001, np.int16),
        marked=dict.fromkeys(Sensitivity, is_marked),
    )  # fmt: skip
    fitted = FittedKinds(FittedTrees(scores=[scores]), FittedTrees(scores=[scores[::-1].copy()]))
    levels = calibrate_levels(fitted, [sound], [True])
    either = np.maximum(scores, np.where(is_marked, scores[::-1], 0))
    assert np.count_nonzero(either >= levels[Sensitivity.eager]) == 30


def test_a_level_is_exact_and_a_sensitivity_is_the_classifiers(folder: Path) -> None:
    spec = DetectorSpec(name="judged", level=0.3, regions=folder)
    assert threshold_of(spec, 0.4) == Threshold(0.4)
    assert threshold_of(DetectorSpec(name="plain", level=0.3)) == Threshold(0.3)
    for sensitivity, level in {**LEVELS, None: LEVELS[Sensitivity.normal]}.items():
        threshold = threshold_of(spec, sensitivity=sensitivity)
        assert isinstance(threshold, RegionThreshold)
        assert threshold.level == level


def test_eager_marks_no_less_than_shy_and_what_is_certain_is_marked(folder: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.normal(128, 3, (160, 160, 1)).clip(0, 255).astype(np.uint8)
    bins = np.zeros((160, 160), np.uint8)
    for number in range(12):
        bins[10 + 11 * number : 14 + 11 * number, 20:26] = 60 + 8 * number
    bins[:, 100] = 255  # a scratch of the frame's length
    classifier = load_classifier(folder)
    masks = [
        RegionThreshold(classifier, LEVELS[name], Threshold(LEVELS[name])).apply(QuantisedMap(bins), pixels)[0]
        for name in Sensitivity
    ]
    shy, normal, eager = masks
    assert not (shy & ~normal).any()
    assert not (normal & ~eager).any()
    assert eager[10:14, 20:26].sum() <= 24  # no more than what is a candidate
    assert shy[:, 100].all()


@pytest.mark.parametrize("marked_rows", [1, 12])
def test_eager_marks_no_less_than_normal_nor_that_than_shy_on_either_kind(two_kinds: Path, marked_rows: int) -> None:
    rng = np.random.default_rng(marked_rows)
    pixels = rng.normal(128, 3, (400, 400, 1)).clip(0, 255).astype(np.uint8)
    bins = rng.integers(0, 30, (400, 400)).astype(np.uint8)
    for row, column in rng.integers(8, 390, (3 * marked_rows, 2)).tolist():
        bins[row : row + 5, column : column + 5] = rng.integers(50, 140)
    shift = PriorShift(prior=0.01, exponent=0.6, minority_exponent=1.5, max_prior=0.006)
    spec = DetectorSpec(
        name="judged", level=0.15, levels={Sensitivity.shy: 0.33, Sensitivity.normal: 0.15, Sensitivity.eager: 0.04},
        prior_shift=shift, regions=two_kinds,
    )  # fmt: skip
    shy, normal, eager = (
        threshold_of(spec, sensitivity=name).apply(QuantisedMap(bins), pixels)[0] for name in Sensitivity
    )
    assert eager.any()
    assert not (shy & ~normal).any()
    assert not (normal & ~eager).any()


def test_on_a_heavily_damaged_scan_pixels_are_thresholded_and_the_scene_is_left_alone(two_kinds: Path) -> None:
    pixels = np.random.default_rng(3).normal(128, 3, (400, 400, 1)).clip(0, 255).astype(np.uint8)
    bins = np.zeros((400, 400), np.uint8)
    bins[50:90, 50:90], bins[200:210, 200:210] = 130, 90
    threshold = threshold_of(DetectorSpec(name="judged", level=0.6, regions=two_kinds))
    assert isinstance(threshold, RegionThreshold)
    mask, level = threshold.apply(QuantisedMap(bins), pixels)
    assert mask[50:90, 50:90].all()  # as the map has it, to the pixel
    assert level == pytest.approx(Threshold(0.6).apply(QuantisedMap(bins), pixels)[1])
    scored = score_regions(threshold.classifier, QuantisedMap(bins), pixels)
    everything = np.ones((400, 400), np.bool_)
    assert scored.drop_scene(everything, 0.0).all()
    assert not scored.drop_scene(everything, 1.1).any()


def test_a_classifier_of_other_features_is_refused(folder: Path, tmp_path: Path) -> None:
    card = read_card(folder)
    (tmp_path / "model.onnx").write_bytes((folder / "model.onnx").read_bytes())
    card.model_copy(update={"options": {"features": ["colour of the frame"]}}).to_folder(tmp_path)
    with pytest.raises(ModelError, match="redust learn"):
        RegionClassifier(tmp_path)
