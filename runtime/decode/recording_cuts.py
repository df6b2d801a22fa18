"""Find where recordings begin, among the packets of a video, that are cut off from what is before.

A clock that jumps proves no cut: pictures may run on while it is set. Nor does one that runs on
prove that there is none. In the file of a transport stream, the counters and tables of its packets
tell, also in a pipe, whose last bytes are kept. A program stream counts
nothing: there each jump of the clock of its packs is taken for a cut.

What is left of a picture at the beginning of the second recording has no time stamp. FFmpeg joins
it to the last packet of the first one, or makes a packet of it:

    file       P   B   B         | rest of B   I   B   P
    packets    P   B   B + rest                I   B   P
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from vsrc.runtime.decode.media_file import bytes_of
from vsrc.runtime.decode.mpeg_packets import without_other_picture
from vsrc.runtime.decode.recordings import stream_with_codec
from vsrc.runtime.decode.stamps.continuous_clock import ContinuousClock
from vsrc.runtime.decode.transport.continuity import begins_recording, is_interrupted
from vsrc.runtime.decode.transport.program_streams import restarts_clock

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream

JOINT_PACKETS = 3
"""Packets beside a joint of two recordings that a demuxer may mark as corrupt, because it misses
packets between them."""


class RecordingCuts:
    """Goes through the packets of a video, in the order of the file.

    Args:
        container: Open file.
        stream: Its video.
        clock: Clock that made the stamps continuous; None for containers without one.
    """

    def __init__(
        self, container: InputContainer, stream: Stream, clock: ContinuousClock | None
    ) -> None:
        self._is_transport = container.format.name == "mpegts"
        self._clock = clock
        self._stream = stream
        self._read = 0
        self._marked = -JOINT_PACKETS - 1
        self._place: int | None = None
        self._has_unstamped = False

    def saw(self, packet: Packet[Stream]) -> None:
        """Take a packet of another track."""
        if packet.is_corrupt:
            self._marked = self._read

    def marked(self, packets: Iterable[Packet[Stream]]) -> Iterator[tuple[Packet[Stream], bool]]:
        """Yield the packets, and whether such a recording begins with each.

        What FFmpeg made of the rest of a picture is removed.
        """
        if self._clock is None:
            yield from ((packet, False) for packet in packets)
            return
        held: list[tuple[Packet[Stream], bool]] = []
        for packet in packets:
            is_cut = self._is_cut_off(packet, self._clock)
            if is_cut and not self._has_unstamped:
                held = [
                    (without_other_picture(before), was_cut)
                    for before, was_cut in held
                    if not _is_unstamped(before)
                ]
            if not _is_unstamped(packet) or len(held) > JOINT_PACKETS:
                self._has_unstamped |= any(_is_unstamped(before) for before, _ in held)
                yield from held
                held = []
            held.append((packet, is_cut))
        yield from held

    def _is_cut_off(self, packet: Packet[Stream], clock: ContinuousClock) -> bool:
        if not packet.size:
            return False
        self._read += 1
        stream, place = stream_with_codec(packet), packet.pos
        is_other = stream is not self._stream
        is_cut = is_other or self._is_behind_joint(stream, place, clock)
        self._stream = stream
        self._place = self._place if place is None else place
        if packet.is_corrupt:
            self._marked = self._read
        return is_cut

    def _is_behind_joint(self, stream: Stream, place: int | None, clock: ContinuousClock) -> bool:
        """Whether a packet at a place of the file begins a recording that was joined to another."""
        is_marked = self._read - self._marked <= JOINT_PACKETS
        if clock.is_joint and is_marked and self._is_transport:
            return True
        source = bytes_of(stream.container)
        if source is None or self._place is None or place is None:
            return clock.is_joint and not self._is_transport
        between = source, self._place, place
        if clock.is_joint:
            return (is_interrupted if self._is_transport else restarts_clock)(*between)
        if not (is_marked and self._is_transport and begins_recording(*between)):
            return False
        clock.note_join()
        return True


def _is_unstamped(packet: Packet[Stream]) -> bool:
    return bool(packet.size) and packet.pts is None and packet.dts is None
