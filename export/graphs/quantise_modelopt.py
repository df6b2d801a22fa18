"""Quantise with NVIDIA's ModelOpt, an optional dependency of several GB."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vsrc.calibration.draw import draw_windows
from vsrc.calibration.feed import iter_drawn_windows
from vsrc.calibration.scenes import lr_sources, survey
from vsrc.export.config import ExportConfig, ExportProgress, ExportStep
from vsrc.export.graphs.tracing import TracedNetwork
from vsrc.export.graphs.typed_graphs import TypedGraph, name_precision, opset_of
from vsrc.runtime.errors import MismatchError, MissingDependencyError
from vsrc.runtime.installation import this_installation
from vsrc.runtime.spec import GraphSpec

if TYPE_CHECKING:
    import onnx

WINDOWS = 32
TILE = (96, 160)
"""Number and size of windows: few and small, as ModelOpt takes all as one array."""


def modelopt_graph(
    source: TracedNetwork, config: ExportConfig, progress: ExportProgress
) -> TypedGraph:
    """Quantise the whole network with ModelOpt to int8 and fp16.

    Args:
        source: Traced network; its fp32 graph is quantised.
        config: Export settings with the clips.
        progress: Called for each clip.

    Raises:
        MissingDependencyError: ModelOpt is not installed.
        DataError: No clip is long enough for a window.
        MismatchError: The network carries a state.
    """
    check_modelopt()
    if source.package.spec.network.state:
        raise MismatchError(
            f"{source.package.spec.network.name} carries a state, which ModelOpt cannot be fed "
            "while it calibrates; use --quantizer vsrc"
        )
    from modelopt.onnx.quantization import quantize

    whole = source.traced[0]
    progress(ExportStep("drawing windows for ModelOpt"))
    windows = _windows(source, config)
    progress(ExportStep(f"ModelOpt quantises on {len(windows)} windows"))
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
        before.write_bytes(whole.model.SerializeToString())
        quantize(
            str(before),
            quantize_mode="int8",
            calibration_data={"lr": windows},
            calibration_method="max",
            calibration_eps=["cpu"],
            high_precision_dtype=config.int8_with,
            output_path=str(after),
            log_level="ERROR",
        )
        model = _load(after)
    del model.metadata_props[:]
    model.metadata_props.extend(whole.model.metadata_props)
    name_precision(model, "int8", opset=opset_of(model))
    return dataclasses.replace(whole, model=model)


def check_modelopt() -> None:
    """Check early that ModelOpt is installed.

    Raises:
        MissingDependencyError: It is not installed.
    """
    try:
        import modelopt.onnx.quantization  # noqa: F401
    except ImportError as error:
        reason = str(error).splitlines()[0]
        line = this_installation().install_freely("nvidia-modelopt[onnx]").text
        raise MissingDependencyError(
            f"ModelOpt cannot be imported ({reason}); remove --quantizer modelopt, or install it "
            f"(several GB): {line}"
        ) from error


def _windows(source: TracedNetwork, config: ExportConfig) -> NDArray[np.uint8]:
    """Draw real windows `(N, T, H, W, 3)`, as calibration does."""
    spec, extent = source.package.spec, source.extent
    graph = GraphSpec(*("", "", 0, "fp32", "uint8", 18), height=extent.height, width=extent.width)
    clips = [
        survey(clip_source)
        for clip_source in lr_sources(config.calib, degradation=spec.degradation)
    ]
    draw = draw_windows(clips, spec.network, count=WINDOWS, seed=0)
    tile = extent.height[0], extent.width[0]
    if not extent.fixed:
        multiple = spec.network.size_multiple
        tile = tuple(max(side // multiple, 1) * multiple for side in TILE)  # type: ignore[assignment]
    fed = iter_drawn_windows(clips, draw, spec.network, graph, tile=tile, seed=0)
    shaped = [window.lr for window in fed]
    return np.concatenate([lr for lr in shaped if lr.shape == shaped[0].shape])


def _load(path: Path) -> onnx.ModelProto:
    import onnx

    return onnx.load(str(path))
