"""Long faint lines are found where no pixel shows them; noise, edges and rows of lines give none."""

import cv2
import numpy as np
import pytest

import redust
from redust.core.arrays import Pixels
from redust.core.settings import RestoreSettings
from redust.detectors.lines import find_lines, mark_lines, segment_sums
from redust.detectors.tophat import TopHat

SIDE = 600


def grained(light: np.ndarray, seed: int = 0) -> Pixels:
    noise = np.random.default_rng(seed).normal(0, 0.04, light.shape)
    return np.clip(light + noise, 0, 1).astype(np.float32)[..., None]


def with_line(depth: float, ends: tuple[tuple[int, int], tuple[int, int]]) -> tuple[Pixels, np.ndarray]:
    drawn = cv2.line(np.zeros((SIDE, SIDE), np.uint8), *ends, 255, 1, cv2.LINE_AA)
    return grained(0.5 * (1 - depth * drawn / 255.0)), drawn > 127


def marked(pixels: Pixels) -> np.ndarray:
    mask = np.zeros(pixels.shape[:2], np.bool_)
    mark_lines(mask, find_lines(pixels))
    return mask


ENDS = [((40, 300), (560, 320)), ((300, 30), (285, 570)), ((60, 500), (500, 90))]


@pytest.mark.parametrize("ends", ENDS)
@pytest.mark.parametrize("depth", [0.12, -0.12])
def test_a_line_no_deeper_than_the_grain_is_found_whole_and_alone(
    ends: tuple[tuple[int, int], tuple[int, int]], depth: float
) -> None:
    pixels, line = with_line(depth, ends)
    found = find_lines(pixels)
    mask = np.zeros(line.shape, np.bool_)
    mark_lines(mask, found)
    disc = np.ones((5, 5), np.uint8)
    assert (line & (cv2.dilate(mask.astype(np.uint8), disc) > 0)).sum() > 0.75 * line.sum()
    assert (mask & (cv2.dilate(line.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0)).sum() > 0.85 * mask.sum()
    assert {one.bright for one in found} == {depth < 0}


def test_noise_gives_nothing() -> None:
    assert not find_lines(grained(np.full((1100, SIDE), 0.5)))


def test_an_edge_gives_nothing() -> None:
    light = np.full((SIDE, SIDE), 0.5)
    light[:, 300:] -= 0.06
    assert not find_lines(grained(light))


def test_lines_side_by_side_are_the_scene() -> None:
    light = np.full((SIDE, SIDE), 0.5)
    light[:, 20::16] -= 0.06
    assert not find_lines(grained(light))


def test_a_wire_that_stands_out_is_left_to_the_network() -> None:
    light = np.full((SIDE, SIDE), 0.5)
    light[40:560, 300] -= 0.4
    assert not find_lines(grained(light))


def test_a_short_line_is_left_alone() -> None:
    pixels, _ = with_line(0.12, ((200, 300), (290, 303)))
    assert not find_lines(pixels)


@pytest.mark.parametrize("shape", [(1, 1), (3, 900), (900, 3), (70, 64)])
def test_a_scan_too_small_for_lines_has_none(shape: tuple[int, int]) -> None:
    assert not find_lines(grained(np.full(shape, 0.5)))


def test_sums_follow_the_fall() -> None:
    values = np.zeros((100, 64), np.int16)
    falls = np.rint(np.arange(64) * 20 / 63).astype(int)
    values[30 + falls, np.arange(64)] = 1
    sums = segment_sums(values)
    assert sums.shape == (64, 1, 100)
    assert np.unravel_index(sums.argmax(), sums.shape) == (20, 0, 30)
    assert sums.max() >= 48


def test_the_setting_turns_it_on_whatever_the_tile() -> None:
    pixels, line = with_line(0.12, ENDS[0])
    scan = redust.Scan(pixels)
    answers = []
    for tile in (64, 500):
        pipeline = redust.Pipeline(RestoreSettings(lines=True, level=0.95, tile=tile, grow=0), detector=TopHat())
        answers.append(pipeline.mark(scan))
        assert np.array_equal(answers[-1], pipeline.detect(scan) >= 0.95)
    assert np.array_equal(*answers)
    without = redust.Pipeline(RestoreSettings(level=0.95, grow=0), detector=TopHat()).mark(scan)
    assert (answers[0] & line).sum() > 0.8 * line.sum() > 5 * (without & line).sum()
