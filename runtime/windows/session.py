"""The interface of sessions, the same for every backend."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Protocol, runtime_checkable

from vsrc.runtime.errors import MismatchError
from vsrc.runtime.picture.device_planes import ResidentFrame, Surface
from vsrc.runtime.pixels import Pixels
from vsrc.runtime.spec import GraphSpec, NetworkSpec


class Session(Protocol):
    """A network that is loaded and ready to run.

    Attributes:
        label: Backend and precision, for messages ("ort-cpu fp32").
        network: Properties of the network that its callers need.
        graph: Graph that runs.
    """

    label: str
    network: NetworkSpec
    graph: GraphSpec

    def __call__(self, lr: Pixels, /) -> Pixels:
        """Upscale one batch of windows.

        Args:
            lr: `(N, T, H, W, 3)` uint8 RGB, any H and W; padded and cropped as the network needs.
                A float graph also takes uint16.

        Returns:
            `(N, sH, sW, 3)` RGB of the same type; `(N, T', sH, sW, 3)` when time_scale is 2.
        """

    def close(self) -> None:
        """Free all memory; a second call does nothing."""


@runtime_checkable
class FrameCachingSession(Protocol):
    """A session that reuses work for frames it has seen before."""

    def keyed(
        self,
        lr: Pixels,
        keys: Sequence[tuple[int, ...]],
        *,
        place: Hashable = 0,
    ) -> Pixels:
        """Upscale windows whose frames have keys.

        Args:
            lr: Windows, as for `__call__`.
            keys: For each window the key of each of its frames; equal keys mean equal frames.
            place: Identifies the tile of the frame that `lr` holds; keys are separate for each.
        """


@runtime_checkable
class RenewableSession(Protocol):
    """A session that can give back the memory that it keeps from earlier windows."""

    def renew(self) -> None:
        """Load the graphs anew, after all work that was started; features and states are lost."""


def check_windows(lr: Pixels, network: NetworkSpec, graph: GraphSpec) -> None:
    """Raise if the graph does not take these windows.

    Raises:
        ValueError: Wrong dtype, or not as many frames as the window of the network.
        MismatchError: H or W is larger than the graph takes.
    """
    takes = ("uint8", "uint16") if graph.io == "float" else ("uint8",)
    if (
        str(lr.dtype) not in takes
        or lr.ndim != 5
        or lr.shape[1] != network.window
        or lr.shape[4] != 3
    ):
        raise ValueError(
            f"lr is {lr.dtype} {lr.shape}; "
            f"{network.name} takes {' or '.join(takes)} (N, {network.window}, H, W, 3)"
        )
    sizes = {"N": lr.shape[0], "H": lr.shape[2], "W": lr.shape[3]}
    limits = {"N": graph.batch[1], "H": graph.height[1], "W": graph.width[1]}
    for axis, size in sizes.items():
        if size > limits[axis]:
            raise MismatchError(
                f"{axis}={size} is more than {limits[axis]}, the most this graph takes; "
                "export it with a larger --shape, or use tiles"
            )


PendingPixels = Callable[[], Pixels]
"""Waits for frames that were started and returns them; later calls return the same array."""


@runtime_checkable
class AsyncSession(Protocol):
    """A session that can start the next windows before the previous ones are finished."""

    @property
    def ahead(self) -> int:
        """Number of windows to start before the result of the first is waited for."""

    @property
    def at_once(self) -> int:
        """Number of windows computed at the same time in host memory; 0 on a device.

        On a device all memory is allocated when the session is opened.
        """

    def start(
        self, lr: Pixels, keys: Sequence[tuple[int, ...]] | None = None, *, place: Hashable = 0
    ) -> PendingPixels:
        """Begin to upscale windows.

        Args:
            lr: Windows, as for a `Session`; must not change until the result is available.
            keys: As for a `FrameCachingSession`; None where frames have no keys.
            place: As for a `FrameCachingSession`.
        """


class DeviceUpscaler(Protocol):
    """A network whose frames are, and whose results stay, in the memory of a device."""

    def start(self, frames: Sequence[ResidentFrame], /) -> Callable[[], Surface | None]:
        """Start to upscale a window.

        Args:
            frames: Frames of the window.

        Returns:
            Function that waits for what must be known on the host, and returns the result; None if
            reduced precision has corrupted it, so that it must be checked on the host.

        Raises:
            DeviceMemoryError: There is not enough memory.
        """
