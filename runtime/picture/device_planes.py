"""Frames in the memory of a GPU, handed over by DLPack without a copy.

    NVDEC --PyAV--> frame --`read_planes`--> addresses and pitches    a converter copies from there
    memory of vsrc --`wrap_surface`--> frame --PyAV--> NVENC          which reads where it is

A frame is NV12 or P010: a plane of Y, and one of U and V interleaved. DLPack is a structure in C,
`DLManagedTensor` (https://dmlc.github.io/dlpack), which PyAV has in capsules of Python.
"""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from vsrc.runtime.errors import HardwareError
from vsrc.runtime.picture.colour_matrix import Affine
from vsrc.runtime.pixels import Pixels8

if TYPE_CHECKING:
    import av
    from av.video.frame import CudaContext

CUDA = 2
"""Device type kDLCUDA."""

SAMPLE_BITS = {"nv12": 8, "p010le": 10}
"""FFmpeg's pixel format of frames on a device -> bits per sample."""

SAMPLE_BYTES = {layout: -(-bits // 8) for layout, bits in SAMPLE_BITS.items()}
"""The same -> bytes per sample."""

SEMI_PLANAR = {
    "yuv420p": "nv12", "yuvj420p": "nv12", "nv12": "nv12",
    "yuv420p10le": "p010le", "p010le": "p010le",
}  # fmt: skip
"""FFmpeg's pixel format in host memory -> that of the same samples on a device."""

_UNSIGNED = 1
_NAME = b"dltensor"


class _Device(ctypes.Structure):
    _fields_ = (("type", ctypes.c_int32), ("index", ctypes.c_int32))


class _Type(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16))


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device", _Device),
        ("ndim", ctypes.c_int32),
        ("dtype", _Type),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


class _Managed(ctypes.Structure):
    _fields_ = (
        ("tensor", _Tensor),
        ("context", ctypes.c_void_p),
        ("delete", ctypes.CFUNCTYPE(None, ctypes.c_void_p)),
    )


@dataclass(frozen=True)
class DevicePlane:
    """A plane of a frame.

    Attributes:
        address: Address of its first sample.
        pitch: Distance between rows, bytes.
        row_bytes: Bytes of samples in a row.
        rows: Number of rows.
        owner: Object that keeps the memory valid.
    """

    address: int
    pitch: int
    row_bytes: int
    rows: int
    owner: object


class ResidentFrame(Protocol):
    """A frame of the source that is on a device, too; its memory is freed with the object.

    Attributes:
        rgb: The same pixels in host memory, `(H, W, 3)`.
    """

    rgb: Pixels8


class FrameConverter(Protocol):
    """Converts frames of a device's decoder to RGB, and leaves them there."""

    def __call__(self, frame: av.VideoFrame, to_rgb: Affine, /) -> ResidentFrame:
        """Convert a frame.

        Args:
            frame: Frame of the decoder.
            to_rgb: Map from its samples to RGB, with 255 as white.

        Raises:
            HardwareError: It is not in the memory of the device, or has another format or size.
        """


class Surface(Protocol):
    """A frame for the encoder of a device, in its memory."""

    def frame(self) -> av.VideoFrame:
        """Return it as FFmpeg takes it, once; its memory is free when FFmpeg frees the frame."""


def read_planes(frame: av.VideoFrame, device: int) -> tuple[DevicePlane, DevicePlane]:
    """Return the planes of a decoded frame.

    Args:
        frame: NV12 or P010.
        device: Index of the CUDA device in whose memory it must be.

    Raises:
        HardwareError: It is elsewhere, or has another format.
    """
    name = layout_of(frame)
    if name not in SAMPLE_BYTES:
        raise HardwareError(f"NVDEC gave frames in {name}, not in {' or '.join(SAMPLE_BYTES)}")
    luma, chroma = (_read(plane, device, SAMPLE_BYTES[name]) for plane in frame.planes)
    return luma, chroma


def layout_of(frame: av.VideoFrame) -> str:
    """FFmpeg's name of the pixel format of a frame's samples, wherever they are."""
    inside = getattr(frame, "sw_format", None)  # PyAV has it since frames stay on devices
    return frame.format.name if inside is None else inside.name


def _read(plane: Any, device: int, item: int) -> DevicePlane:  # noqa: ANN401
    try:
        place = plane.__dlpack_device__()
        capsule = plane.__dlpack__()
    except (AttributeError, NotImplementedError, TypeError, ValueError) as error:
        raise HardwareError(f"PyAV does not hand over frames of NVDEC: {error}") from error
    if tuple(place) != (CUDA, device):
        raise HardwareError(f"NVDEC left frames on DLPack's device {place}, not on CUDA {device}")
    tensor = _Managed.from_address(_pointer_of(capsule)).tensor
    pitch = int(tensor.strides[0]) * item
    samples = int(tensor.shape[1]) * (int(tensor.shape[2]) if tensor.ndim > 2 else 1)
    address = int(tensor.data) + int(tensor.byte_offset)
    return DevicePlane(address, pitch, samples * item, int(tensor.shape[0]), capsule)


def _pointer_of(capsule: object) -> int:
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.argtypes, get.restype = (ctypes.py_object, ctypes.c_char_p), ctypes.c_void_p
    return int(get(capsule, _NAME))


def wrap_surface(
    address: int,
    *,
    pitch: int,
    size: tuple[int, int],
    layout: str,
    device: int,
    context: CudaContext | None,
    release: Callable[[], None],
) -> av.VideoFrame:
    """Return memory of a device as a frame for the encoder.

    NVENC is told where Y begins and how long a row is, and expects the other plane right behind it:
    FFmpeg passes on no more (`nvenc_register_frame` of libavcodec/nvenc.c).

    Args:
        address: Address of Y; that of U and V is `pitch * H` bytes behind it.
        pitch: Distance between rows of both planes, bytes.
        size: (H, W), even.
        layout: Key of `SAMPLE_BYTES`.
        device: Index of the CUDA device.
        context: PyAV's context of the device, to be used for all frames.
        release: Called once, when FFmpeg needs the memory no longer, on any thread.

    Raises:
        HardwareError: PyAV does not take it.
    """
    import av

    item, (height, width) = SAMPLE_BYTES[layout], size
    remaining = itertools.count(1)

    def release_plane() -> None:
        if next(remaining) == 2:
            release()

    row = pitch // item
    luma = _Export(address, (height, width), (row, 1), item, device, release_plane)
    behind = address + pitch * height
    chroma_shape = (height // 2, width // 2, 2)
    chroma = _Export(behind, chroma_shape, (row, 2, 1), item, device, release_plane)
    try:
        return av.VideoFrame.from_dlpack((luma, chroma), format=layout, cuda_context=context)
    except (av.FFmpegError, AttributeError, NotImplementedError, TypeError, ValueError) as error:
        luma.give_up()
        chroma.give_up()
        raise HardwareError(f"PyAV does not take frames of the GPU for NVENC: {error}") from error


_EXPORTED: dict[int, _Export] = {}
"""Address of each structure that C code holds -> what it belongs to."""


class _Export:
    """A plane that DLPack hands to others; see the array API standard for its two methods."""

    def __init__(
        self,
        address: int,
        shape: tuple[int, ...],
        strides: tuple[int, ...],
        item: int,
        device: int,
        release: Callable[[], None],
    ) -> None:
        self._release: Callable[[], None] | None = release
        self._place = (CUDA, device)
        sides = ctypes.c_int64 * len(shape)
        self._arrays = sides(*shape), sides(*strides)  # the structure points to them
        pointers = [ctypes.cast(one, ctypes.POINTER(ctypes.c_int64)) for one in self._arrays]
        kind = _Type(_UNSIGNED, 8 * item, 1)
        tensor = _Tensor(address, _Device(*self._place), len(shape), kind, *pointers, 0)
        self._managed = _Managed(tensor, None, _DELETE)
        _EXPORTED[ctypes.addressof(self._managed)] = self

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._place

    def __dlpack__(self, *, stream: int | None = None) -> object:
        del stream  # what wrote the memory has been waited for
        make = ctypes.pythonapi.PyCapsule_New
        make.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
        make.restype = ctypes.py_object
        return make(ctypes.addressof(self._managed), _NAME, None)

    def give_up(self) -> None:
        """Release the plane; a second call does nothing."""
        _EXPORTED.pop(ctypes.addressof(self._managed), None)
        release, self._release = self._release, None
        if release is not None:
            release()


def _delete(address: int) -> None:
    exported = _EXPORTED.get(address)
    if exported is not None:
        exported.give_up()


_DELETE = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(_delete)
