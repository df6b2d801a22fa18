"""Build the engines that convert frames of NVDEC, make frames for NVENC, and check results.

They have no weights: their graphs are written here, and only the engines go to the package. Where
there is a device, each engine is run on noise and compared with its graph on the CPU before it is
written. Never imports torch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vsrc.export.config import ExportConfig, ExportProgress, ExportStep, Size
from vsrc.export.engines.builder import Builder
from vsrc.export.engines.engine_build import BuildOrder, build_engine, input_shapes
from vsrc.export.graphs.colour_graphs import colour_graph
from vsrc.export.graphs.guard_graph import guard_graph
from vsrc.export.runs.engine_files import write_engine
from vsrc.export.runs.result import ExportedEngine
from vsrc.runtime.backends.device.engine_file import (
    EngineSpec,
    check_engine,
    engine_text,
)
from vsrc.runtime.backends.device.engine_trust import remember_engine
from vsrc.runtime.backends.device.engines import Here, this_device
from vsrc.runtime.backends.device.program import Program, TensorShapes
from vsrc.runtime.backends.device.transfers import Transfers
from vsrc.runtime.backends.device.video_engines import from_rgb_name, guard_name, to_rgb_name
from vsrc.runtime.dependencies import is_importable
from vsrc.runtime.errors import GateError, MissingDependencyError
from vsrc.runtime.hashing import bytes_sha256
from vsrc.runtime.installation import missing_text
from vsrc.runtime.package import Package, inside
from vsrc.runtime.picture.colour_matrix import rgb_from_yuv, yuv_from_rgb

if TYPE_CHECKING:
    import onnx

_LEAST_SIDE = 16
"""Smallest side of frames that the colour graphs take, pixels."""
_LARGEST_DIFFERENCE = 1
"""Of 255: rounding after sums in another order."""
_HALVED = ("uv",)
_UPSCALED = ("sr",)


def build_video_engines(
    package: Package, builder: Builder, config: ExportConfig, progress: ExportProgress
) -> tuple[ExportedEngine, ...]:
    """Build and write the engines that the package lacks, or all with `overwrite`.

    Raises:
        GateError: An engine gives other samples than its graph on the CPU.
        VsrcError: A build failed.
    """
    scale = package.spec.network.scale
    with TemporaryDirectory(prefix="vsrc-video-") as folder:
        made = []
        for name, model, factor in _graphs(scale):
            path = Path(folder) / f"{name}.onnx"
            path.write_bytes(model.SerializeToString())
            made.append(_engine(package, builder, config, path, factor, scale, progress))
    return tuple(made)


def _graphs(scale: int) -> Iterator[tuple[str, onnx.ModelProto, int]]:
    """Yield name and graph, and by how much its frames are larger than those of the source."""
    for layout, is_left in (("nv12", True), ("nv12", False), ("p010le", True)):
        name = to_rgb_name(layout, is_left=is_left)
        yield name, colour_graph(name), 1
    for layout in ("nv12", "p010le"):
        name = from_rgb_name(layout)
        yield name, colour_graph(name), scale
    yield guard_name(scale), guard_graph(scale), 1


def _engine(
    package: Package,
    builder: Builder,
    config: ExportConfig,
    graph: Path,
    factor: int,
    scale: int,
    progress: ExportProgress,
) -> ExportedEngine:
    name = graph.stem
    sizes = [_even(size, factor) for size in config.shape]

    def shapes_of(tensor: str, declared: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
        if -1 not in declared:
            return (declared,)
        up, down = scale if tensor in _UPSCALED else 1, 2 if tensor in _HALVED else 1
        return tuple((h * up // down, w * up // down, *declared[2:]) for h, w in sizes)

    sha256 = bytes_sha256(graph.read_bytes())
    target = builder.target(name, sha256, input_shapes(builder.backend, graph, shapes_of))
    file = inside(package.path, f"engines/{target.key}.engine")
    if file.is_file() and not config.overwrite:
        return ExportedEngine(file, check_engine(file, here=target), built=False)
    progress(ExportStep(f"building the {name} engine"))
    order = BuildOrder(
        graph=graph,
        precision="fp32",
        shapes_of=shapes_of,
        compute_capabilities=builder.gpus,
        workspace_bytes=builder.workspace_bytes,
    )
    built = build_engine(builder.backend, order, progress)
    spec = EngineSpec(
        key=target.key,
        target=target,
        role="video",
        sha256=bytes_sha256(built.engine),
        size_bytes=len(built.engine),
        strongly_typed=built.strongly_typed,
        build_seconds=round(built.seconds, 3),
    )
    remember_engine(spec.sha256)
    not_compared = _compare(graph, built.engine, spec, config.device)
    spec = dataclasses.replace(spec, not_compared=not_compared)
    write_engine(file, built, spec)
    return ExportedEngine(file, spec, built=True)


def _even(size: Size, factor: int) -> Size:
    """Sides of the frames, even as NV12 needs them, of a source of a size."""
    height, width = (max(_LEAST_SIDE, side + side % 2) * factor for side in size)
    return height, width


def _compare(graph: Path, engine: bytes, spec: EngineSpec, device: int) -> str:
    """Compare an engine with its graph on the CPU; return why that was not done.

    Raises:
        GateError: They differ.
    """
    if not is_importable("onnxruntime"):
        return f"the CPU runs graphs with {missing_text('onnxruntime', extra='cpu')}"
    try:
        here = this_device(spec.target.backend, device)
    except MissingDependencyError as error:
        return f"no device: {error}"
    if here.device.compute_capability not in spec.target.compute_capabilities:
        return f"{here.device.name} is not one of the GPUs that it was built for"
    for place in range(len(spec.target.shapes.get("y") or next(iter(spec.target.shapes.values())))):
        feeds = _noise(spec, place)
        expected = _on_cpu(graph, feeds)
        with TemporaryDirectory(prefix="vsrc-engine-") as folder:
            path = Path(folder) / f"{spec.key}.engine"
            path.write_bytes(engine)
            path.with_suffix(".json").write_text(engine_text(spec), encoding="utf-8")
            found = _on_device(path, here, feeds)
        for tensor, samples in expected.items():
            largest = int(np.abs(samples - found[tensor]).max())
            if largest > _LARGEST_DIFFERENCE:
                raise GateError(
                    f"the {spec.target.graph} engine differs by {largest} of 255 from its graph on "
                    "the CPU; it was not written"
                )
    return ""


def _noise(spec: EngineSpec, place: int) -> dict[str, NDArray[Any]]:
    """Noise of one of the shapes, with matrix and range of BT.709."""
    rng = np.random.default_rng(place)
    name, feeds = spec.target.graph, {}
    depth = 10 if "p010" in name else 8
    maker = rgb_from_yuv if name.partition("-to-")[2].startswith("rgb") else yuv_from_rgb
    colour = maker(1, depth=depth, is_full=False, white=255)
    numbers = {"matrix": colour.matrix, "offset": colour.offset[:, 0]}
    for tensor, shapes in spec.target.shapes.items():
        shape = shapes[min(place, len(shapes) - 1)]
        noise = rng.integers(0, 256, shape, np.uint8)
        feeds[tensor] = numbers.get(tensor, noise)
    return feeds


def _values(samples: NDArray[Any], *, is_deep: bool) -> NDArray[np.int32]:
    """Samples of 8 bits; two bytes of P010 are one."""
    if is_deep:
        return (samples.view("<u2")[..., 0] >> 8).astype(np.int32)
    return samples.astype(np.int32)


def _on_cpu(graph: Path, feeds: dict[str, NDArray[Any]]) -> dict[str, NDArray[np.int32]]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    made = zip(names, session.run(names, feeds), strict=True)
    is_deep = graph.stem.startswith("rgb-to-p010")
    return {name: _values(samples, is_deep=is_deep) for name, samples in made}


def _on_device(
    path: Path, here: Here, feeds: dict[str, NDArray[Any]]
) -> dict[str, NDArray[np.int32]]:
    from vsrc.runtime.backends.device.cuda_gpu import CudaGpu
    from vsrc.runtime.backends.device.trt_engine import TrtEngine

    gpu = CudaGpu(here.device)
    engine = TrtEngine(path, here.backend)
    with closing(Transfers(gpu)) as transfers:
        program = Program(gpu, engine, transfers.network)
        with closing(program):
            shapes: TensorShapes = {name: array.shape for name, array in feeds.items()}
            program.reshape(shapes)
            for name, array in feeds.items():
                transfers.upload(array, program.address(name))
            program.run()
            pending = {
                name: transfers.download(
                    program.address(name), program.shapes[name], program.type(name)
                )
                for name in engine.outputs
            }
            is_deep = path.stem.partition("rgb-to-")[2].startswith("p010")
            return {name: _values(wait(), is_deep=is_deep) for name, wait in pending.items()}
