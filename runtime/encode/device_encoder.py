"""Encode on the video encoder of an NVIDIA GPU (NVENC), from frames in the memory of the device.

The encoder is in the primary context of the device, which is that of the CUDA runtime, so that it
reads what the network has written. Frames in host memory are taken, too: PyAV uploads them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vsrc.runtime.errors import HardwareError

if TYPE_CHECKING:
    import av

DEVICE_ENCODERS = ("h264_nvenc", "hevc_nvenc", "av1_nvenc")
"""FFmpeg's names of the encoders that read frames on a device."""


def create_device_encoder(name: str, device: int) -> av.VideoCodecContext:
    """Create a context of NVENC on a CUDA device, to be configured and opened.

    Raises:
        HardwareError: FFmpeg cannot open the device, or this PyAV has no such encoder.
    """
    import av
    from av.codec.hwaccel import HWAccel

    try:
        accel = HWAccel("cuda", device, is_hw_owned=True)
        context = av.CodecContext.create(av.Codec(name, "w"), "w", accel)
    except (av.FFmpegError, NotImplementedError, TypeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise HardwareError(
            f"FFmpeg cannot open NVENC on CUDA device {device}: {reason}"
        ) from error
    assert isinstance(context, av.VideoCodecContext)  # of a video codec
    return context
