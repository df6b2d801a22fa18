"""Find out what a container refuses when its header cannot be written."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from vsrc.runtime.decode.probe import codec_name
from vsrc.runtime.encode.codec_choice import names_held_by
from vsrc.runtime.encode.copied_track import add_copied_stream
from vsrc.runtime.encode.muxing_trial import accepts_header

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.stream import Stream

AddVideo = Callable[["OutputContainer"], object]


def describe_held(container: OutputContainer) -> str:
    """Advice on what to use where a container cannot hold a codec."""
    names = names_held_by(container.supported_codecs)
    choice = f"choose --codec {' or '.join(names)}, or " if names else ""
    return f"{choice}name the output .mkv"


def explain_refusal(
    container: OutputContainer, add_video: AddVideo, video: str, tracks: Iterable[Stream]
) -> str | None:
    """Return which stream a container refuses, and what to do.

    Headers are written to memory: first of the video alone, then with each other track.

    Args:
        container: Output whose header could not be written.
        add_video: Function that adds the video stream to another output.
        video: FFmpeg's name of the video codec.
        tracks: Tracks of the source that are copied to the output.

    Returns:
        None if each can be written: the error has another cause.
    """
    muxer, held = container.format.name, container.supported_codecs
    if not accepts_header(muxer, add_video):
        of_this = " of this size and frame rate" if video in held else ""
        return f"{muxer} cannot hold {video}{of_this}; {describe_held(container)}"
    for track in tracks:

        def add_both(target: OutputContainer, track: Stream = track) -> None:
            add_video(target)
            add_copied_stream(target, track)

        if accepts_header(muxer, add_both):
            continue
        named = f"the {track.type} track {track.index} ({codec_name(track)})"
        if codec_name(track) in held:
            return (
                f"{named} has invalid parameters; extract the video alone: "
                "ffmpeg -i IN -map 0:v -c copy OUT"
            )
        return f"{muxer} cannot hold {named} of the input; name the output .mkv"
    return None
