"""Ten kills at random moments: the results are those of a run that was never killed."""

from __future__ import annotations

import importlib.util
import random
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def kill_runs() -> ModuleType:
    spec = importlib.util.spec_from_file_location("kill_runs", BENCHMARKS / "kill_runs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(sys.platform != "linux", reason="looks for workers in /proc")
def test_a_run_that_was_killed_ends_as_one_that_was_not(kill_runs: ModuleType, tmp_path: Path) -> None:
    kill_runs.write_roll(tmp_path / "in", 12)
    kill_runs.start_run(tmp_path / "in", tmp_path / "whole").communicate()
    expected = kill_runs.hash_results(tmp_path / "whole")
    assert len(expected) == 12
    rng = random.Random(1)
    for number, kills in enumerate((3, 3, 4)):
        faults = kill_runs.finish_killed_run(tmp_path / "in", tmp_path / f"out{number}", kills, 3.0, rng)
        assert faults == []
        assert kill_runs.hash_results(tmp_path / f"out{number}") == expected
