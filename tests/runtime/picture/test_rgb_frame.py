"""RGB arrays are read where they lie, up to memory that cannot be read."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from vsrc.runtime.picture.colour import Colour, FromRgb
from vsrc.runtime.picture.rgb_frame import RgbFrames, can_be_read_past

CHILD = """
import ctypes, mmap
import numpy as np
from vsrc.runtime.picture.colour import Colour, FromRgb
from vsrc.runtime.picture.rgb_frame import can_be_read_past

PAGE = mmap.PAGESIZE
pages = 8
memory = mmap.mmap(-1, (pages + 1) * PAGE)
start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.mprotect(ctypes.c_void_p(start + pages * PAGE), PAGE, 0) == 0  # PROT_NONE
height, width = 34, 62

def samples(frame):
    rows = [np.frombuffer(bytes(p), np.uint8).reshape(-1, p.line_size) for p in frame.planes]
    return b"".join(r[: p.height, : p.width].tobytes() for r, p in zip(rows, frame.planes))

size = height * width * 3
pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
in_place = 0
for is_left in (True, False):
    convert = FromRgb(
        Colour(1, 1, 1, 1), width=width, height=height, pix_fmt="yuv420p", is_left=is_left
    )
    expected = samples(convert(pixels))
    for room in (0, 1, 3, 16, 64, 255, 256, 257, 1000, 4000):
        place = pages * PAGE - room - size
        rgb = np.frombuffer(memory, np.uint8, size, place).reshape(height, width, 3)
        rgb[:] = pixels
        in_place += can_be_read_past(rgb)
        assert samples(convert(rgb)) == expected, room
print(in_place)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="protects a page as on Linux")
def test_memory_behind_the_last_page_is_not_read() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHILD], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == 2 * 4  # those with 256 bytes or more


def test_views_that_are_not_contiguous_are_copied() -> None:
    rgb = np.zeros((8, 16, 3), np.uint8)
    assert not can_be_read_past(rgb[:, ::-1])
    assert not can_be_read_past(rgb.swapaxes(0, 1))


def test_the_bytes_do_not_depend_on_the_way() -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    convert = FromRgb(Colour(1, 1, 1, 1), width=64, height=48, pix_fmt="yuv444p", is_left=True)
    mirrored = rgb[:, ::-1]
    ways = [convert(mirrored), convert(np.ascontiguousarray(mirrored))]
    first, second = (frame.to_ndarray() for frame in ways)
    assert np.array_equal(first, second)


def test_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(8, 8, 3\)"):
        RgbFrames(1, width=16, height=8)(np.zeros((8, 8, 3), np.uint8))
