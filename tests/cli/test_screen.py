"""The one line that is said of each scan."""

from __future__ import annotations

import pytest

from redust.cli.screen import summarise_scan
from redust.core.report import Report

DONE = Report(
    redust="1", source="a.tif", target="b.tif", status="restored", coverage=0.01481, regions=49, seconds={"read": 1.0}
)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "a.tif -> b.tif: 1.481% repaired in 49 regions, 1.0 s"),
        (
            {"classes": {"dust": 48, "hair": 7, "scratch": 0, "crack": 1}},
            "a.tif -> b.tif: 1.481% repaired: 48 dust, 7 hair, 1 crack, 1.0 s",
        ),
        (
            {"status": "detected", "target": None, "mask_file": "m.png", "classes": {"dust": 2}},
            "a.tif -> m.png: 1.481% marked: 2 dust, 1.0 s",
        ),
        ({"film": "negative"}, "a.tif -> b.tif: 1.481% repaired in 49 regions (a negative), 1.0 s"),
        ({"coverage": 0.0, "regions": 0}, "a.tif -> b.tif: nothing to repair, 1.0 s"),
        ({"level": 0.8001}, "a.tif -> b.tif: 1.481% repaired in 49 regions (level 0.8), 1.0 s"),
    ],
)
def test_numbers_in_one_line_do_not_contradict_each_other(changes: dict[str, object], said: str) -> None:
    assert summarise_scan(DONE.model_copy(update=changes)) == said
