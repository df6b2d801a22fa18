"""Choose which convolutions of an int8 graph stay in float so that it keeps within its limits.

Calibration leaves in float what costs most on its clips, as few layers as that takes, for NVIDIA's
graph. What is lost against ground truth, what ONNX Runtime's graph loses besides, and how much work
a layer takes with it, counts here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vsrc.calibration.convolutions import convolutions
from vsrc.export.checks.agreement import Agreement, run_of
from vsrc.export.checks.quality_gate import LEAST_INT8_SHARE, GateLimits
from vsrc.export.checks.unrounded import unround
from vsrc.export.config import ExportProgress, ExportStep
from vsrc.export.graphs.check_frames import Array
from vsrc.export.graphs.quantise import Int8Target, int8_graph
from vsrc.export.graphs.typed_graphs import TypedGraph, feeds_of
from vsrc.export.multiply_accumulates import count_macs
from vsrc.runtime.errors import MismatchError

if TYPE_CHECKING:
    import onnx

    from vsrc.calibration.calibration_file import Calibration
    from vsrc.calibration.compensated_rounding import CompensatedRounding

_PASSES = 8
"""Each pass over the convolutions leaves at least one in this many of them in float."""
_NEARLY = 1.1
"""Squared error beside the tolerated one at which a set is tried: sizes and rounding differ."""


@dataclass(frozen=True)
class Trial:
    """A network that is quantised again and again, with other layers in float.

    Attributes:
        whole: fp32 graph of the whole network.
        calibration: Ranges; its `fixed_float_layers` stay in float in any case.
        target: Runtime that the int8 graph is for.
        fed: Window of real frames, see `in_precision`.
        roundings: Convolution -> function that rounds its weights.
    """

    whole: TypedGraph
    calibration: Calibration
    target: Int8Target
    fed: Array
    roundings: Mapping[str, CompensatedRounding]

    @cached_property
    def exact(self) -> NDArray[np.float64]:
        """Output of the fp32 graph, not rounded."""
        return self._answer(self.whole.model)

    def error(self, layers: Sequence[str]) -> float:
        """Mean squared error with these layers in float; 0 if none is left to quantise."""
        wanted = replace(self.calibration, float_layers=tuple(layers))
        try:
            model = int8_graph(
                self.whole.model, wanted, target=self.target, roundings=self.roundings
            )
        except MismatchError:
            return 0.0
        return float(np.mean((self._answer(model) - self.exact) ** 2))

    def _answer(self, model: onnx.ModelProto) -> NDArray[np.float64]:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "graph.onnx"
            file.write_bytes(unround(model).SerializeToString())
            return run_of(file, self.whole.plan.state)(self.fed).astype(np.float64)


def iter_float_layers(
    trial: Trial, agreements: Sequence[Agreement], limits: GateLimits, progress: ExportProgress
) -> Iterator[tuple[str, ...]]:
    """Yield larger and larger sets of convolutions to leave in float.

    Each pass adds those that save the most error for the work that they take out of int8; sets that
    clearly miss the limits are not yielded. It ends where half of the work is float.

    Args:
        trial: The network.
        agreements: Agreement of the graph with the calibration's choice, at each size.
        limits: What it has to keep within.
        progress: Called for each convolution.
    """
    graph = trial.whole.model
    macs = count_macs(graph, feeds_of([trial.whole], trial.fed)[0])
    work = {conv.key: macs[conv.output] for conv in convolutions(graph.graph)}
    taken = trial.calibration.fixed_float_layers
    rest = [key for key in work if key not in taken]
    chosen = trial.error(trial.calibration.float_layers)
    tolerated = _NEARLY * chosen * _tolerated_share(agreements, limits)
    error = trial.error(taken)
    if error <= tolerated:
        yield taken
    while rest and sum(work[key] for key in rest) >= LEAST_INT8_SHARE * sum(macs.values()):
        saved = {}
        for done, key in enumerate(rest):
            progress(ExportStep("measuring the int8 error of each layer", done, len(rest)))
            saved[key] = error - trial.error((*taken, key))
        rest.sort(key=lambda key: -saved[key] / max(work[key], 1))
        count = max(1, len(work) // _PASSES)
        taken, rest = (*taken, *rest[:count]), rest[count:]
        error = trial.error(taken)
        if error <= tolerated:
            yield taken


def _tolerated_share(agreements: Sequence[Agreement], limits: GateLimits) -> float:
    """Part of the squared error that may remain, at the worst size; above 1 where more may be."""
    shares = []
    for agreement in agreements:
        error = 0.0 if agreement.psnr_db is None else 10 ** (-agreement.psnr_db / 10)
        tolerated = 10 ** (-limits.psnr_db / 10)
        if limits.gain_db is not None and agreement.truth_psnr_db is not None:
            # An error that has nothing to do with the network's own adds to it.
            from_truth = 10 ** (-agreement.truth_psnr_db / 10)
            tolerated = min(tolerated, from_truth * (10 ** (-limits.gain_db / 10) - 1))
        if error > 0:
            shares.append(tolerated / error)
    return min(shares, default=1.0)
