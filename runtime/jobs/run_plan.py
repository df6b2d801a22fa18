"""Plan a run: find its inputs and outputs, and check them before any work."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from vsrc.runtime.decode.sources import find_sources
from vsrc.runtime.encode.codec_choice import check_codec
from vsrc.runtime.encode.muxers import muxer_of
from vsrc.runtime.encode.targets import Target, input_paths, plan_targets
from vsrc.runtime.errors import MediaError, OutputError
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.manifest import is_manifest, manifest_path
from vsrc.runtime.output_guard import PlannedOutput, check_outputs, model_files


def plan_run(config: InferConfig, reports: Sequence[PlannedOutput] = ()) -> list[Target]:
    """Return the targets of a run, after checking what can be checked without decoding.

    Whether the result of an input exists already is checked when its turn comes: the manifest may
    list it as finished.

    Args:
        config: Settings of the run.
        reports: Other files that will be written.

    Raises:
        OutputError: An output is an input, a model, another output or inside a package; or a
            report exists that another job wrote.
        MediaError: An input does not exist, or there is no container for the suffix of a target.
        MissingDependencyError: This build of FFmpeg has no such encoder.
        ValueError: The inputs and the output do not match, or the codec or its quality is invalid.
    """
    sources = find_sources(config.inputs, output=config.output)
    targets = plan_targets(sources, config.output, frames=config.frames)
    inputs = [*input_paths(targets), *model_files(config.model)]
    results = [PlannedOutput(target.result_path, "-o") for target in targets]
    check_outputs([*results, *reports], inputs=inputs, overwrite=True)
    check_outputs([*_manifests(config, targets), *reports], overwrite=config.overwrite)
    for report in reports:
        _check_beside_pictures(report, targets)
    if targets[0].is_pipe and sys.stdout is None:  # the process was started without it
        raise MediaError("stdout is closed, so -o - has nowhere to write; name a file")
    check_encoding(targets, config)
    return targets


def manifest_place(config: InferConfig, targets: Sequence[Target]) -> Path | None:
    """Path of the manifest of a run over several inputs, or of a share; None for a single input."""
    if targets[0].is_pipe or (config.shard is None and len(targets) == 1):
        return None
    is_folder = config.output.is_dir() or not config.output.suffix
    place = config.output if is_folder else targets[0].path
    return manifest_path(place, config.shard, is_folder=is_folder)


def check_encoding(targets: Sequence[Target], config: InferConfig) -> None:
    """Raise if the encoder of a target does not exist, or does not support the options.

    Raises:
        MediaError: There is no container for the suffix of a target.
        MissingDependencyError: This build of FFmpeg has no such encoder.
        ValueError: The codec or its quality is not valid; checked before any input is opened.
    """
    videos = (target for target in targets if not (target.is_pictures or target.is_pipe))
    for path in {target.path.suffix.lower(): target.path for target in videos}.values():
        check_codec(config.codec, muxer_of(path), crf=config.crf)


def _manifests(config: InferConfig, targets: Sequence[Target]) -> Iterator[PlannedOutput]:
    place = manifest_place(config, targets)
    if place is not None:
        yield PlannedOutput(place, "the manifest", is_ours=is_manifest)


def _check_beside_pictures(report: PlannedOutput, targets: Sequence[Target]) -> None:
    """Raise if a report has the name of an image that is written."""
    folders = {
        target.path.resolve()
        for target in targets
        if target.is_pictures and not target.is_one_picture
    }
    if report.path.suffix.lower() == ".png" and report.path.resolve().parent in folders:
        raise OutputError(
            f"{report.path} is the name of an image that -o writes; give {report.name} another name"
        )
