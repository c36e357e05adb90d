"""A layer marks what it visibly changes, and changes nothing else."""

from __future__ import annotations

import numpy as np

from redust.synthesis.layers import EDGE, VISIBLE, Layer
from redust.synthesis.recipe import Recipe

SHAPE = (32, 32)


def ramp() -> np.ndarray:
    """A coverage of 0 to 1 from left to right."""
    return np.tile(np.linspace(0, 1, 32, dtype=np.float32), (32, 1))


def test_the_mask_of_a_coverage_follows_its_thresholds() -> None:
    layer = Layer.from_coverage("dust", ramp())
    np.testing.assert_array_equal(layer.damaged, ramp() >= VISIBLE)
    np.testing.assert_array_equal(layer.edge, ramp() >= EDGE)
    assert layer.log_ratio is None


def test_the_mask_of_a_ratio_follows_its_greatest_change() -> None:
    ratio = np.zeros((*SHAPE, 3), np.float32)
    ratio[:8, :, 1], ratio[8:16, :, 2], ratio[16:24] = -0.5, 0.2, 0.05
    layer = Layer.from_ratio("folds", ratio)
    assert layer.damaged[:8].all()
    assert not layer.damaged[8:].any()
    assert layer.edge[:16].all()
    assert not layer.edge[16:].any()
    given = Layer.from_ratio("folds", ratio, np.ones(SHAPE, np.bool_))
    assert given.damaged.all()


def test_blending_changes_only_covered_pixels() -> None:
    coverage = np.zeros(SHAPE, np.float32)
    coverage[10:20, 10:20] = 1
    picture = np.full((*SHAPE, 3), 0.5, np.float32)
    Layer.from_coverage("crack", coverage).blend_over(picture, np.random.default_rng(0), Recipe())
    changed = np.abs(picture - 0.5).max(axis=2) > 0
    np.testing.assert_array_equal(changed, coverage > 0)


def test_a_ratio_needs_no_random_numbers() -> None:
    rng = np.random.default_rng(0)
    state = rng.bit_generator.state
    picture = np.full((*SHAPE, 3), 0.5, np.float32)
    Layer.from_ratio("folds", np.full(SHAPE, -0.7, np.float32)).blend_over(picture, rng, Recipe())
    assert rng.bit_generator.state == state
    assert (picture < 0.5).all()
