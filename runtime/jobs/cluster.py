"""Upscale videos on a Ray cluster; its tasks are files, and pieces of long files.

    driver     split       -> submit all                 -> wait, report, write the manifest
    workers    long file:     read it once to its end    -> its pieces; the one that does the last
                                                            piece joins them
               short file:    upscale it

Only paths are sent: every node must see the inputs, the package and the output folder under the
same names. A task that dies with its node is restarted on another and continues after the segments
that are already on disk; a second run of the same command resumes in the same way.
"""

from __future__ import annotations

import io
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsrc.runtime.decode.sources import find_skipped_of
from vsrc.runtime.encode.segments import resume_folder, segment_spans
from vsrc.runtime.encode.targets import Target
from vsrc.runtime.errors import (
    DeviceMemoryError,
    MediaError,
    MissingDependencyError,
    StoppedError,
    VsrcError,
)
from vsrc.runtime.installation import require
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import manifest_of
from vsrc.runtime.jobs.job import open_job
from vsrc.runtime.jobs.manifest import Item, Manifest
from vsrc.runtime.jobs.permissions import Permissions
from vsrc.runtime.jobs.pieces import split_video
from vsrc.runtime.jobs.result import Failure, FileResult, InferResult, PieceResult
from vsrc.runtime.jobs.run_plan import plan_run
from vsrc.runtime.jobs.run_sessions import RunSessions
from vsrc.runtime.jobs.share import Unit
from vsrc.runtime.jobs.unit import SEGMENTS_SAVED, Work, count_frames, split_target, upscale_unit
from vsrc.runtime.memory import give_frames_back
from vsrc.runtime.processes.child_process import show_safe_folders

if TYPE_CHECKING:
    from ray import ObjectRef

logger = logging.getLogger(__name__)

_RETRIES = 4
"""Number of retries of a task whose node died or that hit a file system error."""

_TICK_SECONDS = 0.5

_GPU_BACKENDS = frozenset(("ort-cuda", "ort-tensorrt", "ort:nv-tensorrt-rtx", "trt", "trt-rtx"))


@dataclass(frozen=True)
class ClusterProgress:
    """Progress of a run on a cluster.

    Attributes:
        nodes: Number of machines that are alive.
        tasks: Number of tasks.
        tasks_done: Number of finished tasks.
        done: Number of finished frames on disk.
        total: Number of frames of all inputs whose length is known.
        seconds: Time since the tasks were submitted.
    """

    nodes: int
    tasks: int
    tasks_done: int
    done: int
    total: int | None
    seconds: float


ClusterCallback = Callable[[ClusterProgress], None]


def infer_on_cluster(
    config: InferConfig, address: str, *, progress: ClusterCallback | None = None
) -> InferResult:
    """Upscale videos as `infer` does, on the machines of a Ray cluster.

    Args:
        config: Settings of the run; a shard is not needed.
        address: Address of the cluster's head (`10.0.0.1:6379`, `ray://...`); `auto` for the one
            on this machine.
        progress: Called twice a second.

    Raises:
        VsrcError: No cluster answers, a single input could not be upscaled, or a dependency is
            missing on the nodes. Of several inputs, those that fail are listed in the result.
        MissingDependencyError: Ray is not installed.
        ValueError: The inputs and the output do not match, or one of them is a pipe.
    """
    targets = plan_run(config)
    if any(target.is_pipe or target.source.is_pipe for target in targets):
        raise ValueError("a cluster reads and writes files; give file names instead of - and URLs")
    targets = [_absolute(target) for target in targets]
    # Nodes may have copies of a source with other times of modification.
    model = config.model.absolute() if config.model else None
    config = replace(config, model=model, verify=True)
    manifest = manifest_of(config, targets)
    with _open_cluster(address):
        return _Run(config, targets, manifest, progress).result()


