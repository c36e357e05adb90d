"""The contact sheet shows every kind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from redust.core.errors import SettingsError, TargetExists
from redust.files import read_scan
from redust.synthesis.material import Cracks
from redust.synthesis.negatives import NEGATIVES
from redust.synthesis.recipe import MATERIAL
from redust.synthesis.shapes import SHAPES
from redust.synthesis.sheet import draw_sheet, drawable_kinds, write_sheet
from redust.synthesis.synthesizer import Synthesizer


def test_a_sheet_has_a_strip_for_everything_and_is_a_file(tmp_path: Path) -> None:
    synthesizer = Synthesizer(cracks=Cracks(np.eye(224, dtype=np.uint8)[None]))
    assert drawable_kinds(synthesizer) == [*SHAPES, "cracks"]
    sheet = draw_sheet(synthesizer, [np.random.default_rng(0).random((150, 140, 3)).astype(np.float32)])
    strips = len(SHAPES) + 1 + len(NEGATIVES) + 2
    height = sheet.shape[0] / -(-strips // 2)
    assert height == int(height)
    write_sheet(sheet, tmp_path / "sheet.png")
    np.testing.assert_array_equal(read_scan(tmp_path / "sheet.png").pixels, sheet)
    with pytest.raises(TargetExists):
        write_sheet(sheet, tmp_path / "sheet.png")
    with pytest.raises(SettingsError, match="jpg"):
        write_sheet(sheet, tmp_path / "sheet.gif")


def test_material_has_fields_of_its_name() -> None:
    assert all(getattr(Synthesizer(), name) in (None, ()) for name in MATERIAL)
