"""Results appear whole or not at all, and never over the scan they came from.

Bytes go to a temporary file beside the target, are flushed to the disk, and take the final name in one step.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from redust.core.errors import TargetError, TargetExists

_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES}


def check_path(path: Path, *, source: Path | None = None, overwrite: bool = False) -> None:
    """Refuse a target that cannot or must not be written.

    Parameters
    ----------
    path
        Where the result shall go.
    source
        The scan it came from; it is refused as target under every name it has (symbolic and hard links,
        other spelling), whatever `overwrite` says.
    overwrite
        Whether an existing file may be replaced.

    Raises
    ------
    TargetExists
        If the target is the source, or exists and `overwrite` is off.
    TargetError
        If the folder is missing or may not be written to, or the path is a folder or a device.
    """
    if source is not None and _same(path, source):
        raise TargetExists(f"{path} is the scan itself, which is never written over. Choose another name or folder.")
    if not path.parent.is_dir():
        raise TargetError(f"The folder {path.parent} does not exist. Make it first, or choose another.")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise TargetError(f"The folder {path.parent} may not be written to. Check its permissions, or choose another.")
    if not os.path.lexists(path):
        return
    if path.exists() and not path.is_file():
        raise TargetError(f"{path} is a folder or a device, not a file. Give a file name.")
    if not overwrite:
        raise TargetExists(f"{path} exists already. Choose another name, or allow it with --overwrite.")


@contextmanager
def whole_file(path: Path, *, source: Path | None = None, overwrite: bool = False) -> Iterator[BinaryIO]:
    """Open a file that takes its final name only when everything has been written.

    Parameters
    ----------
    path, source, overwrite
        As in :func:`check_path`, which is asked before the first byte and again before the name is given.

    Yields
    ------
    file
        Open for reading and writing, empty. Whatever fails inside, an interruption included, leaves neither
        the temporary file nor a change at `path`.

    Raises
    ------
    TargetError
        As :func:`check_path`; also when the disk is full or the folder may not be written to.
    """
    check_path(path, source=source, overwrite=overwrite)
    temporary = path.parent / f".redust-{secrets.token_hex(8)}.part"
    try:
        with open(temporary, "x+b") as file:  # made with the permissions of any new file
            yield file
            file.flush()
            os.fsync(file.fileno())
        check_path(path, source=source, overwrite=overwrite)
        _name(temporary, path, overwrite)
    except OSError as error:
        raise TargetError(f"{path} cannot be written: {_reason(error)}") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _name(temporary: Path, path: Path, overwrite: bool) -> None:
    """Give the finished file its name; without `overwrite`, only if nobody took it meanwhile."""
    if overwrite:
        os.replace(temporary, path)
        return
    try:
        os.link(temporary, path)  # unlike a rename, it fails when the name is taken
    except FileExistsError as error:
        raise TargetExists(f"{path} appeared while it was being made. Choose another name, or --overwrite.") from error
    except (OSError, AttributeError) as error:
        if isinstance(error, OSError) and error.errno not in _NO_LINKS:
            raise
        os.rename(temporary, path)  # a file system without hard links


def _same(path: Path, source: Path) -> bool:
    try:
        return os.path.samefile(path, source)
    except OSError:  # one of them does not exist: compare as spelled
        return os.path.realpath(path) == os.path.realpath(source)


def _reason(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"{error.strerror}. Free space on that disk, or write to another."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{error.strerror}. Check the folder's permissions, or write to another."
    return f"{error.strerror or error}. Check the path and the disk."


def _sync_folder(folder: Path) -> None:
    """Make the new name itself durable, where the system knows how."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
