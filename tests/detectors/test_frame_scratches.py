"""Scratches through the whole frame are found over a busy scene; lines of the scene are not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import redust
from redust.core.arrays import Pixels
from redust.core.settings import RestoreSettings
from redust.detectors.frame_scratches import find_frame_scratches, mark_lines
from redust.detectors.tophat import TopHat

HEIGHT, WIDTH = 420, 640


def scene(height: int = HEIGHT, width: int = WIDTH, seed: int = 0) -> NDArray[np.float64]:
    """Things of different light side by side, with texture and grain, (height, width) in 0..1."""
    rng = np.random.default_rng(seed)
    things = cv2.resize(rng.uniform(0.15, 0.7, (3, 9)), (width, height), interpolation=cv2.INTER_NEAREST)
    texture = cv2.GaussianBlur(rng.normal(0, 0.3, (height, width)), (0, 0), 3)
    return np.asarray(np.clip(things + texture + rng.normal(0, 0.02, (height, width)), 0, 1))


def line(middle: float, fall: float, thick: float, shape: tuple[int, int] = (HEIGHT, WIDTH)) -> NDArray[np.float64]:
    """Coverage of a line through the frame that falls by so many pixels."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    away = np.abs(rows - middle - fall * (columns / shape[1] - 0.5))
    return np.asarray(np.clip((thick + 1) / 2 - away, 0, 1))


def scratched(
    light: NDArray[np.float64], *coverages: NDArray[np.float64], bright: bool = True, opacity: float = 0.5
) -> Pixels:
    for coverage in coverages:
        light = light * (1 - opacity * coverage) + opacity * coverage * bright
    return light.astype(np.float32)[..., None]


def marked(pixels: Pixels) -> NDArray[np.bool_]:
    height, width = pixels.shape[:2]
    whole = (slice(0, height), slice(0, width)), np.zeros((height, width), np.float32)
    ((_, damage),) = mark_lines([whole], find_frame_scratches(pixels), (height, width))
    return damage == 1


def near(mask: NDArray[np.bool_], pixels: int) -> NDArray[np.bool_]:
    side = 2 * pixels + 1
    return cv2.dilate(mask.astype(np.uint8), np.ones((side, side), np.uint8)) > 0


@pytest.mark.parametrize("upright", [False, True])
@pytest.mark.parametrize(("bright", "fall", "thick"), [(True, 0.0, 1.0), (True, -6.0, 3.0), (False, 5.0, 2.0)])
def test_a_scratch_over_a_scene_is_found_whole_and_alone(
    upright: bool, bright: bool, fall: float, thick: float
) -> None:
    coverage = line(200.3, fall, thick)
    pixels = scratched(scene(), coverage, bright=bright)
    if upright:
        pixels, coverage = np.ascontiguousarray(pixels.swapaxes(0, 1)), coverage.T
    mask, drawn = marked(pixels), coverage > 0.5
    assert (drawn & near(mask, 1)).sum() > 0.97 * drawn.sum()
    assert (mask & near(drawn, 2)).sum() > 0.97 * mask.sum()
    assert {one.bright for one in find_frame_scratches(pixels)} == {bright}


def test_two_side_by_side_stay_two() -> None:
    both = line(150, 2, 2), line(156, 2, 1.5)
    found = find_frame_scratches(scratched(scene(), *both))
    assert len(found) == 2
    mask = marked(scratched(scene(), *both))
    for one in both:
        assert ((one > 0.5) & near(mask, 1)).sum() > 0.97 * (one > 0.5).sum()
    assert mask.sum() < 1.5 * sum((one > 0).sum() for one in both)


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_every_depth_gives_the_same_lines(depth: type) -> None:
    light = scratched(scene(), line(100, 3, 2))
    found = find_frame_scratches(light)
    same = find_frame_scratches(np.rint(light * np.iinfo(depth).max).astype(depth))
    colour = find_frame_scratches(np.repeat(light, 3, axis=2))
    assert len(found) == len(same) == len(colour) == 1
    for other in (same, colour):
        np.testing.assert_allclose(other[0].points, found[0].points)
    light[50:52, 60:64] = np.nan
    assert len(find_frame_scratches(light)) == 1


def test_a_large_scan_is_searched_shrunk_and_marked_in_full() -> None:
    side = 3400
    coverage = line(1700, 20, 5, (side, side))
    pixels = (scratched(scene(side, side), coverage) * 255).astype(np.uint8)
    (found,) = find_frame_scratches(pixels)
    assert found.points.shape == (side, 2)
    assert 4 <= found.width <= 8
    drawn = coverage > 0.5
    assert (drawn & marked(pixels)).sum() > 0.9 * drawn.sum()


def even() -> NDArray[np.float64]:
    return 0.5 + np.random.default_rng(1).normal(0, 0.02, (HEIGHT, WIDTH))


def ledge() -> NDArray[np.float64]:
    """A bright line between two things: what lies above does not go on below."""
    return np.where(np.arange(HEIGHT)[:, None] < 200, scene(seed=1), scene(seed=2)[::-1])


NO_SCRATCHES = {
    "nothing": scratched(scene()),
    "an edge": scratched(np.where(np.arange(HEIGHT)[:, None] < 200, scene(), 0.5 * scene())),
    "a gap between planks": scratched(even(), line(200, 2, 2), bright=False),
    "a ledge": scratched(ledge(), line(200, 0, 2), opacity=0.9),
    "half of the frame": scratched(scene(), line(200, 2, 2) * (np.arange(WIDTH) < WIDTH * 0.7)),
    "rows of bricks": scratched(scene(), *(line(30 + 50 * one, 0, 2) for one in range(8))),
    "askew": scratched(scene(), line(200, 60, 2)),
    "too small": scratched(scene(), line(200, 2, 2))[:300, :300],
}


@pytest.mark.parametrize("name", NO_SCRATCHES)
def test_what_is_no_scratch_is_left_alone(name: str) -> None:
    assert not find_frame_scratches(NO_SCRATCHES[name])


def test_it_is_looked_for_unless_turned_off_whatever_the_tile() -> None:
    coverage = line(200, 4, 2)
    scan = redust.Scan(scratched(scene(), coverage))
    answers = []
    for tile in (64, 500):
        pipeline = redust.Pipeline(RestoreSettings(level=0.95, tile=tile, grow=0), detector=TopHat())
        answers.append(pipeline.detect_mask(scan))
        assert np.array_equal(answers[-1], pipeline.detect(scan) >= 0.95)
    assert np.array_equal(*answers)
    without = redust.Pipeline(
        RestoreSettings(level=0.95, grow=0, frame_scratches=False), detector=TopHat()
    ).detect_mask(scan)
    drawn = coverage > 0.5
    assert (answers[0] & drawn).sum() > 0.9 * drawn.sum()
    assert (without & drawn).sum() < 0.5 * drawn.sum()
