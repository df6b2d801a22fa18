"""What PyAV 17.1, 18 and 19 do differently, behind functions that do it alike.

                    17.1, 18                         19
    a ratio         `Fraction`, None if unknown      `AVRational`, 0/1 if unknown
    side data       iterates over its values         iterates over its keys, as a mapping does
    new kinds of it an error for the whole frame    listed by their numbers
    text in tags    strict, unless asked otherwise   `surrogateescape`, which loses no byte
    field order     17.1 does not have it            of the codec context

All of the library opens files here and takes times, rates and side data of PyAV's objects from
here. What a feature is named decides, never a version number.
"""

from __future__ import annotations

from fractions import Fraction
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import av
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet
    from av.stream import Stream

PathOrFile = str | IO[bytes]


def open_input(source: PathOrFile, *, options: dict[str, str] | None = None) -> InputContainer:
    """Open a file for reading, whatever the encoding of its tags.

    Args:
        source: A name as FFmpeg takes it, or an open binary file.
        options: Of the demuxer and the protocol.
    """
    import av

    container: InputContainer = av.open(source, container_options=options, **_lossless_text())
    return container


def open_output(
    target: PathOrFile,
    muxer: str,
    *,
    options: dict[str, str] | None = None,
    buffer_bytes: int = 32768,
) -> OutputContainer:
    """Open a file for writing; tags come out as the bytes that they were read as.

    Args:
        target: A name, or an open binary file.
        muxer: FFmpeg's name of the container.
        options: Of the muxer.
        buffer_bytes: What is collected before it is written to an open file.
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
    """Arguments that let tags through that are not UTF-8; PyAV 19 always does."""
    from av.container import Container

    return {"metadata_errors": "surrogateescape"} if hasattr(Container, "metadata_errors") else {}


def fraction(ratio: Any) -> Fraction | None:  # noqa: ANN401
    """A time base, rate or aspect ratio of PyAV's; None where it is unknown."""
    return Fraction(ratio.numerator, ratio.denominator) if ratio else None


def time_base(timed: Packet[Stream] | av.VideoFrame | Stream) -> Fraction:
    """Unit of the time stamps of a packet, frame or stream; a millisecond where nothing says so."""
    return fraction(timed.time_base) or Fraction(1, 1000)


def side_data(frame: av.VideoFrame) -> dict[str, bytes]:
    """What a decoder put beside a frame: FFmpeg's name of its kind -> its bytes."""
    from av.sidedata.sidedata import SideData, Type

    kinds: Any = Type
    if "_missing_" not in vars(kinds):
        # PyAV 17 and 18 do not know all kinds of their FFmpeg, EXIF among them, and where a frame
        # has one of those they refuse the others, too.
        kinds._missing_ = classmethod(_unnamed_kind)
    carried: Any = frame.side_data
    found = [entry if isinstance(entry, SideData) else carried[entry] for entry in carried]
    return {entry.type.name: bytes(entry) for entry in found}


def _unnamed_kind(kinds: Any, value: int) -> Any:  # noqa: ANN401
    """A member of an enumeration for a number that has none."""
    kind = object.__new__(kinds)
    kind._name_, kind._value_ = f"KIND_{value}", value
    return kind


def field_order(stream: av.VideoStream) -> int:
    """FFmpeg's AVFieldOrder; 0, unknown, where PyAV does not say it."""
    return int(getattr(stream.codec_context, "field_order", 0))
