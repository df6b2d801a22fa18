"""Run a graph with ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from vsrc.runtime.backends.device.engine_trust import check_no_engine_inside
from vsrc.runtime.backends.ort_cuda import preload_cuda
from vsrc.runtime.backends.ort_plugin import add_plugin, check_assignment
from vsrc.runtime.backends.ort_provider import (
    CPU,
    TENSORRT,
    Provider,
    check_loaded,
    provider_list,
)
from vsrc.runtime.backends.ort_run import run_graph
from vsrc.runtime.errors import DeviceMemoryError, MismatchError, describe_error
from vsrc.runtime.hashing import file_sha256
from vsrc.runtime.installation import explain_missing, refuse_clashing_onnxruntimes
from vsrc.runtime.machine import cache_folder, thread_count
from vsrc.runtime.pixels import Pixels
from vsrc.runtime.spec import GraphSpec, NetworkSpec
from vsrc.runtime.windows.graph_io import from_graph, to_graph
from vsrc.runtime.windows.session import check_windows

if TYPE_CHECKING:
    import onnxruntime

T = TypeVar("T")

_SLOWER = "TransposeOptimizer_CPUExecutionProvider"
"""Graph optimizer that is disabled: it moves the Transpose of `centre` after its Resize, which then
takes 2.5 times as long on the CPU. No graph of ours gains by it (edge-s: without it, `fuse` takes
0.92 of the time)."""


class OrtGraph:
    """A graph of a network, loaded by ONNX Runtime.

    Attributes:
        memory: ONNX Runtime's name of the memory that its provider works in.
    """

    def __init__(
        self,
        path: Path,
        *,
        network: NetworkSpec,
        graph: GraphSpec,
        threads: int = 0,
        provider: Provider = CPU,
    ) -> None:
        self.network, self.graph = network, graph
        edges = "-float" if graph.io == "float" else ""
        self.label = f"{provider.label} {graph.precision}{edges}"
        self.memory = provider.memory
        self._provider = provider
        self._load = partial(
            open_ort, path, threads=threads, provider=provider, precision=graph.precision
        )
        self._session: onnxruntime.InferenceSession | None = self._load()

    @property
    def opened(self) -> onnxruntime.InferenceSession:
        """ONNX Runtime's session.

        Raises:
            RuntimeError: It was closed.
        """
        if self._session is None:
            raise RuntimeError("the session was closed")
        return self._session

    def renew(self) -> None:
        """Free the arena with what earlier windows needed; see `RenewableSession`.

        Devices keep theirs: loading may build an engine, and host memory is not what they lack.
        """
        if self._provider is CPU and self._session is not None:
            self._session = None
            self._session = self._load()

    def close(self) -> None:
        """Free the graph and its arena."""
        self._session = None


class OrtSession(OrtGraph):
    """ONNX Runtime, behind the `Session` protocol."""

    def __call__(self, lr: Pixels, /) -> Pixels:
        """Upscale windows `(N, T, H, W, 3)`; see `Session`."""
        session = self.opened
        check_windows(lr, self.network, self.graph)
        fed = to_graph(lr, self.network, self.graph)
        (sr,) = run_errors_named(lambda: run_graph(session, ["sr"], {"lr": fed}), self.label)
        return from_graph(sr, self.network, self.graph, like=lr)


def open_ort(
    path: Path, *, threads: int, provider: Provider = CPU, precision: str = "fp32"
) -> onnxruntime.InferenceSession:
    """Open an ONNX Runtime session.

    Args:
        path: Path of the ONNX file.
        threads: Threads inside one operator, 0 for as many as this process may use.
        provider: Execution provider.
        precision: Precision of the graph, for plugins that else choose another.

    Raises:
        MissingDependencyError: ONNX Runtime is not installed, or twice, or the provider did not
            load.
        MismatchError: ONNX Runtime cannot load the graph, or a plugin cannot run all of it.
        SpecError: The graph holds an engine, and is not trusted.
    """
    if provider is not CPU:
        check_no_engine_inside(path)
    refuse_clashing_onnxruntimes()  # first: a mixture of two builds may not import
    with explain_missing("onnxruntime"):
        import onnxruntime
    cache = _engine_cache(path) if provider.name == TENSORRT.name else None
    providers = None if provider.plugin else provider_list(onnxruntime, provider, cache)
    if provider.memory == "cuda":
        preload_cuda(onnxruntime)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = thread_count(threads)
    # Spinning threads occupy the cores that the encoder needs: on 2 cores the network alone is as
    # fast without spinning, and a whole run is 10 % faster (benchmarks/runtime.py).
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # its log would disturb the user's progress line
    if provider.plugin:
        add_plugin(options, provider, precision=precision, threads=threads)
    try:
        session = onnxruntime.InferenceSession(
            str(path),
            sess_options=options,
            providers=providers,
            disabled_optimizers=[_SLOWER],
            # Without a plugin, `check_loaded` says what is missing.
            enable_fallback=0 if provider.plugin else 1,
        )
    except Exception as error:  # ONNX Runtime's own exceptions share no base class
        raise MismatchError(f"{path}: ONNX Runtime cannot load the graph: {error}") from error
    check_loaded(session, provider)
    if provider.plugin:
        check_assignment(session, provider)
    return session


def _engine_cache(path: Path) -> Path:
    """Folder for the engines of the TensorRT provider, which loads all that it finds there.

    Loading an engine runs its code, so it is the user's own folder and not one of a package.
    """
    return cache_folder() / "onnxruntime" / file_sha256(path)


_MEMORY_WORDS = ("failed to allocate", "bad_alloc", "bad allocation", "out of memory")


def run_errors_named(run: Callable[[], T], label: str) -> T:
    """Call `run`, converting the errors of ONNX Runtime.

    Raises:
        DeviceMemoryError: Memory ran out, which is recognised by the error message only.
        MismatchError: The graph cannot be run with these inputs.
    """
    try:
        return run()
    except MemoryError as error:
        raise DeviceMemoryError(f"{label} could not allocate memory") from error
    except Exception as error:  # ONNX Runtime's own exceptions share no base class
        if any(words in str(error).lower() for words in _MEMORY_WORDS):
            raise DeviceMemoryError(f"{label} could not allocate memory") from error
        raise MismatchError(f"{label} cannot run the graph ({describe_error(error)})") from error


def feature_type(session: onnxruntime.InferenceSession, name: str) -> type[np.generic]:
    """Return the dtype of the features that an encode graph outputs: float32 or float16."""
    kinds = {value.name: value.type for value in session.get_outputs()}
    return np.float16 if kinds[name] == "tensor(float16)" else np.float32
