"""Files on this machine and in object stores, by one set of functions.

A path whose first part ends with a colon, as ``Path("s3://bucket/roll")`` becomes, is an address for fsspec:
``s3``, ``gs``, ``az`` with the extras of these names, ``memory`` for tests.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

from redust.core.atomic import whole_file
from redust.core.errors import SettingsError
from redust.pipeline.job import OUTPUT_FIELDS, Job

_MTIME_FIELDS = ("LastModified", "mtime", "last_modified", "updated", "created")


@dataclass(frozen=True, slots=True)
class FileStatus:
    """Size in bytes and modification time of a file."""

    size: int
    mtime_ns: int


def is_remote(path: Path) -> bool:
    """Whether a path is an address in an object store; a drive's letter is none."""
    return len(path.parts) > 1 and len(path.parts[0]) > 2 and path.parts[0].endswith(":")


def url_of(path: Path) -> str:
    """The address of a remote path: ``s3://bucket/roll``."""
    scheme, *names = path.parts
    return f"{scheme}//{'/'.join(names)}"


def absolute_path(path: Path) -> str:
    """The absolute path, symbolic links kept; the address of a remote one."""
    return url_of(path) if is_remote(path) else os.path.abspath(path)


def stat_file(path: Path) -> FileStatus:
    """Size and time of a file.

    Raises
    ------
    OSError
        If there is none.
    """
    if not is_remote(path):
        status = os.stat(path)
        return FileStatus(status.st_size, status.st_mtime_ns)
    file_system, name = _open_file_system(path)
    return _status_of(file_system.info(name))


def file_exists(path: Path) -> bool:
    """Whether anything has this path; a dangling link counts."""
    if not is_remote(path):
        return os.path.lexists(path)
    file_system, name = _open_file_system(path)
    return bool(file_system.exists(name))


@contextmanager
def open_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading bytes."""
    if not is_remote(path):
        with path.open("rb") as file:
            yield file
        return
    file_system, name = _open_file_system(path)
    with file_system.open(name, "rb") as file:
        yield file


def hash_file(path: Path) -> str:
    """The SHA-256 of a file's bytes, hexadecimal."""
    digest = hashlib.sha256()
    with open_file(path) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_whole(path: Path, content: bytes) -> None:
    """Write a small file whole, in place of one of that name."""
    if not is_remote(path):
        with whole_file(path, overwrite=True) as file:
            file.write(content)
        return
    file_system, name = _open_file_system(path)
    file_system.pipe_file(name, content)


def list_remote_files(folder: Path) -> Iterator[tuple[Path, Path]]:
    """All files below a remote folder, alphabetically: the path, and the path relative to the folder."""
    file_system, name = _open_file_system(folder)
    for file_name in sorted(file_system.find(name)):
        relative = os.path.relpath(f"/{file_name.lstrip('/')}", f"/{name.strip('/')}")
        relative_path = Path(folder.name) if relative == "." else Path(relative)
        yield (folder if relative == "." else folder / relative_path), relative_path


@contextmanager
def stage_job(job: Job) -> Iterator[Job]:
    """A job whose files all lie on this machine: a remote scan is downloaded, remote results are uploaded at the end.

    Nothing is uploaded if the block raises. Object stores show a file when it is whole.
    """
    outputs = {name: path for name in OUTPUT_FIELDS if (path := getattr(job, name)) is not None and is_remote(path)}
    if not outputs and not is_remote(job.source):
        yield job
        return
    with TemporaryDirectory(prefix="redust-") as folder:
        staged: dict[str, Any] = {name: Path(folder, name, path.name) for name, path in outputs.items()}
        for path in staged.values():
            path.parent.mkdir()
        if is_remote(job.source):
            staged["source"], *beside = (_download(path, folder) for path in (job.source, *job.infrared_files))
            staged["infrared_files"] = tuple(beside)
        yield replace(job, **staged)
        for name, path in outputs.items():
            if staged[name].exists():
                file_system, remote_name = _open_file_system(path)
                file_system.put_file(str(staged[name]), remote_name)


def _download(path: Path, folder: str) -> Path:
    file_system, name = _open_file_system(path)
    copy = Path(folder, path.name)
    file_system.get_file(name, str(copy))
    return copy


def _open_file_system(path: Path) -> tuple[Any, str]:
    url = url_of(path)
    try:
        from fsspec.core import url_to_fs

        file_system, name = url_to_fs(url)
    except (ImportError, ValueError) as error:
        scheme = url.partition(":")[0]
        raise SettingsError(
            f"{url} cannot be opened: {error}. Install what it needs: pip install 'redust[{scheme}]'."
        ) from error
    return file_system, name


def _status_of(info: dict[str, Any]) -> FileStatus:
    moment = next((info[name] for name in _MTIME_FIELDS if info.get(name) is not None), 0)
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    seconds = moment.timestamp() if isinstance(moment, datetime) else float(moment)
    return FileStatus(int(info["size"]), round(seconds * 1e6) * 1000)
