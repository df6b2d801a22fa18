"""Missing packets of a transport stream."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from support.marked_clips import H264, make_clip
from vsrc.runtime.decode.transport.byte_source import FileBytes
from vsrc.runtime.decode.transport.continuity import begins_recording, is_interrupted

SIZE = 188


@pytest.fixture
def packets(tmp_path: Path) -> list[bytes]:
    """Packets of a recording: its tables, video and audio."""
    data = make_clip(tmp_path / "a.ts", f"{H264} -c:a mp2").read_bytes()
    return [data[at : at + SIZE] for at in range(0, len(data), SIZE)]


def is_gap(tmp_path: Path, packets: list[bytes], *, at: int, around: int = 20) -> bool:
    path = tmp_path / "b.ts"
    path.write_bytes(b"".join(packets))
    return is_interrupted(FileBytes(path), SIZE * (at - around), SIZE * (at + around))


def test_nothing_is_missing_in_a_whole_recording(tmp_path: Path, packets: list[bytes]) -> None:
    assert not any(is_gap(tmp_path, packets, at=at) for at in range(30, len(packets) - 30, 10))


@pytest.mark.parametrize("count", [1, 3, 16, 17])
def test_missing_packets_are_noticed(tmp_path: Path, packets: list[bytes], count: int) -> None:
    """Sixteen of all tracks together are not sixteen of each."""
    for at in range(30, len(packets) - 60, 15):
        assert is_gap(tmp_path, packets[:at] + packets[at + count :], at=at)


def test_bytes_that_are_no_packet_are_noticed(tmp_path: Path, packets: list[bytes]) -> None:
    assert is_gap(tmp_path, [*packets[:60], bytes(100), *packets[60:]], at=60)


def test_a_gap_elsewhere_is_none_here(tmp_path: Path, packets: list[bytes]) -> None:
    """The counter of each track goes on before the places that are asked for."""
    assert not is_gap(tmp_path, packets[:4] + packets[6:], at=150)


def test_packets_sent_twice_and_empty_ones_leave_no_gap(
    tmp_path: Path, packets: list[bytes]
) -> None:
    empty = b"\x47\x1f\xff\x10" + bytes([0xFF]) * 184
    assert not is_gap(tmp_path, [*packets[:60], packets[59], empty, empty, *packets[60:]], at=60)


def test_an_announced_jump_of_a_counter_is_no_gap(tmp_path: Path, packets: list[bytes]) -> None:
    """With the discontinuity indicator of its adaptation field."""
    at = next(n for n in range(60, len(packets)) if packets[n][1:3] == b"\x41\x00")
    marked = bytearray(packets[at])
    assert marked[3] & 0x20  # FFmpeg gives the first packet of a picture such a field
    assert marked[4]
    later = bytearray(marked)
    later[5] |= 0x80
    later[3] = later[3] & 0xF0 | (later[3] + 5) & 0x0F
    jumped = [*packets[:at], bytes(later)]
    for packet in packets[at + 1 :]:
        moved = bytearray(packet)
        if packet[1] & 0x1F == 1 and packet[2] == 0:
            moved[3] = packet[3] & 0xF0 | (packet[3] + 5) & 0x0F
        jumped.append(bytes(moved))
    assert not is_gap(tmp_path, jumped, at=at)
    later[5] &= 0x7F
    jumped[at] = bytes(later)
    assert is_gap(tmp_path, jumped, at=at)


def counted_from(packets: list[bytes], first: int) -> list[bytes]:
    """Packets whose counters are ahead by `first`."""
    ahead = [bytearray(packet) for packet in packets]
    for packet in ahead:
        packet[3] = packet[3] & 0xF0 | (packet[3] + first) & 0x0F
    return [bytes(packet) for packet in ahead]


def find_pictures(packets: list[bytes]) -> list[int]:
    """Numbers of the packets with which pictures begin."""
    return [n for n, packet in enumerate(packets) if packet[1:3] == b"\x41\x00"]


def is_begin(tmp_path: Path, packets: list[bytes], start: int, stop: int) -> bool:
    path = tmp_path / "b.ts"
    path.write_bytes(b"".join(packets))
    return begins_recording(FileBytes(path), SIZE * start, SIZE * stop)


@pytest.mark.parametrize("lost", [0, 1, 7])
@pytest.mark.parametrize("first", range(16))
def test_a_recording_begins_with_its_tables(
    tmp_path: Path, packets: list[bytes], first: int, lost: int
) -> None:
    """Whatever its counters say, and whether the one before is whole."""
    before = packets[: len(packets) - lost]
    start = find_pictures(before)[-1]
    stop = len(before) + find_pictures(packets)[0]
    assert is_begin(tmp_path, [*before, *counted_from(packets, first)], start, stop)


def test_lost_packets_are_no_recording(tmp_path: Path, packets: list[bytes]) -> None:
    """Also where they lie right before tables."""
    pictures = find_pictures(packets)
    for start, stop in pairwise(pictures[4:-4]):
        for at in range(start + 1, stop - 1):
            rest = packets[:at] + packets[at + 1 :]
            assert is_gap(tmp_path, rest, at=at)
            assert not is_begin(tmp_path, rest, start, stop - 1)
        assert not is_begin(tmp_path, packets, start, stop)
