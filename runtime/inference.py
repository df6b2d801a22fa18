"""`vsrc infer`: decode, windows, network, encode, on three threads."""

from __future__ import annotations

import time
from contextlib import closing

from vsrc.runtime.errors import MediaError, VsrcError
from vsrc.runtime.infer_config import InferConfig
from vsrc.runtime.infer_job import InferJob, Report
from vsrc.runtime.infer_result import Failure, FileResult, InferResult
from vsrc.runtime.opened import Network, opened
from vsrc.runtime.session import Session
from vsrc.runtime.shard import shared_out
from vsrc.runtime.sources import find_sources
from vsrc.runtime.stage_clock import Untimed
from vsrc.runtime.targets import Target, check_target, plan_targets


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
    with closing(Network(config, session)) as network:
        for target in targets:
            try:
                files.append(_restore_file(target, config, network, progress, clock))
            except VsrcError as error:  # noqa: PERF203  each file takes minutes
                if len(sources) == 1 or not isinstance(error, MediaError):
                    raise
                failures.append(Failure(target.source.name, str(error)))
    return InferResult(tuple(files), tuple(failures))


def _restore_file(
    target: Target,
    config: InferConfig,
    network: Network,
    progress: Report | None,
    clock: Untimed | None,
) -> FileResult:
    began = time.perf_counter()
    check_target(target, overwrite=config.overwrite)
    with opened(target, config, network) as job:
        writer = job.writer()
        try:
            run = InferJob(job, writer, began, progress)
            run.run(clock or Untimed())
            return run.result()
        finally:
            writer.discard()
