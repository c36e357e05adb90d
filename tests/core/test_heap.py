"""How freed memory is given back to the system."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource
import numpy as np
from redust.core import heap

def count_faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones({megabytes} * 2**20, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

{call}
count_faults()
print(count_faults())
"""

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such switch")


def count_new_pages(call: str, *, megabytes: int, **variables: str) -> int:
    """How many pages a second array makes the system hand out, in a process of its own."""
    program = PROGRAM.format(call=f"assert heap.{call}()" if call else "", megabytes=megabytes)
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env=os.environ | variables,
    )
    return int(done.stdout)


def test_a_second_array_needs_no_new_pages_where_memory_is_kept() -> None:
    assert count_new_pages("keep_memory", megabytes=32) < 8
    assert count_new_pages("", megabytes=32) >= 8


def test_low_thresholds_of_a_host_program_are_lifted() -> None:
    dasks = {"MALLOC_TRIM_THRESHOLD_": "65536"}
    assert count_new_pages("restore_thresholds", megabytes=8, **dasks) < 8
    assert count_new_pages("", megabytes=8, **dasks) >= 8
