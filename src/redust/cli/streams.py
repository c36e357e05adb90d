"""Standard output and error that may be closed, full or left by their reader: the work goes on."""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from typing import Any, TextIO


class TolerantWriter(io.RawIOBase):
    """A raw stream that remembers its first failure instead of raising it, and takes nothing more after it.

    Parameters
    ----------
    raw
        What is written to.
    """

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw = raw
        self.failure: OSError | None = None

    def write(self, data: Any) -> int:
        """Write to the stream, or drop the data once it has failed."""
        size = memoryview(data).nbytes
        if self.failure is not None:
            return size
        try:
            while (written := self._raw.write(data)) is None:  # not blocking, and full
                select.select([], [self._raw], [])
        except OSError as error:
            self.failure = error
            return size
        return written

    def writable(self) -> bool:
        """Always."""
        return True

    def fileno(self) -> int:
        """The descriptor written to."""
        return self._raw.fileno()

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._raw.isatty()


def open_streams() -> None:
    """Replace standard output and error by streams that never raise.

    A descriptor that is closed leads nowhere from now on; characters that the encoding lacks are escaped.
    """
    _fill_descriptors()
    sys.stdout, sys.stderr = _make_tolerant(sys.stdout), _make_tolerant(sys.stderr)


def output_failure() -> str:
    """Why standard output could not be written; empty if it could, or if its reader has left."""
    sys.stdout.flush()
    raw = getattr(sys.stdout, "tolerant", None)
    failure = raw.failure if isinstance(raw, TolerantWriter) else None
    if failure is None or failure.errno in (errno.EPIPE, errno.EINVAL):
        return ""
    return f"Standard output cannot be written: {failure.strerror}. Free space on that disk, or write to another."


class _Text(io.TextIOWrapper):
    """Text on a tolerant stream."""

    tolerant: TolerantWriter


def _make_tolerant(stream: TextIO | None) -> TextIO:
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")
    stream.flush()
    buffer: Any = stream.buffer
    raw = TolerantWriter(getattr(buffer, "raw", buffer))  # unbuffered streams are raw themselves
    text = _Text(
        io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=getattr(stream, "line_buffering", True),
    )
    text.tolerant = raw
    return text


def _fill_descriptors() -> None:
    """Open closed standard descriptors, so that no file of the work takes their number."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
