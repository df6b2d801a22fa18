"""What turns the packets of a video into frames: FFmpeg's decoder on the CPU, or another one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import av
    from av.packet import Packet
    from av.stream import Stream


class PacketDecoder(Protocol):
    """A decoder of one pass over a video.

    Attributes:
        conceals_damage: Whether it fills what damaged packets lack; if not, damage ends the pass
            with a `HardwareError`.
    """

    conceals_damage: bool

    @property
    def is_usable(self) -> bool:
        """Whether it was opened, or can be."""

    def decode(self, packet: Packet[Stream] | None, /) -> list[av.VideoFrame]:
        """Decode a packet, or drain the decoder (None); raises `av.FFmpegError`."""

    def flush(self) -> None:
        """Forget all packets so far."""


DecoderOpener = Callable[["av.VideoStream"], PacketDecoder]
"""Opens the decoder of a stream, for one pass over its packets."""


class StreamDecoder:
    """The decoder on the CPU that FFmpeg chooses for a stream; see `PacketDecoder`."""

    conceals_damage = True

    def __init__(self, stream: av.VideoStream) -> None:
        self._stream = stream

    @property
    def is_usable(self) -> bool:
        """See `PacketDecoder`; PyAV 19 crashes where one that could not be opened is called."""
        return bool(self._stream.codec_context.is_decoder)

    def decode(self, packet: Packet[Stream] | None, /) -> list[av.VideoFrame]:
        """See `PacketDecoder`."""
        return self._stream.decode(packet)

    def flush(self) -> None:
        """See `PacketDecoder`."""
        self._stream.codec_context.flush_buffers()
