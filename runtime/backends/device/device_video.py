"""Upscale frames that are on the device, for an encoder that reads them there.

    frames of a window --copied--> lr --network--> sr --colour graph--> y, uv --copied--> surface
                                    │              │
                                    └--------------┴--guard graph--> corrupted: to the host

All of it is on the stream of the network. What reduced precision has corrupted is left to the host:
there is no surface for such a window, and its frames are in host memory, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from vsrc.runtime.backends.device.device_frames import COLOUR_SHAPES, DeviceFrame, upload_colour
from vsrc.runtime.backends.device.device_session import DeviceSession
from vsrc.runtime.backends.device.gpu import Address, Engine, Gpu
from vsrc.runtime.backends.device.program import Program
from vsrc.runtime.backends.device.surfaces import DeviceSurface, SurfacePool
from vsrc.runtime.backends.device.transfers import Pending, Transfers
from vsrc.runtime.picture.colour_matrix import Affine
from vsrc.runtime.picture.device_planes import ResidentFrame


@dataclass(frozen=True)
class VideoEngines:
    """Engines behind the network.

    Attributes:
        from_rgb: Engine of a colour graph from RGB to frames of the encoder.
        guard: Engine that finds results corrupted by reduced precision; None for fp32.
    """

    from_rgb: Engine
    guard: Engine | None


class DeviceVideo:
    """The whole way of a frame on the device; see `DeviceUpscaler`.

    Args:
        session: Session of the network, whose device it runs on; it is left open.
        engines: Engines behind it, which are closed with this.
        size: (H, W) of the frames of the source; the network takes them without padding.
        surfaces: Where the results go, which is closed with this.
        from_rgb: Map from RGB to the samples of the encoder.
    """

    def __init__(
        self,
        session: DeviceSession,
        engines: VideoEngines,
        *,
        size: tuple[int, int],
        surfaces: SurfacePool,
        from_rgb: Affine,
    ) -> None:
        self._session, self._size, self._surfaces = session, size, surfaces
        self._from_rgb = from_rgb
        gpu, stream = self._gpu, self._transfers.network
        self._convert = Program(gpu, engines.from_rgb, stream, outside=("rgb",))
        self._guard: Program | None = None
        if engines.guard is not None:
            self._guard = Program(gpu, engines.guard, stream, outside=("lr", "sr"))

    def start(self, frames: Sequence[ResidentFrame]) -> Callable[[], DeviceSurface | None]:
        """Start to upscale a window; see `DeviceUpscaler`."""
        resident = [frame for frame in frames if isinstance(frame, DeviceFrame)]
        assert len(resident) == len(frames)  # this device made them
        stream, size_bytes = self._transfers.network, 3 * self._size[0] * self._size[1]
        program = self._session.prepare_window(self._size)
        for at, frame in enumerate(resident):
            place = Address(program.address("lr") + at * size_bytes)
            self._gpu.copy(place, frame.address, size_bytes, stream)
        program.run()
        sr, corrupted = program.address("sr"), None
        surface = self._write(sr)
        if self._guard is not None:
            corrupted = self._check(self._guard, resident[len(resident) // 2].address, sr)
        for frame in resident:
            frame.note_read(stream)

        def result() -> DeviceSurface | None:
            return None if corrupted is not None and corrupted().any() else surface

        return result

    def close(self) -> None:
        """Free all resources of the device that are not the session's."""
        self._transfers.drain()
        self._convert.close()
        if self._guard is not None:
            self._guard.close()
        self._surfaces.close()

    def _write(self, sr: Address) -> DeviceSurface:
        """Convert a result, and copy it to a surface of the encoder."""
        convert, pool = self._convert, self._surfaces
        if not convert.shapes:
            convert.reshape({"rgb": (*pool.size, 3), **COLOUR_SHAPES})
            upload_colour(self._transfers, convert, self._from_rgb)
        convert.bind("rgb", sr)
        convert.run()
        surface = pool.take()
        surface.write(convert.address("y"), convert.address("uv"), self._transfers.network)
        return surface

    def _check(self, guard: Program, lr: Address, sr: Address) -> Pending:
        """Start to look for what reduced precision has corrupted; returns the answer, `(1,)`."""
        guard.reshape({"lr": (*self._size, 3), "sr": (*self._surfaces.size, 3)})
        guard.bind("lr", lr)
        guard.bind("sr", sr)
        guard.run()
        return self._transfers.download(guard.address("corrupted"), (1,), np.dtype(np.uint8))

    @property
    def _gpu(self) -> Gpu:
        return self._session.gpu

    @property
    def _transfers(self) -> Transfers:
        return self._session.transfers
