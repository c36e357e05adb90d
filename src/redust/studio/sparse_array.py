"""Arrays on the disk that are zero nearly everywhere: written without their zeros, read as memory maps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from redust.core.atomic import make_folder, whole_file

_BLOCK = 1 << 16  # bytes


def write_sparse(path: Path, array: NDArray[Any]) -> None:
    """Write an array as a NumPy file, its blocks of zeros as holes; the file appears whole or not at all."""
    make_folder(path.parent)
    content = np.ascontiguousarray(array).view(np.uint8).reshape(-1)
    with whole_file(path, overwrite=True) as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        start = file.tell()
        file.truncate(start + content.size)
        for position in range(0, content.size, _BLOCK):
            block = content[position : position + _BLOCK]
            if block.any():
                file.seek(start + position)
                file.write(block.data)


def open_sparse(path: Path) -> NDArray[Any] | None:
    """The array of a file as a read-only memory map; None where there is no such file."""
    try:
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except (FileNotFoundError, ValueError):
        return None


def trim_folder(folder: Path, max_bytes: int) -> None:
    """Delete the files of a cache that were not used for longest, until it holds no more than `max_bytes`."""
    files = sorted(
        ((status.st_atime, status.st_blocks * 512, path) for path in folder.rglob("*.npy") if (status := path.stat())),
        reverse=True,
    )
    total = 0
    for _, size, path in files:
        total += size
        if total > max_bytes:
            path.unlink(missing_ok=True)
