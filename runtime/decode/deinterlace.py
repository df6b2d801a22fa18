"""Deinterlace video; the number of frames and their time stamps stay the same."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from vsrc.runtime.pyav_versions import time_base

if TYPE_CHECKING:
    import av
    from av.filter import Graph


def iter_deinterlaced(frames: Iterable[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    """Run FFmpeg's bwdif (motion adaptive) over decoded frames of one stream.

    The filter looks one frame ahead and halves the time base, so each result takes the time stamps
    of the frame it was made from.
    """
    graph: Graph | None = None
    stamps: deque[tuple[int | None, int | None, int]] = deque()
    for frame in frames:
        if graph is None:
            graph = _bwdif(frame)
        stamps.append((frame.pts, frame.dts, frame.duration))
        graph.push(frame)
        yield from _ready(graph, stamps)
    if graph is not None:
        graph.push(None)
        yield from _ready(graph, stamps)


def _bwdif(first: av.VideoFrame) -> Graph:
    import av.filter

    # In a stream with per-frame flags, progressive frames stay untouched.
    which = "interlaced" if first.interlaced_frame else "all"
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=first.width,
        height=first.height,
        format=first.format,
        time_base=time_base(first),
    )
    graph.link_nodes(
        source,
        graph.add("bwdif", f"mode=send_frame:parity=auto:deint={which}"),
        graph.add("buffersink"),
    ).configure()
    return graph


def _ready(
    graph: Graph, stamps: deque[tuple[int | None, int | None, int]]
) -> Iterator[av.VideoFrame]:
    while True:
        try:
            frame = graph.vpull()
        except (BlockingIOError, EOFError):
            return
        frame.pts, frame.dts, frame.duration = stamps.popleft()
        yield frame
