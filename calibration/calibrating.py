"""`vsrc calibrate`: survey clips, draw windows, measure ranges and the loss of int8 with them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vsrc.calibration.calibration_config import FEW_WINDOWS, CalibrationConfig
from vsrc.calibration.calibration_file import (
    CalibratedClip,
    Calibration,
    Range,
    read_calibration,
    replace_calibration,
)
from vsrc.calibration.convolutions import convolutions
from vsrc.calibration.draw import Draw, draw_windows
from vsrc.calibration.equalise import SHARES, USUAL_SHARE, balance, equalise
from vsrc.calibration.feed import iter_drawn_windows
from vsrc.calibration.fidelity import Fidelity, psnr_or_none
from vsrc.calibration.histogram import Histogram
from vsrc.calibration.memory import affordable_tile
from vsrc.calibration.observer import Observer
from vsrc.calibration.progress import CalibrationCallback, CalibrationProgress, silent
from vsrc.calibration.qdq import INT8_OPSET
from vsrc.calibration.scenes import Scenes, lr_sources, survey
from vsrc.calibration.sensitivity import (
    FloatLayers,
    LayerSensitivity,
    int8_error,
    least_float_layers,
    sensitivities,
)
from vsrc.calibration.sensitivity_report import write_report
from vsrc.calibration.thresholds import range_of
from vsrc.calibration.unfinished import Unfinished
from vsrc.runtime.dependencies import collect_versions
from vsrc.runtime.errors import MismatchError, OutputError
from vsrc.runtime.installation import explain_missing, require
from vsrc.runtime.package import CALIBRATION_FILE, Package, open_package
from vsrc.runtime.processes.stop_signal import delay_stop_signal, note_stop_signal
from vsrc.runtime.spec import GraphSpec
from vsrc.runtime.text.count_text import count_text

if TYPE_CHECKING:
    import onnx

WORTHWHILE = 0.98
"""Channels are balanced only if the squared error falls below this share (0.1 dB better)."""
CHECK_WINDOWS = 8
CHECK_TILE = (96, 160)
"""Number and largest size of the windows on which int8 and fp32 outputs are compared; they are
spread evenly over the draw."""
FEW_TO_HOLD_OUT = 2 * CHECK_WINDOWS
"""Number of windows from which on those are held out: no range is observed on them."""


@dataclass(frozen=True)
class CalibrationResult:
    """Result of a calibration.

    Attributes:
        file: Path of `calibration.json`.
        calibration: Contents of that file.
        sensitivities: Error of each convolution quantised alone, largest first; empty if not
            measured.
        stale: Int8 graphs of the package that were written before it.
    """

    file: Path
    calibration: Calibration
    sensitivities: tuple[LayerSensitivity, ...] = ()
    stale: tuple[str, ...] = ()


def replacing_measured(config: CalibrationConfig) -> CalibrationConfig:
    """Return the settings for a copy of a package: the ranges measured in the source are replaced.

    Learnt ranges are kept.
    """
    before = read_calibration(config.package)
    if before is None or before.is_learnt:
        return config
    return dataclasses.replace(config, overwrite=True)


def calibrate(
    config: CalibrationConfig, *, progress: CalibrationCallback = silent
) -> CalibrationResult:
    """Measure the ranges of activations on real clips and write them to the package.

    Ranges learnt by quantisation-aware training are used unchanged; only what they lack is
    measured: the ranges of outputs, and the PSNR of int8 against fp32.

    Raises:
        SpecError: The package is damaged, or has no fp32 graph.
        OutputError: It is calibrated already, and `overwrite` is off.
        DataError: No clip is as long as a window, or all clips are black.
        MediaError: A clip cannot be decoded.
        MismatchError: The network outputs values that are not finite.
        StoppedError: Ctrl+C or SIGTERM after at least one window; the statistics so far are saved,
            and the next start resumes from them.
        MissingDependencyError: onnx or onnxruntime is missing.
    """
    require_packages()
    package = open_package(config.package)
    before = read_calibration(package.path)
    if before and not before.is_learnt and not config.overwrite:
        raise OutputError(f"{package.path} is calibrated already; add --overwrite to do it again")
    learnt = before if before and before.is_learnt and not config.overwrite else None
    model, graph = _fp32(package)
    multiple = package.spec.network.size_multiple
    config = dataclasses.replace(
        config, tile=affordable_tile(model, graph, config.tile, multiple=multiple)
    )
    clips = _survey_clips(config, package, progress)
    draw = draw_windows(clips, package.spec.network, count=config.windows, seed=config.seed)
    observer = Observer(model, threads=config.threads)
    unfinished = _unfinished(config, package, graph, clips, draw)
    with unfinished.open_until_done(draw.count):
        check = _feed_windows(config, package, clips, draw, observer, unfinished, progress)
        calibration = _calibration(config, package, clips, draw, observer)
        if learnt:
            calibration = _with_learnt(calibration, learnt)
        fidelity = Fidelity(model, check, threads=config.threads)
        if not learnt and config.method == "minmax":
            shares = SHARES if draw.count >= FEW_TO_HOLD_OUT else (USUAL_SHARE,)
            calibration = _balance_channels(model, observer, calibration, fidelity, shares=shares)
        ranked, choice = _choose_float_layers(config, model, calibration, fidelity, progress)
        done = dataclasses.replace(
            calibration,
            float_layers=choice.float_layers,
            psnr_db=choice.psnr_db,
            notes=(*calibration.notes, *_shortfall(config, choice)),
        )
        if ranked:
            write_report(package.path, ranked, choice)
        with delay_stop_signal():  # between the graphs that are marked and the file
            stale = replace_calibration(package.path, done)
    file = package.path / CALIBRATION_FILE
    return CalibrationResult(file, done, tuple(ranked), stale)


def require_packages() -> None:
    """Check that what calibration needs is installed.

    Raises:
        MissingDependencyError: onnx or onnxruntime is missing.
    """
    require("vsrc calibrate", "onnx", "onnxruntime", extra="export")


def _fp32(package: Package) -> tuple[onnx.ModelProto, GraphSpec]:
    with explain_missing("onnx", extra="export"):
        import onnx
    path, graph = package.graph("fp32")
    model = onnx.load(path)
    # A graph of another program may be older than scales for each channel, which int8 needs.
    return _of_opset(model, path) if graph.opset < INT8_OPSET else model, graph


def _of_opset(model: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    from onnx import version_converter

    try:
        return version_converter.convert_version(model, INT8_OPSET)
    except Exception as error:  # the converter raises RuntimeError, among others
        raise MismatchError(
            f"{path} is of an opset below {INT8_OPSET}, which int8 needs, and cannot be "
            f"converted: {error}"
        ) from error


def _survey_clips(
    config: CalibrationConfig, package: Package, progress: CalibrationCallback
) -> list[Scenes]:
    sources = lr_sources(config.clips, degradation=package.spec.degradation)
    return [
        survey(source, place=(number, len(sources)), progress=progress)
        for number, source in enumerate(sources, 1)
    ]


def _unfinished(
    config: CalibrationConfig,
    package: Package,
    graph: GraphSpec,
    clips: Sequence[Scenes],
    draw: Draw,
) -> Unfinished:
    drawn = [(clip.sha256, frames) for clip, frames in zip(clips, draw.frames, strict=True)]
    facts = [collect_versions()["vsrc"], graph.sha256, config.tile, config.seed, drawn]
    return Unfinished(package.path, facts)


def _feed_windows(
    config: CalibrationConfig,
    package: Package,
    clips: Sequence[Scenes],
    draw: Draw,
    observer: Observer,
    unfinished: Unfinished,
    progress: CalibrationCallback,
) -> list[NDArray[np.uint8]]:
    """Feed the drawn windows to the observer; return those on which outputs are compared.

    Ranges and factors that fit the windows they were found on need not fit others, so what is
    compared is not observed. Of a few windows each is needed for both.
    """
    unfinished.load(observer.restore)
    network, (_, graph) = package.spec.network, package.graph("fp32")
    wanted = set(np.linspace(0, draw.count - 1, CHECK_WINDOWS).round().astype(int).tolist())
    held_out = wanted if draw.count >= FEW_TO_HOLD_OUT else set()
    check = []
    windows = iter_drawn_windows(clips, draw, network, graph, tile=config.tile, seed=config.seed)
    with note_stop_signal() as stop:
        for place, window in enumerate(windows):
            progress(CalibrationProgress("feed", window.clip, place, draw.count))
            if place >= unfinished.count:
                if place not in held_out:
                    observer.see(window.lr)
                if stop.requested or unfinished.is_due or place == draw.count - 1:
                    unfinished.save(place + 1, observer.state())
            if stop.requested:
                raise KeyboardInterrupt
            if place in wanted:
                check.append(middle(window.lr, graph, multiple=network.size_multiple))
    return check


def _with_learnt(found: Calibration, learnt: Calibration) -> Calibration:
    """Merge measured ranges with those of quantisation-aware training; the latter win."""
    return dataclasses.replace(
        found,
        method=learnt.method,
        ranges=learnt.ranges,
        outputs={**found.outputs, **learnt.outputs},
        float_layers=learnt.float_layers,
    )


def _calibration(
    config: CalibrationConfig,
    package: Package,
    clips: Sequence[Scenes],
    draw: Draw,
    observer: Observer,
) -> Calibration:
    def ranges(histograms: Mapping[str, Histogram]) -> dict[str, Range]:
        return {
            key: range_of(histogram, config.method, percentile=config.percentile)
            for key, histogram in histograms.items()
        }

    input_ranges = ranges(observer.inputs)
    notes = list(draw.notes)
    if draw.count < FEW_WINDOWS:
        notes.append(
            f"only {count_text(draw.count, 'window')}: ranges may be too narrow for real video; "
            f"use {FEW_WINDOWS} or more"
        )
    if silent_ones := [
        key for key, value_range in input_ranges.items() if value_range == (0.0, 0.0)
    ]:
        notes.append(
            f"the input of {', '.join(silent_ones)} was 0 on every window: it has no range and "
            "stays in float"
        )
    return Calibration(
        method=config.method,
        ranges=input_ranges,
        outputs=ranges(observer.outputs),
        float_layers=config.float_layers,
        required_float_layers=config.float_layers,
        options={"percentile": config.percentile} if config.method == "percentile" else {},
        weights_sha256=package.spec.weights.sha256,
        seed=config.seed,
        windows=draw.count,
        tile=config.tile,
        clips=tuple(
            CalibratedClip(clip.source.name, clip.sha256, len(clip.pts), len(clip.starts), frames)
            for clip, frames in zip(clips, draw.frames, strict=True)
        ),
        min_psnr_db=config.min_psnr,
        notes=tuple(notes),
        versions=collect_versions(),
    )


def _balance_channels(
    model: onnx.ModelProto,
    observer: Observer,
    calibration: Calibration,
    fidelity: Fidelity,
    *,
    shares: Sequence[float],
) -> Calibration:
    """Balance channels as far as reduces the error of int8 most, if it does so enough."""

    def error(calibration: Calibration) -> float:
        changed, ranges = _as_calibrated(model, calibration)
        return int8_error(changed, ranges, fidelity, only=set(ranges))

    chosen, least = calibration, None
    for share in shares:
        factors = balance(model, observer, share=share)
        if not factors:
            break
        least = error(calibration) if least is None else least
        balanced = dataclasses.replace(calibration, equalised=factors)
        if (here := error(balanced)) < WORTHWHILE * least:
            chosen, least = balanced, here
    return chosen


def _as_calibrated(
    model: onnx.ModelProto, calibration: Calibration
) -> tuple[onnx.ModelProto, dict[str, Range]]:
    """Return the fp32 graph with its channels balanced, and the ranges of that graph."""
    changed = type(model)()
    changed.CopyFrom(model)
    ranges, _ = calibration.ranges_with(equalise(changed, calibration.equalised))
    return changed, ranges


def _choose_float_layers(
    config: CalibrationConfig,
    model: onnx.ModelProto,
    calibration: Calibration,
    fidelity: Fidelity,
    progress: CalibrationCallback,
) -> tuple[list[LayerSensitivity], FloatLayers]:
    """Choose the convolutions that stay in float; measure each alone if requested or needed."""
    given = calibration.float_layers
    keys = list(dict.fromkeys(convolution.key for convolution in convolutions(model.graph)))
    if unknown := sorted(set(given) - set(keys)):
        raise MismatchError(
            f"{unknown[0]!r} is not a convolution of this network; choose from: {', '.join(keys)}"
        )
    model, ranges = _as_calibrated(model, calibration)
    rounding = calibration.rounding
    as_given = int8_error(model, ranges, fidelity, only=set(keys) - set(given), rounding=rounding)
    choice = FloatLayers(given, psnr_or_none(as_given))
    enough = choice.psnr_db is None or choice.psnr_db >= config.min_psnr
    if not config.sensitivity and (enough or calibration.is_learnt):
        return [], choice
    ranked = sensitivities(model, ranges, fidelity, rounding=rounding, progress=progress)
    if not enough and not calibration.is_learnt:
        choice = least_float_layers(
            *(model, ranges, fidelity, ranked),
            min_psnr_db=config.min_psnr,
            always=given,
            progress=progress,
        )
    return ranked, choice


def _shortfall(config: CalibrationConfig, choice: FloatLayers) -> list[str]:
    if choice.psnr_db is None or choice.psnr_db >= config.min_psnr:
        return []
    return [
        f"PSNR of int8 against fp32 is {choice.psnr_db:.1f} dB, below the requested "
        f"{config.min_psnr:g}: learnt ranges are used unchanged; --overwrite measures new ones"
    ]


def middle(lr: NDArray[np.uint8], graph: GraphSpec, *, multiple: int) -> NDArray[np.uint8]:
    """Crop the middle of a window `(1, T, H, W, 3)`, small enough to compare many outputs."""
    cuts = []
    limits = (graph.height[0], graph.width[0])
    for side, limit, least in zip(lr.shape[2:4], CHECK_TILE, limits, strict=True):
        size = min(side, max(limit // multiple * multiple, least))
        cuts.append(slice((side - size) // 2, (side - size) // 2 + size))
    return lr[:, :, cuts[0], cuts[1]].copy()
