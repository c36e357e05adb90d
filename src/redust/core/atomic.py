"""Results appear whole or not at all, and never over the scan they came from.

Bytes go to a temporary file beside the target, are flushed to the disk, and take the final name in one step. What a
process that was killed left half written is swept away by the next that writes into the folder.
"""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, TypeAlias

from redust.core.errors import TargetError, TargetExists

Sources: TypeAlias = Path | Sequence[Path] | None

_MACHINE = hashlib.sha256(platform.node().encode()).hexdigest()[:8]  # this machine, in the names of temporary files
_DAY = 86_400.0  # seconds; a lock may mean nothing to another machine, but none writes one file for so long
_OPEN_FILES_MOVE = sys.platform != "win32"
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES}


def check_path(path: Path, *, source: Sources = None, overwrite: bool = False) -> None:
    """Refuse a target that cannot or must not be written.

    Parameters
    ----------
    path
        Where the result shall go.
    source
        The scan it came from, or all of them; each is refused as target under every name it has (symbolic and
        hard links, other spelling), whatever `overwrite` says.
    overwrite
        Whether an existing file may be replaced.

    Raises
    ------
    TargetExists
        If the target is the source, or exists and `overwrite` is off.
    TargetError
        If the folder is missing or may not be written to, or the path is a folder or a device.
    """
    if any(_is_same_file(path, scan) for scan in ([source] if isinstance(source, Path) else source or ())):
        raise TargetExists(f"{path} is an input, which is never written over. Choose another name or folder.")
    _check_name(path)
    if not os.path.isdir(path.parent):
        raise TargetError(f"The folder {path.parent} does not exist. Make it first, or choose another.")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise TargetError(f"The folder {path.parent} may not be written to. Check its permissions, or choose another.")
    if not os.path.lexists(path):
        return
    if os.path.exists(path) and not os.path.isfile(path):
        raise TargetError(f"{path} is a folder or a device, not a file. Give a file name.")
    if not overwrite:
        raise TargetExists(f"{path} exists already. Choose another name, or allow it with --overwrite.")


def _check_name(path: Path) -> None:
    """Refuse a path that the system cannot even look up: too long, a link to itself, in a folder that is closed."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise TargetError(f"{path} cannot be written: {_reason(error)}") from error
    except ValueError as error:  # a NUL in the name
        raise TargetError(f"{path!r} cannot be a file's name: {error}. Choose another.") from error


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, where they are missing.

    Raises
    ------
    TargetError
        If it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TargetError(
            f"The folder {folder} cannot be made: {error.strerror}. Check the path, or choose another output."
        ) from error


@contextmanager
def whole_file(path: Path, *, source: Sources = None, overwrite: bool = False) -> Iterator[BinaryIO]:
    """Open a file that takes its final name only when everything has been written.

    Parameters
    ----------
    path, source, overwrite
        As in :func:`check_path`, which is called before the first byte and again before the file takes its name.

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
    _sweep_once(path.parent.resolve())
    with _explain_errors(path):
        temporary, opened = _open_temporary(path.parent)
    try:
        with _explain_errors(path):
            with opened as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
                if _OPEN_FILES_MOVE:  # named while still locked: nobody can sweep it away in between
                    _finish(temporary, path, source, overwrite)
            if not _OPEN_FILES_MOVE:
                _finish(temporary, path, source, overwrite)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


@contextmanager
def growing_file(path: Path, *, overwrite: bool = False) -> Iterator[Callable[[bytes], None]]:
    """Open a file that grows line by line, such as a report; a process that is killed leaves what is written so far.

    Parameters
    ----------
    path, overwrite
        As in :func:`check_path`.

    Yields
    ------
    append
        Adds bytes to the file; they are on the disk when it returns.

    Raises
    ------
    TargetError
        As :func:`whole_file`; `append` too, when the disk is full.
    """
    with whole_file(path, overwrite=overwrite):
        pass
    with _explain_errors(path):
        file = path.open("ab", buffering=0)

    def append(data: bytes) -> None:
        size, view = file.tell(), memoryview(data)
        with _explain_errors(path):
            try:
                while view:
                    view = view[file.write(view) :]
                os.fsync(file.fileno())
            except OSError:
                file.truncate(size)  # no half line
                raise

    with file:
        yield append


