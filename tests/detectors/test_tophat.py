"""The classical detector: finds specks of both polarities, says nothing on a smooth ground."""

from __future__ import annotations

import numpy as np
import pytest

from redust.detectors import make_detector
from redust.detectors.run_detector import detect_damage


@pytest.mark.parametrize("value", [255, 0])
def test_finds_a_speck_of_either_polarity(value: int) -> None:
    pixels = np.full((80, 80, 3), 120, np.uint8)
    pixels[40:43, 30:33] = value
    damage = detect_damage(make_detector("tophat"), pixels)
    assert damage[41, 31] > 0.5
    assert (damage[:, 60:] < 0.1).all()


def test_a_smooth_ground_is_sound() -> None:
    ramp = np.linspace(0, 65535, 200).astype(np.uint16)
    pixels = np.repeat(np.repeat(ramp[None, :, None], 100, axis=0), 3, axis=2)
    assert detect_damage(make_detector("tophat"), pixels).max() < 0.5
