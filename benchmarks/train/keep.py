"""Keep a run of training in a file small enough to be committed, and go on with it anywhere.

    python benchmarks/train/keep.py save RUN_FOLDER KEPT.safetensors
    python benchmarks/train/keep.py resume KEPT.safetensors --teacher-cache SHARDS -o STUDENT.vsrc
                                    --steps 90000 --learning-rate 4e-4

Kept in half precision are the weights, their average and Adam's second moments (as square roots,
where halves have digits enough); its first moments are made anew within a few steps. `resume`
writes a checkpoint of the trainer into STUDENT.vsrc.run and goes on from the same step with the
same settings, but for those that are given. What differs from a run that never stopped is that
rounding. `STEPS` decides how far along the schedule the run is.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from vsrc.commands.progress.training_bar import TrainingBar
from vsrc.compressor.data.crop_shards import open_shards
from vsrc.compressor.distill import MAY_CHANGE, distill
from vsrc.compressor.training import checkpoint
from vsrc.compressor.training.checkpoint import PARTS, Checkpoint
from vsrc.compressor.training.config import DistillConfig
from vsrc.runtime.schema import from_json, to_json

SECOND, EXPONENT = "second", 10
"""Part of the file that holds roots of second moments, and the power of two they are scaled by."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    saving = commands.add_parser("save")
    saving.add_argument("run", type=Path)
    saving.add_argument("kept", type=Path)
    resuming = commands.add_parser("resume")
    resuming.add_argument("kept", type=Path)
    resuming.add_argument("--teacher-cache", type=Path, required=True)
    resuming.add_argument("-o", "--output", type=Path, required=True)
    resuming.add_argument("--steps", type=int, required=True)
    resuming.add_argument("--learning-rate", type=float, required=True)
    options = parser.parse_args()
    if options.command == "save":
        save(options.run, options.kept)
    else:
        resume(options)


def save(run: Path, kept: Path) -> None:
    """Write the last checkpoint of a run in short."""
    state = checkpoint.load(checkpoint.find_checkpoints(run / "checkpoints")[-1])
    tensors = {
        f"{part}/{name}": tensor.half() if tensor.is_floating_point() else tensor
        for part in PARTS
        for name, tensor in state.tensors[part].items()
    }
    for index, moments in state.optimizer["state"].items():
        roots = moments["exp_avg_sq"].sqrt() * 2**EXPONENT
        tensors[f"{SECOND}/{index}"] = roots.half().contiguous()
    said = {
        "step": state.step,
        "param_groups": state.optimizer["param_groups"],
        "counters": dict(state.counters),
        # What it began from is in the weights by now, and need not be there where it goes on.
        "config": _without_places(json.loads(state.config)) | {"student_weights": None},
    }
    save_file(tensors, kept, metadata={"run": json.dumps(said)})
    print(f"{kept}: step {state.step}, {kept.stat().st_size / 1e6:.2f} MB")


def _without_places(config: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in MAY_CHANGE}


def restore(kept: Path, run: Path, *, shards: Path) -> dict[str, Any]:
    """Write a checkpoint of the trainer; returns the settings of the run."""
    with safe_open(kept, framework="pt") as file:
        said = json.loads(file.metadata()["run"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  no mapping
    config = {**said["config"], "shards": _identity(shards)}
    if config["shards"] != said["config"]["shards"]:
        print("the shards are not those of the run; going on with them", file=sys.stderr)
    checkpoint.save(
        run / "checkpoints",
        Checkpoint(
            step=said["step"],
            tensors={part: _part(tensors, part) for part in PARTS},
            optimizer={
                "state": {
                    int(i): _moments(r, said["step"]) for i, r in _part(tensors, SECOND).items()
                },
                "param_groups": said["param_groups"],
            },
            counters=said["counters"],
            scaler={},
            config=json.dumps(config, sort_keys=True),
        ),
    )
    return config


def _identity(shards: Path) -> dict[str, Any]:
    return {k: v for k, v in to_json(open_shards(shards).manifest).items() if k != "data"}


def _part(tensors: dict[str, Tensor], part: str) -> dict[str, Tensor]:
    return {
        name.partition("/")[2]: tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in tensors.items()
        if name.startswith(f"{part}/")
    }


def _moments(roots: Tensor, step: int) -> dict[str, Tensor]:
    return {
        "step": torch.tensor(float(step)),
        "exp_avg": torch.zeros_like(roots),
        "exp_avg_sq": (roots / 2**EXPONENT).square(),
    }


def resume(options: argparse.Namespace) -> None:
    """Go on."""
    run = options.output.with_name(f"{options.output.name}.run")
    said = restore(options.kept, run, shards=options.teacher_cache)
    known = {field.name for field in fields(DistillConfig)}
    settings = {key: value for key, value in said.items() if key in known}
    settings |= {
        "teacher_cache": str(options.teacher_cache),
        "output": str(options.output),
        "steps": options.steps,
        "learning_rate": options.learning_rate,
        "resume": True,
        "workers": 0,
    }
    config = from_json(DistillConfig, settings, where=str(options.kept))
    with TrainingBar() as bar:
        distill(
            config,
            report=bar,
            command=f"python benchmarks/train/keep.py resume {options.kept.name}",
        )


if __name__ == "__main__":
    main()
