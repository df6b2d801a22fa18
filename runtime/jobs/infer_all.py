"""`vsrc infer`: decode, form windows, run the network and encode, on three threads."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from vsrc.runtime.decode.sources import find_skipped_of, find_sources
from vsrc.runtime.encode.codec_choice import check_codec
from vsrc.runtime.encode.targets import Target, plan_targets
from vsrc.runtime.encode.video_writer import muxer_of
from vsrc.runtime.errors import (
    DeviceMemoryError,
    MediaError,
    MismatchError,
    StoppedError,
    VsrcError,
)
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.job_run import InferCallback
from vsrc.runtime.jobs.manifest import Item, Manifest, manifest_path
from vsrc.runtime.jobs.result import Failure, FileResult, InferResult, PieceResult
from vsrc.runtime.jobs.run_sessions import RunSessions
from vsrc.runtime.jobs.share import Unit, select_share
from vsrc.runtime.jobs.stage_clock import Untimed
from vsrc.runtime.jobs.unit import Work, count_frames, split_target, upscale_unit
from vsrc.runtime.windows.session import Session

_OF_ONE_FILE = (MediaError, DeviceMemoryError, MismatchError)
"""Errors that leave the other inputs of a run as they are."""


def infer(
    config: InferConfig,
    *,
    session: Session | None = None,
    progress: InferCallback | None = None,
    clock: Untimed | None = None,
) -> InferResult:
    """Upscale videos.

    Args:
        config: Settings of the run.
        session: Open session, used instead of `config.model` and left open.
        progress: Called for each frame, on the calling thread.
        clock: `StageClock` that times the stages; None for no timing.

    Raises:
        StoppedError: Ctrl+C or SIGTERM; the message says what is kept.
        VsrcError: A single input could not be upscaled. Of several, those that fail are listed in
            the result and the others are processed.
        ValueError: The inputs and the output do not match.
    """
    targets = plan_targets(find_sources(config.inputs), config.output)
    check_encoding(targets, config)
    units = [Unit(target) for target in targets]
    if config.shard is not None:
        count = config.shard.count
        pieces = (split_target(target, count_frames(target, config), count) for target in targets)
        units = select_share([unit for target in pieces for unit in target], config.shard)
    done: list[FileResult | PieceResult] = []
    failures: list[Failure] = []
    with closing(RunSessions(config, session)) as network:
        work = Work(config, network, manifest_of(config, targets), progress, clock)
        for unit in units:
            try:
                done.append(upscale_unit(unit, work))
            except KeyboardInterrupt:
                raise StoppedError(_interrupted(len(done), len(units))) from None
            except VsrcError as error:
                if len(targets) == 1 or not isinstance(error, _OF_ONE_FILE):
                    raise
                failures.append(Failure(unit.target.source.name, str(error)))
                _record_failure(unit, work, str(error))
            if work.manifest is not None:
                work.manifest.save()
    files = tuple(result for result in done if isinstance(result, FileResult))
    waiting = tuple(result for result in done if isinstance(result, PieceResult))
    skipped = tuple(find_skipped_of(config.inputs))
    return InferResult(files, tuple(failures), waiting, skipped)


def check_encoding(targets: Sequence[Target], config: InferConfig) -> None:
    """Raise if the encoder of a target does not exist, or does not support the options.

    Raises:
        MediaError: There is no container for the suffix of a target.
        MissingDependencyError: This build of FFmpeg has no such encoder.
        ValueError: The codec or its quality is not valid; checked before any input is opened.
    """
    videos = (target for target in targets if not (target.is_pictures or target.is_pipe))
    for path in {target.path.suffix.lower(): target.path for target in videos}.values():
        check_codec(config.codec, muxer_of(path), crf=config.crf)


def _interrupted(done: int, count: int) -> str:
    if not done:
        return "interrupted; nothing is kept"
    verb, them = ("is", "it") if done == 1 else ("are", "them")
    return (
        f"interrupted; {done} of {count} results {verb} complete; run the same command again to "
        f"resume after {them}"
    )


def manifest_of(config: InferConfig, targets: Sequence[Target]) -> Manifest | None:
    """Create the manifest of a run over several inputs, or of a share; None for a single input."""
    if targets[0].is_pipe or (config.shard is None and len(targets) == 1):
        return None
    is_folder = config.output.is_dir() or not config.output.suffix
    place = config.output if is_folder else targets[0].path
    return Manifest(manifest_path(place, config.shard, is_folder=is_folder), config.shard)


def _record_failure(unit: Unit, work: Work, error: str) -> None:
    if work.manifest is not None:
        name = work.manifest.name(unit.target)
        work.manifest.record(Item(unit.target.source.name, name, error=error))
