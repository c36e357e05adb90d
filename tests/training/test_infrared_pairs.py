"""Scans with infrared become pairs whose masks infrared makes; others are left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from infrared_layouts import score_mask, write_rgbi, write_sibling
from redust.cli.training import train
from redust.core.errors import SettingsError, TrainingError
from redust.core.labels import Label
from redust.files.pairs import Library, find_splits
from redust.synthesis.infrared_film import FilmStock, draw_infrared_frame
from redust.training.infrared_pairs import write_infrared_pairs


def test_a_roll_becomes_pairs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    roll = tmp_path / "roll"
    roll.mkdir()
    frame = draw_infrared_frame((320, 400), seed=4)
    write_rgbi(roll / "1.tif", frame)
    write_sibling(roll / "2.tif", frame)
    write_rgbi(roll / "3.tif", draw_infrared_frame((320, 400), stock=FilmStock.silver, seed=4))
    tifffile.imwrite(roll / "4.tif", frame.pixels, photometric="rgb", metadata=None)
    pairs = find_splits(write_infrared_pairs(roll, tmp_path / "pairs")).train
    assert [pair.name for pair in pairs] == ["1.tif", "2.tif"]
    pixels, truth = Library(pairs, None)[0]
    np.testing.assert_array_equal(pixels, frame.pixels)
    recall, precision = score_mask(truth == Label.damage, frame.damage)
    assert min(recall, precision) >= 0.98
    assert 0 < (truth == Label.ignore).mean() < 0.1
    assert "shows the picture" in caplog.text
    assert "4.tif has no infrared" in caplog.text


def test_a_folder_without_infrared_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="has infrared that tells dust"):
        write_infrared_pairs(tmp_path, tmp_path / "pairs")
    with pytest.raises(TrainingError, match="There is no folder"):
        write_infrared_pairs(tmp_path / "none", tmp_path / "pairs")


def test_the_command_takes_pairs_or_makes_them(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="give one of them"):
        train(infrared=tmp_path, data=tmp_path)
    with pytest.raises(TrainingError, match="has infrared that tells dust"):
        train(infrared=tmp_path, out=tmp_path / "out")
