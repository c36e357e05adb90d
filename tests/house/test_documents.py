"""What the documents say is so: pages made by the program are fresh, and the commands in them work."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import redust
from redust import detectors
from redust.core.errors import RedustError
from redust.core.report import Report

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
Command = Callable[..., Any]


@pytest.fixture
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "reference/generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("page", "maker"), [("command-line.md", "command_line"), ("settings.md", "settings")])
def test_generated_pages_are_fresh(generator: ModuleType, page: str, maker: str) -> None:
    written = (DOCS / "reference" / page).read_text(encoding="utf-8")
    assert written == getattr(generator, maker)(), "run: python docs/reference/generate.py"


def test_the_python_page_names_the_whole_public_face() -> None:
    page = (DOCS / "reference/python.md").read_text(encoding="utf-8")
    missing = [name for name in redust.__all__ if not name.startswith("_") and not re.search(rf"\b{name}\b", page)]
    assert missing == []
    assert [name for name in Report.model_fields if f"`{name}`" not in page] == []


def commands(page: str) -> list[str]:
    """The lines of all shell blocks of a page."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return [line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]


@pytest.mark.parametrize("page", ["tutorial/first-restoration.md", "how-to/edit-a-mask.md"])
def test_the_commands_of_a_page_work_one_after_the_other(
    page: str, redust_command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        detectors.make_detector("unet")
    except RedustError as error:
        pytest.skip(f"the default detector is not there: {error}")
    (tmp_path / "examples").mkdir()
    scan = redust.read_scan(ROOT / "examples/astronaut-scan.tif")
    corner = replace(scan, pixels=scan.pixels[:160, :160], source=None, carried={})
    redust.write_scan(corner, tmp_path / "examples/astronaut-scan.tif")  # what a user restores, but quicker
    monkeypatch.chdir(tmp_path)
    for line in commands(page):
        if line.startswith("redust "):
            ended = redust_command(*shlex.split(line)[1:])
            assert ended.code == 0, f"{line}: {ended.err}"
        elif not line.startswith("pip "):
            subprocess.run(line, shell=True, check=True)


@pytest.mark.parametrize("page", sorted(path.relative_to(ROOT).as_posix() for path in DOCS.rglob("*.md")))
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    assert [target for target in targets if not (ROOT / page).parent.joinpath(target).exists()] == []
