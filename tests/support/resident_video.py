"""NVDEC and NVENC with frames in the memory of the stand-in for CUDA.

Frames are handed over by PyAV's own DLPack, as on a GPU; but host memory is what the stand-in calls
device memory, so it is of DLPack's device type for host memory (`device_planes.CUDA` is replaced).
When a frame of the decoder is freed, its samples become rubbish at once, as if the next frame had
been decoded there.
"""

from __future__ import annotations

import ctypes
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from support.cuda_stand_in import StandInGpu
from support.software_nvdec import SoftwareNvdec, samples
from vsrc.runtime.backends.device.gpu import Address
from vsrc.runtime.decode import hardware_decoder
from vsrc.runtime.encode import encoders, video_stream
from vsrc.runtime.errors import HardwareError
from vsrc.runtime.jobs import on_device
from vsrc.runtime.picture import device_planes
from vsrc.runtime.picture.device_planes import SAMPLE_BYTES, wrap_surface

HOST = 1
"""DLPack's device type kDLCPU."""
_PADDING = 48
"""Bytes behind the samples of a row."""


class ResidentPicture:
    """A decoded frame whose planes are on the device; all else is that of FFmpeg's frame."""

    def __init__(self, frame: av.VideoFrame, memory: Memory) -> None:
        self._frame, self._held = frame, memory.hold(frame)
        self.planes = self._held.planes
        self.format = SimpleNamespace(name="cuda", components=())
        self.sw_format = frame.format

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._frame, name)

    def reformat(self, **_: Any) -> None:  # noqa: ANN401
        raise AssertionError("swscale reads no frame on a device")


class Memory:
    """Frames of the decoder in memory of the stand-in."""

    def __init__(self, gpu: StandInGpu) -> None:
        self._gpu = gpu
        self._blocks: list[Address] = []
        self.freed = 0

    def hold(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Copy a frame in host memory to one of the device."""
        name = frame.format.name
        item, height, width = SAMPLE_BYTES[name], frame.height, frame.width
        pitch = width * item + _PADDING
        size = pitch * (height + height // 2)
        address = self._gpu.allocate(size)
        self._blocks.append(address)

        def release() -> None:
            self.freed += 1
            if self._blocks:
                ctypes.memset(address, 0xCD, size)

        held = wrap_surface(
            address,
            pitch=pitch,
            size=(height, width),
            layout=name,
            device=0,
            context=None,
            release=release,
        )
        kind = np.dtype("<u2" if item == 2 else "u1")
        for source, target in zip(frame.planes, held.planes, strict=True):
            samples(target, kind, width)[:] = samples(source, kind, width)
        return held

    def close(self) -> None:
        blocks, self._blocks = self._blocks, []
        for address in blocks:
            self._gpu.release(address)


class ResidentNvdec(SoftwareNvdec):
    """`SoftwareNvdec` whose frames stay on the device."""

    def __init__(self, codec: str, memory: Memory, fails_at: int | None = None) -> None:
        super().__init__(codec, fails_at)
        self._memory = memory

    def decode(self, packet: Any) -> list[Any]:  # noqa: ANN401
        return [ResidentPicture(frame, self._memory) for frame in super().decode(packet)]


class SoftwareNvenc:
    """x264 in the place of NVENC on a device, which takes NV12 and P010."""

    def __init__(self, name: str, fails_at: int | None = None) -> None:
        self._context: Any = av.CodecContext.create(name, "w")
        self._fails_at = fails_at
        self.layouts: list[str] = []

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._context, name)

    def __setattr__(self, name: str, value: Any) -> None:  # noqa: ANN401
        if name in ("_context", "_fails_at", "layouts"):
            object.__setattr__(self, name, value)
        else:
            setattr(self._context, name, "yuv420p10le" if value == "p010le" else value)

    def encode(self, frame: Any) -> list[Any]:  # noqa: ANN401
        if frame is not None:
            if len(self.layouts) == self._fails_at:
                raise av.ExternalError(542398533, "Generic error in an external library")
            self.layouts.append(frame.format.name)
            if frame.format.name == "p010le":
                stamps = frame.pts, frame.time_base, frame.duration
                frame = frame.reformat(
                    format="yuv420p10le", src_color_range=1, dst_color_range=1, threads=1
                )
                frame.pts, frame.time_base, frame.duration = stamps
        packets: list[Any] = self._context.encode(frame)
        return packets


class Hardware:
    """What took the place of NVDEC and NVENC.

    Attributes:
        decoders: Decoders that were made, those for frames in host memory, too.
        encoders: Encoders that were made.
        memory: Memory of decoded frames.
    """

    def __init__(self, gpu: StandInGpu) -> None:
        self.decoders: list[SoftwareNvdec] = []
        self.encoders: list[SoftwareNvenc] = []
        self.memory = Memory(gpu)


def video_on_the_device(
    patch: pytest.MonkeyPatch,
    gpu: StandInGpu,
    *,
    decoder_fails_at: int | None = None,
    encoder_fails_at: int | None = None,
) -> Hardware:
    """Let NVDEC and NVENC be the CPU; `--codec nvenc` is x264."""
    hardware = Hardware(gpu)

    def decoder(codec: str, device: int, *, stays: bool) -> SoftwareNvdec:
        assert device == 0
        made = (
            ResidentNvdec(codec, hardware.memory, decoder_fails_at)
            if stays
            else SoftwareNvdec(codec)
        )
        hardware.decoders.append(made)
        return made

    def encoder(name: str, device: int) -> SoftwareNvenc:
        assert device == 0
        if encoder_fails_at == -1:
            raise HardwareError("FFmpeg cannot open NVENC on CUDA device 0: no")
        hardware.encoders.append(SoftwareNvenc(name, encoder_fails_at))
        return hardware.encoders[-1]

    patch.setattr(device_planes, "CUDA", HOST)
    patch.setattr(hardware_decoder, "_accelerated", decoder)
    patch.setattr(video_stream, "create_device_encoder", encoder)
    patch.setattr(on_device, "create_device_encoder", encoder)
    patch.setattr(on_device, "DEVICE_ENCODERS", ("libx264",))
    # Of 0 it is lossless at any depth, as crf is not.
    by_quantizer = replace(encoders.ENCODERS["x264"], quality="qp")
    patch.setitem(encoders.ENCODERS, "nvenc", by_quantizer)
    return hardware
