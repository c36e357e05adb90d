"""`restore --roll` and `--blank`: what frames share is repaired, everything else comes out as without."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from redust.batch.roll import ROLL_NAME, RollKnowledge, compare_frames, group_frames, load_knowledge, save_knowledge
from redust.core.settings import RestoreSettings
from redust.files import read_mask, read_scan
from redust.pipeline.job import Job
from redust.pipeline.pipeline import Pipeline
from roll_samples import SIZE, DrawnMarks, draw_frame, draw_marks

Command = Callable[..., Any]
FAST = ("--detector", "tophat", "--level", "0.5", "--fill", "telea", "--max-tile-coverage", "1")
FRAMES = 12


def write_roll(scan_file: Callable[..., Path], marks: DrawnMarks | None, frames: int = 6) -> Path:
    paths = [scan_file(f"roll/{number:02}.png", draw_frame(number, marks)) for number in range(frames)]
    return paths[0].parent


@pytest.fixture
def marks() -> DrawnMarks:
    return draw_marks()


def measure_loss(path: Path, disc: NDArray[np.bool_]) -> float:
    """By what share of light a disc still differs from its surroundings."""
    light = read_scan(path).pixels.mean(axis=2)
    ring = np.asarray(cv2.dilate(disc.astype(np.uint8), np.ones((17, 17), np.uint8)) > 0) & ~disc
    return abs(float(np.median(light[disc]) / np.median(light[ring]) - 1))


def hash_folder(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("*.png"))}


def test_marks_that_one_frame_shows_too_faintly_are_repaired(
    redust_command: Command, scan_file: Callable[..., Path], marks: DrawnMarks, tmp_path: Path
) -> None:
    roll, shares = write_roll(scan_file, marks, FRAMES), {}
    for name, flags in {"alone": (), "together": ("--roll",)}.items():
        out, masks = tmp_path / name, tmp_path / f"masks-{name}"
        ended = redust_command(
            "restore", roll, "-o", out, "--mask-out", masks, "--report", out / "r.json", *flags, *FAST
        )
        assert ended.code == 0
        covered = [read_mask(path, SIZE) for path in sorted(masks.glob("*.png"))]
        shares[name] = np.mean([[mask[disc].mean() > 0.5 for disc in marks.discs] for mask in covered])
    assert shares["together"] > shares["alone"] + 0.5
    alone, together = (sorted((tmp_path / f"masks-{name}").glob("*.png")) for name in ("alone", "together"))
    for before, after in zip(alone, together, strict=True):  # nothing that one frame shows by itself is lost
        assert not (read_mask(before, SIZE) & ~read_mask(after, SIZE)).any()
    reports = [json.loads(line) for line in (tmp_path / "together/r.json").read_text().splitlines()]
    assert min(report["common_marks"] for report in reports) > 10
    sky = [disc for disc in marks.discs if disc[:200].any()]
    losses = [
        [np.mean([measure_loss(folder / f"{number:02}.png", disc) for disc in sky]) for number in range(FRAMES)]
        for folder in (tmp_path / "alone", tmp_path / "together")
    ]
    assert np.mean(losses[1]) < 0.4 * np.mean(losses[0])


def test_frames_without_a_common_mark_come_out_byte_for_byte_as_without(
    redust_command: Command, scan_file: Callable[..., Path], tmp_path: Path
) -> None:
    roll = write_roll(scan_file, None)
    redust_command("restore", roll, "-o", tmp_path / "alone", *FAST)
    ended = redust_command("restore", roll, "-o", tmp_path / "together", "--roll", *FAST)
    assert "6 frames of 800 x 600 pixels have no mark in common." in ended.err
    assert hash_folder(tmp_path / "together") == hash_folder(tmp_path / "alone")


def test_a_run_that_goes_on_gives_the_same_bytes_and_another_roll_is_done_again(
    redust_command: Command, scan_file: Callable[..., Path], marks: DrawnMarks, tmp_path: Path
) -> None:
    roll = write_roll(scan_file, marks)
    command = ("restore", roll, "-o", tmp_path / "out", *FAST)
    redust_command(*command, "--roll")
    whole = hash_folder(tmp_path / "out")
    for name in ("03.png", "05.png"):
        (tmp_path / "out" / name).unlink()
    (tmp_path / "out" / ROLL_NAME).unlink()
    assert "finished already: 4" in redust_command(*command, "--roll").err
    assert hash_folder(tmp_path / "out") == whole
    assert "Scans to do: 0; finished already: 6" in redust_command(*command, "--roll", "--dry-run").err
    assert len(redust_command(*command).out.splitlines()) == 6
    assert hash_folder(tmp_path / "out") != whole
    halves = [
        redust_command("restore", roll, "-o", tmp_path / "halves", "--roll", "--shard", f"{n}/2", *FAST) for n in (1, 2)
    ]
    assert [half.code for half in halves] == [0, 0]
    assert hash_folder(tmp_path / "halves") == whole


def test_a_blank_frame_needs_no_others(
    redust_command: Command, scan_file: Callable[..., Path], marks: DrawnMarks, tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).normal(0, 2, (*SIZE, 1))
    blank = scan_file("blank.png", np.clip(200 * marks.light[..., None] + noise, 0, 255).astype(np.uint8))
    scan_file("two/1.png", draw_frame(1, marks))
    scan_file("two/2.png", draw_frame(2, marks)[:400])  # of another size
    command = ("restore", tmp_path / "two", "-o", tmp_path / "out", "--report", tmp_path / "r.json", *FAST)
    assert redust_command(*command, "--blank", blank).code == 0
    reports = [json.loads(line) for line in (tmp_path / "r.json").read_text().splitlines()]
    assert sorted(report["common_marks"] > 10 for report in reports) == [False, True]
    scene = redust_command(
        *command,
        "--blank",
        scan_file("scene.png", np.linspace(9, 250, 600 * 800).astype(np.uint8).reshape(600, 800, 1)),
    )
    assert (scene.code, "is no blank frame" in scene.err) == (2, True)


def test_what_cannot_be_compared_is_refused_or_said(
    redust_command: Command, scan_file: Callable[..., Path], tmp_path: Path
) -> None:
    for number in range(3):
        scan_file(f"roll/{number}.png", seed=number)
    command = ("restore", tmp_path / "roll", "-o", tmp_path / "out")
    ended = redust_command(*command, "--roll", *FAST)
    assert (ended.code, "Not compared, for fewer than 4 are of one size: 3 frames." in ended.err) == (0, True)
    assert redust_command(*command, "--roll", "--method", "generator").code == 2
    assert redust_command(*command, "--roll", "--watch", *FAST).code == 2
    assert "--roll" in redust_command("restore", tmp_path / "roll/0.png", "-o", tmp_path / "a.png", "--roll").err


def test_frames_are_grouped_by_size_and_a_broken_one_is_left_out(
    scan_file: Callable[..., Path], tmp_path: Path
) -> None:
    from redust.batch.executors import InlineExecutor

    paths = [scan_file(f"{number}.png", draw_frame(number)[: 500 if number % 2 else 600]) for number in range(9)]
    paths[0].write_bytes(paths[0].read_bytes()[:5000])
    jobs = [Job(path) for path in paths]
    assert {shape: len(frames) for shape, frames in group_frames(jobs).items()} == {(600, 800): 5, (500, 800): 4}
    knowledge = compare_frames(jobs, RestoreSettings(), InlineExecutor(), tmp_path)
    assert [note.split(" pixels")[0] for note in knowledge.notes] == ["4 frames of 800 x 600", "4 frames of 800 x 500"]


def test_what_is_known_survives_the_file_while_the_frames_are_the_same(
    scan_file: Callable[..., Path], marks: DrawnMarks, tmp_path: Path
) -> None:
    from redust.batch.executors import InlineExecutor

    jobs = [Job(scan_file(f"{number}.png", draw_frame(number, marks))) for number in range(6)]
    knowledge = compare_frames(jobs, RestoreSettings(), InlineExecutor(), tmp_path)
    save_knowledge(knowledge, jobs, tmp_path)
    loaded = load_knowledge(jobs, tmp_path)
    assert loaded is not None
    assert loaded.marks[SIZE].sha256 == knowledge.marks[SIZE].sha256
    assert load_knowledge(jobs[1:], tmp_path) is None
    assert all(job.common_marks is not None for job in loaded.assign(jobs))
    assert RollKnowledge().assign(jobs) == jobs


def test_filters_and_protected_areas_hold_for_common_marks_too(
    marks: DrawnMarks, scan_file: Callable[..., Path]
) -> None:
    from redust.batch.executors import InlineExecutor

    jobs = [Job(scan_file(f"{number}.png", draw_frame(number, marks, dust=False))) for number in range(8)]
    knowledge = compare_frames(jobs, RestoreSettings(), InlineExecutor(), Path())
    settings = RestoreSettings.of(detector="tophat", level=0.99, fill="telea", skip=("scratch",))
    (job,) = knowledge.assign(jobs[:1])
    report = Pipeline(settings).run(job)
    assert report.common_marks
    assert report.classes["scratch"] == 0
    everything = Job(job.source, not_mask=np.ones(SIZE, np.bool_), common_marks=job.common_marks)
    assert Pipeline(settings).run(everything).coverage == 0
