"""A detector run over tiles: the answer does not depend on the tile, and broken engines are named."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redust.core.arrays import DamageMap, Light
from redust.core.engines import Detector, DetectorSpec, Needs
from redust.core.errors import EngineError
from redust.detectors import make_detector
from redust.detectors.run_detector import detect_damage, iter_damage_tiles


class Blur(Detector):
    """A detector whose every pixel depends on all within 7 pixels, and on its position modulo 4."""

    def __init__(self, **needs: object) -> None:
        stated = Needs(**({"multiple_of": 4, "context": 7, "channels": (1,)} | needs))  # type: ignore[arg-type]
        self.spec = DetectorSpec(name="blur", needs=stated)
        self.seen: list[tuple[int, ...]] = []

    def detect(self, light: Light) -> DamageMap:
        self.seen.append(light.shape)
        blurred = cv2.blur(light[..., 0], (15, 15))
        rows, columns = np.indices(blurred.shape) % 4
        return (blurred * (0.5 + 0.1 * rows + 0.05 * columns)).astype(np.float32)


@settings(max_examples=25, deadline=None)
@given(
    height=st.integers(1, 90), width=st.integers(1, 90), tile=st.integers(5, 64), seed=st.integers(0, 9),
    dtype=st.sampled_from([np.uint8, np.uint16, np.float32]),
)  # fmt: skip
def test_answer_does_not_depend_on_the_tile(height: int, width: int, tile: int, seed: int, dtype: type) -> None:
    rng = np.random.default_rng(seed)
    full = 1.0 if dtype is np.float32 else np.iinfo(dtype).max
    pixels = (rng.random((height, width, 3)) * full).astype(dtype)
    whole = detect_damage(Blur(), pixels, tile=1024)
    cut = detect_damage(Blur(), pixels, tile=tile)
    assert whole.shape == (height, width)
    np.testing.assert_allclose(cut, whole, atol=1e-6)


@given(height=st.integers(1, 90), width=st.integers(1, 90), tile=st.integers(5, 64))
def test_tiles_make_up_the_map(height: int, width: int, tile: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 1), dtype=np.uint8)
    joined = np.full((height, width), -1, np.float32)
    for place, damage in iter_damage_tiles(Blur(), pixels, tile=tile):
        assert (joined[place] == -1).all()
        joined[place] = damage
    np.testing.assert_array_equal(joined, detect_damage(Blur(), pixels, tile=tile))


def test_windows_meet_the_needs_of_the_engine() -> None:
    detector = Blur(minimum=50, multiple_of=16)
    detect_damage(detector, np.zeros((33, 70, 1), np.uint8), tile=16)
    assert all(h >= 50 and w >= 50 and h % 16 == 0 and w % 16 == 0 for h, w, _ in detector.seen)


@pytest.mark.parametrize(
    ("channels", "accepted", "given_to"), [(3, (1,), 1), (1, (3,), 3), (3, (1, 3), 3), (1, (1, 3), 1)]
)
def test_channels_are_suited_to_the_engine(channels: int, accepted: tuple[int, ...], given_to: int) -> None:
    detector = Blur(channels=accepted)
    detect_damage(detector, np.full((20, 20, channels), 100, np.uint8))
    assert {shape[2] for shape in detector.seen} == {given_to}


def test_depths_give_the_same_map() -> None:
    eight = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    maps = [
        detect_damage(make_detector("tophat"), pixels)
        for pixels in (eight, eight.astype(np.uint16) * 257, eight.astype(np.float32) / np.float32(255))
    ]
    np.testing.assert_allclose(maps[1], maps[0], atol=1e-4)
    np.testing.assert_allclose(maps[2], maps[0], atol=1e-4)


def test_progress_ends_at_one_and_never_falls() -> None:
    shares: list[float] = []
    detect_damage(Blur(), np.zeros((50, 50, 1), np.uint8), tile=16, progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


@pytest.mark.parametrize("answer", [np.zeros((3, 3), np.float32), np.zeros((24, 24)), None])
def test_a_broken_answer_names_the_engine(answer: object) -> None:
    detector = Blur()
    detector.detect = lambda light: answer  # type: ignore[method-assign, assignment, return-value]
    with pytest.raises(EngineError, match="blur"):
        detect_damage(detector, np.zeros((10, 10, 1), np.uint8))


def test_nan_is_refused() -> None:
    detector = Blur()
    detector.detect = lambda light: np.full(light.shape[:2], np.nan, np.float32)  # type: ignore[method-assign]
    with pytest.raises(EngineError, match="finite"):
        detect_damage(detector, np.zeros((10, 10, 1), np.uint8))


def test_an_engine_may_not_write_to_the_scan() -> None:
    def vandal(light: Light) -> DamageMap:
        light[:] = 0
        return light[..., 0]

    detector = Blur()
    detector.detect = vandal  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="read-only"):
        detect_damage(detector, np.zeros((10, 10, 1), np.uint8))
