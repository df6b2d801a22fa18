"""Iterate over the frames of a clip, converted to RGB as for inference."""

from __future__ import annotations

import io
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vsrc.runtime.decode.clip_source import ClipSource
from vsrc.runtime.decode.clips.lmdb_frames import database_of, read_lmdb
from vsrc.runtime.decode.media_file import open_container
from vsrc.runtime.decode.probe import VideoInfo, colour_of, display_matrix
from vsrc.runtime.decode.video_reader import VideoReader
from vsrc.runtime.errors import MediaError
from vsrc.runtime.library_failure import library_failures_named
from vsrc.runtime.picture.colour import FULL, ToRgb
from vsrc.runtime.picture.orientation import orientation_of
from vsrc.runtime.pixels import Pixels8
from vsrc.runtime.pyav_versions import open_input

if TYPE_CHECKING:
    from av.container import InputContainer


class ClipFrames:
    """Frames of a clip in order; iterate over it once.

    Attributes:
        notes: Recoverable problems with the file; complete after the iteration.
    """

    def __init__(self, source: ClipSource) -> None:
        self._source = source
        self.notes: tuple[str, ...] = ()

    def estimate(self) -> tuple[int, int, int]:
        """Return frame count (0 if the file has none), height and width, from the first frame.

        Raises:
            MediaError: Nothing can be decoded.
        """
        if not self._source.is_video:
            first = next(self._pictures())
            return (len(self._source.files), *first.shape[:2])
        reader = VideoReader(self._source.files[0])
        reader.close()
        width, height = reader.info.upright_size
        return reader.info.estimated_frames, height, width

    def check(self) -> None:
        """Open the clip, and decode the first frame of a sequence of images.

        Raises:
            MediaError: Its frames could not be learned from, as far as can be told from the start.
        """
        if not self._source.is_video:
            next(self._pictures())
            return
        reader = VideoReader(self._source.files[0])
        reader.close()
        _check_learnable(reader.info)

    def __iter__(self) -> Iterator[Pixels8]:
        """Yield `(H, W, 3)` uint8 RGB frames, upright, all of one size.

        Raises:
            MediaError: Nothing can be decoded, the images differ in size, or the video is HDR or
                interlaced, which is no valid training data.
        """
        return self._video() if self._source.is_video else self._pictures()

    def _video(self) -> Iterator[Pixels8]:
        reader = VideoReader(self._source.files[0])
        try:
            _check_learnable(reader.info)
            orientation = reader.info.orientation
            for frame in reader:
                yield orientation.upright(frame.rgb)
            self.notes = tuple(reader.notes())
        finally:
            reader.close()

    def _pictures(self) -> Iterator[Pixels8]:
        first: Path | None = None
        shape: tuple[int, ...] = ()
        for path in self._source.files:
            if (picture := self._readable(path)) is None:
                continue
            if first is None:
                first, shape = path, picture.shape
            if picture.shape != shape:
                raise MediaError(
                    f"{path} is {picture.shape[1]}x{picture.shape[0]}, but {first.name} is "
                    f"{shape[1]}x{shape[0]}; the images of a clip must have one size"
                )
            yield picture
        if first is None:
            raise MediaError(f"{self._source.place}: none of its images can be decoded")

    def _readable(self, path: Path) -> Pixels8 | None:
        try:
            return read_picture(path)
        except MediaError as error:
            self.notes += (str(error),)
            return None


def read_picture(path: Path) -> Pixels8:
    """Read an image as `(H, W, 3)` uint8 RGB, upright; the alpha channel is dropped.

    Raises:
        MediaError: The file is not an image, or damaged.
    """
    import av

    database = database_of(path)
    source = open_container(path) if database is None else _open_bytes(path, database)
    with library_failures_named(str(path)), source as container:
        try:
            frame = next(container.decode(video=0), None)
        except (av.FFmpegError, IndexError) as error:
            raise MediaError(f"{path} is not an image that can be decoded ({error})") from error
        if frame is None:
            raise MediaError(f"{path} contains no image")
        colour = colour_of(frame)
        full = replace(colour, range=colour.range or FULL)
        rgb = ToRgb(full, width=frame.width, height=frame.height)(frame)
        return orientation_of(display_matrix(frame)).upright(rgb)


def _open_bytes(path: Path, database: Path) -> InputContainer:
    import av

    try:
        return open_input(io.BytesIO(read_lmdb(database, path)))
    except (av.FFmpegError, OSError, ValueError) as error:
        raise MediaError(f"{path} is not an image that can be decoded ({error})") from error


def _check_learnable(info: VideoInfo) -> None:
    if info.colour.is_hdr:
        raise MediaError(f"{info.path} is HDR ({info.colour}); map it to SDR first")
    if info.is_interlaced:
        path = Path(info.path)
        raise MediaError(
            f"{info.path} is interlaced; deinterlace it first: ffmpeg -i {shlex.quote(info.path)} "
            f"-vf bwdif -c:v ffv1 -c:a copy {shlex.quote(f'{path.parent / path.stem}-bwdif.mkv')}"
        )
    if not info.colour.is_convertible:
        raise MediaError(f"{info.path} has an unsupported colour matrix ({info.colour})")


def is_at_scale(clip: ClipSource, lr: ClipSource, scale: int) -> bool:
    """Whether LR frames have a clip's size divided by a scale, by the first frame of each.

    What cannot be decoded is taken to have, so that its own error is reported.
    """
    try:
        (_, height, width), (_, *low) = (ClipFrames(each).estimate() for each in (clip, lr))
    except MediaError:
        return True
    return low == [height // scale, width // scale]
