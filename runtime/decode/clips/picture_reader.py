"""Read an image sequence as a source of frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from vsrc.runtime.decode.frame import SourceFrame
from vsrc.runtime.decode.frames.transparency import remove_alpha_advice
from vsrc.runtime.decode.media_file import describe_animated_webp, open_container
from vsrc.runtime.decode.probe import VideoInfo, from_stream
from vsrc.runtime.errors import MediaError
from vsrc.runtime.library_failure import library_failures_named
from vsrc.runtime.numbering import describe_gaps
from vsrc.runtime.picture.colour import FULL
from vsrc.runtime.picture.deep_colour import rgb_maker
from vsrc.runtime.pixels import Pixels
from vsrc.runtime.spec import LONGEST_WINDOW

if TYPE_CHECKING:
    import av
    from av.container import InputContainer


class PictureReader:
    """Reads images of one size, in the order given, at a fixed frame rate; each is made upright.

    Attributes:
        info: Properties of the sequence; PTS are indices of the images.
        container: Always None, as there are no other tracks.
        is_deep: Whether to return uint16 rather than uint8.
        joints: Always empty, as images have no clock.
    """

    container: InputContainer | None = None
    is_deep = False
    joints: Sequence[Fraction] = ()

    def __init__(self, files: Sequence[Path], *, fps: Fraction, name: str) -> None:
        self._files = files
        self._first = 0
        _, info = _decode(files[0])
        _check_opaque(files[0], info)
        colour = replace(info.colour, range=info.colour.range or FULL)
        width, height = info.upright_size
        self.info = replace(
            info,
            width=width,
            height=height,
            display_matrix=None,
            rotation=0,
            path=name,
            container="pictures",
            colour=colour,
            time_base=1 / fps,
            rate=fps,
            frames=len(files),
            duration=len(files) / fps,
            start=0,
            gaps=describe_gaps(files),
        )

    def __iter__(self) -> Iterator[SourceFrame]:
        """Yield the images as frames, whose PTS are their indices."""
        info = self.info
        converters: dict[tuple[int, int], Callable[[av.VideoFrame], Pixels]] = {}
        for index in range(self._first, len(self._files)):
            path = self._files[index]
            picture, properties = _decode(path)
            width, height = properties.upright_size
            if (width, height) != (info.width, info.height):
                raise MediaError(
                    f"{path} is {width}x{height}, but the first image is "
                    f"{info.width}x{info.height}; all must have one size"
                )
            _check_opaque(path, properties)
            coded = (picture.width, picture.height)
            if coded not in converters:
                converters[coded] = rgb_maker(
                    info.colour, width=coded[0], height=coded[1], is_deep=self.is_deep
                )
            rgb = properties.orientation.upright(converters[coded](picture))
            yield SourceFrame(rgb, pts=index, duration=1, name=path.stem)

    def seek(self, pts: int) -> None:
        """Begin before image `pts`, by the number of frames of the longest window."""
        self._first = max(0, pts - LONGEST_WINDOW)

    def notes(self) -> list[str]:
        """Return an empty list: an image that cannot be read stops the job."""
        return []

    def close(self) -> None:
        """Do nothing: no file is open between images."""


def _check_opaque(path: Path, info: VideoInfo) -> None:
    if info.has_alpha:
        advice = remove_alpha_advice(str(path), info.pix_fmt, is_picture=True)
        raise MediaError(f"{path} has transparency ({info.pix_fmt}), {advice}")


def _decode(path: Path) -> tuple[av.VideoFrame, VideoInfo]:
    import av

    with library_failures_named(str(path)), open_container(path) as container:
        if not container.streams.video:
            raise MediaError(f"{path} is not an image")
        if container.format.name == "webp_anim":  # FFmpeg 9 decodes all its frames
            raise MediaError(describe_animated_webp(path, "not one image; name it alone"))
        stream = container.streams.video[0]
        try:
            frame = next(container.decode(stream), None)
        except av.FFmpegError as error:
            raise MediaError(f"{path} is damaged: {error.strerror}") from error
        if frame is None:
            raise MediaError(f"{path} contains no image")
        return frame, from_stream(str(path), container, stream, frame)
