"""The build hook makes the studio's page once, and a machine without npm or its registry installs without the page."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def build_hook() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def package(tmp_path: Path, build_hook: ModuleType) -> Path:
    """A source tree with a page of one file."""
    (tmp_path / build_hook.WEB / "src").mkdir(parents=True)
    (tmp_path / build_hook.WEB / "src/main.ts").write_text("start();")
    return tmp_path


class Screen:
    """What the hook says."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def display_warning(self, text: str) -> None:
        self.warnings.append(text)


def run_hook(build_hook: ModuleType, package: Path, target: str = "wheel") -> list[str]:
    """Run the hook as hatchling does; the warnings."""
    screen: Any = Screen()
    hook = build_hook.StudioPageHook(str(package), {}, None, None, str(package), target, screen)
    hook.initialize("standard", {})
    return list(screen.warnings)


def put_npm(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str, node: str = "v22.0.0") -> None:
    """An npm that does what the script says, with a Node.js of this version."""
    folder.mkdir()
    for name, lines in (("npm", script), ("node", f"echo {node}")):
        (folder / name).write_text(f"#!/bin/sh\n{lines}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


BUILDS = """echo "$1" >> calls
if [ "$1" = run ]; then mkdir -p ../static && echo '<html>' > ../static/index.html; fi"""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="npm's stand-in is a shell script")


def test_the_page_is_built_once_until_its_sources_change(
    build_hook: ModuleType, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_npm(tmp_path / "bin", monkeypatch, BUILDS.replace("calls", str(tmp_path / "calls")))
    for _ in range(2):
        assert run_hook(build_hook, package) == []
    assert (package / build_hook.STATIC / "index.html").is_file()
    assert (tmp_path / "calls").read_text().split() == ["ci", "run"]
    (package / build_hook.WEB / "src/main.ts").write_text("start(2);")
    assert run_hook(build_hook, package) == []
    assert (tmp_path / "calls").read_text().split() == ["ci", "run", "ci", "run"]


def test_installed_packages_do_not_make_the_page_stale(build_hook: ModuleType, package: Path) -> None:
    before = build_hook.hash_sources(package)
    (package / build_hook.WEB / "node_modules/vite").mkdir(parents=True)
    (package / build_hook.WEB / "node_modules/vite/index.js").write_text("")
    assert build_hook.hash_sources(package) == before


def test_without_the_registry_the_package_is_built_without_the_page(
    build_hook: ModuleType, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_npm(tmp_path / "bin", monkeypatch, "echo 'ECONNREFUSED registry' >&2; exit 1")
    (warning,) = run_hook(build_hook, package)
    assert "npm ci failed. ECONNREFUSED registry" in warning
    assert "All other commands work." in warning
    assert not build_hook.is_current(package)


def test_node_comes_as_a_wheel_only_where_this_machine_has_none_that_is_new_enough(
    build_hook: ModuleType, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen: Any = Screen()
    hook = build_hook.StudioPageHook(str(package), {}, None, None, str(package), "wheel", screen)
    put_npm(tmp_path / "new", monkeypatch, "")
    assert hook.dependencies() == []
    put_npm(tmp_path / "old", monkeypatch, "", node="v18.19.0")
    assert hook.dependencies() == [build_hook.NODE_WHEEL]
    sdist = build_hook.StudioPageHook(str(package), {}, None, None, str(package), "sdist", screen)
    assert sdist.dependencies() == []
    assert run_hook(build_hook, package, "sdist") == []


def test_every_package_of_the_page_is_locked_by_its_digest(build_hook: ModuleType) -> None:
    lock = json.loads((ROOT / build_hook.WEB / "package-lock.json").read_text())
    packages = {name: facts for name, facts in lock["packages"].items() if name}
    assert [name for name, facts in packages.items() if not facts["integrity"].startswith("sha512-")] == []
