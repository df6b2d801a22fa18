"""The CUDA runtime is found, called and refused as it should be.

Names and arguments are judged by NVIDIA's own runtime, which a wheel brings and which needs no GPU
to be loaded; what needs a device is judged by a stand-in (cuda_stand_in.c).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from support.cuda_stand_in import compile_stand_in, in_place_of_cuda
from vsrc.runtime.errors import MissingDependencyError
from vsrc.runtime.sensors import cuda_library, cuda_paths
from vsrc.runtime.sensors.cuda_device import cuda_device, find_device, list_devices
from vsrc.runtime.sensors.cuda_library import _RUNTIME, CudaError, CudaLibrary, load_cuda
from vsrc.runtime.sensors.cuda_paths import runtime_paths


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_stand_in(tmp_path_factory.mktemp("cuda"))


def real_runtimes() -> list[str]:
    """Those of NVIDIA's wheels and of the system, whatever the driver is."""
    return [path for path in runtime_paths() if Path(path).is_file()]


@pytest.mark.skipif(not real_runtimes(), reason="nvidia-cuda-runtime is not installed")
@pytest.mark.parametrize("path", real_runtimes())
def test_nvidias_runtime_has_every_function(path: str) -> None:
    library = CudaLibrary(path)
    if library.versions.driver != (0, 0):
        return
    for name, kinds in _RUNTIME.items():
        if name in ("cudaGetLastError", "cudaDriverGetVersion", "cudaRuntimeGetVersion"):
            continue
        arguments = [0 for kind in kinds if not isinstance(kind, list)]
        with pytest.raises(CudaError, match=rf"{name} failed: cudaError(InsufficientDr|NoDev)"):
            library.call(name, *arguments)


def headers() -> Iterator[Path]:
    for distribution in metadata.distributions():
        if re.match(r"nvidia[-_]cuda[-_]runtime", distribution.name or ""):
            for file in distribution.files or ():
                if file.name in ("cuda_runtime_api.h", "driver_types.h"):
                    yield Path(str(distribution.locate_file(file)))


@pytest.mark.skipif(not list(headers()), reason="nvidia-cuda-runtime is not installed")
def test_nvidias_headers_have_the_same_arguments_and_constants() -> None:
    text = "\n".join(path.read_text(errors="replace") for path in headers())
    for name, kinds in _RUNTIME.items():
        declared = re.findall(rf"extern __host__[^;]*\b{name}\(([^;]*?)\);", text)
        assert declared, name
        arguments = [part for part in declared[0].split(",") if part.strip() not in ("", "void")]
        assert len(arguments) == len(kinds), (name, declared[0])
        for argument, kind in zip(arguments, kinds, strict=True):
            assert isinstance(kind, list) == is_output(argument), (name, argument)
    for name, value in {
        "cudaErrorMemoryAllocation": cuda_library.OUT_OF_MEMORY,
        "cudaMemcpyDefault": cuda_library.COPY_DEFAULT,
        "cudaStreamCaptureModeThreadLocal": cuda_library.CAPTURE_THREAD_LOCAL,
        "cudaDevAttrMultiProcessorCount": cuda_library.MULTIPROCESSORS,
        "cudaDevAttrComputeCapabilityMajor": cuda_library.MAJOR,
        "cudaDevAttrComputeCapabilityMinor": cuda_library.MINOR,
    }.items():
        assert re.search(rf"\b{name}\s*=\s*{value}\b", text), name
    for name, value in {
        "cudaHostAllocDefault": cuda_library.HOST_ALLOC_DEFAULT,
        "cudaStreamNonBlocking": cuda_library.STREAM_NON_BLOCKING,
        "cudaEventBlockingSync": cuda_library.EVENT_BLOCKING_SYNC,
    }.items():
        assert re.search(rf"#define {name}\s+0x0?{value}\b", text), name


def is_output(argument: str) -> bool:
    """`void **p`, `size_t *n`; not `void *p`, whose address is given."""
    stars = argument.count("*")
    return stars == 2 or (stars == 1 and "void" not in argument)


