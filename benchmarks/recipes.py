"""Every recipe for two CPU cores, run as it stands, one after the other.

    nice -n 19 python benchmarks/recipes.py --data CLIPS [--vgg FILE] [--steps N] \
        [--work FOLDER] [NAME ...] > docs/results/recipes.md

Recipes of more than one run find what the run before left. `--steps` makes all runs that short, to
see that they work. CSD wants a VGG and is left out without one. PSNR is that of the held-out clips
of the data, which differ from recipe to recipe in size alone.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from vsrc.compressor.distill import distill
from vsrc.compressor.recipe import read_recipe
from vsrc.runtime.errors import VsrcError
from vsrc.runtime.machine import this_machine
from vsrc.runtime.package import open_package

RECIPES = Path(__file__).resolve().parents[1] / "recipes"
SHIPS = "ship-"
"""Those that made what ships begin with weights of another run."""


def main() -> None:
    options = _options()
    names = options.names or sorted(
        path.stem for path in RECIPES.glob("*-cpu.yaml") if not path.name.startswith(SHIPS)
    )
    machine = this_machine()
    print("# Recipes for two CPU cores\n")
    print(f"`python benchmarks/recipes.py`; {machine.cpu}, {machine.cores} cores.\n")
    print("| recipe | student | parameters | steps | minutes | held-out PSNR of Y, dB |")
    print("|---|---|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(options.work or scratch).resolve()
        work.mkdir(parents=True, exist_ok=True)
        settings = [f"data=[{options.data.resolve()}]", "overwrite=true"]
        if options.cache:
            settings.append(f"cache={options.cache.resolve()}")
        vgg = None if options.vgg is None else options.vgg.resolve()
        os.chdir(work)
        for name in names:
            print(_line(name, settings, vgg=vgg, steps=options.steps), flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="all, if none is given")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--vgg", type=Path)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--work", type=Path)
    return parser.parse_args()


def _line(name: str, settings: Sequence[str], *, vgg: Path | None, steps: int | None) -> str:
    own = list(settings)
    if steps is not None:
        own.append(f"steps={steps}")
    path = RECIPES / f"{name}.yaml"
    if read_recipe(path).objective == "csd":
        if vgg is None:
            return f"| {name} | no VGG was given | | | | |"
        own.append(f"objective_options.vgg={vgg}")
    config = read_recipe(path, settings=own)
    started = time.perf_counter()
    try:
        spec = open_package(distill(config)).spec
    except VsrcError as error:
        return f"| {name} | {error} | | | | |"
    minutes = (time.perf_counter() - started) / 60
    found = [one.value for one in spec.quality]
    quality = f"{found[0]:.2f}" if found else "none"
    parameters = f"{spec.network.parameters:,}"
    student = spec.network.name
    return f"| {name} | {student} | {parameters} | {config.steps} | {minutes:.1f} | {quality} |"


if __name__ == "__main__":
    main()
