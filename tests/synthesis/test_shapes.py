"""Shapes have the sizes their docstrings state, follow the resolution, and are reproducible."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from redust.synthesis.shapes import SHAPES

CANVAS = (256, 256)


def draw(kind: str, seed: int, scale: float = 1.0, canvas: tuple[int, int] = CANVAS) -> np.ndarray:
    return SHAPES[kind](canvas, scale, np.random.default_rng(seed))


def objects(coverage: np.ndarray) -> np.ndarray:
    """Area and bounding box sides of each object: (n, 3)."""
    _, _, stats, _ = cv2.connectedComponentsWithStats((coverage > 0.3).astype(np.uint8), connectivity=8)
    inside = (
        (stats[:, 0] > 0) & (stats[:, 1] > 0) & (stats[:, 0] + stats[:, 2] < 256) & (stats[:, 1] + stats[:, 3] < 256)
    )
    return stats[inside][:, [cv2.CC_STAT_AREA, cv2.CC_STAT_HEIGHT, cv2.CC_STAT_WIDTH]]


def all_objects(kind: str, scale: float = 1.0, count: int = 20) -> np.ndarray:
    return np.concatenate([objects(draw(kind, seed, scale)) for seed in range(count)])


@pytest.mark.parametrize("kind", sorted(SHAPES))
def test_the_same_seed_draws_the_same_shape(kind: str) -> None:
    np.testing.assert_array_equal(draw(kind, 1), draw(kind, 1))
    assert any((draw(kind, 1) != draw(kind, seed)).any() for seed in range(2, 6))


@pytest.mark.parametrize("kind", sorted(SHAPES))
def test_shapes_fit_any_canvas(kind: str) -> None:
    for canvas in ((33, 90), (90, 33)):
        coverage = draw(kind, 3, 0.5, canvas)
        assert coverage.shape == canvas
        assert np.isfinite(coverage).all()


def test_dust_has_the_sizes_it_states() -> None:
    areas = all_objects("dust", count=60)[:, 0]
    low, median, high = np.percentile(areas, [10, 50, 90])
    assert 3 <= low <= 8
    assert 11 <= median <= 20
    assert 40 <= high <= 70


def test_dirt_is_larger_than_dust() -> None:
    dirt, dust = (float(np.percentile(all_objects(kind, count=60)[:, 0], 75)) for kind in ("dirt", "dust"))
    assert dirt > 1.2 * dust


def test_long_hairs_are_longer_than_short_ones() -> None:
    def largest_side(kind: str) -> float:
        return float(np.median(all_objects(kind, count=40)[:, 1:].max(axis=1)))

    assert 10 < largest_side("hair-short") < 90
    assert largest_side("hair") > 1.5 * largest_side("hair-short")


@pytest.mark.parametrize("kind", ["dust", "dirt", "spot", "hair-short"])
def test_objects_grow_with_the_resolution(kind: str) -> None:
    low, high = (float(np.median(all_objects(kind, scale, 30)[:, 0])) for scale in (0.5, 1.5))
    assert high > 2 * low


def test_tramlines_run_along_an_axis_and_stay_thin() -> None:
    for seed in range(20):
        coverage = draw("tramline", seed)
        by_row, by_column = (np.abs(np.diff(coverage.sum(axis=axis))).sum() for axis in (1, 0))
        assert max(by_row, by_column) >= 2 * min(by_row, by_column)
        assert coverage.mean() < 0.2


@pytest.mark.parametrize("kind", ["scratch", "crack", "mould", "hair", "crease"])
def test_lines_are_thin(kind: str) -> None:
    widths = [
        2 * cv2.distanceTransform((draw(kind, seed) > 0.3).astype(np.uint8), cv2.DIST_L2, 5).max() for seed in range(15)
    ]
    assert np.median(widths) < 16


def test_a_light_leak_enters_from_a_border() -> None:
    for seed in range(10):
        leak = draw("light-leak", seed)
        border = max(leak[0].max(), leak[-1].max(), leak[:, 0].max(), leak[:, -1].max())
        assert leak[100:156, 100:156].max() <= border
        assert leak.max() == pytest.approx(border, rel=0.05)


def test_a_coffee_ring_is_darker_at_its_edge_than_inside() -> None:
    rings = 0
    for seed in range(30):
        coverage = draw("coffee-ring", seed)
        hull = cv2.morphologyEx((coverage > 0.2).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((61, 61), np.uint8))
        core = cv2.erode(hull, np.ones((25, 25), np.uint8)) > 0
        rings += bool(core.any() and coverage[core].mean() < 0.5 * coverage[(hull > 0) & ~core].mean())
    assert rings > 10


def test_missing_pieces_hide_everything_inside() -> None:
    solid = [np.mean(draw("missing", seed)[draw("missing", seed) > 0.5]) for seed in range(8)]
    assert min(solid) > 0.9
