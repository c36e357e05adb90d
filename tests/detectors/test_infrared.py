"""What infrared tells of a pixel: on dyes nearly all dust and nothing else, on silver nothing."""

from __future__ import annotations

import numpy as np
import pytest

from infrared_layouts import score_mask
from redust.core.arrays import Mask
from redust.core.infrared import InfraredPlane
from redust.core.tiles import Tile
from redust.detectors import infrared_density, infrared_evidence
from redust.detectors.infrared import InfraredDetector
from redust.detectors.infrared_density import ShiftField, to_density
from redust.detectors.infrared_evidence import InfraredEvidence, measure_infrared
from redust.detectors.run_detector import detect_damage
from redust.synthesis.infrared_film import FilmStock, InfraredFrame, InfraredScanner, draw_infrared_frame

SIZE = 420, 560

SCANNERS = {
    "aligned": InfraredScanner(),
    "off-by-1.5": InfraredScanner(shift=(1.5, -1.5)),
    "weak-and-quiet": InfraredScanner(noise=0.002, contrast=0.1, shift=(-1.0, 0.5)),
    "gamma": InfraredScanner(noise=0.01, gamma=2.2),
    "inverted": InfraredScanner(inverted=True),
}


def measure(frame: InfraredFrame, plane: InfraredPlane | None = None) -> InfraredEvidence:
    return measure_infrared(frame.pixels, plane or InfraredPlane(frame.infrared, "drawn"))


def mark(frame: InfraredFrame, evidence: InfraredEvidence, tile: int | None = None) -> Mask:
    return detect_damage(InfraredDetector(), frame.pixels, tile=tile, infrared=evidence.channel) >= 0.5


@pytest.mark.parametrize("name", SCANNERS)
def test_dust_is_found_and_nothing_else(name: str) -> None:
    frame = draw_infrared_frame(SIZE, SCANNERS[name], seed=4)
    evidence = measure(frame)
    recall, precision = score_mask(mark(frame, evidence), frame.damage)
    assert (recall >= 0.98, precision >= 0.98) == (True, True), (recall, precision)
    np.testing.assert_allclose(evidence.shift, SCANNERS[name].shift, atol=0.35)


@pytest.mark.parametrize("stock", [FilmStock.silver, FilmStock.kodachrome])
@pytest.mark.parametrize("name", SCANNERS)
def test_infrared_that_shows_the_picture_is_left_out(name: str, stock: FilmStock) -> None:
    frame = draw_infrared_frame(SIZE, SCANNERS[name], stock=stock, seed=4)
    evidence = measure(frame)
    assert "shows the picture" in evidence.refusal
    assert not mark(frame, evidence).any()


def test_crosstalk_and_noise_are_measured() -> None:
    scanner = InfraredScanner(noise=0.02, contrast=1.0)
    evidence = measure(draw_infrared_frame(SIZE, scanner, seed=1))
    assert evidence.crosstalk == pytest.approx(0.08, abs=0.01)
    assert evidence.noise == pytest.approx(0.02 / (2 * np.pi**0.5), rel=0.2)  # behind the blur by one pixel


def test_the_windows_do_not_change_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = draw_infrared_frame(SIZE, InfraredScanner(shift=(1.5, -1.5)), seed=2)
    whole = measure(frame)
    monkeypatch.setattr(infrared_density, "SIDE", 192)
    monkeypatch.setattr(infrared_evidence, "_DUST_TILES", 99)
    pieces = measure(frame)
    assert pieces.threshold == whole.threshold
    np.testing.assert_allclose(pieces.deviation, whole.deviation, atol=0.1)
    np.testing.assert_array_equal(mark(frame, whole, tile=128), mark(frame, whole))


def test_a_plane_of_another_frame_is_left_out() -> None:
    frame, second = (draw_infrared_frame(SIZE, seed=seed) for seed in (4, 5))
    assert "another frame" in measure(frame, InfraredPlane(second.infrared, "drawn")).refusal


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_plane_without_noise_is_no_infrared(dtype: type) -> None:
    frame = draw_infrared_frame(SIZE, seed=4)
    even = np.full(SIZE, 1 if dtype is np.float32 else np.iinfo(dtype).max, dtype)
    assert "no infrared" in measure(frame, InfraredPlane(even, "drawn")).refusal


def test_another_scale_is_resampled_and_another_area_refused() -> None:
    frame = draw_infrared_frame(SIZE, InfraredScanner(noise=0.005), seed=4)
    large = frame.infrared.repeat(2, axis=0).repeat(2, axis=1)
    recall, precision = score_mask(mark(frame, measure(frame, InfraredPlane(large, "drawn"))), frame.damage)
    assert min(recall, precision) >= 0.98
    cropped = measure(frame, InfraredPlane(frame.infrared[:, :400], "drawn"))
    assert cropped.misfit
    assert "400 x 420" in cropped.refusal


def test_the_red_light_of_the_plane_s_own_scan_serves_a_converted_picture() -> None:
    frame = draw_infrared_frame(SIZE, InfraredScanner(shift=(1.0, 1.0)), seed=4)
    converted = InfraredFrame(
        (65535 * (1 - frame.pixels / 65535.0) ** 4).astype(np.uint16), frame.infrared, frame.damage, frame.clean
    )
    plane = InfraredPlane(frame.infrared, "raw.tif", red=np.ascontiguousarray(frame.pixels[..., 0]))
    recall, precision = score_mask(mark(converted, measure(converted, plane)), frame.damage)
    assert min(recall, precision) >= 0.98


def test_nothing_is_told_of_holder_and_of_what_was_not_measured() -> None:
    frame = draw_infrared_frame(SIZE, seed=4)
    pixels, infrared = frame.pixels.copy(), frame.infrared.copy()
    pixels[:, :80] = infrared[:, :80] = 300
    valid = np.ones(SIZE, np.bool_)
    valid[:, -60:] = False
    evidence = measure_infrared(pixels, InfraredPlane(infrared, "drawn", valid=valid))
    unknown = np.isnan(evidence.deviation)
    assert unknown[:, :76].all()
    assert unknown[:, -60:].all()
    assert not unknown[:, 100:-60].any()
    assert not evidence.refusal


def test_a_drifting_plane_is_followed() -> None:
    field = ShiftField(np.array([[0.0], [4.0]], np.float32), np.zeros((2, 1), np.float32), (50.0, 40.0))
    ramp = np.repeat(np.arange(100, dtype=np.float32)[:, None], 40, axis=1)
    moved = field.sample(ramp, Tile(0, 0, 100, 40, 0, 0, 100, 40))
    np.testing.assert_allclose((moved - ramp)[[10, 49, 80], 20], [0.0, 1.96, 4.0], atol=0.05)


def test_density_is_of_base_ten() -> None:
    light = np.array([[65535, 6554, 0]], np.uint16)
    np.testing.assert_allclose(to_density(light), [[0, 1, np.log10(4096)]], atol=1e-3)
    np.testing.assert_allclose(
        to_density(np.array([[1.0, 0.1, np.nan]], np.float32)), [[0, 1, np.log10(4096)]], atol=1e-6
    )