class _Run:
    """The tasks of a run and their results."""

    def __init__(
        self,
        config: InferConfig,
        targets: list[Target],
        manifest: Manifest | None,
        progress: ClusterCallback | None,
    ) -> None:
        self._inputs, self._output = config.inputs, config.output
        self._targets = targets
        self._manifest = manifest
        self._progress = progress
        self._began = time.perf_counter()
        self._done: list[FileResult | PieceResult] = []
        self._failures: dict[str, Failure] = {}
        frames = {target: count_frames(target, config) for target in targets}
        self._total = sum(frames.values()) or None
        self._tasks: dict[ObjectRef[Any], Unit] = {}
        prepare, work = _remote_functions(config)
        allowed = Permissions.of_this_process()
        for target in targets:
            units = split_target(target, frames[target])
            prepared = prepare.remote(target, config, allowed) if len(units) > 1 else None
            for unit in units:
                file = manifest.path.absolute() if manifest else None
                self._tasks[work.remote(unit, config, allowed, file, prepared)] = unit

    def result(self) -> InferResult:
        """Wait for all tasks and return the result."""
        import ray

        waiting = list(self._tasks)
        try:
            while waiting:
                ready, waiting = ray.wait(waiting, timeout=_TICK_SECONDS)
                for task in ready:
                    self._take(task)
                self._tell(len(self._tasks) - len(waiting))
        except KeyboardInterrupt:
            for task in waiting:
                ray.cancel(task, force=True)
            raise StoppedError(SEGMENTS_SAVED) from None
        return self._summed_up()

    def _take(self, task: ObjectRef[Any]) -> None:
        unit = self._tasks[task]
        outcome, item = _outcome(task, unit)
        if isinstance(outcome, Failure):
            if len(self._targets) == 1:
                raise MediaError(outcome.error)
            self._failures[str(unit.target.path)] = outcome
        else:
            self._done.append(outcome)
        if self._manifest is not None and item is not None:
            self._manifest.record(item)
            self._manifest.save()

    def _summed_up(self) -> InferResult:
        seconds = time.perf_counter() - self._began
        files = [result for result in self._done if isinstance(result, FileResult)]
        joined = {result.output for result in files}
        in_pieces = {str(unit.target.path) for unit in self._tasks.values() if unit.count > 1}
        for at, file in enumerate(files):
            if file.output in in_pieces and file.seconds:  # without the time to join the pieces
                fps = round(file.frames / seconds, 3)
                files[at] = replace(file, seconds=round(seconds, 3), fps=fps)
        order = [str(target.path) for target in self._targets]
        unique = {file.output: file for file in files}
        pieces = [
            result
            for result in self._done
            if isinstance(result, PieceResult) and result.output not in joined
        ]
        return InferResult(
            tuple(sorted(unique.values(), key=lambda file: order.index(file.output))),
            tuple(self._failures[path] for path in order if path in self._failures),
            tuple(pieces),
            tuple(find_skipped_of(self._inputs, output=self._output)),
        )

    def _tell(self, tasks_done: int) -> None:
        if self._progress is None:
            return
        finished = {
            result.output: result.frames for result in self._done if isinstance(result, FileResult)
        }
        done = sum(
            finished.get(str(target.path), _frames_on_disk(target)) for target in self._targets
        )
        nodes = len(_nodes())
        seconds = time.perf_counter() - self._began
        self._progress(
            ClusterProgress(nodes, len(self._tasks), tasks_done, done, self._total, seconds)
        )


def _outcome(
    task: ObjectRef[Any], unit: Unit
) -> tuple[FileResult | PieceResult | Failure, Item | None]:
    """Fetch the result of a task.

    Raises:
        VsrcError: A fault of a node, not of the input.
    """
    import ray

    name = unit.target.source.name
    try:
        outcome: tuple[FileResult | PieceResult | Failure, Item | None] = ray.get(task)
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        if isinstance(cause, VsrcError):
            raise cause from None
        return Failure(name, f"{name}: {cause!r}"), None
    except ray.exceptions.RayError as error:
        why = str(error).strip().splitlines()[0]
        return Failure(name, f"{name}: its task died {_RETRIES + 1} times ({why})"), None
    return outcome


