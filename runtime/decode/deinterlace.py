"""Whole frames from interlaced ones, as many as came in and at the same times."""

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

    It looks one frame ahead and counts time in half units, so each result takes its stamps back
    from the frame it was made of.
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

    # Where a stream marks its frames one by one, those in between that are whole stay untouched.
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
