"""The same run on a Dask cluster of two processes on this machine."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from redust.batch.dask_executor import DaskExecutor
from redust.batch.executors import Limits
from redust.core.errors import SettingsError

distributed = pytest.importorskip("distributed")

Command = Callable[..., Any]
FAST = ("--detector", "tophat", "--fill", "navier-stokes")


@pytest.fixture
def scheduler() -> Iterator[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None, "host": "127.0.0.1"}
        with distributed.LocalCluster(**options) as cluster:
            yield cluster.scheduler_address


def test_dask_writes_the_same_files(
    redust_command: Command, scan_file: Callable[..., Path], scheduler: str, tmp_path: Path
) -> None:
    for number in range(5):
        scan_file(f"in/{number}.tif", seed=number)
    dask = ("--executor", "dask", "--scheduler", scheduler)
    ended = redust_command("restore", tmp_path / "in", "-o", tmp_path / "dask", *dask, *FAST)
    assert ended.code == 0, ended.err
    assert redust_command("restore", tmp_path / "in", "-o", tmp_path / "local", *FAST).code == 0
    for number in range(5):
        assert (tmp_path / f"dask/{number}.tif").read_bytes() == (tmp_path / f"local/{number}.tif").read_bytes()
    limited = redust_command("restore", tmp_path / "in", "-o", tmp_path / "more", *dask, "--scan-timeout", 9, *FAST)
    assert (limited.code, "--scan-timeout" in limited.err) == (2, True)


def test_dask_needs_a_scheduler() -> None:
    with pytest.raises(SettingsError, match="--scheduler"):
        DaskExecutor()
    with pytest.raises(SettingsError, match="--memory-limit"):
        DaskExecutor(scheduler="tcp://127.0.0.1:1", limits=Limits(megabytes=100))
