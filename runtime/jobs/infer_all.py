"""`vsrc infer`: decode, form windows, run the network and encode, on three threads."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from vsrc.runtime.decode.sources import find_skipped_of
from vsrc.runtime.encode.targets import Target
from vsrc.runtime.errors import MissingDependencyError, SpecError, StoppedError
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.job_run import InferCallback
from vsrc.runtime.jobs.manifest import Item, Manifest
from vsrc.runtime.jobs.result import (
    Failure,
    FileResult,
    InferResult,
    PieceResult,
    describe_failure,
)
from vsrc.runtime.jobs.run_plan import manifest_place, plan_run
from vsrc.runtime.jobs.run_sessions import RunSessions
from vsrc.runtime.jobs.share import Unit, select_share
from vsrc.runtime.jobs.stage_clock import Untimed
from vsrc.runtime.jobs.unit import Work, count_frames, split_target, upscale_unit
from vsrc.runtime.output_guard import PlannedOutput
from vsrc.runtime.windows.session import Session

OF_THE_RUN = (SpecError, MissingDependencyError, StoppedError)
"""Errors that every input would meet; any other exception is the failure of its input alone."""


def infer(
    config: InferConfig,
    *,
    session: Session | None = None,
    progress: InferCallback | None = None,
    clock: Untimed | None = None,
    reports: Sequence[PlannedOutput] = (),
) -> InferResult:
    """Upscale videos.

    Args:
        config: Settings of the run.
        session: Open session, used instead of `config.model` and left open.
        progress: Called for each frame, on the calling thread.
        clock: `StageClock` that times the stages; None for no timing.
        reports: Files that the caller writes afterwards, checked with the outputs of the run.

    Raises:
        StoppedError: Ctrl+C or SIGTERM; the message says what is kept.
        OutputError: An output would destroy something.
        VsrcError: A single input could not be upscaled. Of several, those that fail are listed in
            the result and the others are processed.
        ValueError: The inputs and the output do not match.
    """
    targets = plan_run(config, reports)
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
            except OF_THE_RUN:
                raise
            except Exception as error:
                if len(targets) == 1:
                    raise
                failures.append(_failure(unit, work, error))
            if work.manifest is not None:
                work.manifest.save()
    files = tuple(result for result in done if isinstance(result, FileResult))
    waiting = tuple(result for result in done if isinstance(result, PieceResult))
    skipped = tuple(find_skipped_of(config.inputs, output=config.output))
    return InferResult(files, tuple(failures), waiting, skipped)


def _interrupted(done: int, count: int) -> str:
    if not done:
        return "interrupted; nothing was saved"
    verb, them = ("is", "it") if done == 1 else ("are", "them")
    return (
        f"interrupted; {done} of {count} results {verb} complete; run the same command again to "
        f"resume after {them}"
    )


def manifest_of(config: InferConfig, targets: Sequence[Target]) -> Manifest | None:
    """Create the manifest of a run over several inputs, or of a share; None for a single input."""
    place = manifest_place(config, targets)
    return Manifest(place, config.shard) if place is not None else None


def _failure(unit: Unit, work: Work, error: Exception) -> Failure:
    """Describe and record the failure of an input."""
    failure = describe_failure(unit.target.source.name, error)
    if work.manifest is not None:
        name = work.manifest.name(unit.target)
        work.manifest.record(Item(failure.input, name, error=failure.error))
    return failure
