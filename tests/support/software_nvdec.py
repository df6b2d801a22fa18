"""NVDEC as FFmpeg shows it, on the CPU: the same decoders, with frames in NV12 or P010."""

from __future__ import annotations

from typing import Any

import av
import numpy as np
import pytest

from vsrc.runtime.decode import hardware_decoder

SEMI_PLANAR = {"yuv420p": "nv12", "yuvj420p": "nv12", "yuv420p10le": "p010le"}


CONFIGURED = ("extradata", "width", "height", "codec_tag", "options")


class SoftwareNvdec:
    """In the place of a codec context with NVDEC; it fails at packet `fails_at`, counted from 0."""

    def __init__(self, codec: str, fails_at: int | None = None) -> None:
        # The CPU's decoder for AV1 is libdav1d, as FFmpeg's own decodes on hardware alone.
        name = {"av1": "libdav1d"}.get(codec, codec)
        self._context: Any = av.CodecContext.create(name, "r")
        self._fails_at, self.fed = fails_at, 0
        self.configured: dict[str, Any] = {}

    def __setattr__(self, name: str, value: Any) -> None:  # noqa: ANN401
        """Pass on what is set before the context is opened."""
        if name in CONFIGURED and value is not None:
            self.configured[name] = value
            setattr(self._context, name, value)
        else:
            object.__setattr__(self, name, value)

    def decode(self, packet: Any) -> list[av.VideoFrame]:  # noqa: ANN401
        if self.fed == self._fails_at:
            raise av.ExternalError(542398533, "Generic error in an external library")
        self.fed += packet is not None and packet.size > 0
        frames: list[Any] = self._context.decode(packet)
        return [semi_planar(frame) for frame in frames]

    def open(self, *, strict: bool) -> None:
        self._context.open(strict)

    def flush_buffers(self) -> None:
        self._context.flush_buffers()


def semi_planar(frame: av.VideoFrame) -> av.VideoFrame:
    """Interleave U and V with arrays, where the product does the reverse with swscale.

    Stamps and side data are those of the frame, which swscale copies.
    """
    name = SEMI_PLANAR[frame.format.name]
    result = frame.reformat(format=name)
    shift = 64 if name == "p010le" else 1  # P010 has its samples in the upper bits
    kind = np.dtype("<u2" if shift > 1 else "u1")
    luma, *chroma = (samples(plane, kind, plane.width) for plane in frame.planes)
    samples(result.planes[0], kind, frame.width)[:] = luma * shift
    both = samples(result.planes[1], kind, 2 * chroma[0].shape[1])
    both[:, 0::2], both[:, 1::2] = (plane * shift for plane in chroma)
    result.color_range = frame.color_range
    return result


def samples(plane: Any, kind: np.dtype[Any], columns: int) -> Any:  # noqa: ANN401
    """View a plane as `(h, columns)`."""
    return np.ndarray(
        (plane.height, columns),
        kind,
        buffer=memoryview(plane),
        strides=(plane.line_size, kind.itemsize),
    )


def nvdec_on_the_cpu(patch: pytest.MonkeyPatch, *, fails_at: int | None = None) -> list[Any]:
    """Let NVDEC be the CPU; returns the list that the contexts are appended to."""
    made: list[Any] = []

    def create(codec: str, device: int, **_: Any) -> SoftwareNvdec:  # noqa: ANN401
        assert device == 0
        context = SoftwareNvdec(codec, fails_at)
        made.append(context)
        return context

    patch.setattr(hardware_decoder, "_accelerated", create)
    return made
