"""`vsrc infer`: decode, windows, network, encode, on three threads."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from functools import partial
from math import ceil
from pathlib import Path

from vsrc import __version__
from vsrc.runtime import pipeline
from vsrc.runtime.backends import open_video_session
from vsrc.runtime.encoding import VideoSettings
from vsrc.runtime.errors import MediaError, StoppedError, VsrcError
from vsrc.runtime.excerpt import excerpt
from vsrc.runtime.infer_config import InferConfig
from vsrc.runtime.infer_result import Failure, FileResult, InferProgress, InferResult
from vsrc.runtime.package import open_package, shipped
from vsrc.runtime.picture_writer import PictureWriter
from vsrc.runtime.pictures import PictureReader
from vsrc.runtime.probe import VideoInfo, check_supported
from vsrc.runtime.reader import Reader, VideoReader
from vsrc.runtime.restore import neighbours, restored
from vsrc.runtime.segments import SegmentStore, fingerprint
from vsrc.runtime.session import Session
from vsrc.runtime.shard import shared_out
from vsrc.runtime.shots import mark_shots
from vsrc.runtime.sources import Source, find_sources
from vsrc.runtime.spec import NetworkSpec
from vsrc.runtime.stage_clock import Untimed
from vsrc.runtime.stamped import ResultFrame, SourceFrame
from vsrc.runtime.targets import Target, check_space, check_target, plan_targets, prepare_folder
from vsrc.runtime.tile_choice import Choice, check_tile, choose_tile
from vsrc.runtime.tiles import TiledSession
from vsrc.runtime.writer import VideoWriter, Writer
from vsrc.runtime.y4m_writer import Y4mWriter

Report = Callable[[InferProgress], None]

DEFAULT_STUDENT = "edge-s"


def infer(
    config: InferConfig,
    *,
    session: Session | None = None,
    progress: Report | None = None,
    clock: Untimed | None = None,
) -> InferResult:
    """Restore videos.

    Args:
        config: What to do.
        session: An open network, used instead of `config.model` and left open.
        progress: Told of each frame, on the calling thread.
        clock: A `StageClock` that shall time the stages.

    Raises:
        VsrcError: A single input could not be restored. Of several, those that fail are named in
            the result and the others go on.
        ValueError: The inputs and the output do not go together.
    """
    sources = find_sources(config.inputs)
    targets = plan_targets(sources, config.output)
    if config.shard is not None:
        targets = shared_out(targets, config.shard)
    files: list[FileResult] = []
    failures: list[Failure] = []
    with closing(_Network(config, session)) as network:
        for target in targets:
            try:
                files.append(_restore_file(target, config, network, progress, clock))
            except VsrcError as error:  # noqa: PERF203  each file takes minutes
                if len(sources) == 1 or not isinstance(error, MediaError):
                    raise
                failures.append(Failure(target.source.name, str(error)))
    return InferResult(tuple(files), tuple(failures))


class _Network:
    """The session, opened once the first input has turned out to be readable."""

    def __init__(self, config: InferConfig, given: Session | None) -> None:
        self._config = config
        self._given = given
        self._own: dict[bool, Session] = {}

    def session(self, info: VideoInfo) -> Session:
        if self._given is not None:
            return self._given
        is_deep = info.depth > 8
        if is_deep not in self._own:
            config = self._config
            package = open_package(config.model or shipped(DEFAULT_STUDENT))
            self._own[is_deep] = open_video_session(
                package,
                backend=config.backend,
                precision=config.precision,
                threads=config.threads,
                is_deep=is_deep,
            )
        return self._own[is_deep]

    def close(self) -> None:
        for session in self._own.values():
            session.close()


def _restore_file(
    target: Target,
    config: InferConfig,
    network: _Network,
    progress: Report | None,
    clock: Untimed | None,
) -> FileResult:
    began = time.perf_counter()
    check_target(target, overwrite=config.overwrite)
    with closing(_open_reader(target.source, config)) as reader:
        check_supported(reader.info, allow_hdr=config.allow_hdr, deinterlace=config.deinterlace)
        session = _tiled(network.session(reader.info), reader.info, config)
        reader.is_deep = reader.info.depth > 8 and session.graph.io == "float"
        total = _total(reader.info, config, session.network)
        frames = _wanted(reader, config, session.network)
        writer = _open_writer(target, reader, config, session, total)
        job = _Job(target, reader, writer, session, began, total, progress)
        try:
            job.run(frames, batch=config.batch, clock=clock or Untimed())
            return job.result()
        except KeyboardInterrupt:
            raise StoppedError(job.stopped()) from None
        finally:
            writer.discard()


class _Job:
    """One input on its way through the pipeline, with its counters."""

    def __init__(
        self,
        target: Target,
        reader: Reader,
        writer: Writer,
        session: TiledSession,
        began: float,
        total: int,
        progress: Report | None,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._session = session
        self._began = began
        self._progress = progress
        self._done = 0
        self._shots = 1
        self._first_seconds = 0.0
        self._report = InferProgress(
            input=target.source.name,
            output=str(target.path),
            info=reader.info,
            writes=writer.summary,
            runs=session.label,
            done=0,
            total=total or None,
            seconds=0.0,
            notes=tuple(writer.notes + session.notes + self._going_on()),
        )

    def _going_on(self) -> list[str]:
        kept = self._writer.kept_frames
        return [f"goes on behind the {kept} frames of a run that was stopped"] if kept else []

    def run(self, frames: Iterable[SourceFrame], *, batch: int, clock: Untimed) -> None:
        """Restore and write everything.

        Raises:
            MediaError: No frame was wanted, or the input or output failed.
        """
        self._tell()
        restore = partial(
            restored, session=self._session, batch=batch, kept=self._writer.kept_frames
        )
        pipeline.run(
            clock.source("decode", self._watched(frames)),
            lambda read: self._counted(clock.between("restore", read, restore)),
            clock.sink("encode", self._write),
        )
        if self._done == 0:
            raise MediaError(
                f"{self._report.input}: --start lies behind its last frame "
                f"({self._report.info.estimated_frames} frames)"
            )
        self._writer.finish()

    def stopped(self) -> str:
        """What to say when somebody stopped it."""
        kept = self._writer.saved_frames
        if not kept:
            return "interrupted"
        return f"interrupted; {kept} frames are kept, and the same command goes on behind them"

    def result(self) -> FileResult:
        """What became of it."""
        seconds = time.perf_counter() - self._began
        return FileResult(
            input=self._report.input,
            output=self._report.output,
            frames=self._done,
            shots=self._shots,
            seconds=round(seconds, 3),
            first_frame_seconds=round(self._first_seconds, 3),
            fps=round(self._done / seconds, 3),
            runs=self._report.runs,
            notes=tuple(self._reader.notes() + self._writer.notes + self._session.notes),
        )

    def _watched(self, frames: Iterable[SourceFrame]) -> Iterator[SourceFrame]:
        began = False
        for frame in frames:
            self._shots += frame.starts_shot and frame.wanted and began
            began = began or frame.wanted
            yield frame

    def _counted(self, results: Iterable[ResultFrame]) -> Iterator[ResultFrame]:
        for result in results:
            yield result
            if result.counts:
                self._done += 1
                self._tell()

    def _write(self, result: ResultFrame) -> None:
        self._writer.write(result)
        if result.rgb is not None and not self._first_seconds:
            self._first_seconds = time.perf_counter() - self._began

    def _tell(self) -> None:
        if self._progress:
            seconds = time.perf_counter() - self._began
            self._progress(replace(self._report, done=self._done, seconds=seconds))


def _tiled(session: Session, info: VideoInfo, config: InferConfig) -> TiledSession:
    """The session, fed with tiles where they were asked for or memory asks for them."""
    height, width = info.height, info.width
    if config.tile is None:
        choice = choose_tile(session, height=height, width=width, batch=config.batch)
    else:
        choice = Choice(config.tile)
    tiled = TiledSession(session, tile=choice.tile)
    check_tile(choice.tile, session.network)
    tiled.notes += [choice.note] if choice.note else []
    if info.depth > 8 and session.graph.io == "uint8":
        tiled.notes.append(
            f"{info.depth}-bit samples are restored in 8 bits: the graph sees no more; "
            "vsrc export PACKAGE --io float adds one that does"
        )
    if 0 < choice.tile < max(height, width) and not session.network.halo_is_exact:
        tiled.notes.append(
            f"{session.network.name} looks at the whole picture: tiles come close to what it gives "
            "for whole frames, and no more"
        )
    return tiled


def _open_reader(source: Source, config: InferConfig) -> Reader:
    if source.is_pictures:
        fps = Fraction(config.fps).limit_denominator(1001)
        return PictureReader(source.files, fps=fps, name=source.name)
    return VideoReader(source.files[0], deinterlace=config.deinterlace)


def _open_writer(
    target: Target, reader: Reader, config: InferConfig, session: TiledSession, total: int
) -> Writer:
    network = session.network
    if target.is_pipe:
        pipe = sys.stdout.buffer
        return Y4mWriter(pipe, reader.info, scale=network.scale, time_scale=network.time_scale)
    folder = prepare_folder(target)
    check_space(folder, reader.info, frames=total, scale=network.scale, pictures=target.is_pictures)
    if target.is_pictures:
        return PictureWriter(
            target.path, pattern=target.pattern, info=reader.info, scale=network.scale
        )
    settings = VideoSettings(
        codec=config.codec,
        crf=config.crf,
        preset=config.preset,
        threads=config.threads,
        scale=network.scale,
        time_scale=network.time_scale,
        is_excerpt=config.is_excerpt,
    )
    if target.source.is_pipe:  # which nobody can begin again
        return VideoWriter(target.path, reader, settings)
    store = SegmentStore(target.path, _fingerprint(target, config, session))
    return VideoWriter(target.path, reader, settings, store)


def _fingerprint(target: Target, config: InferConfig, session: TiledSession) -> str:
    """Of all that the bytes of a result depend on."""
    import av

    sources = [(str(file.resolve()), *_state(file)) for file in target.source.files]
    options = replace(config, inputs=("-",), output=Path(), model=None, overwrite=False, shard=None)
    made_by = (__version__, av.__version__, av.library_versions, session.label)
    return fingerprint([sources, options, session.graph, session.network, session.tile, *made_by])


def _state(file: Path) -> tuple[int, int]:
    found = file.stat()
    return found.st_size, found.st_mtime_ns


def _wanted(reader: Reader, config: InferConfig, network: NetworkSpec) -> Iterable[SourceFrame]:
    """The frames of the source that are restored, and their neighbours."""
    time_base = reader.info.time_base
    first_pts = reader.info.start + ceil(_seconds(config.start) / time_base)
    if config.is_excerpt:
        reader.seek(first_pts)
    has_neighbours = network.window > 1
    frames = mark_shots(reader) if config.cuts and has_neighbours else reader
    if not config.is_excerpt:
        return frames
    return excerpt(
        frames,
        first_pts=first_pts,
        count=config.frames,
        context=neighbours(network),
        time_base=time_base,
    )


def _seconds(value: float) -> Fraction:
    """The fraction a user meant: 0.2 is a fifth, not the double just above it."""
    return Fraction(value).limit_denominator(1_000_000)


def _total(info: VideoInfo, config: InferConfig, network: NetworkSpec) -> int:
    """Frames of the result, 0 where the source does not say."""
    known = info.estimated_frames
    left = max(0, known - ceil(config.start * info.rate)) if known else 0
    if config.frames is not None:
        left = min(left, config.frames) if known else config.frames
    return max(0, 2 * left - 1) if network.time_scale == 2 else left
