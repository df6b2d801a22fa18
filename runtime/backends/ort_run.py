"""Run graphs with ONNX Runtime so that a stop signal ends the run, wherever in the graph it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from vsrc.runtime.processes.stop_watch import interruptible

if TYPE_CHECKING:
    import onnxruntime
    from numpy.typing import NDArray


def run_graph(
    session: onnxruntime.InferenceSession,
    names: Sequence[str] | None,
    feeds: Mapping[str, NDArray[Any]],
) -> list[Any]:
    """Run a graph and return the named outputs; all of them for None."""
    with _stoppable() as options:
        outputs: list[Any] = session.run(
            None if names is None else list(names), dict(feeds), options
        )
    return outputs


def run_bound(session: onnxruntime.InferenceSession, binding: onnxruntime.IOBinding) -> None:
    """Run a graph whose inputs and outputs are bound."""
    with _stoppable() as options:
        session.run_with_iobinding(binding, options)


@contextmanager
def _stoppable() -> Iterator[onnxruntime.RunOptions]:
    import onnxruntime

    options = onnxruntime.RunOptions()

    def stop() -> None:
        options.terminate = True

    with interruptible(stop):
        yield options
