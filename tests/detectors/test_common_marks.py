"""What frames of a roll have in common is found, and nothing else; a frame gets what it shows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from redust.core.arrays import Mask, Pixels
from redust.detectors.common_marks import (
    CommonMarks,
    FrameResiduals,
    FramesAlike,
    ResidualStack,
    find_blank_marks,
)
from roll_samples import SIZE, DrawnMarks, draw_frame, draw_marks

MARKS = draw_marks()


def compare(frames: Sequence[Pixels]) -> CommonMarks:
    stack = ResidualStack((frames[0].shape[0], frames[0].shape[1]))
    for frame in frames:
        stack.add(FrameResiduals.of_frame(frame))
    return stack.find_marks()


def count_discs(mask: Mask, marks: DrawnMarks) -> int:
    return sum(mask[disc].mean() > 0.5 for disc in marks.discs)


@pytest.fixture(scope="module")
def frames() -> list[Pixels]:
    return [draw_frame(number, MARKS) for number in range(12)]


@pytest.fixture(scope="module")
def common(frames: list[Pixels]) -> CommonMarks:
    return compare(frames)


def test_soft_discs_and_a_faint_scratch_are_found_where_they_are(frames: list[Pixels], common: CommonMarks) -> None:
    sky = np.arange(SIZE[0]) < 0.6 * SIZE[0]  # of every frame
    discs = [disc for disc in MARKS.discs if disc[sky].any()]
    masks = [common.find_in(frame) for frame in frames]
    assert np.mean([[mask[disc].mean() > 0.5 for disc in discs] for mask in masks]) > 0.95
    assert np.mean([mask[MARKS.scratch].mean() for mask in masks]) > 0.9
    near = np.lib.stride_tricks.sliding_window_view(np.pad(MARKS.area, 5), (11, 11)).any(axis=(2, 3))
    assert max(np.mean(mask & ~near) for mask in masks) < 0.001


def test_dust_of_single_frames_is_not_in_common() -> None:
    assert compare([draw_frame(number) for number in range(12)]).count == 0


def test_a_frame_without_the_mark_is_left_alone(common: CommonMarks) -> None:
    clean = [common.find_in(draw_frame(number, dust=False)) for number in range(20, 24)]
    assert max(np.mean(mask) for mask in clean) < 0.2 * np.mean(MARKS.area)


def test_the_order_of_frames_changes_nothing(frames: list[Pixels], common: CommonMarks) -> None:
    assert compare(frames[::-1]).sha256 == common.sha256


def test_pictures_of_one_scene_have_no_common_marks() -> None:
    random = np.random.default_rng(1)
    scene = np.kron(random.integers(0, 255, (150, 200, 1)), np.ones((4, 4, 1)))
    with pytest.raises(FramesAlike):
        compare([np.clip(scene + random.normal(0, 4, scene.shape), 0, 255).astype(np.uint8) for _ in range(6)])


def test_the_border_of_the_film_is_no_mark() -> None:
    frames = [draw_frame(number, dust=False) for number in range(12)]
    for frame in frames:
        frame[:30], frame[-30:], frame[:, :40], frame[:, -40:] = 6, 6, 6, 6
    assert compare(frames).count == 0


def test_opaque_dirt_on_the_glass_is_a_mark_whatever_its_size() -> None:
    frames = [draw_frame(number, dust=False) for number in range(8)]
    dirt = np.zeros(SIZE, np.bool_)
    dirt[100:104, 100:104] = dirt[200:260, 300:360] = dirt[50:200, 500:512] = True
    for frame in frames:
        frame[dirt] //= 8
    mask = compare(frames).find_in(frames[0])
    assert mask[dirt].mean() > 0.95
    assert np.count_nonzero(mask & ~dirt) < 1.5 * np.count_nonzero(dirt)


def test_frames_that_are_too_few_are_refused() -> None:
    with pytest.raises(ValueError, match="it takes 4"):
        compare([draw_frame(number, dust=False) for number in range(3)])


def test_a_blank_frame_shows_its_marks_by_itself(frames: list[Pixels]) -> None:
    noise = np.random.default_rng(5).normal(0, 2, (*SIZE, 1))
    blank = find_blank_marks(np.clip(200 * MARKS.light[..., None] + noise, 0, 255).astype(np.uint8))
    assert count_discs(blank.find_in(frames[0]), MARKS) >= 15
    assert find_blank_marks(np.clip(200 + noise, 0, 255).astype(np.uint8)).count == 0


def test_frames_of_another_size_or_tiny_ones_have_none(common: CommonMarks) -> None:
    assert not common.find_in(draw_frame(0, MARKS)[:-1]).any()
    tiny = [np.full((20, 20, 1), number, np.uint16) for number in range(4)]
    assert compare(tiny).count == 0
    assert not compare(tiny).find_in(tiny[0]).any()


def test_marks_of_both_sources_are_merged(common: CommonMarks) -> None:
    noise = np.random.default_rng(5).normal(0, 2, (*SIZE, 1))
    light = np.full((*SIZE, 1), 200.0)
    light[300:303, 300:303] = 100
    merged = common.merge(find_blank_marks((light + noise).astype(np.uint8)))
    planes = list(merged.iter_signs())
    assert planes[0][301, 301] == -1
    assert merged.share > common.share
