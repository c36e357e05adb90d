"""Boosted trees over the table of region features, fitted out of fold, and written as ONNX.

Histogram gradient boosting (Ke and others, LightGBM: a highly efficient gradient boosting decision tree, 2017) as
scikit-learn has it. The scans are split into folds by roll. Each fold is scored by trees that saw none of its rolls;
the classifier is the mean of these trees' logits. So the levels are calibrated on scores of scans that were not learnt.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from redust.core.errors import TrainingError
from redust.core.labels import Label
from redust.core.settings import Sensitivity
from redust.decision.region_features import FEATURES

Scores: TypeAlias = NDArray[np.float32]


class ScanKind(StrEnum):
    """The kinds of scans that have trees of their own."""

    ordinary = "ordinary"
    heavy = "heavy"


FOLDS = 5
# More of these never makes damage less likely: what keeps a few scans from teaching the contrary.
_RISING = {
    "map_max",
    "map_mean",
    "map_likely",
    "map_even",
    "contrast",
    "contrast_to_ring",
    "hat_max",
    "hat_mean",
}
_MAX_DAMAGED, _MAX_SOUND = 200, 1500  # regions learnt from one scan
_DAMAGED_COUNT, _SOUND_COUNT = 60, 600  # regions from which on a scan counts no more
_DOUBTED = 0.85  # score out of fold from which on an unmarked region may well be damage
_USUAL_AREA = 100  # pixels
_DAMAGED_SHARE = 0.25  # of the weight of sound regions that damaged ones have in all


@dataclass(frozen=True, eq=False)
class RegionSample:
    """The regions of one scan, to learn from.

    Parameters
    ----------
    roll
        What the scan shares with others that must lie on the same side of a split.
    megapixels
        Of the scan that are judged.
    values : (count, features) float32
        Columns as :data:`redust.decision.region_features.FEATURES`.
    labels : (count,) int16
        :class:`Label` of each region.
    weight
        Of the scan.
    has_unmarked
        Whether some of its damage may not be marked, as on every scan of film that people have masked.
    kinds
        Of scans, whose trees learn from it: ``ordinary``, ``heavy`` (heavily damaged), or both.
    marked : (count,) bool by sensitivity
        Whether the detector's own threshold marks each region; see :class:`RegionThreshold`.
    """

    roll: str
    megapixels: float
    values: NDArray[np.float32]
    labels: NDArray[np.int16]
    weight: float = 1.0
    has_unmarked: bool = False
    kinds: frozenset[ScanKind] = frozenset(ScanKind)
    marked: Mapping[Sensitivity, NDArray[np.bool_]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class FittedTrees:
    """A committee of boosted trees, one for each fold.

    Parameters
    ----------
    committee
        scikit-learn's classifiers.
    scores
        Of each sample's regions, by the one that has not seen its roll.
    """

    committee: list[Any] = field(default_factory=list)
    scores: list[Scores] = field(default_factory=list)

    def score_fold(self, trees: Any, samples: Sequence[RegionSample], numbers: Sequence[int]) -> None:
        """Score these samples by trees that have not learnt them, all at once: a call costs more than its regions."""
        values = np.concatenate([samples[number].values for number in numbers])
        if not len(values):
            return
        scores = trees.predict_proba(values)[:, 1].astype(np.float32)
        ends = np.cumsum([len(samples[number].values) for number in numbers])
        for number, sample_scores in zip(numbers, np.split(scores, ends[:-1]), strict=True):
            self.scores[number] = sample_scores

    def predict(self, values: NDArray[np.float32]) -> Scores:
        """Scores, (count,) in 0..1, of regions of a scan that was not learnt."""
        logits = [trees.decision_function(values) for trees in self.committee]
        return np.asarray(1 / (1 + np.exp(-np.mean(logits, axis=0))), np.float32)


def fit_trees(
    samples: Sequence[RegionSample], kind: ScanKind = ScanKind.ordinary, *, seed: int = 0, folds: int = FOLDS
) -> FittedTrees:
    """Fit a committee out of fold to the samples of a kind; it scores those of other kinds as a whole.

    On heavily damaged scans regions count by the root of their area: large marks and lines of a scene more than specks.

    Raises
    ------
    TrainingError
        If fewer than two rolls, or no damage or nothing else, is there to learn from.
    """
    fold_of = assign_folds([sample.roll for sample in samples], [len(sample.labels) for sample in samples], folds)
    fitted = FittedTrees(scores=[np.zeros(len(sample.labels), np.float32) for sample in samples])
    for fold in sorted(set(fold_of)):
        learnt = [sample for sample, held_fold in zip(samples, fold_of, strict=True)
                  if held_fold != fold and kind in sample.kinds]  # fmt: skip
        trees = _fit_fold(learnt, seed + fold, by_area=kind is ScanKind.heavy)
        fitted.committee.append(trees)
        fitted.score_fold(trees, samples, [number for number, held_fold in enumerate(fold_of) if held_fold == fold])
    return fitted


def doubt_labels(samples: Sequence[RegionSample], fitted: FittedTrees) -> list[RegionSample]:
    """The samples, where what looks like damage to trees that have not seen the roll, and is not marked, is ignored.

    Confident learning (Northcutt, Jiang and Chuang, 2021), for one of the two errors: people miss specks.
    """
    return [
        replace(sample, labels=_without_doubted(sample.labels, scores)) if sample.has_unmarked else sample
        for sample, scores in zip(samples, fitted.scores, strict=True)
    ]


def _without_doubted(labels: NDArray[np.int16], scores: Scores) -> NDArray[np.int16]:
    return np.where((labels == Label.background) & (scores >= _DOUBTED), Label.ignore, labels).astype(np.int16)


def assign_folds(rolls: Sequence[str], sizes: Sequence[int], folds: int) -> list[int]:
    """The fold of each scan: rolls go whole, the largest first, to the fold that holds least.

    Raises
    ------
    TrainingError
        If there is only one roll.
    """
    totals: dict[str, int] = {}
    for roll, size in zip(rolls, sizes, strict=True):
        totals[roll] = totals.get(roll, 0) + size
    if len(totals) < 2:
        raise TrainingError("All scans are of one roll, so none can be held back. Add scans of another roll.")
    loads, fold_of = [0] * min(folds, len(totals)), {}
    for roll in sorted(totals, key=lambda name: (-totals[name], zlib.crc32(name.encode()))):
        fold_of[roll] = loads.index(min(loads))
        loads[fold_of[roll]] += totals[roll] + 1
    return [fold_of[roll] for roll in rolls]


def _fit_fold(samples: Sequence[RegionSample], seed: int, *, by_area: bool) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    values, damaged, weights = _stack(samples, seed, by_area=by_area)
    trees = HistGradientBoostingClassifier(
        max_iter=160, learning_rate=0.06, max_leaf_nodes=12, min_samples_leaf=40, l2_regularization=10,
        max_features=0.3, early_stopping=False, random_state=seed,
        monotonic_cst=[int(name in _RISING) for name in FEATURES],
    )  # fmt: skip
    return trees.fit(values, damaged, sample_weight=weights)


def _stack(
    samples: Sequence[RegionSample], seed: int, *, by_area: bool
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float64]]:
    """Values, whether damaged, and weights of what is learnt: scans count evenly, whatever they hold."""
    generator = np.random.default_rng(seed)
    values, damaged, weights = [], [], []
    for sample in samples:
        for label, limit, count in (
            (Label.damage, _MAX_DAMAGED, _DAMAGED_COUNT),
            (Label.background, _MAX_SOUND, _SOUND_COUNT),
        ):
            (rows,) = np.nonzero(sample.labels == label)
            chosen = rows if len(rows) <= limit else generator.choice(rows, limit, replace=False)
            values.append(sample.values[chosen])
            damaged.append(np.full(len(chosen), label == Label.damage))
            share = sample.weight * min(1.0, count / max(1, len(chosen)))
            weights.append(share * (_area_weights(sample.values[chosen]) if by_area else np.ones(len(chosen))))
    is_damaged, weight = np.concatenate(damaged), np.concatenate(weights)
    if is_damaged.all() or not is_damaged.any():
        raise TrainingError("The masks show no damage, or nothing but damage, where any is found. Check the masks.")
    weight[is_damaged] *= _DAMAGED_SHARE * weight[~is_damaged].sum() / weight[is_damaged].sum()
    return np.concatenate(values), is_damaged, weight


def _area_weights(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Weights of regions by their area, 1 at the usual one, (count,)."""
    area = np.exp(values[:, FEATURES.index("area")].astype(np.float64))
    return np.asarray(np.clip(np.sqrt(area / _USUAL_AREA), 0.1, 8))


