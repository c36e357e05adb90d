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
import typer.main

import redust
from redust import detectors
from redust.cli.app import app
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


@pytest.mark.parametrize(
    ("page", "maker"), [("command-line.md", "command_line"), ("settings.md", "settings"), ("http-api.md", "http_api")]
)
def test_generated_pages_are_fresh(generator: ModuleType, page: str, maker: str) -> None:
    written = (DOCS / "reference" / page).read_text(encoding="utf-8")
    assert written == getattr(generator, maker)(), "run: python docs/reference/generate.py"


def test_the_python_page_names_the_whole_public_face() -> None:
    page = (DOCS / "reference/python.md").read_text(encoding="utf-8")
    missing = [name for name in redust.__all__ if not name.startswith("_") and not re.search(rf"\b{name}\b", page)]
    assert missing == []
    assert [name for name in Report.model_fields if f"`{name}`" not in page] == []


def read_commands(page: Path) -> list[str]:
    """The lines of all shell blocks of a page."""
    text = page.read_text(encoding="utf-8")
    return [line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]


# Pages whose shell commands are not run here, and why.
NOT_RUN = {
    "README.md": "installs ReDust; its restore command is run by test_the_command_of_the_readme_works",
    "docs/explanation/gallery.md": "a benchmark on plates that do not ship",
    "docs/explanation/speed.md": "benchmarks of minutes",
    "docs/explanation/two-ways.md": "a benchmark of minutes and trainings of hours",
    "docs/explanation/what-it-finds.md": "a benchmark of minutes",
    "docs/how-to/infrared.md": "scans of the reader's; tests/pipeline/test_infrared_joined.py runs every layout",
    "docs/how-to/make-the-shipped-network.md": "a training of hours on material that does not ship",
    "docs/how-to/synthesize-damage.md": "draws thousands of pairs on the reader's photos; tests/cli runs it small",
    "docs/how-to/the-thesis-in-five-commands.md": "trainings of hours; tests/training and tests/study run them small",
    "docs/how-to/teach-with-your-scans.md": "scans of the reader's; tests/training run `redust learn` small",
    "docs/how-to/train-to-restore.md": "trainings of hours",
    "docs/how-to/train-your-own.md": "trainings of hours",
    "docs/how-to/write-an-engine.md": "installs a package of the reader's",
    "docs/reference/classes.md": "works on scans of the reader's",
    "docs/reference/synthesis-recipe.md": "draws on photos of the reader's",
    "docs/study/README.md": "trainings of hours",
    "docs/study/report.md": "trainings of hours",
}
PAGES = {path.relative_to(ROOT).as_posix(): path for path in [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]}
RUN = [name for name, path in PAGES.items() if read_commands(path) and name not in NOT_RUN]


@pytest.fixture
def example_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a corner of the example scan, which is quicker to restore than the whole."""
    try:
        detectors.make_detector("unet")
    except RedustError as error:
        pytest.skip(f"the default detector is not there: {error}")
    (tmp_path / "examples").mkdir()
    scan = redust.read_scan(ROOT / "examples/astronaut-scan.tif")
    corner = replace(scan, pixels=scan.pixels[:160, :160], source=None, carried={})
    redust.write_scan(corner, tmp_path / "examples/astronaut-scan.tif")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_line(line: str, redust_command: Command) -> None:
    """Run one line of a page; `pip` is left out, since ReDust is installed."""
    if line.startswith("redust "):
        ended = redust_command(*shlex.split(line)[1:])
        assert ended.code == 0, f"{line}: {ended.err}"
    elif not line.startswith("pip "):
        subprocess.run(line, shell=True, check=True)


@pytest.mark.parametrize("page", RUN)
@pytest.mark.usefixtures("example_folder")
def test_the_commands_of_a_page_work_one_after_the_other(page: str, redust_command: Command) -> None:
    for line in read_commands(PAGES[page]):
        run_line(line, redust_command)


@pytest.mark.usefixtures("example_folder")
def test_the_command_of_the_readme_works(redust_command: Command) -> None:
    first = read_commands(ROOT / "README.md")[0]
    run_line(first.removeprefix("pip install . && "), redust_command)


def test_the_how_to_pages_for_users_are_run() -> None:
    names = ("edit-a-mask", "in-other-programs", "a-roll-of-film", "an-archive-of-scans")
    assert {f"docs/how-to/{name}.md" for name in names} <= set(RUN)
    assert "docs/tutorial/first-restoration.md" in RUN


def test_pages_that_are_not_run_exist() -> None:
    assert sorted(set(NOT_RUN) - set(PAGES)) == []


def complete_command(line: str) -> list[str]:
    """The words of a `redust` line without its comment."""
    return shlex.split(line, comments=True)[1:]


@pytest.mark.parametrize("page", sorted(NOT_RUN))
def test_the_flags_of_commands_that_are_not_run_exist(page: str, command_flags: dict[str, set[str]]) -> None:
    lines = [line for line in read_commands(PAGES[page]) if line.startswith("redust ")]
    for line in lines:
        name, *words = complete_command(line)
        flags = {word.split("=")[0] for word in words if word.startswith("-")}
        assert flags <= command_flags[name], line


@pytest.fixture(scope="module")
def command_flags() -> dict[str, set[str]]:
    """The flags of every command."""
    group: Any = typer.main.get_command(app)
    return {
        name: {flag for option in command.params for flag in (*option.opts, *option.secondary_opts)}
        for name, command in group.commands.items()
    }


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120


@pytest.mark.parametrize("page", sorted(PAGES))
def test_links_lead_to_files(page: str) -> None:
    text = PAGES[page].read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    assert [target for target in targets if not PAGES[page].parent.joinpath(target).exists()] == []


@pytest.mark.parametrize("folder", ["src", "benchmarks", "recipes", "scripts"])
def test_files_named_in_code_exist(folder: str) -> None:
    pattern = r"\b(?:docs/[\w/-]+\.(?:md|py)|benchmarks/\w+\.py|recipes/[\w-]+\.toml|scripts/\w+\.py|configs/[\w.-]+)"
    suffixes = {".py", ".json", ".toml", ""}
    paths = [path for path in (ROOT / folder).rglob("*") if "node_modules" not in path.parts]
    files = [path for path in paths if path.is_file() and path.suffix in suffixes]
    named = {match for path in files for match in re.findall(pattern, path.read_text(encoding="utf-8"))}
    assert sorted(name for name in named if not (ROOT / name).exists()) == []
