"""Turn TensorRT's build messages into errors and progress."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vsrc.export.config import ExportProgress, ExportStep
from vsrc.runtime.backends.device.tensorrt_api import Messages
from vsrc.runtime.errors import VsrcError
from vsrc.runtime.processes.stop_signal import StopSignal


class Phases:
    """Progress of the outermost phases of a build, and its cancellation.

    Args:
        progress: Called at each step.
        stop: Signal that cancels the build.
    """

    def __init__(self, progress: ExportProgress, stop: StopSignal) -> None:
        self._progress = progress
        self._stop = stop
        self._steps: dict[str, int] = {}
        self.stopped = False

    def start(self, name: str, parent: str | None, steps: int) -> None:
        """Start a phase; nested phases are not shown."""
        if not parent:
            self._steps[name] = steps

    def step(self, name: str, step: int) -> bool:
        """Report a finished step; False cancels the build, as exceptions cannot pass TensorRT."""
        try:
            if name in self._steps:
                self._progress(ExportStep("building the engine", step, self._steps[name]))
        except KeyboardInterrupt:
            self.stopped = True
        self.stopped = self.stopped or self._stop.requested
        return not self.stopped

    def finish(self, name: str) -> None:
        """End a phase."""
        self._steps.pop(name, None)


def monitor(module: Any, phases: Phases) -> Any:  # noqa: ANN401
    """Return a TensorRT progress monitor that calls `phases`; needs 8.6 or newer."""

    class Monitor(module.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            phases.start(phase_name, parent_phase, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            return phases.step(phase_name, step)

        def phase_finish(self, phase_name: str) -> None:
            phases.finish(phase_name)

    return Monitor()


def build_error(graph: Path, messages: Messages, raised: str = "") -> VsrcError:
    """Build the error of a failed build."""
    cause = messages.errors[0] if messages.errors else raised or "TensorRT gave no reason"
    text = " ".join(cause.split())
    if messages.are_of_memory(raised):
        return VsrcError(
            f"not enough memory to build an engine of {graph.name} ({text}); nothing was "
            "written. Close other programs that use the GPU, or use a smaller largest --shape, "
            "or --workspace MIB"
        )
    return VsrcError(
        f"TensorRT cannot build an engine of {graph.name}: {text}; nothing was written"
    )
