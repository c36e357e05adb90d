"""The one tile loop: windows meet the needs, cores cover the picture, answers are checked."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redust.core.arrays import Light, to_light
from redust.core.engines import Needs
from redust.core.errors import EngineError
from redust.core.tiling import check_answer, count_tiles, plan_tiles, read_light, run_tiled

needs_of_engines = st.builds(
    Needs, multiple_of=st.sampled_from([1, 4, 16]), minimum=st.integers(1, 70), context=st.integers(0, 40)
)


@given(needs=needs_of_engines, height=st.integers(1, 150), width=st.integers(1, 150), side=st.integers(1, 90))
def test_windows_meet_the_needs_and_cores_cover_each_pixel_once(
    needs: Needs, height: int, width: int, side: int
) -> None:
    covered = np.zeros((height, width), np.int64)
    for tile in plan_tiles((height, width), needs, side):
        covered[tile.core] += 1
        for length in (tile.bottom - tile.top, tile.right - tile.left):
            assert length >= needs.minimum
            assert length % needs.multiple_of == 0
        assert tile.row - tile.top >= needs.context
        assert tile.bottom - (tile.row + tile.height) >= needs.context
    assert (covered == 1).all()


def test_the_side_is_the_users_else_the_engines() -> None:
    needs = Needs(per_tile=64)
    assert {tile.height for tile in plan_tiles((64, 64), needs, 32)} == {32}
    assert len(plan_tiles((128, 128), needs)) == 4
    assert len(plan_tiles((1024, 1024), Needs())) == 1
    assert len(plan_tiles((1025, 1024), Needs())) == 2


def test_each_tile_is_computed_and_cropped_to_its_core() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    plan = plan_tiles((50, 70), Needs(context=5, multiple_of=4), 16)
    shares: list[float] = []
    restored = np.empty((50, 70, 3), np.float32)

    def compute(light: Light) -> Light:
        return 1 - light

    for tile, answer in run_tiled(plan, partial(read_light, pixels), compute, count_tiles(len(plan), shares.append)):
        restored[tile.core] = answer
    np.testing.assert_array_equal(restored, 1 - to_light(pixels))
    assert shares == [(number + 1) / len(plan) for number in range(len(plan))]


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [[0.0]],
        np.zeros((3, 2), np.float32),
        np.zeros((2, 3), np.float64),
        np.full((2, 3), np.nan, np.float32),
        np.full((2, 3), np.inf, np.float32),
    ],
)
def test_an_answer_that_breaks_the_contract_names_the_engine(answer: object) -> None:
    with pytest.raises(EngineError, match=r"The detector speckle broke its contract: expected .* \(2, 3\)"):
        check_answer("detector", "speckle", answer, (2, 3))


def test_answers_are_clipped() -> None:
    answer = np.array([[-0.5, 0.25, 1.5]], np.float32)
    np.testing.assert_array_equal(check_answer("detector", "speckle", answer, (1, 3)), [[0.0, 0.25, 1.0]])
