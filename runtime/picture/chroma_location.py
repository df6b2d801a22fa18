"""Resample chroma with respect to its location relative to the luma samples.

    centred (JPEG, MPEG-1)      left (default of MPEG-2 and all later codecs)

    Y   Y   Y   Y               Y   Y   Y   Y
      C       C                 C       C
    Y   Y   Y   Y               Y   Y   Y   Y

By default swscale assumes that chroma is centred along a row. For left chroma that shifts colours
by half a pixel of the source: by 1.5 pixels of the result at x4. Only FFmpeg's scale filter, not
PyAV's reformatter, has an option for the location.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import av
    from av.filter import Graph

_FLAGS = "bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"
"""Flags of the scale filter, the same as `vsrc.runtime.picture.colour.ACCURATE`."""

PLANES = "gbrp"
"""Format on the way from YUV to packed RGB: swscale has vector code for it, not for RGB24, and
rounds in the same way. The detour takes a sixth of the time."""

_MATRICES = {
    1: "bt709", 4: "fcc", 5: "bt470", 6: "smpte170m", 7: "smpte240m", 9: "bt2020", 10: "bt2020",
}  # fmt: skip
_RANGES = {1: "tv", 2: "pc"}


@dataclass(frozen=True)
class Samples:
    """Colour coding of the input or the output of a conversion.

    Attributes:
        matrix: Code point of the matrix (H.273).
        range: 1 limited, 2 full.
    """

    matrix: int
    range: int


def has_half_rows(pix_fmt: str) -> bool:
    """Whether chroma is subsampled along rows, so that its location matters."""
    return any(name in pix_fmt for name in ("420", "422", "411", "410", "nv12", "nv21", "p010"))


class LeftScaler:
    """Converts frames from or to left chroma."""

    def __init__(self, pix_fmt: str, *, size: tuple[int, int], samples: Samples) -> None:
        self._pix_fmt, self._size, self._samples = pix_fmt, size, samples
        self._key: tuple[str, int, int] | None = None
        self._graph: Graph

    def __call__(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Convert a frame to the pixel format and size of this scaler."""
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
        on_the_way = [("format", PLANES), ("scale", f"flags={_FLAGS}")]
        is_to_rgb = "rgb" in self._pix_fmt and "rgb" not in frame.format.name
        filters = [("scale", ":".join(words)), *(on_the_way if is_to_rgb else [])]
        graph = av.filter.Graph()
        graph.threads = 1
        source = graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 25)
        )
        graph.link_nodes(
            source,
            *(graph.add(name, words) for name, words in filters),
            graph.add("format", self._pix_fmt),
            graph.add("buffersink"),
        ).configure()
        return graph
