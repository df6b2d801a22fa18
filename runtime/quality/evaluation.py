"""Measure the quality of upscaled clips against the truth, with bicubic upscaling as baseline.

For each upscaler and each clip, frames are streamed once:

    truth  --crop to a multiple of the scale-->  HR ----------------------+--> metrics
                                                 |                        |
                                     degrade, or the LR files             |
                                                 |                        |
                                                 +--> LR --> session --> SR
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

from vsrc.runtime.backends.graph_in_use import graph_of
from vsrc.runtime.backends.opening import open_video_session
from vsrc.runtime.decode.clip_layouts import find_clips
from vsrc.runtime.decode.clip_source import Layout
from vsrc.runtime.decode.cuts import mark_shots
from vsrc.runtime.decode.frame import SourceFrame
from vsrc.runtime.errors import DataError, MismatchError
from vsrc.runtime.package import Package, open_package
from vsrc.runtime.picture.bicubic import upscale
from vsrc.runtime.pixels import Pixels8
from vsrc.runtime.quality.eval_config import EvalConfig, EvalProgress
from vsrc.runtime.quality.eval_data import EvalClip, LrPlan, plan_lr
from vsrc.runtime.quality.eval_report import (
    ClipScore,
    EvalModel,
    EvalReport,
    EvalRow,
    mean_values,
)
from vsrc.runtime.quality.flow_metrics import TEMPORAL
from vsrc.runtime.quality.metrics import FIDELITY, MetricKind
from vsrc.runtime.quality.vmaf import VMAF
from vsrc.runtime.shipped_models import shipped
from vsrc.runtime.text.path_names import names_of_paths
from vsrc.runtime.windows.feature_ring import RingSession
from vsrc.runtime.windows.session import Session
from vsrc.runtime.windows.upscale import upscale_frames

METRIC_KINDS: Mapping[str, MetricKind] = {**FIDELITY, **TEMPORAL, **VMAF}
"""Metrics that need no torch."""


@dataclass(frozen=True)
class Upscaler:
    """One row of the report.

    Attributes:
        label: Name in the report.
        upscale_clip: Function from a clip to its SR frames in order.
        doubles: Whether it is fed every second frame and also outputs those between; the last of
            an even number of true frames then has no counterpart.
    """

    label: str
    upscale_clip: Callable[[EvalClip], Iterator[Pixels8]]
    doubles: bool = False


def evaluate(
    config: EvalConfig,
    *,
    extra: Mapping[str, MetricKind] | None = None,
    progress: Callable[[EvalProgress], None] = lambda _now: None,
) -> EvalReport:
    """Measure packages on a folder of clips.

    Args:
        config: Models, data and metrics.
        extra: Name -> metric defined elsewhere (LPIPS needs torch).
        progress: Called after each frame.

    Raises:
        DataError: There are no clips, or LR files are missing or do not match.
        MediaError: A clip cannot be decoded.
        MismatchError: The models have different scales.
        SpecError: A package cannot be used.
        MissingDependencyError: A dependency of a metric is not installed.
    """
    kinds = _kinds(config.metrics, extra or {})
    packages = [open_package(path) for path in config.models or (shipped(),)]
    scale = _common_scale(packages)
    layout = find_clips(config.data, scale=scale)
    plan = plan_lr(
        layout,
        wanted=config.degradation,
        trained_for=packages[0].spec.degradation,
        scale=scale,
    )
    border = _border(config.border, layout, plan.scale)
    clips = [EvalClip(source, plan, most=config.frames) for source in layout.clips]
    for package in packages:  # report missing dependencies before the first row
        _open_session(package, config).close()
    labels = _labels(packages)
    models: list[EvalModel] = []
    rows = [score_upscaler(bicubic(plan.scale), clips, kinds, border=border, progress=progress)]
    for package, label in zip(packages, labels, strict=True):
        with closing(_open_session(package, config)) as session:
            models.append(EvalModel(label, graph_of(session)))
            upscaler = by_session(label, session)
            rows.append(score_upscaler(upscaler, clips, kinds, border=border, progress=progress))
    return EvalReport(
        models=tuple(models),
        data=str(config.data),
        layout=layout.kind,
        scale=plan.scale,
        degradation=str(plan),
        border_px=border,
        protocol=_protocol(kinds, plan, border),
        warnings=tuple(_warnings(packages, plan)),
        rows=tuple(rows),
    )


def bicubic(scale: int) -> Upscaler:
    """Create an upscaler that uses MATLAB's bicubic interpolation."""
    return Upscaler("bicubic", lambda clip: (upscale(frame, scale) for frame in clip.lr()))


