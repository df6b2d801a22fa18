"""Run one input through decode, network and encode, and count its frames."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from operator import attrgetter

from vsrc.runtime.backends.graph_in_use import graph_of
from vsrc.runtime.decode.frame import ResultFrame, SourceFrame
from vsrc.runtime.encode.kept_states import KeptStates
from vsrc.runtime.errors import DiskFullError, InterlacedError, MediaError, StoppedError
from vsrc.runtime.jobs import pipeline
from vsrc.runtime.jobs.job import Job
from vsrc.runtime.jobs.result import FileResult, InferProgress
from vsrc.runtime.jobs.stage_clock import Untimed
from vsrc.runtime.jobs.writer import Writer
from vsrc.runtime.windows.lane_choice import LaneChoice
from vsrc.runtime.windows.tiles import TiledSession
from vsrc.runtime.windows.upscale import upscale_frames

InferCallback = Callable[[InferProgress], None]

_IS_NEW = attrgetter("is_new")
"""Whether a result was upscaled in this run; see `ResultFrame`."""


class InferJob:
    """A running job: one input in the pipeline, with its counters.

    Args:
        opened: The input.
        writer: Writer of the result.
        began: When the input was opened, by `time.perf_counter`.
        progress: Called for each frame.
        joins: Whether all frames exist already, in the segments of several shares.
    """

    def __init__(
        self,
        opened: Job,
        writer: Writer,
        began: float,
        progress: InferCallback | None,
        *,
        joins: bool = False,
    ) -> None:
        self._joins = joins
        self._opened = opened
        self._writer = writer
        self._began = began
        self._progress = progress
        self._done = self._made = 0
        self._made_since = began
        self._recomputed_frames = writer.kept.recomputed_frames
        self._corrupted_frames = writer.kept.corrupted_frames
        self._shots = 1
        self._first_seconds = 0.0
        self._report = InferProgress(
            input=opened.target.source.name,
            output=str(opened.target.result_path),
            info=opened.reader.info,
            writes=writer.summary,
            graph=graph_of(opened.session),
            done=0,
            total=opened.total or None,
            seconds=0.0,
            notes=(*opened.said, *writer.notes, *opened.session.notes, *self._going_on()),
        )

    def _going_on(self) -> list[str]:
        kept = self._writer.kept.frames
        if kept and (self._joins or kept == self._opened.total):
            return [f"joins {kept} frames that were upscaled before, by all shares of the work"]
        return [f"resumes after the {kept} frames of an interrupted run"] if kept else []

    def run(self, clock: Untimed) -> None:
        """Upscale and write all frames.

        Raises:
            MediaError: No frame is in the requested range, or the input or output failed.
            StoppedError: Ctrl+C or SIGTERM; the message says what is kept.
            KeyboardInterrupt: The same, if nothing was saved.
        """
        try:
            self._run(clock)
        except KeyboardInterrupt:
            if not self._writer.kept.frames:
                raise
            raise StoppedError(self._with_kept("interrupted")) from None
        except DiskFullError as error:
            raise DiskFullError(self._with_kept(str(error))) from error
        except InterlacedError as error:
            kept = self._writer.kept.frames
            text = f"{error}; {kept} frames saved" if kept else str(error)
            raise InterlacedError(text) from error

    def _run(self, clock: Untimed) -> None:
        self._tell()
        upscale = partial(
            upscale_frames,
            session=self._opened.session,
            batch=self._opened.config.batch,
            is_kept=self._writer.is_kept,
            guard=self._opened.guard,
            kept_states=self._kept_states(),
            on_device=self._opened.on_device,
        )
        pipeline.run(
            clock.source("decode", self._watched(self._opened.frames()), lambda read: read.wanted),
            lambda read: self._counted(clock.between("upscale", read, upscale, _IS_NEW)),
            clock.sink("encode", self._write, _IS_NEW),
            depths=(pipeline.SOURCE_DEPTH, self._opened.session.queue),
        )
        if self._done == 0:
            raise MediaError(
                f"{self._report.input}: --start is after its last frame "
                f"({self._report.info.estimated_frames} frames)"
            )
        self._writer.finish()

    def _kept_states(self) -> KeptStates | None:
        has_state = bool(self._opened.session.network.state)
        return self._writer.kept_states() if has_state else None

    def result(self) -> FileResult:
        """Return the result of the job."""
        seconds = time.perf_counter() - self._began
        opened, guard = self._opened, self._opened.guard
        return FileResult(
            input=self._report.input,
            output=self._report.output,
            frames=self._done,
            shots=self._shots,
            seconds=round(seconds, 3),
            first_frame_seconds=round(self._first_seconds, 3),
            fps=round(self._made / seconds, 3),
            runs=opened.session.label,
            model=opened.model,
            graph=self._report.graph,
            lanes=self._lanes(),
            notes=(
                *opened.reader.notes(),
                *self._writer.notes,
                *opened.session.notes,
                *(guard.notes if guard else ()),
            ),
            recomputed_frames=self._recomputed_frames,
            corrupted_frames=self._corrupted_frames,
            kept_frames=self._done - self._made,
        )

    def _lanes(self) -> LaneChoice | None:
        session = self._opened.session
        return session.lane_choice if isinstance(session, TiledSession) else None

    def _with_kept(self, what: str) -> str:
        kept = self._writer.kept.frames
        if not kept:
            return what
        return f"{what}; {kept} frames saved; run the same command to resume"

    def _watched(self, frames: Iterable[SourceFrame]) -> Iterator[SourceFrame]:
        began = False
        for frame in frames:
            self._shots += frame.starts_shot and frame.wanted and began
            began = began or frame.wanted
            yield frame

    def _counted(self, results: Iterable[ResultFrame]) -> Iterator[ResultFrame]:
        for result in results:
            yield result
            self._recomputed_frames += result.is_recomputed
            self._corrupted_frames += result.is_corrupted
            if result.counts:
                self._count(is_new=result.is_new)

    def _count(self, *, is_new: bool) -> None:
        self._done += 1
        self._made += is_new
        if not self._made:  # kept frames pass quickly, and say nothing about the pace
            self._made_since = time.perf_counter()
        self._tell()

    def _write(self, result: ResultFrame) -> None:
        self._writer.write(result)
        if result.is_new and not self._first_seconds:
            self._first_seconds = time.perf_counter() - self._began

    def _tell(self) -> None:
        if self._progress:
            now = time.perf_counter()
            fps = self._made / max(now - self._made_since, 1e-9) if self._made else None
            self._progress(
                replace(self._report, done=self._done, seconds=now - self._began, fps=fps)
            )
