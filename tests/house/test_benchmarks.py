"""Benchmarks say what they measure and how to run them; a folder they cannot use is an error without a traceback."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SCRIPTS = sorted(path.name for path in BENCHMARKS.glob("*.py") if path.name != "bench_sets.py")


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_benchmark_says_how_to_run_it(script: str) -> None:
    docstring = ast.get_docstring(ast.parse((BENCHMARKS / script).read_text(encoding="utf-8")))
    assert f"python benchmarks/{script}" in (docstring or "")


@pytest.mark.parametrize("script", ["detection.py", "fills.py", "kinds.py", "two_ways.py"])
@pytest.mark.parametrize("folder", ["empty", "missing"])
def test_a_folder_that_is_no_bench_set_is_an_error_without_traceback(script: str, folder: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    command = [sys.executable, BENCHMARKS / script, tmp_path / folder]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert folder in ended.stderr
    assert "Traceback" not in ended.stderr
