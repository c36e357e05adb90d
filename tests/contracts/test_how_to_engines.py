"""The engines that the how-to page writes keep the contract, and are found as it says."""

from __future__ import annotations

import re
import sys
import tomllib
import warnings
from collections.abc import Callable
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from types import ModuleType
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest

from redust import detectors, inpainters
from redust.core import catalogue

PAGE = (Path(__file__).parents[2] / "docs/how-to/write-an-engine.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"```(?:python|toml)\n# (\S+)[^\n]*\n(.*?)```", PAGE, re.DOTALL))
TESTS = re.search(r"```python\n(from redust\.core\.contracts.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's modules, importable."""
    for name in ("speckle", "patchwork"):
        module = ModuleType(f"{name}.engine")
        exec(BLOCKS[f"{name}/engine.py"], module.__dict__)
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
        monkeypatch.setitem(sys.modules, f"{name}.engine", module)


def test_the_tests_of_the_page_pass(written: None) -> None:
    assert TESTS is not None
    page: dict[str, Any] = {}
    exec(TESTS[1], page)
    tests = [test for name, test in page.items() if name.startswith("test_")]
    assert len(tests) == 2
    for test in tests:
        test()


def test_the_first_example_runs(written: None, scan_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    source = scan_file("scan.tif")
    monkeypatch.chdir(source.parent)
    example = re.search(r"```python\n# use it\n(.*?)```", PAGE, re.DOTALL)
    assert example is not None
    exec(example[1], {})
    assert (source.parent / "restored.tif").is_file()


def test_the_package_of_the_page_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = pytest.importorskip("setuptools.build_meta")
    for name, content in BLOCKS.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    (tmp_path / "wheels").mkdir()
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of setuptools, about itself
        wheel = ZipFile(tmp_path / "wheels" / build.build_wheel("wheels"))
    names = set(wheel.namelist())
    assert {"speckle/engine.py", "patchwork/engine.py"} <= names
    (points,) = (name for name in names if name.endswith("entry_points.txt"))
    assert b"speckle = speckle.engine:Speckle" in wheel.read(points)


def test_the_engines_are_found_by_their_entry_points(written: None, monkeypatch: pytest.MonkeyPatch) -> None:
    points = tomllib.loads(BLOCKS["pyproject.toml"])["project"]["entry-points"]

    def found(*, group: str) -> EntryPoints:
        return EntryPoints(EntryPoint(name, value, group) for name, value in points.get(group, {}).items())

    monkeypatch.setattr(catalogue, "entry_points", found)
    assert detectors.make_detector("speckle").spec.needs.context == 4
    patchwork = inpainters.make_inpainter("patchwork", radius=1.0)
    pixels = np.full((9, 9, 3), 50, np.uint8)
    mask = np.zeros((9, 9), np.bool_)
    mask[4, 4] = True
    np.testing.assert_array_equal(patchwork.fill(pixels, mask), pixels)
