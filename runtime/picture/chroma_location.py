"""Resize chroma from and to the place it has beside the luma samples.

    centred (JPEG, MPEG-1)      left (MPEG-2 and all its successors, where nothing else is said)

    Y   Y   Y   Y               Y   Y   Y   Y
      C       C                 C       C
    Y   Y   Y   Y               Y   Y   Y   Y

By itself swscale takes all chroma for centred along a row. Where it lies to the left that moves
colours by half a pixel of the source: by 1.5 pixels of a result of four times the size. Only the
filter around swscale can be told.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import av
    from av.filter import Graph

_FLAGS = "bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"
"""As `vsrc.runtime.picture.colour.ACCURATE` has them."""

_MATRICES = {
    1: "bt709", 4: "fcc", 5: "bt470", 6: "smpte170m", 7: "smpte240m", 9: "bt2020", 10: "bt2020",
}  # fmt: skip
_RANGES = {1: "tv", 2: "pc"}


@dataclass(frozen=True)
class Samples:
    """One side of a conversion.

    Attributes:
        matrix: Code point of the matrix (H.273).
        range: 1 limited, 2 full.
    """

    matrix: int
    range: int


def has_half_rows(pix_fmt: str) -> bool:
    """Whether chroma has fewer samples along a row than luma, so that it lies somewhere."""
    return any(name in pix_fmt for name in ("420", "422", "411", "410", "nv12", "nv21", "p010"))


class LeftScaler:
    """Converts frames whose chroma lies to the left, or is to lie there."""

    def __init__(self, pix_fmt: str, *, size: tuple[int, int], samples: Samples) -> None:
        self._pix_fmt, self._size, self._samples = pix_fmt, size, samples
        self._key: tuple[str, int, int] | None = None
        self._graph: Graph

    def __call__(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The frame in the pixel format and size of this scaler."""
        key = (frame.format.name, frame.width, frame.height)
        if key != self._key:
            self._key, self._graph = key, self._graph_for(frame)
        self._graph.push(frame)
        return self._graph.vpull()

    def _graph_for(self, frame: av.VideoFrame) -> Graph:
        import av.filter

        width, height = self._size
        words = [f"w={width}:h={height}:flags={_FLAGS}"]
        for side, pix_fmt in (("in", frame.format.name), ("out", self._pix_fmt)):
            if has_half_rows(pix_fmt):
                words.append(f"{side}_h_chr_pos=0")
                words += [f"{side}_v_chr_pos=128"] if "422" not in pix_fmt else []
            if "rgb" not in pix_fmt:
                words.append(f"{side}_color_matrix={_MATRICES[self._samples.matrix]}")
                words.append(f"{side}_range={_RANGES[self._samples.range]}")
        graph = av.filter.Graph()
        graph.threads = 1
        source = graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 25)
        )
        graph.link_nodes(
            source,
            graph.add("scale", ":".join(words)),
            graph.add("format", self._pix_fmt),
            graph.add("buffersink"),
        ).configure()
        return graph
