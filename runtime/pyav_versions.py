"""Functions that behave the same with PyAV 17.1, 18 and 19.

                    17.1, 18                         19
    a ratio         `Fraction`, None if unknown      `AVRational`, 0/1 if unknown
    side data       iterates over its values         iterates over its keys, as a mapping does
    new kinds of it an error for the whole frame    listed by their numbers
    text in tags    strict, unless asked otherwise   `surrogateescape`, which loses no byte
    field order     17.1 does not have it            of the codec context

All code opens files and reads times, rates and side data of PyAV's objects through these functions.
They test for features by name, never for a version number.
"""

from __future__ import annotations

from fractions import Fraction
from typing import IO, TYPE_CHECKING, Any

from vsrc.runtime.media_access import input_options

if TYPE_CHECKING:
    import av
    from av.audio.frame import AudioFrame
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet
    from av.stream import Stream

PathOrFile = str | IO[bytes]


def open_input(
    source: PathOrFile, *, options: dict[str, str] | None = None, demuxer: str | None = None
) -> InputContainer:
    """Open a file for reading, whatever the encoding of its tags.

    It opens nothing but the file, unless more is allowed; see `vsrc.runtime.media_access`.

    Args:
        source: File name or URL, or an open binary file.
        options: Options of the demuxer and the protocol.
        demuxer: FFmpeg's name of the format; None to recognise it.
    """
    import av

    restricted = {**input_options(source), **(options or {})}
    container: InputContainer = av.open(
        source, format=demuxer, container_options=restricted, **_lossless_text()
    )
    return container


def open_output(
    target: PathOrFile,
    muxer: str,
    *,
    options: dict[str, str] | None = None,
    buffer_bytes: int = 32768,
) -> OutputContainer:
    """Open a file for writing; tags keep the bytes that they were read from.

    Args:
        target: File name, or an open binary file.
        muxer: FFmpeg's name of the container.
        options: Options of the muxer.
        buffer_bytes: Size of the write buffer of an open file, bytes.
    """
    import av

    container: OutputContainer = av.open(
        target,
        "w",
        format=muxer,
        container_options=options,
        buffer_size=buffer_bytes,
        **_lossless_text(),
    )
    return container


def _lossless_text() -> Any:  # noqa: ANN401
    """Return arguments that accept tags that are not UTF-8; PyAV 19 always does."""
    from av.container import Container

    return {"metadata_errors": "surrogateescape"} if hasattr(Container, "metadata_errors") else {}


def fraction(ratio: Any) -> Fraction | None:  # noqa: ANN401
    """Convert PyAV's time base, rate or aspect ratio; None where it is unknown."""
    return Fraction(ratio.numerator, ratio.denominator) if ratio else None


def time_base(timed: Packet[Stream] | av.VideoFrame | AudioFrame | Stream) -> Fraction:
    """Return the time base of a packet, frame or stream; a millisecond where it is unknown."""
    return fraction(timed.time_base) or Fraction(1, 1000)


def side_data(frame: av.VideoFrame) -> dict[str, bytes]:
    """Return the side data of a frame: FFmpeg's name of its type -> its bytes."""
    from av.sidedata.sidedata import SideData, Type

    kinds: Any = Type
    if "_missing_" not in vars(kinds):
        # PyAV 17 and 18 lack some types of their FFmpeg, such as EXIF, and raise for all side data
        # of a frame that has one of those.
        kinds._missing_ = classmethod(_unnamed_kind)
    carried: Any = frame.side_data
    found = [entry if isinstance(entry, SideData) else carried[entry] for entry in carried]
    return {entry.type.name: bytes(entry) for entry in found}


def _unnamed_kind(kinds: Any, value: int) -> Any:  # noqa: ANN401
    """Create an enumeration member for an unknown number."""
    kind = object.__new__(kinds)
    kind._name_, kind._value_ = f"KIND_{value}", value
    return kind


def field_order(stream: av.VideoStream) -> int:
    """Return FFmpeg's AVFieldOrder; 0 (unknown) where PyAV does not provide it."""
    return int(getattr(stream.codec_context, "field_order", 0))


def is_key_in_index(stream: Stream, packet: Packet[Stream]) -> bool:
    """Whether the index of the file lists a key frame at the time of a packet."""
    entries: Any = getattr(stream, "index_entries", ())
    stamps = (packet.dts, packet.pts)
    return any(entry.is_keyframe and entry.timestamp in stamps for entry in entries[:1])
