"""What the runtime asks the C library for."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

CHILD = """
import ctypes, sys
from vsrc.runtime.memory import give_frames_back
libc = ctypes.CDLL("libc.so.6")
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
if sys.argv[1] == "back":
    give_frames_back()
libc.free(libc.malloc(20 << 20))  # from here on glibc takes blocks of 10 MB from a heap, too
frame, hold = libc.malloc(10 << 20), libc.malloc(100)
heap = next(line for line in open("/proc/self/maps") if "[heap]" in line).split()[0]
start, stop = (int(place, 16) for place in heap.split("-"))
print(start <= frame < stop)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has such heaps")
@pytest.mark.parametrize(("how", "in_heap"), [("as it is", True), ("back", False)])
def test_large_blocks_are_kept_out_of_the_heaps(how: str, in_heap: bool) -> None:
    command = [sys.executable, "-c", CHILD, how]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(in_heap)
