"""How many workers a machine bears, and how long a run may take."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from redust.batch.ledger_entry import LedgerEntry
from redust.batch.storage import is_remote
from redust.core.threads import count_cores

DEFAULT_PACE = 1.25
"""Seconds one core takes for a megapixel, until the ledger has measured it (docs/explanation/speed.md)."""

_WORKER_BYTES = 3 * 2**29  # of a scan of 24 megapixels, with some to spare
_SAMPLE = 48  # files whose headers are read


def choose_workers(tasks: int, *, cores: int | None = None, memory: int | None = None) -> int:
    """How many worker processes to start: one for each core, as far as memory goes, and never more than tasks.

    Parameters
    ----------
    cores, memory
        Cores, and bytes that are free; those of this machine unless given.
    """
    cores = count_cores() if cores is None else cores
    memory = free_memory() if memory is None else memory
    by_memory = cores if memory is None else memory // _WORKER_BYTES
    return max(1, min(cores, by_memory, tasks))


def free_memory() -> int | None:
    """Bytes of memory that are free, by the system and by its control group; None where nobody says."""
    figures = []
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        line = next(line for line in lines if line.startswith("MemAvailable:"))
        figures.append(int(line.split()[1]) * 1024)
    with suppress(OSError, ValueError):
        group = Path("/sys/fs/cgroup")
        limit = int((group / "memory.max").read_text(encoding="ascii"))
        figures.append(limit - int((group / "memory.current").read_text(encoding="ascii")))
    return min(figures, default=None)


def estimate_megapixels(entries: Sequence[LedgerEntry]) -> float:
    """The megapixels of scans, from the headers of some of them; remote scans count as 24 each."""
    if not entries:
        return 0.0
    sample = entries[:: max(1, len(entries) // _SAMPLE)][:_SAMPLE]
    sizes = [read_megapixels(Path(entry.source)) for entry in sample]
    known = [size for size in sizes if size is not None]
    return len(entries) * (sum(known) / len(known) if known else 24.0)


def read_megapixels(path: Path) -> float | None:
    """The megapixels of a scan by its header; None if it tells none."""
    shape = read_shape(path)
    return None if shape is None else shape[0] * shape[1] / 1e6


def read_shape(path: Path) -> tuple[int, int] | None:
    """The (height, width) of a scan by its header; None if it tells none."""
    from PIL import Image
    from tifffile import TiffFile, TiffFileError

    if is_remote(path):
        return None
    damaged = OSError, ValueError, TypeError, LookupError, struct.error, TiffFileError, SyntaxError  # the last: Pillow
    try:
        with TiffFile(path) as tiff:
            page = tiff.pages.first
            return int(page.imagelength), int(page.imagewidth)
    except damaged:
        pass
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(path) as image:
            return image.height, image.width
    except (*damaged, Image.DecompressionBombError):
        return None
