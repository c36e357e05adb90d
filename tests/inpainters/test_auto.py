"""The fill `auto` chooses by shape, falls back, and says what it takes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from redust.core.arrays import Mask, Pixels
from redust.core.errors import EngineError
from redust.decision.regions import Regions
from redust.inpainters import auto, make_inpainter
from redust.inpainters.auto import AutoInpainter, Shape, widths
from redust.inpainters.fill_damage import fill_damage
from redust.pipeline import fill_counts as choices
from redust.pipeline.fill_counts import count_fills

TWO = {Shape.thin: (("telea",),), Shape.wide: (("navier-stokes",),), Shape.missing: (("telea", "navier-stokes"),)}


def picture(height: int = 200, width: int = 300) -> Pixels:
    rows, columns = np.mgrid[:height, :width]
    light = 120 + 60 * np.sin(rows / 9) * np.cos(columns / 13)
    return np.rint(light)[..., None].astype(np.uint8)


def damage(*boxes: tuple[int, int, int, int]) -> Mask:
    mask = np.zeros((200, 300), np.bool_)
    for top, left, tall, wide in boxes:
        mask[top : top + tall, left : left + wide] = True
    return mask


HAIR, CHIP, PART = (20, 10, 5, 200), (60, 30, 21, 25), (110, 150, 50, 60)


def test_each_region_is_filled_by_what_its_shape_asks_for() -> None:
    pixels, mask = picture(), damage(HAIR, CHIP, PART)
    mixed = fill_damage(AutoInpainter(TWO), pixels, mask).astype(int)
    one, other = (fill_damage(make_inpainter(name), pixels, mask).astype(int) for name in ("telea", "navier-stokes"))
    np.testing.assert_array_equal(mixed[damage(HAIR)], one[damage(HAIR)])
    np.testing.assert_array_equal(mixed[damage(CHIP)], other[damage(CHIP)])
    part = damage((111, 151, 6, 58))
    np.testing.assert_allclose(mixed[part], (one + other)[part] / 2, atol=0.5)
    assert (one[mask] != other[mask]).any()


def test_it_reports_what_it_takes_for_how_many_regions() -> None:
    mask = damage(HAIR, (40, 250, 3, 3), CHIP, PART)
    assert count_fills(mask, AutoInpainter(TWO).choice) == {
        "telea": 2, "navier-stokes": 1, "telea + navier-stokes": 1,
    }  # fmt: skip
    assert count_fills(np.zeros((9, 9), np.bool_), AutoInpainter(TWO).choice) == {}


def test_what_is_not_installed_is_passed_over() -> None:
    table = dict.fromkeys(Shape, (("network-of-nobody",), ("telea", "no-such-fill"), ("kriging",)))
    assert AutoInpainter(table).choice(3) == "kriging"
    with pytest.raises(EngineError, match="for thin damage is installed"):
        AutoInpainter(dict.fromkeys(Shape, (("no-such-fill",),)))


@pytest.mark.parametrize("rows", [1, 7, 64, 512])
def test_widths_do_not_depend_on_bands(rows: int) -> None:
    mask = damage(HAIR, CHIP, PART, (0, 280, 200, 9))
    _, labels = cv2.connectedComponents(mask.view(np.uint8), connectivity=8)
    whole = widths(mask, np.asarray(labels, np.int32))[1:]
    np.testing.assert_allclose(sorted(choices.measure_widths(Regions(mask, rows))), sorted(whole))
    assert sorted(np.rint(whole)) == [5, 9, 21, 49]


def test_every_shape_has_a_way_out_that_is_always_installed() -> None:
    for shape in Shape:
        assert auto.CHOICES[shape][-1] == ("kriging",)
