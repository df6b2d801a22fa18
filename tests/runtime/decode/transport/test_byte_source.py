"""Bytes of a pipe are read once, and looked back at."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pytest

from vsrc.runtime.decode.transport.byte_source import FileBytes, KeptBytes
from vsrc.runtime.decode.transport.transport_packets import HEAD_BYTES

DATA = random.Random(5).randbytes(20_000)


class Pipe(io.BytesIO):
    """A stream that cannot go back."""

    def seekable(self) -> bool:
        return False


def test_a_pipe_gives_what_a_file_gives(tmp_path: Path) -> None:
    """Also what was not read yet, which is read afterwards as if nobody had looked."""
    path = tmp_path / "a"
    path.write_bytes(DATA)
    draw = random.Random(7)
    kept, read = KeptBytes(Pipe(DATA)), b""
    while data := kept.read(draw.randrange(1, 3000)):
        read += data
        start = draw.randrange(len(DATA))
        stop = start + draw.randrange(4000)
        assert kept.read_range(start, stop) == FileBytes(path).read_range(start, stop)
        assert kept.tell() == len(read)
    assert read == DATA
    assert kept.head() == FileBytes(path).head() == DATA[:HEAD_BYTES]


def test_a_pipe_keeps_no_more_than_it_may() -> None:
    kept = KeptBytes(Pipe(DATA), most=5000)
    while kept.read(512):
        pass
    start, data = kept.read_range(0, len(DATA))
    assert data == DATA[start:]
    assert 5000 <= len(data) < 5000 + 512
    assert kept.head() == DATA[:HEAD_BYTES]


def test_nothing_is_kept_where_nobody_looks_back() -> None:
    kept = KeptBytes(Pipe(DATA))
    kept.keep_nothing()
    while kept.read(512):
        pass
    assert len(kept.read_range(0, len(DATA))[1]) <= 512


@pytest.mark.parametrize("whence", [0, 1, 2])
def test_a_redirected_file_can_be_sought(whence: int) -> None:
    kept = KeptBytes(io.BytesIO(DATA))
    kept.read(100)
    kept.read_range(50, 900)  # ahead of what was read
    target = {0: 7000, 1: 6900, 2: 7000 - len(DATA)}[whence]
    assert kept.seekable()
    assert kept.seek(target, whence) == kept.tell() == 7000
    assert kept.read(10) == DATA[7000:7010]
    assert kept.read_range(7000, 7100)[1] == DATA[7000:7100]


def test_places_of_a_part_count_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(DATA)
    part = FileBytes(path, 300)
    assert part.head() == DATA[300 : 300 + HEAD_BYTES]
    assert part.read_range(10, 20) == (10, DATA[310:320])
