"""The page of a preview."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vsrc.runtime.candidates.preview_result import Preview
from vsrc.runtime.candidates.preview_text import describe_times, preview_tables
from vsrc.runtime.decode.probe import VideoInfo
from vsrc.runtime.machine import this_machine
from vsrc.runtime.report.before_after import ClipShape, PageClip, before_after_clips_page
from vsrc.runtime.report.template import Badge
from vsrc.runtime.sample import typed_input
from vsrc.runtime.text.size_text import format_size
from vsrc.runtime.text.time_text import format_span


def write_preview_page(
    path: Path,
    preview: Preview,
    *,
    clips: Sequence[PageClip],
    size: tuple[int, int],
    info: VideoInfo,
    is_cut: bool,
) -> Path:
    """Write the page of a preview; an existing file is replaced.

    Args:
        path: Path of the page.
        preview: What was found so far.
        clips: A clip for each candidate, and the source last.
        size: Width and height of the largest clip, pixels.
        info: Properties of the video.
        is_cut: Whether the clips show the centre of the frames alone.
    """
    width, height = size
    return before_after_clips_page(
        path,
        title=f"Preview of {Path(typed_input(preview.video)).name}",
        summary=_summary(preview, info, is_cut=is_cut),
        badge=Badge(f"vsrc infer selects {preview.recommended}"),
        machine=str(this_machine()),
        clips=clips,
        shape=ClipShape(width=width, height=height, frames=preview.frames, fps=info.rate),
        tables=preview_tables(preview),
        credit="The clips are results of vsrc infer, re-encoded in H.264 (CRF 12) for this page.",
    )


def _summary(preview: Preview, info: VideoInfo, *, is_cut: bool) -> str:
    width, height = info.upright_size
    seconds = format_span(preview.frames / float(info.rate))
    done = len(preview.candidates)
    unfinished = "" if done == preview.planned else f"{done} of {preview.planned} candidates. "
    part = "The centre of each frame is shown. " if is_cut else ""
    advice = preview.advice[0].upper() + preview.advice[1:]
    return (
        f"{unfinished}{seconds} from {preview.start:g} s on, of {format_size(width, height)}, "
        f"{float(info.rate):.4g} fps. {describe_times(preview.candidates)}{advice}. {part}"
    )
