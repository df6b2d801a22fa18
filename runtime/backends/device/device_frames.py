"""Convert frames of a GPU's decoder to RGB on the device, where the network reads them.

    NVDEC's frame --copied, without its padding--> y, uv --colour graph--> slot     stays there
                                                                            └--> host memory

The copy in host memory, of the size of the source, is what cuts are found in, and what a frame is
computed again from if reduced precision has corrupted it.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vsrc.runtime.backends.device.gpu import (
    DEFAULT_STREAM,
    Address,
    Engine,
    Event,
    Gpu,
    GpuStream,
    PitchedRows,
)
from vsrc.runtime.backends.device.program import Program, TensorShapes
from vsrc.runtime.backends.device.transfers import Transfers
from vsrc.runtime.errors import HardwareError
from vsrc.runtime.picture.colour_matrix import Affine
from vsrc.runtime.picture.device_planes import SAMPLE_BYTES, DevicePlane, layout_of, read_planes
from vsrc.runtime.pixels import Pixels8

if TYPE_CHECKING:
    import av


@dataclass(frozen=True)
class RgbMemory:
    """Memory of one RGB frame.

    Attributes:
        address: Address of `(H, W, 3)` uint8.
        read: Event behind the last run that reads it.
    """

    address: Address
    read: Event


class DeviceFrame:
    """An RGB frame on the device; see `ResidentFrame`.

    Attributes:
        rgb: The same pixels in host memory, `(H, W, 3)`.
        address: Address on the device.
    """

    def __init__(self, gpu: Gpu, slot: RgbMemory, rgb: Pixels8, unused: deque[RgbMemory]) -> None:
        """Args: `unused` takes the slot when nothing refers to the frame."""
        self.rgb, self.address = rgb, slot.address
        self._gpu, self._slot = gpu, slot
        weakref.finalize(self, unused.append, slot).atexit = False

    def note_read(self, stream: GpuStream) -> None:
        """Keep the memory until all work submitted to the stream so far has been done."""
        self._gpu.record(self._slot.read, stream)


class DeviceFrames:
    """Converts decoded frames of one size; see `FrameConverter`. For one thread.

    Args:
        gpu: The device.
        engine: Engine of a colour graph to RGB, which is closed with this.
        device: Index of the device.
        layout: FFmpeg's name of the pixel format of the frames.
        size: (H, W) of the frames, even.
    """

    def __init__(
        self, gpu: Gpu, engine: Engine, *, device: int, layout: str, size: tuple[int, int]
    ) -> None:
        self._gpu, self._device, self._layout, self._size = gpu, device, layout, size
        self._transfers = Transfers(gpu)
        self._program = Program(gpu, engine, self._transfers.network, outside=("rgb",))
        self._decoded = gpu.event()
        self._to_rgb: Affine | None = None
        self._slots: list[RgbMemory] = []
        self._unused: deque[RgbMemory] = deque()

    def __call__(self, frame: av.VideoFrame, to_rgb: Affine, /) -> DeviceFrame:
        """Convert a frame; see `FrameConverter`."""
        if (frame.height, frame.width) != self._size or layout_of(frame) != self._layout:
            raise HardwareError(
                f"NVDEC gave {layout_of(frame)} of {frame.width}x{frame.height} after "
                f"{self._layout} of {self._size[1]}x{self._size[0]}"
            )
        planes = read_planes(frame, self._device)
        stream = self._transfers.network
        self._program.reshape(plane_shapes(self._layout, self._size) | COLOUR_SHAPES)
        if to_rgb is not self._to_rgb:
            upload_colour(self._transfers, self._program, to_rgb)
            self._to_rgb = to_rgb
        # FFmpeg fills the frame on the default stream, for which streams of vsrc do not wait.
        self._gpu.record(self._decoded, DEFAULT_STREAM)
        self._gpu.hold(stream, self._decoded)
        for name, plane in zip(("y", "uv"), planes, strict=True):
            self._copy(plane, name)
        slot = self._unused.popleft() if self._unused else self._new_slot()
        self._gpu.hold(stream, slot.read)
        self._program.bind("rgb", slot.address)
        self._program.run()
        shape = (*self._size, 3)
        rgb = self._transfers.download(slot.address, shape, np.dtype(np.uint8))()
        # The download came after all of it: NVDEC's frame may be freed, and any stream may read.
        return DeviceFrame(self._gpu, slot, rgb, self._unused)

    def close(self) -> None:
        """Free all resources of the device; frames must not be used afterwards."""
        self._transfers.drain()
        for slot in self._slots:
            self._gpu.release(slot.address)
            self._gpu.release_event(slot.read)
        self._slots.clear()
        self._unused.clear()
        self._program.close()
        self._transfers.close()
        self._gpu.release_event(self._decoded)

    def _copy(self, plane: DevicePlane, name: str) -> None:
        self._gpu.copy_rows(
            PitchedRows(self._program.address(name), plane.row_bytes),
            PitchedRows(Address(plane.address), plane.pitch),
            row_bytes=plane.row_bytes,
            rows=plane.rows,
            stream=self._transfers.network,
        )

    def _new_slot(self) -> RgbMemory:
        height, width = self._size
        slot = RgbMemory(self._gpu.allocate(3 * height * width), self._gpu.event())
        self._slots.append(slot)
        return slot


COLOUR_SHAPES: TensorShapes = {"matrix": (3, 3), "offset": (3,)}
"""Inputs of a colour graph beside its samples."""


def plane_shapes(layout: str, size: Sequence[int]) -> TensorShapes:
    """Shapes of Y and of UV in a colour graph; `size` is (H, W), even."""
    height, width = size
    item = SAMPLE_BYTES[layout]
    ends = () if item == 1 else (item,)
    return {"y": (height, width, *ends), "uv": (height // 2, width // 2, 2, *ends)}


def upload_colour(transfers: Transfers, program: Program, colour: Affine) -> None:
    """Upload matrix and offset of a colour graph, for its next runs."""
    transfers.upload(colour.matrix, program.address("matrix"))
    transfers.upload(colour.offset[:, 0], program.address("offset"))