def _remote_functions(config: InferConfig) -> tuple[Any, Any]:
    """Create the remote functions of the workers, with their resources of a node."""
    import ray

    remote: Any = ray.remote
    on_node = remote(
        max_retries=_RETRIES,
        retry_exceptions=[OSError],  # a file server that was unavailable for a moment
        scheduling_strategy="SPREAD",
        **_resources(config),
    )
    return on_node(_prepare), on_node(_work)


def _resources(config: InferConfig) -> dict[str, float]:
    """A whole GPU with its share of the CPUs if the backend uses one; else all CPUs of a node."""
    nodes = [node["Resources"] for node in _nodes()]
    on_gpu = config.backend in _GPU_BACKENDS or (
        config.backend == "auto" and any(node.get("GPU") for node in nodes)
    )
    if on_gpu:
        nodes = [node for node in nodes if node.get("GPU")]
        if not nodes:
            raise MissingDependencyError(
                f"{config.backend} needs a GPU, and Ray lists none in the cluster"
            )
    cpus = min(node.get("CPU", 1.0) / max(1.0, node.get("GPU", 0.0)) for node in nodes)
    return {"num_cpus": config.threads or max(1, int(cpus)), "num_gpus": int(on_gpu)}


def _nodes() -> list[dict[str, Any]]:
    """List the machines that are alive."""
    import ray

    return [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]


def _prepare(target: Target, config: InferConfig, allowed: Permissions) -> str | None:
    """Read a long input to its end; return the error, if any."""
    try:
        with (
            allowed.granted(),
            closing(RunSessions(config)) as network,
            open_job(target, config, network) as job,
        ):
            split_video(job)
    except MediaError as error:
        return str(error)
    return None


def _work(
    unit: Unit,
    config: InferConfig,
    allowed: Permissions,
    manifest_file: Path | None,
    problem: str | None,
) -> tuple[FileResult | PieceResult | Failure, Item | None]:
    """Upscale a unit, unless its input has an error."""
    give_frames_back()
    name = unit.target.source.name
    manifest = Manifest(manifest_file, None) if manifest_file else None
    try:
        if problem is not None:
            raise MediaError(problem)
        with allowed.granted(), closing(RunSessions(config)) as network:
            result = upscale_unit(unit, Work(config, network, manifest))
    except (MediaError, DeviceMemoryError) as error:
        item = Item(name, manifest.name(unit.target), error=str(error)) if manifest else None
        return Failure(name, str(error)), item
    return result, manifest.items.get(manifest.name(unit.target)) if manifest else None


def _absolute(target: Target) -> Target:
    source = replace(target.source, files=tuple(file.absolute() for file in target.source.files))
    return replace(target, source=source, path=target.path.absolute())


def _frames_on_disk(target: Target) -> int:
    return sum(stop - first for first, stop in segment_spans(resume_folder(target.path)))


@contextmanager
def _open_cluster(address: str) -> Iterator[None]:
    """Connect to the cluster, unless the program is connected already."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    require("--ray, on every machine of the cluster,", "ray")
    import ray

    if ray.is_initialized():
        yield
        return
    try:
        with show_safe_folders():  # Ray's workers import from the driver's folders first
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise VsrcError(
            f"no Ray cluster answers at {address!r}; start one with `ray start --head`, join it "
            "with `ray start --address HEAD:6379` on the other machines"
        ) from error
    try:
        with redirect_stdout(_Log()):  # Ray reports nodes that died there
            yield
    finally:
        ray.shutdown()


class _Log(io.TextIOBase):
    """A stream that logs what a library prints, to keep it off stdout."""

    def write(self, text: str, /) -> int:
        """Log a line of text."""
        if text.strip():
            logger.info("%s", text.rstrip())
        return len(text)
