"""Compare two images or videos, score them against a reference, and write an HTML page."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from vsrc.runtime.decode.detection import PICTURE_SUFFIXES
from vsrc.runtime.decode.playlists import with_members
from vsrc.runtime.decode.probe import VideoInfo
from vsrc.runtime.decode.video_reader import VideoReader
from vsrc.runtime.encode.page_video import PageVideo
from vsrc.runtime.errors import MediaError, MismatchError
from vsrc.runtime.machine import this_machine
from vsrc.runtime.output_guard import check_outputs, hash_job, mark_report, report_output
from vsrc.runtime.pixels import Pixels8
from vsrc.runtime.quality.compare_config import CompareConfig, CompareProgress
from vsrc.runtime.quality.compare_report import (
    Compared,
    Comparison,
    FrameScore,
    comparison_badge,
    likeness_curves,
    likeness_table,
    score_frame,
    worst_frames,
)
from vsrc.runtime.report.before_after import (
    ClipShape,
    PageClip,
    Picture,
    before_after_clips_page,
    before_after_page,
)
from vsrc.runtime.report.template import check_page_name, check_pages
from vsrc.runtime.sample import typed_input
from vsrc.runtime.text.count_text import count_text

Row = tuple[Pixels8, ...]
"""The same frame of every source."""


@dataclass(frozen=True)
class _Gathered:
    """Results collected from the rows of frames.

    Attributes:
        count: Number of rows.
        last: Last row.
        scores: Scores of each frame of left and right; None for what cannot be scored.
    """

    count: int
    last: Row
    scores: tuple[list[FrameScore | None], ...]


def compare(
    config: CompareConfig, *, progress: Callable[[CompareProgress], None] = lambda _step: None
) -> Comparison:
    """Write a page with a slider between two images or videos.

    Args:
        config: What to compare.
        progress: Called after each frame.

    Raises:
        MediaError: A source cannot be read, or has no frame after `start`.
        MissingDependencyError: jinja2 is missing.
        MismatchError: An image against a video, or frames with different presentation times.
        OutputError: The page is one of the sources, or it exists, another comparison wrote it, and
            `overwrite` is off.
        VsrcError: The page cannot be written.
    """
    check_pages("vsrc compare")
    job = hash_job("compare", replace(config, overwrite=False))
    page = report_output(config.output, "-o", job=job)
    check_outputs([page], inputs=with_members(config.sources), overwrite=config.overwrite)
    check_page_name(config.output, "-o")
    of_pictures = [path.suffix.lower() in PICTURE_SUFFIXES for path in config.sources]
    if any(of_pictures) and not all(of_pictures):
        names = ", ".join(path.name for path in config.sources)
        raise MismatchError(f"{names}: compare images with images, and videos with videos")
    labels = _labels(config)
    with ExitStack() as stack:
        readers = [stack.enter_context(closing(VideoReader(path))) for path in config.sources]
        infos = [reader.info for reader in readers]
        videos = [] if any(of_pictures) else [_video(info, infos[0].rate) for info in infos]
        gathered = _gather(config, _rows(readers, config), videos, progress)
    sources = _describe_sources(config, labels, infos, gathered)
    if any(of_pictures):
        _write_pictures(config, sources, gathered)
    else:
        _write_clips(config, sources, [video.finish() for video in videos], infos, gathered)
    mark_report(config.output, job)
    return Comparison(str(config.output), gathered.count, config.border, sources)


def _video(info: VideoInfo, fps: Fraction) -> PageVideo:
    width, height = info.upright_size
    return PageVideo(width=width, height=height, fps=fps)


def _rows(readers: Sequence[VideoReader], config: CompareConfig) -> Iterator[Row]:
    """Yield rows of frames with the same presentation time; the shortest source ends them."""
    sources = [_from_start(reader, config.start) for reader in readers]
    for index, row in enumerate(zip(*sources, strict=False)):
        first = row[0][0]
        for path, reader, (seconds, _) in zip(config.sources, readers, row, strict=True):
            if abs(seconds - first) > 1 / (2 * reader.info.rate):
                raise MismatchError(
                    f"frame {index + 1} is shown at {float(first):.3f} s in {config.left} and at "
                    f"{float(seconds):.3f} s in {path}: these are not the same frames"
                )
        yield tuple(rgb for _, rgb in row)


def _from_start(reader: VideoReader, start: float) -> Iterator[tuple[Fraction, Pixels8]]:
    """Yield seconds since the first frame, and the upright frame, from `start` on."""
    info = reader.info
    if start:
        reader.seek(info.start + math.floor(start / info.time_base))
    for frame in reader:
        seconds = (frame.pts - info.start) * info.time_base
        if seconds >= start:
            yield seconds, info.orientation.upright(frame.rgb)


def _gather(
    config: CompareConfig,
    rows: Iterator[Row],
    videos: Sequence[PageVideo],
    progress: Callable[[CompareProgress], None],
) -> _Gathered:
    """Iterate over the rows once: score each, and encode it for the page."""
    scores: tuple[list[FrameScore | None], ...] = ([], [])
    count = 0
    row: Row = ()
    for count, row in enumerate(itertools.islice(rows, config.frames), start=1):
        if config.reference is not None:
            for scored, frame in zip(scores, row[:2], strict=True):
                scored.append(score_frame(frame, row[2], border_px=config.border))
        for video, frame in zip(videos, row, strict=False):
            video.write(frame)
        progress(CompareProgress(count, config.frames))
    if not count:
        raise MediaError(f"no frame at or after {config.start:g} s exists in every source")
    return _Gathered(count, row, scores)


def _describe_sources(
    config: CompareConfig,
    labels: Sequence[str],
    infos: Sequence[VideoInfo],
    gathered: _Gathered,
) -> tuple[Compared, ...]:
    scores = (*gathered.scores, [])
    rows = zip(labels, config.sources, infos, scores, strict=False)
    return tuple(
        Compared(
            label=label,
            path=str(path),
            width_px=info.upright_size[0],
            height_px=info.upright_size[1],
            psnr_y_db=tuple(score.psnr_y_db for score in scored if score),
            ssim_y=tuple(score.ssim_y for score in scored if score and score.ssim_y is not None),
        )
        for label, path, info, scored in rows
    )


def _labels(config: CompareConfig) -> list[str]:
    """File names, with as many parent folders as needed to make them distinct.

    Raises:
        ValueError: Two of them are the same file.
    """
    paths = [Path(typed_input(path)).resolve() for path in config.sources]
    for depth in range(1, 1 + max(len(path.parts) for path in paths)):
        labels = ["/".join(path.parts[-depth:]) for path in paths]
        if len(set(labels)) == len(labels):
            return labels
    raise ValueError(f"{typed_input(config.left)} is compared with itself; name different files")


def _write_pictures(
    config: CompareConfig, sources: Sequence[Compared], gathered: _Gathered
) -> None:
    table = likeness_table(sources, border_px=config.border)
    before_after_page(
        config.output,
        title=f"Comparison of {sources[0].label} and {sources[1].label}",
        badge=comparison_badge(sources),
        machine=str(this_machine()),
        pictures=[
            Picture(source.label, frame, source.detail)
            for source, frame in zip(sources, gathered.last, strict=True)
        ],
        tables=[table] if table else [],
    )


def _write_clips(
    config: CompareConfig,
    sources: Sequence[Compared],
    files: Sequence[bytes],
    infos: Sequence[VideoInfo],
    gathered: _Gathered,
) -> None:
    table = likeness_table(sources, border_px=config.border)
    before_after_clips_page(
        config.output,
        title=f"Comparison of {sources[0].label} and {sources[1].label}",
        badge=comparison_badge(sources),
        machine=str(this_machine()),
        summary=f"{count_text(gathered.count, 'frame')} from {config.start:g} s.",
        clips=[
            PageClip(source.label, file, source.detail)
            for source, file in zip(sources, files, strict=True)
        ],
        shape=ClipShape(
            width=max(info.upright_size[0] for info in infos),
            height=max(info.upright_size[1] for info in infos),
            frames=gathered.count,
            fps=infos[0].rate,
        ),
        curves=likeness_curves(sources),
        worst=worst_frames(sources),
        tables=[table] if table else [],
        credit="The clips on this page are re-encoded in H.264"
        + ("; the scores are of the files themselves." if table else "."),
    )