def by_session(label: str, session: Session) -> Upscaler:
    """Create an upscaler from a session, fed as in `vsrc infer`: windows end at scene cuts."""
    step = session.network.time_scale

    def upscale_clip(clip: EvalClip) -> Iterator[Pixels8]:
        if isinstance(session, RingSession):
            session.forget()  # every clip numbers its frames from 0
        lr = (frame for index, frame in enumerate(clip.lr()) if index % step == 0)
        frames = (SourceFrame(frame, pts=index, duration=1) for index, frame in enumerate(lr))
        for result in upscale_frames(frames if clip.one_shot else mark_shots(frames), session):
            assert result.rgb is not None
            yield result.rgb

    return Upscaler(label, upscale_clip, doubles=step == 2)


def score_upscaler(
    upscaler: Upscaler,
    clips: Sequence[EvalClip],
    kinds: Mapping[str, MetricKind],
    *,
    border: int,
    progress: Callable[[EvalProgress], None] = lambda _now: None,
) -> EvalRow:
    """Compute one row of the report.

    Args:
        upscaler: Upscaler to measure.
        clips: Clips to measure on.
        kinds: Name -> metric.
        border: Width cropped from each edge, pixels.
        progress: Called after each frame.
    """
    scores = []
    for number, clip in enumerate(clips, 1):
        metrics = [kind.create(border) for kind in kinds.values()]
        count = 0
        pairs = zip(clip.truth(), upscaler.upscale_clip(clip), strict=not upscaler.doubles)
        for truth, sr in pairs:
            for metric in metrics:
                metric.add(sr, truth)
            count += 1
            progress(EvalProgress(upscaler.label, clip.name, count, number, len(clips)))
        if not count:
            raise DataError(f"{clip.name} has no frames")
        values = {name: v for metric in metrics for name, v in metric.result().items()}
        scores.append(ClipScore(clip.name, count, values))
    return EvalRow(upscaler.label, tuple(scores), mean_values([each.values for each in scores]))


def _kinds(metrics: Sequence[str], extra: Mapping[str, MetricKind]) -> dict[str, MetricKind]:
    known = {**METRIC_KINDS, **extra}
    if absent := [name for name in metrics if name not in known]:
        raise ValueError(f"metric {absent[0]!r} is not available; choose from: {', '.join(known)}")
    for name in metrics:
        known[name].check()
    return {name: known[name] for name in metrics}


def _open_session(package: Package, config: EvalConfig) -> Session:
    return open_video_session(
        package,
        backend=config.backend,
        precision=config.precision,
        threads=config.threads,
        device=config.device,
    )


def _common_scale(packages: Sequence[Package]) -> int:
    scales = [package.spec.network.scale for package in packages]
    if len(set(scales)) > 1:
        pairs = zip(_labels(packages), scales, strict=True)
        listed = ", ".join(f"{name} x{scale}" for name, scale in pairs)
        raise MismatchError(f"all models must have the same scale, these are: {listed}")
    return scales[0]


def _labels(packages: Sequence[Package]) -> list[str]:
    """Names of the models, as those of `bench`."""
    return names_of_paths([package.path for package in packages])


def _border(wanted: int | None, layout: Layout, scale: int) -> int:
    if wanted is not None:
        return wanted
    is_stills = all(len(clip.files) == 1 and not clip.is_video for clip in layout.clips)
    return scale if is_stills else 0


def _protocol(kinds: Mapping[str, MetricKind], plan: LrPlan, border: int) -> tuple[str, ...]:
    edges = f"{border} pixels cropped at each edge" if border else "no border cropped"
    lines = [f"x{plan.scale}, LR: {plan}", f"{edges}; mean over frames, then over clips"]
    return (*lines, *(kind.protocol for kind in kinds.values()))


def _warnings(packages: Sequence[Package], plan: LrPlan) -> Iterator[str]:
    for package, label in zip(packages, _labels(packages), strict=True):
        trained_for = package.spec.degradation
        if plan.known_as is None:
            yield (
                f"{label} was trained for {trained_for}, and the degradation of the LR "
                "files is unknown; if it differs, this alone can reduce PSNR by several dB"
            )
        elif trained_for not in (plan.known_as, "none"):
            yield (
                f"{label} was trained for {trained_for}, but LR is {plan.known_as}: "
                "this alone can reduce PSNR by several dB"
            )
