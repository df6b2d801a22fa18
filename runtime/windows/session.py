"""One way to run a package, whatever runs it underneath."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Protocol, runtime_checkable

from vsrc.runtime.errors import MismatchError
from vsrc.runtime.pixels import Pixels
from vsrc.runtime.spec import GraphSpec, NetworkSpec


class Session(Protocol):
    """A network ready to run.

    Attributes:
        label: What runs it, for people ("ort-cpu fp32").
        network: What the outside must know to feed it.
        graph: The graph that runs.
    """

    label: str
    network: NetworkSpec
    graph: GraphSpec

    def __call__(self, lr: Pixels, /) -> Pixels:
        """Restore one batch of windows.

        Args:
            lr: `(N, T, H, W, 3)` uint8 RGB, any H and W; padded and cropped as the network needs.
                A float graph also takes uint16.

        Returns:
            `(N, sH, sW, 3)` RGB of the same type; `(N, T', sH, sW, 3)` when time_scale is 2.
        """

    def close(self) -> None:
        """Free what it holds; calling it twice does nothing."""


@runtime_checkable
class FrameCachingSession(Protocol):
    """A session that does less for a frame it has seen before."""

    def keyed(
        self,
        lr: Pixels,
        keys: Sequence[tuple[int, ...]],
        *,
        place: Hashable = 0,
    ) -> Pixels:
        """Restore windows whose frames are known by name.

        Args:
            lr: As for the call.
            keys: For each window the key of each of its frames: equal keys, equal frames.
            place: Part of the picture that `lr` shows; each has keys of its own.
        """


def check_windows(lr: Pixels, network: NetworkSpec, graph: GraphSpec) -> None:
    """Refuse windows that the graph does not take.

    Raises:
        ValueError: Wrong type, or not as many frames as the network sees.
        MismatchError: A side is longer than the graph takes.
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
"""Waits for pictures that were begun, and gives them; asking again gives the same."""


@runtime_checkable
class AsyncSession(Protocol):
    """A session that can be given the next windows before it has given the last ones.

    Attributes:
        ahead: Windows that are worth having under way beside the newest.
        at_once: How many of them are computed at the same time in the memory of the host; 0 on a
            device, which got all that it needs when it was opened.
    """

    ahead: int
    at_once: int

    def start(
        self, lr: Pixels, keys: Sequence[tuple[int, ...]] | None = None, *, place: Hashable = 0
    ) -> PendingPixels:
        """Begin to restore windows.

        Args:
            lr: As for the call of a `Session`; it stays as it is until the pictures are there.
            keys: As for a `FrameCachingSession`; None where nothing is known of the frames.
            place: Likewise.
        """
