"""How the C library gives freed memory back to the system, where it can be told: glibc on Linux."""

from __future__ import annotations

import ctypes
import sys

# From glibc's malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -2, -3, -4
_TOP_PAD_BYTES = 256 * 2**20
_MMAP_THRESHOLD_BYTES = 32 * 2**20  # where glibc's own threshold ends that grows with use


def keep_memory() -> bool:
    """Let the C library keep what is freed, instead of giving it back to the system at once; returns whether it does.

    A training step frees hundreds of megabytes and asks for the same again. By default glibc maps such blocks anew
    every time, and the system clears each page of them (what that costs: docs/explanation/speed.md). Other C libraries
    have no such switch and are left alone.
    """
    return _set_options((_MMAP_MAX, 0), (_TRIM_THRESHOLD, 2**31 - 1), (_TOP_PAD, _TOP_PAD_BYTES))


def restore_thresholds() -> bool:
    """Set the thresholds that glibc comes to by itself, where a host program has set lower ones; whether it could.

    Dask starts its workers with ``MALLOC_TRIM_THRESHOLD_=65536``: every block above 128 KB is then mapped anew, and the
    system clears each of its pages (what that costs a restoration: docs/explanation/speed.md).
    """
    return _set_options((_MMAP_THRESHOLD, _MMAP_THRESHOLD_BYTES), (_TRIM_THRESHOLD, 2 * _MMAP_THRESHOLD_BYTES))


def _set_options(*options: tuple[int, int]) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None)
    if not (hasattr(library, "mallopt") and hasattr(library, "gnu_get_libc_version")):
        return False
    return all(library.mallopt(option, value) for option, value in options)
