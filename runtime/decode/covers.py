"""Cover images: a stream of one packet in FFmpeg, an attached file in Matroska."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vsrc.runtime.decode.probe import codec_name
from vsrc.runtime.pyav_versions import open_input

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.stream import Stream

_KINDS = {
    "mjpeg": ("cover.jpg", "image/jpeg"), "png": ("cover.png", "image/png"),
    "bmp": ("cover.bmp", "image/bmp"), "gif": ("cover.gif", "image/gif"),
    "tiff": ("cover.tiff", "image/tiff"), "webp": ("cover.webp", "image/webp"),
}  # fmt: skip
"""Codec -> file name and MIME type, used where the source has none."""


def is_cover(stream: Stream) -> bool:
    """Whether a video stream is a cover image (`attached_pic`)."""
    from av.stream import Disposition

    return bool(stream.disposition & Disposition.attached_pic)


def attach_cover(source: InputContainer, stream: Stream, target: OutputContainer) -> bool:
    """Attach the cover image in a stream of the source to a Matroska file.

    Written as a track, it would be taken for a second video there.

    Returns:
        False if the image cannot be read, or its codec has no known file name.
    """
    codec = codec_name(stream)
    if codec not in _KINDS or not (data := _picture(source, stream.index)):
        return False
    name, mime = _KINDS[codec]
    name, mime = stream.metadata.get("filename", name), stream.metadata.get("mimetype", mime)
    target.add_attachment(name, mime, data)
    return True


def _picture(source: InputContainer, index: int) -> bytes:
    """Read the bytes of the image through a second handle; the source is read from its start."""
    if source.file is not None:  # a pipe can be read only once
        return b""
    with open_input(source.name) as again:
        for packet in again.demux(again.streams[index]):
            return bytes(packet)
    return b""
