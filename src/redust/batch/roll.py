"""What the frames of a roll have in common: they are compared before the first is restored.

Each frame is read in a worker, which sends back its residuals at reduced resolution; they are added up here, one size
of frames after the other. What comes of it is stored beside the ledger, and a run that goes on does not compare again.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import redust
from redust.batch.estimate import read_shape
from redust.batch.executors import Executor, collect_outcome
from redust.batch.storage import absolute_path, is_remote, stat_file
from redust.batch.worker import ScanTask
from redust.core.atomic import whole_file
from redust.core.errors import SettingsError
from redust.core.settings import Method, RestoreSettings
from redust.detectors.common_marks import MIN_FRAMES, CommonMarks, FramesAlike, ResidualStack, find_blank_marks
from redust.files import read_scan
from redust.pipeline.job import Job

ROLL_NAME = "redust-roll.json"
"""The name of the file with a roll's marks, beside the ledger."""

Shape: TypeAlias = tuple[int, int]


@dataclass(frozen=True)
class RollKnowledge:
    """The common marks of frames by their size.

    Parameters
    ----------
    marks
        By (height, width); sizes without a common mark are not among them.
    notes
        What the user should know of it.
    """

    marks: Mapping[Shape, CommonMarks] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def assign(self, jobs: Iterable[Job]) -> list[Job]:
        """The jobs with the marks of their scans' size."""
        if not self.marks:
            return list(jobs)
        return [replace(job, common_marks=self._marks_of(job)) for job in jobs]

    def merge(self, knowledge: RollKnowledge) -> RollKnowledge:
        """What is known from both."""
        marks = dict(self.marks)
        for shape, second in knowledge.marks.items():
            marks[shape] = marks[shape].merge(second) if shape in marks else second
        return RollKnowledge(marks, (*self.notes, *knowledge.notes))

    def _marks_of(self, job: Job) -> CommonMarks | None:
        shape = read_shape(job.source)
        return None if shape is None or job.mask is not None else self.marks.get(shape)


def check_roll(jobs: Sequence[Job], settings: RestoreSettings) -> None:
    """Refuse what cannot be compared.

    Raises
    ------
    SettingsError
        With the method ``generator``, or for scans in an object store.
    """
    if settings.method is Method.generator:
        raise SettingsError("--roll and --blank add to a mask, and the method generator has none. Leave them out.")
    if any(is_remote(job.source) for job in jobs):
        raise SettingsError("--roll and --blank are for files on this machine. Copy the roll to a folder first.")


def read_blank(path: Path, settings: RestoreSettings) -> RollKnowledge:
    """Find the marks of a blank frame.

    Raises
    ------
    SettingsError
        If it shows a scene.
    ScanError
        If it cannot be read.
    """
    pixels = read_scan(path, max_megapixels=settings.max_megapixels).pixels
    try:
        marks = find_blank_marks(pixels)
    except FramesAlike as error:
        raise SettingsError(f"{path} is no blank frame: it shows a scene. Scan the bare glass.") from error
    height, width = marks.shape
    note = f"The blank frame, {width} x {height} pixels, has {_count_marks(marks)}."
    return RollKnowledge({marks.shape: marks} if marks.count else {}, (note,))


def compare_frames(
    jobs: Sequence[Job],
    settings: RestoreSettings,
    executor: Executor,
    root: Path,
    on_frame: Callable[[int], None] = lambda _: None,
) -> RollKnowledge:
    """Find what frames of one size have in common.

    Parameters
    ----------
    jobs
        Of all frames, also of those that another machine restores.
    executor
        Where they are read.
    root
        The output folder.
    on_frame
        Called with the number of frames that were read.
    """
    groups, marks, notes = group_frames(jobs), dict[Shape, CommonMarks](), list[str]()
    finished = 0
    for shape, frames in groups.items():
        stack = ResidualStack(shape)
        for start in range(0, len(frames), executor.capacity):
            chunk = frames[start : start + executor.capacity]
            tasks = [ScanTask(str(job.source), job, settings, root, survey=True) for job in chunk]
            futures = [executor.submit(task) for task in tasks]
            for task, future in zip(tasks, futures, strict=True):
                residuals = collect_outcome(task, future).residuals
                if residuals is not None and residuals.shape == shape:  # one that fails, fails again when restored
                    stack.add(residuals)
                on_frame(finished := finished + 1)
        common, finding = _find_marks(stack)
        marks |= {shape: common} if common is not None else {}
        notes.append(f"{stack.frames} frames of {shape[1]} x {shape[0]} pixels have {finding}.")
    if count := len(jobs) - finished:
        notes.append(f"Not compared, for fewer than {MIN_FRAMES} are of one size: {count} frame{'s' * (count > 1)}.")
    return RollKnowledge(marks, tuple(notes))


def group_frames(jobs: Iterable[Job]) -> dict[Shape, list[Job]]:
    """The jobs by the (height, width) of their scans, those sizes of which there are enough to compare."""
    groups: dict[Shape, list[Job]] = {}
    for job in jobs:
        if (shape := read_shape(job.source)) is not None:
            groups.setdefault(shape, []).append(job)
    return {shape: frames for shape, frames in groups.items() if len(frames) >= MIN_FRAMES}


def save_knowledge(knowledge: RollKnowledge, jobs: Iterable[Job], folder: Path) -> None:
    """Write what was found by comparing the scans of `jobs` into the ledger's folder."""
    marks = [
        [list(shape), [base64.b64encode(plane).decode() for plane in common.packed]]
        for shape, common in knowledge.marks.items()
    ]
    content = {"frames": _hash_frames(jobs), "marks": marks, "notes": list(knowledge.notes)}
    with whole_file(folder / ROLL_NAME, overwrite=True) as file:
        file.write(json.dumps(content).encode())


def load_knowledge(jobs: Iterable[Job], folder: Path) -> RollKnowledge | None:
    """What an earlier run has found by comparing the same scans, unchanged; None if there is none."""
    try:
        content: dict[str, Any] = json.loads((folder / ROLL_NAME).read_bytes())
    except (OSError, ValueError):
        return None
    if content.get("frames") != _hash_frames(jobs):
        return None
    marks = {
        (height, width): CommonMarks((height, width), tuple(map(base64.b64decode, planes)))
        for (height, width), planes in content["marks"]
    }
    return RollKnowledge(marks, tuple(content["notes"]))


def _hash_frames(jobs: Iterable[Job]) -> str:
    """SHA-256 of the program's version and of the scans' paths, sizes and times."""
    frames: list[object] = [redust.__version__]
    for job in jobs:
        try:
            status = stat_file(job.source)
        except OSError:
            continue
        frames.append([absolute_path(job.source), status.size, status.mtime_ns])
    return hashlib.sha256(json.dumps(frames).encode()).hexdigest()


def _find_marks(stack: ResidualStack) -> tuple[CommonMarks | None, str]:
    """The marks of a stack, if there are any, and what came of it in words."""
    if stack.frames < MIN_FRAMES:
        return None, f"not been compared: it takes {MIN_FRAMES} that can be read"
    try:
        marks = stack.find_marks()
    except FramesAlike:
        return (
            None,
            "too much in common for marks, as pictures of one scene have: --roll is left out for them",
        )
    return (marks if marks.count else None), _count_marks(marks)


def _count_marks(marks: CommonMarks) -> str:
    return f"{marks.count} common marks on {marks.share:.2%} of the frame" if marks.count else "no mark in common"