@contextmanager
def whole_files(folder: Path, last: str) -> Iterator[Path]:
    """A folder to write several files in that belong together; all take their places only when all are written.

    Parameters
    ----------
    folder
        Where they go, in place of those of their names; made if it is missing.
    last
        The file that is moved after all others: what names them.

    Yields
    ------
    unfinished : Path
        Hidden in `folder`. Whatever fails inside leaves neither it nor a change there; a process that is killed
        outright leaves it.

    Raises
    ------
    TargetError
        When the disk is full or the folder may not be written to.
    """
    with _explain_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder, prefix=f".redust-{_MACHINE}-") as name:
            yield Path(name)
            for file in sorted(Path(name).iterdir(), key=lambda path: path.name == last):
                os.replace(file, folder / file.name)


def check_original(original: Path, path: Path) -> None:
    """Refuse to replace a file whose original's name is taken, unless by a second name of this very file.

    A run that was killed after it had given the second name leaves that.

    Raises
    ------
    TargetExists
        If `original` is another file, or a symbolic link.
    TargetError
        As :func:`check_path`.
    """
    with suppress(FileNotFoundError):
        if os.path.samestat(os.lstat(original), os.stat(path)):
            return
        raise TargetExists(f"{original} exists already, and is never written over. Move it away first.")
    check_path(original)


def sweep_folders(parent: Path, prefix: str) -> None:
    """Delete hidden folders of unfinished results, whose names begin with `prefix`, a day after their last change."""
    for folder in parent.glob(f"{prefix}*"):
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime > _DAY:
                shutil.rmtree(folder)


def replace_original(result: Path, path: Path, original: Path) -> None:
    """Put a finished file in the place of another, which stays beside it; the only way in which a scan is replaced.

    Parameters
    ----------
    result
        The finished file, on the disk of `path`; it is moved.
    path, original
        The file that is replaced, in one step, and the name that it gets, in its folder: free, or its own already.

    Raises
    ------
    TargetExists
        As :func:`check_original`.
    TargetError
        If the replaced file cannot be kept, or the other not moved; `path` is then as it was.
    """
    check_original(original, path)
    with _explain_errors(original):
        shutil.copymode(path, result)
        if not os.path.lexists(original):
            _keep_under(path, original)
    _sync_folder(original.parent)
    try:
        with _explain_errors(path):
            os.replace(result, path)
    except TargetError:
        original.unlink()
        raise
    _sync_folder(path.parent)


def _keep_under(path: Path, original: Path) -> None:
    """Give a file a second name; where there are no hard links, copy it, with its times."""
    try:
        os.link(path, original)
    except FileExistsError as error:
        raise TargetExists(f"{original} appeared while the scan was restored. Move it away first.") from error
    except (OSError, AttributeError) as error:
        if isinstance(error, OSError) and error.errno not in _NO_LINKS:
            raise
        with whole_file(original) as file, path.open("rb") as source:
            shutil.copyfileobj(source, file, 1 << 20)
        shutil.copystat(path, original)


@contextmanager
def _explain_errors(path: Path) -> Iterator[None]:
    """Say what cannot be written, and what to do."""
    try:
        yield
    except OSError as error:
        raise TargetError(f"{path} cannot be written: {_reason(error)}") from error


def _finish(temporary: Path, path: Path, source: Sources, overwrite: bool) -> None:
    """Give the finished file its name, if it still may have it."""
    check_path(path, source=source, overwrite=overwrite)
    _name(temporary, path, overwrite)


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


def _open_temporary(folder: Path) -> tuple[Path, BinaryIO]:
    """A temporary file, open and locked."""
    while True:
        path = folder / f".redust-{_MACHINE}-{secrets.token_hex(8)}.part"
        file = path.open("x+b")  # made with the permissions of any new file
        if _lock(file) is not False and path.exists():
            return path, file
        file.close()  # another process sweeps it away: it was there before this one's lock


@cache
def _sweep_once(folder: Path) -> None:
    """Delete what writers that were killed left in a folder; called once per folder, for it lists all there is."""
    with suppress(OSError):
        for unfinished in folder.glob(".redust-*.part"):
            with suppress(OSError):
                _sweep(unfinished)


def _sweep(path: Path) -> None:
    """Delete a temporary file to which nobody writes any more: its writer's lock dies with it."""
    if not path.name.startswith(f".redust-{_MACHINE}-") and time.time() - path.stat().st_mtime < _DAY:
        return
    if sys.platform == "win32":
        path.unlink()  # fails while it is open
    else:
        with path.open("r+b") as file:
            if _lock(file):
                path.unlink()


def _lock(file: BinaryIO) -> bool | None:
    """Lock a file until it is closed; False if somebody else has, None where there are no locks."""
    locked: bool | None = None
    if sys.platform != "win32":
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            locked = True
        except BlockingIOError:
            locked = False
        except OSError:
            pass
    return locked


def _is_same_file(path: Path, source: Path) -> bool:
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
