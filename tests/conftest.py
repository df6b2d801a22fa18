"""Reference data that tests judge against, found through `VSRC_REFERENCE`."""

from __future__ import annotations

import os
import shutil
import signal
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from support.optional import OptionalFile, skip_without
from support.places import TESTS

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from support.reordering_gpu import HostEngine, ReorderingGpu


EXPORTERS = ("onnx", "onnxscript", "onnxsim")
"""What writing a graph takes besides torch."""


def pytest_configure() -> None:
    """Find programs as in an activated environment, and let Hypothesis take its time.

    How fast an example of Hypothesis is depends on the machine. A shell starts `make test &` with
    SIGINT ignored, and tests that press Ctrl+C would wait for a stop that never comes.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    scripts = sysconfig.get_path("scripts")
    os.environ["PATH"] = os.pathsep.join((scripts, os.environ.get("PATH", os.defpath)))
    try:
        import hypothesis
    except ImportError:
        return
    too_slow = [hypothesis.HealthCheck.too_slow]
    hypothesis.settings.register_profile("vsrc", deadline=None, suppress_health_check=too_slow)
    hypothesis.settings.load_profile("vsrc")


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module:
    """Skip files whose packages are not installed, where pytest would report an error."""
    return OptionalFile.from_parent(parent, path=module_path)


def _existing(path: Path, what: str) -> Path:
    if not path.is_dir():
        pytest.skip(f"{what} not found at {path}; set VSRC_REFERENCE to where it is")
    return path


@pytest.fixture(autouse=True)
def _restored_stop_signals() -> Iterator[None]:
    """A command that was stopped ignores more signals until its process ends, here pytest."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def _kept_scheduling() -> Iterator[None]:
    """Tests that encode with PyAV alone: SVT-AV1, run as root, would make pytest real-time."""
    from vsrc.runtime.processes.scheduling import keep_scheduling

    with keep_scheduling():
        yield


@pytest.fixture(scope="session")
def reference() -> Path:
    """Official weights, benchmark frames and golden numbers."""
    path = Path(os.environ.get("VSRC_REFERENCE", TESTS.parents[1] / "shared" / "reference"))
    return _existing(path, "reference data")


@pytest.fixture(scope="session")
def clips(reference: Path) -> Path:
    """Real clips, in `train` and `eval`."""
    return _existing(reference.parent / "clips", "real clips")


@pytest.fixture(scope="session")
def cases(reference: Path) -> Path:
    """Small public files that failed once, in `video`, `networks` and `attack`."""
    return _existing(reference.parent / "cases", "collected cases")


@pytest.fixture(scope="session")
def spandrel() -> ModuleType:
    """Spandrel, as the library imports it."""
    skip_without("torch", "safetensors")
    from vsrc.compressor.networks.image.spandrel_image import import_spandrel
    from vsrc.runtime.dependencies import is_importable

    if not is_importable("spandrel"):
        pytest.skip("spandrel is not installed")

    return import_spandrel()


@pytest.fixture(scope="session")
def untrained_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random `edge` x2 over 3 frames with an encoder, not exported; copy it before a change."""
    skip_without("torch", "safetensors")
    import torch

    from vsrc.compressor.network_package import write_package
    from vsrc.compressor.networks.video.edge import edge

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("package") / "student.vsrc"
    network = edge(encoded=8, features=24, blocks=4, scale=2, window=3)
    return write_package(network, path)


@pytest.fixture(scope="session")
def tiny_package(untrained_package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with the whole as an fp32 graph, made once for all tests; never change it."""
    skip_without(*EXPORTERS)
    from vsrc.export.config import ExportConfig
    from vsrc.export.runs.exporting import export

    path = tmp_path_factory.mktemp("exported") / "student.vsrc"
    shutil.copytree(untrained_package, path)
    export(ExportConfig(path, halves=False))
    return path


@pytest.fixture(scope="session")
def halves_package(untrained_package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with the whole and both halves in fp32; never change it."""
    skip_without(*EXPORTERS)
    from vsrc.export.config import ExportConfig
    from vsrc.export.runs.exporting import export

    path = tmp_path_factory.mktemp("halves") / "student.vsrc"
    shutil.copytree(untrained_package, path)
    export(ExportConfig(path))
    return path


@pytest.fixture(scope="session")
def state_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Mobile RRN x2, whose state is of 8 channels, in fp32; never change it."""
    skip_without("torch", "safetensors", *EXPORTERS)
    from support.carried import write_rrn
    from vsrc.export.config import ExportConfig
    from vsrc.export.runs.exporting import export

    package = write_rrn(tmp_path_factory.mktemp("state"))
    export(ExportConfig(package.path))
    return package.path


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, driven by Playwright; nothing is downloaded."""
    playwright = pytest.importorskip("playwright.sync_api")
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        # Chromium's own sandbox does not start for root, as in most containers; and a machine
        # without a screen has no GPU to look for.
        found = driver.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-gpu"], timeout=60_000
        )
        yield found
        found.close()


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[ReorderingGpu]]:
    """Puts host memory in the place of the device, and graphs in that of loaded engines.

    `stand_in(package, kind)`: `kind` is what takes the place of engines, a `HostEngine` by default.
    """

    def place(package: Path, kind: type[HostEngine] | None = None) -> list[ReorderingGpu]:
        from support.reordering_gpu import ADA, HostEngine, ReorderingGpu
        from vsrc.runtime.backends.device.engine_file import read_engine_spec
        from vsrc.runtime.package import open_package

        gpus: list[ReorderingGpu] = []
        opened = open_package(package)

        def gpu(_: object) -> ReorderingGpu:
            gpus.append(ReorderingGpu(len(gpus)))
            return gpus[-1]

        def engine(path: Path, _: str) -> HostEngine:
            graph, _spec = opened.graph(read_engine_spec(path).target.graph)
            return (kind or HostEngine)(gpus[-1], graph, is_capturable=False)

        monkeypatch.setattr("vsrc.runtime.backends.device.engines.cuda_device", lambda _: ADA)
        monkeypatch.setattr("vsrc.runtime.backends.device.cuda_gpu.CudaGpu", gpu)
        monkeypatch.setattr("vsrc.runtime.backends.device.trt_engine.TrtEngine", engine)
        return gpus

    return place
