"""How freed memory is given back to the system."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

ARRAYS = 20
PROGRAM = """
import resource
import numpy as np
from redust.core import heap

def count_faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range({arrays}):
        np.ones({megabytes} * 2**20, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

{call}
count_faults()
print(count_faults())
"""

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such switch")


def count_new_pages(call: str, *, megabytes: int, **variables: str) -> int:
    """How many pages arrays, one after the other, take from the system in a process of its own; pages may be huge."""
    program = PROGRAM.format(arrays=ARRAYS, call=f"assert heap.{call}()" if call else "", megabytes=megabytes)
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env=os.environ | variables,
    )
    return int(done.stdout)


def test_arrays_need_no_new_pages_where_memory_is_kept() -> None:
    assert count_new_pages("keep_memory", megabytes=32) < ARRAYS
    assert count_new_pages("", megabytes=32) >= 3 * ARRAYS


def test_low_thresholds_of_a_host_program_are_lifted() -> None:
    dasks = {"MALLOC_TRIM_THRESHOLD_": "65536"}
    assert count_new_pages("restore_thresholds", megabytes=8, **dasks) < ARRAYS
    assert count_new_pages("", megabytes=8, **dasks) >= 3 * ARRAYS
