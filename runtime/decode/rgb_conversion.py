"""Convert decoded frames to RGB, each by its own matrix and range, where they may change midway."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from vsrc.runtime.decode.frame import SourceFrame
from vsrc.runtime.decode.frames.frame_data import frame_data_types
from vsrc.runtime.decode.probe import VideoInfo, colour_of
from vsrc.runtime.errors import HardwareError
from vsrc.runtime.picture.colour import UNSPECIFIED, Colour
from vsrc.runtime.picture.colour_matrix import Affine
from vsrc.runtime.picture.deep_colour import rgb_maker
from vsrc.runtime.picture.device_colour import rgb_map
from vsrc.runtime.picture.device_planes import FrameConverter
from vsrc.runtime.pixels import Pixels

if TYPE_CHECKING:
    import av


class RgbConversion:
    """Converts the frames of one file.

    Args:
        info: Properties of the file.
        to_device: Converts frames that the decoder leaves on a device; None for frames in host
            memory.
    """

    def __init__(self, info: VideoInfo, to_device: FrameConverter | None = None) -> None:
        self._info, self._to_device = info, to_device
        self._converters: dict[tuple[int, int], Callable[[av.VideoFrame], Pixels]] = {}
        self._device_maps: dict[tuple[int, int], Affine] = {}

    def convert(self, frame: av.VideoFrame, pts: int, *, is_deep: bool) -> SourceFrame:
        """Convert a frame by its own matrix and range, or by those of the first if it has none.

        Args:
            frame: Decoded frame.
            pts: Its PTS in the source.
            is_deep: Whether to return uint16 rather than uint8, from host memory.

        Raises:
            HardwareError: A frame on a device carries data that only the CPU keeps.
        """
        own, usual = colour_of(frame), self._info.colour
        matrix = usual.matrix if own.matrix == UNSPECIFIED else own.matrix
        key = matrix, own.range or usual.range
        if self._to_device is not None:
            return self._convert_on_device(self._to_device, frame, pts, key)
        if key not in self._converters:
            self._converters[key] = rgb_maker(
                self._colour(key),
                width=self._info.width,
                height=self._info.height,
                is_deep=is_deep,
                is_left=self._info.has_left_chroma,
            )
        return SourceFrame(self._converters[key](frame), pts)

    def _convert_on_device(
        self, to_device: FrameConverter, frame: av.VideoFrame, pts: int, key: tuple[int, int]
    ) -> SourceFrame:
        if frame_data_types(frame):
            raise HardwareError("captions or other data of single frames begin later")
        if key not in self._device_maps:
            info = self._info
            self._device_maps[key] = rgb_map(
                self._colour(key), depth=info.depth, width=info.width, height=info.height
            )
        resident = to_device(frame, self._device_maps[key])
        return SourceFrame(resident.rgb, pts, resident=resident)

    def _colour(self, key: tuple[int, int]) -> Colour:
        """Colour of the file with another matrix and range."""
        return replace(self._info.colour, matrix=key[0], range=key[1])
