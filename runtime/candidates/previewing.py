"""Try an excerpt of a video with several models, and write a page to choose by."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from math import ceil
from pathlib import Path

from vsrc.runtime.candidates.lanczos import LanczosSession
from vsrc.runtime.candidates.page_frames import Cut, choose_cut, encode_for_page, iter_result
from vsrc.runtime.candidates.preview_command import format_ffmpeg_command, format_infer_command
from vsrc.runtime.candidates.preview_config import PreviewConfig, PreviewProgress
from vsrc.runtime.candidates.preview_page import write_preview_page
from vsrc.runtime.candidates.preview_result import (
    Preview,
    PreviewCandidate,
    steady_fps,
    whole_seconds,
)
from vsrc.runtime.decode.playlists import with_members
from vsrc.runtime.decode.probe import VideoInfo, check_supported
from vsrc.runtime.decode.sources import Source, find_sources
from vsrc.runtime.errors import MediaError, StoppedError
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.family import choose_family
from vsrc.runtime.jobs.infer_all import infer
from vsrc.runtime.jobs.job import open_reader
from vsrc.runtime.jobs.result import FileResult, InferProgress
from vsrc.runtime.library_failure import library_failures_named
from vsrc.runtime.output_guard import (
    check_outputs,
    check_place,
    hash_job,
    mark_report,
    model_files,
    report_output,
)
from vsrc.runtime.package import open_package
from vsrc.runtime.pixels import Pixels
from vsrc.runtime.report.before_after import PageClip
from vsrc.runtime.report.template import check_page_name, check_pages
from vsrc.runtime.sample import typed_input
from vsrc.runtime.shipped_models import (
    COMPRESSED_STUDENT,
    DEFAULT_STUDENT,
    shipped,
    typed_name,
)
from vsrc.runtime.spec import NetworkSpec
from vsrc.runtime.text.size_text import format_size

_DECODE_MARGIN = 1
"""Number of frames by which an excerpt may be shorter than the video and still be all of it."""


@dataclass(frozen=True)
class _Trial:
    """One candidate before it runs; `package` is None for Lanczos."""

    label: str
    package: Path | None
    network: NetworkSpec


@dataclass(frozen=True)
class _Excerpt:
    """Part of the video that is tried: `frames` from `start` seconds on; None for all."""

    start: float
    frames: int | None


def preview(
    config: PreviewConfig, *, progress: Callable[[PreviewProgress], None] = lambda _state: None
) -> Preview:
    """Upscale an excerpt of a video with each candidate and write a page that compares them.

    The page is written anew after each candidate, so that a run that is stopped leaves what it did.

    Args:
        config: What to try.
        progress: Called for each frame.

    Raises:
        StoppedError: Ctrl+C or SIGTERM; the message says what the page shows.
        MediaError: The video cannot be read, or `vsrc infer` would refuse it.
        OutputError: The page is an input, or it exists, something else wrote it and `overwrite` is
            off.
        SpecError: A model is not a package.
        ValueError: The input is not one video.
    """
    check_pages("vsrc preview")
    source = _find_source(config)
    trials = _plan_trials(config)
    job = hash_job("preview", replace(config, overwrite=False))
    check_outputs(
        [report_output(config.output, "-o", job=job)],
        inputs=[
            *with_members(source.files),
            *model_files(*(trial.package for trial in trials), *config.names),
        ],
        overwrite=config.overwrite,
    )
    check_page_name(config.output, "-o")
    check_place(config.output)
    info = _probe(source, config)
    run = _Run(config, job, source, info, trials, progress)
    try:
        return run.run()
    except (KeyboardInterrupt, StoppedError):
        raise StoppedError(run.describe_stop()) from None


def _find_source(config: PreviewConfig) -> Source:
    sources = find_sources([config.video])
    if len(sources) > 1:
        raise ValueError(f"{config.video} contains {len(sources)} inputs; name one video of them")
    if sources[0].is_pipe:
        raise ValueError(
            "a preview reads its input several times, which a pipe does not allow; name a file"
        )
    return sources[0]


def _probe(source: Source, config: PreviewConfig) -> VideoInfo:
    settings = config.of_infer(Path("preview.mkv"), model=None, start=0.0, frames=None)
    with (
        library_failures_named(source.name),
        closing(open_reader(source, settings)) as reader,
    ):
        check_supported(reader.info, allow_hdr=config.allow_hdr, deinterlace=config.deinterlace)
        return reader.info


def _plan_trials(config: PreviewConfig) -> list[_Trial]:
    """Lanczos and then each model, with labels that differ."""
    models = config.models or tuple(map(shipped, (DEFAULT_STUDENT, COMPRESSED_STUDENT)))
    names = config.names or tuple(map(typed_name, models))
    if len(set(names)) < len(names):
        raise ValueError(f"a model is named twice: {', '.join(names)}")
    short = [Path(name).stem for name in names]
    labels = short if len(set(short)) == len(short) else list(names)
    networks = [open_package(model).spec.network for model in models]
    lanczos = LanczosSession(max(network.scale for network in networks)).network
    own = map(_Trial, labels, models, networks)
    return [_Trial("Lanczos", None, lanczos), *own]


class _Run:
    """A running preview: what is done, and its page."""

    def __init__(
        self,
        config: PreviewConfig,
        job: str,
        source: Source,
        info: VideoInfo,
        trials: list[_Trial],
        progress: Callable[[PreviewProgress], None],
    ) -> None:
        self._config, self._job, self._source, self._info = config, job, source, info
        self._trials, self._progress = trials, progress
        self._excerpt = _choose_excerpt(config, info)
        width, height = info.upright_size
        most = max(trial.network.scale for trial in trials)
        self._size = (width * most, height * most)
        self._cut: Cut = choose_cut(*self._size)
        self._candidates: list[PreviewCandidate] = []
        self._clips: list[PageClip] = []
        choice = choose_family(source, info)
        self._recommended = choice.name
        self._advice = f"for this video vsrc infer selects {choice.name}: {choice.reason}"

    def run(self) -> Preview:
        """Try every candidate; the page is written after each."""
        original, frames = encode_for_page(
            self._original_frames(), fps=self._info.rate, cut=self._cut
        )
        if not frames:
            raise MediaError(
                f"{typed_input(self._config.video)}: no frame at or after {self._excerpt.start:g} s"
            )
        width, height = self._info.upright_size
        source = PageClip("source", original, format_size(width, height))
        preview = self._result(frames)
        for trial in self._trials:
            self._try(trial, frames)
            preview = self._result(frames)
            write_preview_page(
                self._config.output,
                preview,
                clips=[*self._clips, source],
                size=self._cut.of(*self._size),
                info=self._info,
                is_cut=not self._cut.is_whole,
            )
            mark_report(self._config.output, self._job)
        return preview

    def describe_stop(self) -> str:
        """Say what the page of a run that was stopped shows."""
        if not self._candidates:
            return "interrupted; nothing was saved"
        labels = ", ".join(candidate.label for candidate in self._candidates)
        return f"interrupted; {self._config.output} shows what was finished: {labels}"

    def _result(self, frames: int) -> Preview:
        return Preview(
            page=str(self._config.output),
            video=str(self._config.video),
            start=self._excerpt.start,
            frames=frames,
            whole_frames=self._info.estimated_frames or None,
            recommended=self._recommended,
            advice=self._advice,
            candidates=tuple(self._candidates),
            planned=len(self._trials),
        )

    def _original_frames(self) -> Iterator[Pixels]:
        """Yield the upright frames of the excerpt, not upscaled."""
        settings = self._settings(Path("preview.mkv"), None)
        start, info = self._excerpt.start, self._info
        first_pts = info.start + ceil(start / info.time_base)
        with closing(open_reader(self._source, settings)) as reader:
            if start:
                reader.seek(first_pts)
            wanted = (frame for frame in reader if frame.pts >= first_pts)
            for frame in islice(wanted, self._excerpt.frames):
                yield info.orientation.upright(frame.rgb)

    def _settings(self, output: Path, model: Path | None) -> InferConfig:
        excerpt = self._excerpt
        return self._config.of_infer(
            output, model=model, start=excerpt.start, frames=excerpt.frames
        )

    def _try(self, trial: _Trial, frames: int) -> None:
        """Upscale the excerpt with one candidate."""

        def show(now: InferProgress) -> None:
            index = len(self._candidates) + 1
            done = now.done // trial.network.time_scale
            self._progress(PreviewProgress(trial.label, index, len(self._trials), done, frames))

        session = None if trial.package else LanczosSession(trial.network.scale)
        with tempfile.TemporaryDirectory(prefix="vsrc-preview-") as folder:
            output = Path(folder) / "excerpt.mkv"
            settings = self._settings(output, trial.package)
            (result,) = infer(settings, session=session, progress=show).files
            clip, _ = encode_for_page(
                iter_result(output, step=trial.network.time_scale),
                fps=self._info.rate,
                cut=self._cut,
            )
            self._keep(trial, result, clip, output.stat().st_size)

    def _keep(self, trial: _Trial, result: FileResult, clip: bytes, size_bytes: int) -> None:
        frames = self._info.estimated_frames * trial.network.time_scale
        self._candidates.append(
            PreviewCandidate(
                label=trial.label,
                model=typed_name(trial.package) if trial.package else None,
                runs=result.runs,
                frames=result.frames,
                seconds=result.seconds,
                fps=round(steady_fps(result), 3),
                whole_seconds=round(whole_seconds(result, frames), 1) if frames else None,
                whole_bytes=round(size_bytes / result.frames * frames) if frames else None,
                command=format_infer_command(self._config, trial.label, trial.package)
                if trial.package
                else format_ffmpeg_command(self._config, trial.label, scale=trial.network.scale),
            )
        )
        self._clips.append(PageClip(trial.label, clip, f"{steady_fps(result):.3g} fps"))


def _choose_excerpt(config: PreviewConfig, info: VideoInfo) -> _Excerpt:
    """Choose the excerpt: the whole of a short video, or the middle where no start is given."""
    frames = max(1, round(config.seconds * info.rate))
    known = info.estimated_frames
    if known and known <= frames + _DECODE_MARGIN and not config.start:
        return _Excerpt(0.0, None)
    if config.start is not None:
        return _Excerpt(config.start, frames)
    middle = (known - frames) / 2 / float(info.rate) if known else 0.0
    return _Excerpt(round(max(0.0, middle), 2), frames)
