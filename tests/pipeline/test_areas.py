"""A person is taken at their word."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from redust.core.errors import MaskMismatch
from redust.files import write_mask
from redust.pipeline.areas import Areas


def marked(*columns: int) -> np.ndarray:
    mask = np.zeros((4, 8), np.bool_)
    mask[:, list(columns)] = True
    return mask


def test_protected_pixels_win_over_added_ones() -> None:
    mask = Areas(add=marked(3, 4), protect=marked(4, 0)).apply(marked(0, 1))
    np.testing.assert_array_equal(mask, marked(1, 3))


def test_a_mask_nobody_touches_stays_as_it_is() -> None:
    mask = marked(2)
    assert Areas().apply(mask) is mask


def test_the_given_mask_is_not_written_to() -> None:
    mask, add = marked(2), marked(3)
    Areas(add=add, protect=marked(2)).apply(mask)
    np.testing.assert_array_equal(mask, marked(2))
    np.testing.assert_array_equal(add, marked(3))


def test_files_and_arrays_read_alike(tmp_path: Path) -> None:
    write_mask(marked(5), tmp_path / "add.png")
    areas = Areas.read((4, 8), add=tmp_path / "add.png", protect=marked(1), only=None)
    np.testing.assert_array_equal(areas.add, marked(5))
    np.testing.assert_array_equal(areas.protect, marked(1))
    assert areas.only is None


def test_another_size_is_refused(tmp_path: Path) -> None:
    write_mask(marked(5), tmp_path / "add.png")
    with pytest.raises(MaskMismatch):
        Areas.read((9, 9), add=tmp_path / "add.png")
    with pytest.raises(ValueError, match="the mask is"):
        Areas.read((9, 9), add=marked(1))
    with pytest.raises(TypeError, match="must be bool"):
        Areas.read((4, 8), only=marked(1).astype(np.uint8))