def test_a_device_is_described_without_structures(runtime: Path) -> None:
    with in_place_of_cuda(runtime, DEVICES=2):
        first, second = list_devices()
        assert (first.name, first.compute_capability, first.multiprocessors) == (
            *("Stand-in 0", "8.7"),
            16,
        )
        assert (second.index, second.multiprocessors, second.total_bytes) == (1, 8, 1 << 30)
        assert first.uuid == "GPU-00010203-0405-0607-0809-0a0b0c0d0e0f"
        assert second.uuid == "GPU-10111213-1415-1617-1819-1a1b1c1d1e1f"
        assert cuda_device(1).free_bytes == 1 << 30


@pytest.mark.parametrize("index", [2, 7, -1])
def test_a_device_that_is_not_there_is_refused_with_those_that_are(
    runtime: Path, index: int
) -> None:
    with (
        in_place_of_cuda(runtime, DEVICES=2),
        pytest.raises(ValueError, match=rf"CUDA device {index}; .*0: Stand-in 0 \(8\.7\), 1: Sta"),
    ):
        find_device(index)


def test_no_device_is_status_3(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    with (
        in_place_of_cuda(runtime, DEVICES=0),
        pytest.raises(MissingDependencyError, match=r"NoDevice.*CUDA_VISIBLE_DEVICES=7") as caught,
    ):
        cuda_device()
    assert caught.value.exit_status == 3


def test_a_driver_that_is_too_old_is_told_with_both_versions(runtime: Path) -> None:
    with (
        in_place_of_cuda(runtime, RUNTIME=13020, DRIVER=12040),
        pytest.raises(MissingDependencyError, match=r"is 13\.2, .*CUDA 12\.4 .*cu12"),
    ):
        load_cuda()
    with (
        in_place_of_cuda(runtime, RUNTIME=12060, DRIVER=11080),
        pytest.raises(MissingDependencyError, match=r"12\.6, .*11\.8 .*nvidia-cuda-runtime-cu11"),
    ):
        load_cuda()


@pytest.mark.parametrize(
    ("runtime_version", "driver"), [(12090, 12020), (11040, 13000), (13000, 13020)]
)
def test_versions_that_fit_are_taken(runtime: Path, runtime_version: int, driver: int) -> None:
    with in_place_of_cuda(runtime, RUNTIME=runtime_version, DRIVER=driver):
        assert load_cuda().versions.are_compatible
        assert cuda_device().name == "Stand-in 0"


def test_the_first_that_the_driver_supports_is_taken(runtime: Path) -> None:
    with in_place_of_cuda(runtime, after=("/nowhere/libcudart.so.13",)):
        assert load_cuda().path == str(runtime)


def test_without_a_library_the_paths_that_were_tried_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    damaged = tmp_path / "libcudart.so.13"
    damaged.write_bytes(b"not a library")
    paths = [str(damaged), "libcudart.so.99"]
    monkeypatch.setattr(cuda_library, "runtime_paths", lambda: paths)
    load_cuda.cache_clear()
    try:
        with pytest.raises(MissingDependencyError, match=r"tried .*\.13, libcudart\.so\.99") as bad:
            cuda_device()
    finally:
        load_cuda.cache_clear()
    assert bad.value.exit_status == 3


@pytest.mark.parametrize("is_jetson", [False, True])
def test_where_libraries_are_looked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, is_jetson: bool
) -> None:
    site = tmp_path / "lib/site-packages"
    files = {
        "wheel": site / "nvidia/cu13/lib/libcudart.so.13",
        "old wheel": site / "nvidia/cuda_runtime/lib/libcudart.so.12",
        "system": tmp_path / "usr/local/cuda-12.6/targets/aarch64-linux/lib/libcudart.so.12",
        "here": tmp_path / "nvidia/cu13/lib/libcudart.so.13",
    }
    for file in files.values():
        file.parent.mkdir(parents=True)
        file.touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", ["", str(tmp_path), str(site)])
    monkeypatch.setattr(cuda_paths, "is_jetson_board", lambda: is_jetson)
    paths = runtime_paths(tmp_path)
    places = [paths.index(str(files[name])) for name in ("wheel", "old wheel", "system")]
    assert places == sorted(places) if not is_jetson else places[2] < places[0] < places[1]
    assert paths.index("libcudart.so.13") < paths.index("libcudart.so.12")
    assert str(files["here"]) not in paths  # nothing is loaded from the working directory
