"""Checksum manifests of the inputs: what `sha256sum` writes, and BagIt's ``manifest-sha256.txt``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from redust.core.errors import SettingsError
from redust.pipeline.job import Job

_LINE = re.compile(r"^(?P<escaped>\\?)(?P<sha256>[0-9a-fA-F]{64}) [ *](?P<path>.+)$")


def read_manifest(path: Path) -> dict[Path, str]:
    """Read a manifest.

    Parameters
    ----------
    path
        Lines of a SHA-256, two spaces (or a space and ``*``), and a path relative to the manifest's folder.

    Returns
    -------
    checksums : dict
        SHA-256 in lower case by absolute path.

    Raises
    ------
    SettingsError
        If it cannot be read, or a line is none of a manifest.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError as error:
        raise SettingsError(f"The checksums {path} cannot be read: {error.strerror}. Check the path.") from error
    checksums: dict[Path, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.match(line)
        if match is None:
            raise SettingsError(
                f"Line {number} of {path} is no SHA-256 and path. Write it with `sha256sum`, or name a BagIt manifest."
            )
        checksums[(path.parent / _unescape(match)).resolve()] = match["sha256"].lower()
    return checksums


def match_checksums(jobs: Mapping[str, Job], checksums: Mapping[Path, str], manifest: Path) -> dict[str, str]:
    """The expected SHA-256 of each job's scan.

    Raises
    ------
    SettingsError
        If the manifest does not name a scan of the run: nobody can vouch for it.
    """
    expected = {key: checksums.get(job.source.resolve()) for key, job in jobs.items()}
    unnamed = [jobs[key].source for key, sha256 in expected.items() if sha256 is None]
    if unnamed:
        raise SettingsError(
            f"{manifest} does not name {unnamed[0]}" + (f" and {len(unnamed) - 1} more scans" if unnamed[1:] else "")
            + ". Make the manifest again, or restore without --checksums."
        )  # fmt: skip
    return {key: sha256 for key, sha256 in expected.items() if sha256 is not None}


def _unescape(match: re.Match[str]) -> str:
    """The path of a line; `sha256sum` marks names with a backslash or line break by a leading backslash."""
    if not match["escaped"]:
        return match["path"]
    return match["path"].replace("\\n", "\n").replace("\\r", "\r").replace("\\\\", "\\")
