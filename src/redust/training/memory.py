"""Memory that one step gives up is kept for the next."""

from __future__ import annotations

import ctypes
import sys

# From glibc's malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
_TOP_PAD_BYTES = 256 * 2**20


def keep_memory() -> bool:
    """Let the C library keep what is freed, instead of giving it back to the system at once; returns whether it does.

    A training step frees hundreds of megabytes and asks for the same again. By default glibc maps such blocks anew
    every time, and the system clears each page of them (what that costs: docs/explanation/speed.md). Other C libraries
    have no such switch and are left alone.
    """
    if not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None)
    if not (hasattr(library, "mallopt") and hasattr(library, "gnu_get_libc_version")):
        return False
    options = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, 2**31 - 1), (_TOP_PAD, _TOP_PAD_BYTES))
    return all(library.mallopt(option, value) for option, value in options)
