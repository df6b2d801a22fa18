"""Process one unit: upscale an input, or a piece of a long input, and join complete pieces."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

from vsrc.runtime.backends.graph_in_use import graph_of
from vsrc.runtime.encode.segments import Segment, lock_output
from vsrc.runtime.encode.targets import Target, check_target, prepare_folder
from vsrc.runtime.errors import HardwareError, MediaError, StoppedError
from vsrc.runtime.file_lock import alone
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.job import Job, open_job, open_reader, result_frames
from vsrc.runtime.jobs.job_run import InferCallback, InferJob
from vsrc.runtime.jobs.manifest import Item, Manifest, result_sha256
from vsrc.runtime.jobs.pieces import (
    Piece,
    SplitVideo,
    make_piece,
    split_video,
    warm_up_notes,
)
from vsrc.runtime.jobs.result import FileResult, InferProgress, PieceResult
from vsrc.runtime.jobs.run_sessions import RunSessions
from vsrc.runtime.jobs.share import Unit
from vsrc.runtime.jobs.stage_clock import Untimed
from vsrc.runtime.library_failure import library_failures_named

LEAST_PIECE = 480
"""Smallest number of frames of a piece: four segments."""

SEGMENTS_SAVED = "interrupted; finished segments are saved; run the same command to resume"
"""What is said of pieces that were stopped."""

_LOCK_FILE = "join.lock"


@dataclass(frozen=True)
class Work:
    """Settings and resources shared by all units of a run.

    Attributes:
        config: Settings of the run.
        network: Sessions of the run.
        manifest: Manifest of the run; None for a single input.
        progress: Called for each frame.
        clock: Clock that times the stages, or one that does nothing.
    """

    config: InferConfig
    network: RunSessions
    manifest: Manifest | None = None
    progress: InferCallback | None = None
    clock: Untimed | None = None


def split_target(target: Target, frames: int, count: int | None = None) -> list[Unit]:
    """Split a target into at most `count` pieces if it is long; else return it as one unit."""
    pieces = frames // LEAST_PIECE if count is None else min(count, frames // LEAST_PIECE)
    if pieces < 2:
        return [Unit(target)]
    return [Unit(target, number, pieces) for number in range(pieces)]


def count_frames(target: Target, config: InferConfig) -> int:
    """Number of requested frames of the source; 0 if unknown or if it cannot be split."""
    if target.is_pipe or target.source.is_pipe or target.is_pictures:
        return 0
    try:
        with library_failures_named(target.source.name):
            reader = open_reader(target.source, config)
    except MediaError:  # the unit itself reports the error
        return 0
    reader.close()
    return result_frames(reader.info, config)


def upscale_unit(unit: Unit, work: Work) -> FileResult | PieceResult:
    """Process one unit."""
    return upscale_file(unit.target, work) if unit.count == 1 else upscale_piece(unit, work)


def upscale_file(target: Target, work: Work) -> FileResult:
    """Upscale one input, unless the manifest lists it as done.

    Where the hardware of a GPU fails, the CPU begins again; finished segments are kept, unless
    their frames were converted on the GPU.

    Raises:
        MediaError: It cannot be upscaled, or another process is making the result.
        OutputError: The result exists, and is not to be replaced.
    """
    began = time.perf_counter()
    done = find_finished(target, work)
    if done is not None:
        return done
    try:
        return _upscale_file(target, work, began)
    except HardwareError as error:
        on_cpu = replace(work, config=replace(work.config, hwaccel="none"))
        result = _upscale_file(target, on_cpu, began)
        place = "the beginning" if error.starts_over else "the last finished segment"
        note = f"decoded on the CPU from {place} on: {error}"
        return replace(result, notes=(note, *result.notes))


def _upscale_file(target: Target, work: Work, began: float) -> FileResult:
    check_target(target, overwrite=work.config.overwrite)
    with open_job(target, work.config, work.network) as job, _lock(target):
        check_target(target, overwrite=work.config.overwrite)  # it may have appeared meanwhile
        try:
            return _run(job, work, began)
        except HardwareError as error:
            error.starts_over = job.on_device is not None
            raise


def _lock(target: Target, *, shared: bool = False) -> AbstractContextManager[None]:
    """Lock the result of a target; no lock for a pipe, nor for an image, which is made at once."""
    if target.is_pipe or target.is_one_picture:
        return nullcontext()
    prepare_folder(target)
    return lock_output(target.path, shared=shared)


def _run(job: Job, work: Work, began: float, *, joins: bool = False) -> FileResult:
    """Upscale an input whose result is locked; `began` is when it was opened."""
    target = job.target
    with library_failures_named(target.source.name):
        writer = job.writer()
        try:
            run = InferJob(job, writer, began, work.progress, joins=joins)
            run.run(work.clock or Untimed())
            result = run.result()
        finally:
            writer.discard()
        if work.manifest is not None:
            _record(work.manifest, job, result)
        return result


def upscale_piece(unit: Unit, work: Work) -> FileResult | PieceResult:
    """Upscale a piece of a long input, decoded on the CPU; join the pieces if none is missing."""
    work, target = replace(work, config=replace(work.config, hwaccel="none")), unit.target
    done = find_finished(target, work)
    if done is not None:
        return done
    check_target(target, overwrite=work.config.overwrite)
    with (
        open_job(target, work.config, work.network) as job,
        _lock(target, shared=True),
        library_failures_named(target.source.name),
    ):
        video = split_video(job)
        pieces = video.pieces(unit.count)
        piece = pieces[unit.number] if unit.number < len(pieces) else Piece(0, 0)
        began = time.perf_counter()
        made = _make(video, piece, unit, work)
        seconds = time.perf_counter() - began
        own = _segments(video, piece)
        result = PieceResult(
            target.source.name,
            str(target.path),
            piece.first,
            piece.stop,
            video.borders[-1],
            made,
            fps=round(made / max(seconds, 1e-9), 3),
            recomputed_frames=sum(segment.recomputed_frames for segment in own),
            corrupted_frames=sum(segment.corrupted_frames for segment in own),
        )
        if work.manifest is not None:
            work.manifest.record(_piece_item(video, piece, work.manifest.name(target)))
        joined = _join(video, work) if video.is_complete else None
        if joined is None:
            return result
        return replace(joined, kept_frames=joined.frames - made, fps=result.fps)


def find_finished(target: Target, work: Work) -> FileResult | None:
    """Return the result of a target if the same job has finished it and it is unchanged."""
    if work.manifest is None or not target.path.exists():
        return None
    recorded = work.manifest.recorded(target)
    if not recorded:
        return None
    known = tuple(record for item in recorded for record in item.sources)
    config = replace(work.config, hwaccel="none")  # nothing is decoded
    with open_job(target, config, work.network, known) as job:
        jobs = job.fingerprints if work.config.hwaccel == "cuda" else (job.fingerprint,)
        of_this_job = [item for item in recorded if item.job in jobs]
        if not of_this_job or result_sha256(target) != of_this_job[0].sha256:
            return None
        return FileResult(
            input=target.source.name,
            output=str(target.path),
            frames=of_this_job[0].frames,
            shots=1,
            seconds=0.0,
            first_frame_seconds=0.0,
            fps=0.0,
            runs=job.session.label,
            model=job.model,
            graph=graph_of(job.session),
            notes=("skipped: it exists already, from a run with the same options",),
            recomputed_frames=of_this_job[0].recomputed_frames,
            corrupted_frames=of_this_job[0].corrupted_frames,
            kept_frames=of_this_job[0].frames,
        )


def _make(video: SplitVideo, piece: Piece, unit: Unit, work: Work) -> int:
    """Upscale a piece; return the number of frames upscaled now."""
    job = video.job
    began = time.perf_counter()
    missing = video.missing_segments(piece)
    now = InferProgress(
        input=job.target.source.name,
        output=str(job.target.path),
        info=job.reader.info,
        writes=f"piece {unit.number + 1} of {unit.count} ({piece} of {video.borders[-1]})",
        graph=graph_of(job.session),
        done=0,
        total=sum(stop - first for first, stop in missing),
        seconds=0.0,
        notes=(*job.session.notes, *warm_up_notes(video, piece)),
    )

    def tell(done: int) -> None:
        if work.progress:
            seconds = time.perf_counter() - began
            fps = done / max(seconds, 1e-9) if done else None
            work.progress(replace(now, done=done, seconds=seconds, fps=fps))

    tell(0)
    try:
        return make_piece(video, piece, tell)
    except KeyboardInterrupt:
        raise StoppedError(SEGMENTS_SAVED) from None


def _join(video: SplitVideo, work: Work) -> FileResult | None:
    """Join the pieces; None if another process is joining or has joined them."""
    with alone(video.store.folder / _LOCK_FILE) as is_alone:
        if not is_alone or not video.is_complete:
            return None
        target, began = video.job.target, time.perf_counter()
        check_target(target, overwrite=work.config.overwrite)
        with open_job(target, work.config, work.network) as job:
            return _run(job, work, began, joins=True)


def _record(manifest: Manifest, job: Job, result: FileResult) -> None:
    target = job.target
    name = manifest.name(target)
    before = manifest.items.get(name, Item(target.source.name, name))
    sha256 = result_sha256(target)
    manifest.record(
        replace(
            before,
            job=job.fingerprint,
            frames=result.frames,
            graph=result.graph,
            sha256=sha256,
            error=None,
            recomputed_frames=result.recomputed_frames,
            corrupted_frames=result.corrupted_frames,
            sources=() if target.source.is_pictures else job.sources,
        )
    )


def _piece_item(video: SplitVideo, piece: Piece, name: str) -> Item:
    return Item(
        input=video.job.target.source.name,
        output=name,
        job=video.job.fingerprint,
        frames=video.borders[-1],
        graph=graph_of(video.job.session),
        piece=(piece.first, piece.stop),
        segments=_segments(video, piece),
    )


def _segments(video: SplitVideo, piece: Piece) -> tuple[Segment, ...]:
    own = [video.store.at(first) for first in video.borders if piece.first <= first < piece.stop]
    return tuple(segment for segment in own if segment is not None)
