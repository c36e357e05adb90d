"""The table of shape classes is fitted and tested."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from redust.decision.shape_classes import CLASSES, load_classifier
from redust.evaluation.shape_fitting import RegionSet, draw_regions, fit_shape_classes, tabulate_confusion


def test_a_fitted_table_is_about_as_good_as_the_shipped_one() -> None:
    fitted = fit_shape_classes(draw_regions([], None, 4, half=0))
    tested = draw_regions([], None, 2, half=1)
    shares = []
    for classifier in (fitted, load_classifier()):
        rows = list(tabulate_confusion(classifier, tested))[1:]
        shares.append(np.mean([float(row[3 + [name.value for name in CLASSES].index(row[1])]) for row in rows]))
    assert shares[0] > 0.6
    assert shares[0] > shares[1] - 0.15


def test_outlines_are_halved_and_measured(tmp_path: Path) -> None:
    square = {"class": "dust", "points": [[3, 3], [33, 3], [33, 33], [3, 33]]}
    for number in range(3):
        (tmp_path / f"{number}.json").write_text(json.dumps({"artefacts": [square] * (number + 1)}), encoding="utf-8")
    paths = sorted(tmp_path.glob("*.json"))
    counts = [len(draw_regions(paths, None, 0, half=half)["dust outlines"].areas) for half in (0, 1)]
    assert counts == [3 * (1 + 3), 3 * 2]


def test_specks_have_no_shape() -> None:
    mask = np.zeros((20, 20), np.bool_)
    mask[2:6, 2:6] = mask[10, 3:9] = True
    regions = RegionSet()
    regions.add(mask)
    assert regions.areas == [6]
