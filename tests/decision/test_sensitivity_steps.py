"""The slider's steps: candidates at a step are those of the threshold at its level, and never fewer at the next."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from doubles import Wary
from redust.core.arrays import DamageMap, Pixels
from redust.core.engines import DetectorSpec, PriorShift
from redust.core.logits import QuantisedMap
from redust.core.settings import Sensitivity
from redust.decision.sensitivity_steps import (
    LAST_STEP,
    SensitivityScale,
    candidates_at,
    count_marked_steps,
    step_of,
    takes_quantised_map,
)
from redust.decision.threshold import Threshold

PLAIN = replace(Wary.spec, prior_shift=None)
OF_POLARITY = replace(Wary.spec, prior_shift=PriorShift(prior=0.01, exponent=0.4, minority_exponent=1.5))


@pytest.fixture
def pixels() -> Pixels:
    """Noise with bright and dark specks, (300, 400, 1)."""
    pixels = np.random.default_rng(0).integers(100, 110, (300, 400, 1), dtype=np.uint8)
    pixels[::20, ::20] = 250
    pixels[10::60, 10::60] = 5
    return pixels


@pytest.fixture
def damage(pixels: Pixels) -> DamageMap:
    """A map that is likelier on the specks."""
    random = np.random.default_rng(1).random(pixels.shape[:2], np.float32)
    return np.where((pixels[..., 0] > 200) | (pixels[..., 0] < 50), 0.2 + 0.79 * random, 0.02 * random).astype(
        np.float32
    )


def map_for(spec: DetectorSpec, damage: DamageMap) -> DamageMap | QuantisedMap:
    return QuantisedMap.from_map(damage) if takes_quantised_map(spec) else damage


@pytest.mark.parametrize("spec", [PLAIN, Wary.spec, OF_POLARITY], ids=["plain", "shifted", "of polarity"])
def test_each_step_marks_what_its_level_does(spec: DetectorSpec, damage: DamageMap, pixels: Pixels) -> None:
    levels, source = SensitivityScale.of_engine(spec).levels(), map_for(spec, damage)
    marked_steps = count_marked_steps(spec, source, pixels)
    for step in (0, 37, 100, 150, LAST_STEP):
        mask, _ = Threshold(float(levels[step]), spec.prior_shift).apply(source, pixels)
        assert np.array_equal(candidates_at(marked_steps, step), mask)
    counts = [np.count_nonzero(candidates_at(marked_steps, step)) for step in range(LAST_STEP + 1)]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]


@pytest.mark.parametrize(
    ("step", "sensitivity"), [(0, Sensitivity.shy), (100, Sensitivity.normal), (LAST_STEP, Sensitivity.eager)]
)
def test_ends_and_middle_are_the_levels_with_a_name(step: int, sensitivity: Sensitivity) -> None:
    assert SensitivityScale.of_engine(Wary.spec).levels()[step] == Wary.spec.level_for(sensitivity)


def test_an_engine_with_one_level_has_others_around_it() -> None:
    levels = SensitivityScale.of_engine(replace(PLAIN, levels={}, level=0.5)).levels()
    assert levels[0] > levels[100] == 0.5 > levels[-1] > 0


def test_positions_become_steps() -> None:
    assert [step_of(position) for position in (-1, 0, 0.5, 0.731, 1, 7)] == [0, 0, 100, 146, 200, 200]
