"""Jobs: bounded, cancellable, told to every page; and settings that are decided at once, then counted."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from redust.studio.event_hub import EventHub
from redust.studio.jobs import MAX_QUEUED, Job, JobBoard
from redust.studio.records import Health, JobRecord
from redust.studio.refusals import Busy, Conflict
from studio_desk import Desk, wait_until


def run_apart(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine in a thread of its own: a browser that another test left open keeps a loop in this one."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(asyncio.run, coroutine).result()


@pytest.fixture
def board() -> Any:
    changes: list[JobRecord] = []
    board = JobBoard(changes.append)
    board.changes = changes  # type: ignore[attr-defined]
    yield board
    board.close()


def test_a_job_runs_reports_and_ends(board: Any) -> None:
    def work(job: Job) -> dict[str, Any]:
        job.report_progress("detect", 0.5)
        return {"answer": 42}

    record = board.submit("detect", work, "a")
    wait_until(lambda: board.find(record.id).state == "done")
    assert board.find(record.id).result == {"answer": 42}
    assert [change.state for change in board.changes if change.id == record.id][-1] == "done"


def test_what_fails_is_a_sentence_and_the_next_job_runs(board: Any) -> None:
    def fail(_: Job) -> None:
        raise ZeroDivisionError("by nothing")

    failing, second = board.submit("export", fail, "a"), board.submit("export", lambda _: None, "b")
    wait_until(lambda: board.find(second.id).state == "done")
    assert board.find(failing.id).state == "failed"
    assert "by nothing" in board.find(failing.id).message


def test_the_queue_is_bounded(board: Any) -> None:
    gate = threading.Event()
    running = board.submit("detect", lambda _: gate.wait() and None, "running")
    wait_until(lambda: board.find(running.id).state == "running")
    for number in range(MAX_QUEUED):
        board.submit("detect", lambda _: None, str(number))
    with pytest.raises(Busy, match="wait already"):
        board.submit("detect", lambda _: None, "one more")
    gate.set()


def test_the_same_job_is_queued_once(board: Any) -> None:
    gate = threading.Event()
    first = board.submit("detect", lambda _: gate.wait() and None, "a")
    assert board.submit("detect", lambda _: None, "a").id == first.id
    gate.set()


def test_jobs_that_wait_or_run_are_cancelled(board: Any) -> None:
    begun = threading.Event()

    def work(job: Job) -> None:
        begun.set()
        while True:
            job.pause(0.01)

    running, waiting = board.submit("detect", work, "a"), board.submit("detect", work, "b")
    assert begun.wait(5)
    assert board.cancel(waiting.id).state == "cancelled"
    board.cancel(running.id)
    wait_until(lambda: board.find(running.id).state == "cancelled")


def test_counts_of_earlier_settings_are_given_up(board: Any) -> None:
    done: list[int] = []
    for number in range(200):
        board.count_later(lambda job, number=number: job.pause(0.05) or done.append(number), "a")
    wait_until(lambda: not board.is_counting)
    assert done == [199]


def test_a_failure_in_the_fast_lane_is_told_to_who_waits(board: Any) -> None:
    def fail(_: Job) -> None:
        raise ZeroDivisionError("by nothing")

    with pytest.raises(Conflict, match="by nothing"):
        board.run_fast("repair", fail, "a")


def test_a_full_queue_answers_429(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("redust.studio.jobs.MAX_QUEUED", 0)
    answer = desk.client.post(f"/api/scans/{desk.ids[0]}/detect")
    assert (answer.status_code, answer.json()["code"]) == (429, "busy")


def test_events_reach_every_listener() -> None:
    hub = EventHub()

    async def listen() -> list[bytes]:
        streams = [hub.listen() for _ in range(2)]
        heads = [await anext(stream) for stream in streams]
        threading.Thread(target=hub.publish, args=("health", Health(status="ok", version="1"))).start()
        messages = [await asyncio.wait_for(anext(stream), 5) for stream in streams]
        for stream in streams:
            await stream.aclose()
        return [*heads, *messages]

    messages = run_apart(listen())
    assert messages[2] == messages[3] == b'event: health\ndata: {"status":"ok","version":"1"}\n\n'
    assert not hub._listeners


def test_a_slow_listener_misses_events_and_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("redust.studio.event_hub._MAX_WAITING", 3)
    hub = EventHub()

    async def listen() -> list[Any]:
        stream = hub.listen()
        await anext(stream)
        for number in range(10):
            hub.publish("health", Health(status="ok", version=str(number)))
        await asyncio.sleep(0)
        messages = [await anext(stream) for _ in range(3)]
        await stream.aclose()
        return [json.loads(message.split(b"data: ")[1])["version"] for message in messages]

    assert run_apart(listen()) == ["7", "8", "9"]


def test_the_slider_is_answered_at_once_and_counted_later(desk: Desk, scan_id: str) -> None:
    path, tile = f"/api/scans/{scan_id}/settings", f"/api/scans/{scan_id}/dzi/mask/10/0_0"
    shy, eager = desk.send("PATCH", path, {"sensitivity": 0}), desk.send("PATCH", path, {"sensitivity": 1})
    assert eager["revision"] > shy["revision"]
    assert eager["level"] < shy["level"]
    at_once = desk.client.get(tile).content
    settled = desk.settle(scan_id)
    assert settled["coverage"] > 0
    assert desk.client.get(tile).content == at_once


def test_what_is_shown_only_changes_no_mask(desk: Desk, scan_id: str) -> None:
    before = desk.studio.open(scan_id).decision
    desk.send("PATCH", f"/api/scans/{scan_id}/settings", {"exposure": 1.5, "gamma": 2, "invert": True})
    assert desk.studio.open(scan_id).decision is before


def test_choices_that_contradict_each_other_are_refused(desk: Desk, scan_id: str) -> None:
    answer = desk.client.patch(f"/api/scans/{scan_id}/settings", json={"min_size": 9, "max_size": 3})
    assert answer.status_code == 400
    assert "below min_size" in answer.json()["error"]
    assert desk.get(f"/api/scans/{scan_id}")["settings"]["min_size"] is None


def test_choices_are_copied_to_all(open_desk: Callable[..., Desk], scan_file: Callable[..., Path]) -> None:
    for name in "abc":
        roll = scan_file(f"roll/{name}.tif", height=300, width=400, specks=300).parent
    desk = open_desk(roll)
    desk.detect(desk.ids[0])
    desk.detect(desk.ids[1])
    desk.send("PATCH", f"/api/scans/{desk.ids[0]}/settings", {"grow": 9})
    assert desk.send("POST", "/api/settings/copy", {"from": desk.ids[0], "to": "all"}) == {"changed": 2}
    wait_until(lambda: not desk.studio.jobs._heavy.active() and not desk.studio.jobs.is_counting)
    coverages = [desk.get(f"/api/scans/{scan}")["coverage"] for scan in desk.ids]
    assert coverages[0] == coverages[1] > 0
    assert coverages[2] is None
    assert {desk.get(f"/api/scans/{scan}")["settings"]["grow"] for scan in desk.ids} == {9}


def test_a_thousand_scans_are_listed_in_pages(open_desk: Callable[..., Desk], scan_file: Callable[..., Path]) -> None:
    roll = scan_file("roll/0.png").parent
    for number in range(1, 1000):
        (roll / f"{number}.png").write_bytes((roll / "0.png").read_bytes())
    desk = open_desk(roll)
    page = desk.get("/api/scans", offset=900, limit=500)
    assert (page["total"], len(page["scans"])) == (1000, 100)
    assert (page["scans"][0]["width"], page["scans"][0]["height"]) == (64, 48)


def test_a_scan_that_cannot_be_read_says_why_without_paths(
    open_desk: Callable[..., Desk], scan_file: Callable[..., Path], tmp_path: Path
) -> None:
    path = scan_file("roll/a.tif")
    path.write_bytes(path.read_bytes()[:300])
    desk = open_desk(path.parent)
    answer = desk.client.get(f"/api/scans/{desk.ids[0]}/thumbnail")
    assert answer.status_code == 415
    assert answer.json()["error"].startswith("a.tif: ")
    assert str(tmp_path) not in answer.text
    job = desk.wait(desk.send("POST", f"/api/scans/{desk.ids[0]}/detect"), "failed")
    assert str(tmp_path) not in job["message"]
    assert desk.get(f"/api/scans/{desk.ids[0]}")["state"] == "failed"


def test_accepting_and_taking_it_back(desk: Desk, scan_id: str) -> None:
    path = f"/api/scans/{scan_id}/state"
    assert desk.send("POST", path, {"state": "accepted"})["state"] == "accepted"
    assert desk.get("/api/scans", state="accepted")["total"] == 1
    assert desk.send("POST", path, {"state": "detected"})["state"] == "detected"
    desk.edit(scan_id, kind="stroke", tool="brush", points=[[9, 9]], radius=9)
    assert desk.send("POST", path, {"state": "rejected"})["state"] == "rejected"
    assert desk.send("POST", path, {"state": "detected"})["state"] == "corrected"


def test_few_scans_stay_in_memory(
    open_desk: Callable[..., Desk], scan_file: Callable[..., Path], monkeypatch: Any
) -> None:
    monkeypatch.setattr("redust.studio.studio._HELD_BYTES", 1)
    for name in "abc":
        roll = scan_file(f"roll/{name}.png").parent
    desk = open_desk(roll)
    for scan in desk.ids:
        desk.detect(scan)
    held = [scan for scan in desk.ids if desk.studio.open(scan).bytes_held]
    assert held == desk.ids[-1:]
    assert np.isfinite(desk.detect(desk.ids[0])["coverage"])


def test_listeners_are_told_when_events_begin() -> None:
    hub = EventHub()

    async def read_first() -> bytes:
        stream = hub.listen()
        first = await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]
        return first

    assert b"event: ready\n" in run_apart(read_first())