def trees_to_onnx(committees: Sequence[Sequence[Any]]) -> bytes:
    """The mean of each committee's logits, through a sigmoid, as ONNX: (N, features) to (N, committees) float32.

    One ``TreeEnsembleRegressor`` of the operator set ``ai.onnx.ml`` 3.
    """
    from onnx import TensorProto, helper

    trees: dict[str, list[Any]] = {name: [] for name in ("treeids", "nodeids", "featureids", "values", "modes",
                                                         "truenodeids", "falsenodeids")}  # fmt: skip
    leaves: dict[str, list[Any]] = {"treeids": [], "nodeids": [], "ids": [], "weights": []}
    number = 0
    for target, committee in enumerate(committees):
        for member in committee:
            for (predictor,) in member._predictors:
                _add_tree(predictor.nodes, number, 1 / len(committee), trees, leaves)
                number += 1
        leaves["ids"] += [target] * (len(leaves["weights"]) - len(leaves["ids"]))
    bases = [float(np.mean([member._baseline_prediction for member in committee])) for committee in committees]
    node = helper.make_node(
        "TreeEnsembleRegressor", ["features"], ["logit"], domain="ai.onnx.ml",
        n_targets=len(committees), base_values=bases,
        **{f"nodes_{name}": entries for name, entries in trees.items()},
        **{f"target_{name}": entries for name, entries in leaves.items()},
    )  # fmt: skip
    graph = helper.make_graph(
        [node, helper.make_node("Sigmoid", ["logit"], ["score"])],
        "regions",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, len(FEATURES)])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, len(committees)])],
    )
    versions = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    content: bytes = helper.make_model(graph, opset_imports=versions, ir_version=9).SerializeToString()
    return content


def _add_tree(
    nodes: NDArray[np.void], number: int, share: float, trees: dict[str, list[Any]], leaves: dict[str, list[Any]]
) -> None:
    """Append one tree of scikit-learn's, its leaves scaled by `share`."""
    is_leaf = nodes["is_leaf"].astype(bool)
    count = len(nodes)
    trees["treeids"] += [number] * count
    trees["nodeids"] += range(count)
    trees["featureids"] += np.where(is_leaf, 0, nodes["feature_idx"]).tolist()
    trees["values"] += np.where(is_leaf, 0, nodes["num_threshold"]).astype(np.float32).tolist()
    trees["modes"] += np.where(is_leaf, "LEAF", "BRANCH_LEQ").tolist()
    trees["truenodeids"] += np.where(is_leaf, 0, nodes["left"]).tolist()
    trees["falsenodeids"] += np.where(is_leaf, 0, nodes["right"]).tolist()
    (ends,) = np.nonzero(is_leaf)
    leaves["treeids"] += [number] * len(ends)
    leaves["nodeids"] += ends.tolist()
    leaves["weights"] += (nodes["value"][ends] * share).tolist()
