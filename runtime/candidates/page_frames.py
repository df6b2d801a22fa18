"""Read the frames of a source or a result for the page of a preview."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from vsrc.runtime.decode.video_reader import VideoReader
from vsrc.runtime.encode.page_video import PageVideo
from vsrc.runtime.pixels import Pixels, Pixels8, to_8_bits

_MOST_WIDTH, _MOST_HEIGHT = 3840, 2160
"""Largest frames on a page, pixels: many browsers play no larger H.264."""


@dataclass(frozen=True)
class Cut:
    """The central part of each frame that is shown on the page, as a share of its sides.

    Attributes:
        width: Share of the width, in (0, 1].
        height: Share of the height, in (0, 1].
    """

    width: Fraction = Fraction(1)
    height: Fraction = Fraction(1)

    @property
    def is_whole(self) -> bool:
        """Whether the whole frame is shown."""
        return self == Cut()

    def of(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of what is shown of a frame, pixels."""
        return max(1, round(width * self.width)), max(1, round(height * self.height))

    def apply(self, picture: Pixels) -> Pixels:
        """Crop a picture, `(H, W, 3)`, to its central part."""
        height, width = picture.shape[:2]
        shown_width, shown_height = self.of(width, height)
        left, top = (width - shown_width) // 2, (height - shown_height) // 2
        return picture[top : top + shown_height, left : left + shown_width]


def choose_cut(width: int, height: int) -> Cut:
    """Choose the cut for frames of which the largest have this size, pixels."""
    most = (_MOST_WIDTH, _MOST_HEIGHT) if width >= height else (_MOST_HEIGHT, _MOST_WIDTH)
    return Cut(
        min(Fraction(1), Fraction(most[0], width)), min(Fraction(1), Fraction(most[1], height))
    )


def encode_for_page(pictures: Iterator[Pixels], *, fps: Fraction, cut: Cut) -> tuple[bytes, int]:
    """Encode pictures, `(H, W, 3)` RGB, for a page.

    Returns:
        The bytes of the clip, and its number of frames.
    """
    video: PageVideo | None = None
    count = 0
    for picture in pictures:
        shown: Pixels8 = to_8_bits(cut.apply(picture))
        if video is None:
            video = PageVideo(width=shown.shape[1], height=shown.shape[0], fps=fps)
        video.write(shown)
        count += 1
    return (video.finish() if video else b""), count


def iter_result(path: Path, *, step: int) -> Iterator[Pixels]:
    """Yield the upright frames of a result, every `step`-th."""
    with closing(VideoReader(path)) as reader:
        for index, frame in enumerate(reader):
            if index % step == 0:
                yield reader.info.orientation.upright(frame.rgb)
