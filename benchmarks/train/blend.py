"""Blend the weights of two students of one origin: what lies between two runs is often the best.

    python benchmarks/train/blend.py FIRST.vsrc SECOND.vsrc SHARE BLENDED.vsrc

BLENDED is FIRST with SHARE times its weights plus 1 - SHARE times those of SECOND. It works where
the second run began with the weights of the first, or both with the same (deep network
interpolation, Wang et al., CVPR 2019; WiSE-FT, Wortsman et al., CVPR 2022). SHARE is chosen by
benchmarks/train/judge.py.
"""

from __future__ import annotations

import argparse
import shutil
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from vsrc.compressor.networks import create, load_weights
from vsrc.runtime.package import (
    WEIGHTS_FILE,
    Package,
    describe_file,
    new_folder,
    open_package,
    write_spec,
)


def main() -> None:
    """Blend and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("share", type=float)
    parser.add_argument("blended", type=Path)
    options = parser.parse_args()
    first, second = open_package(options.first), open_package(options.second)
    with new_folder(options.blended, overwrite=True) as folder:
        shutil.copytree(first.path, folder, dirs_exist_ok=True)
        save_file(blend(first, second, share=options.share), folder / WEIGHTS_FILE)
        provenance = first.spec.provenance
        recipe = {**provenance.recipe, "blended": f"{options.share:g}, rest {second.path.stem}"}
        spec = replace(
            first.spec,
            weights=describe_file(folder, WEIGHTS_FILE),
            graphs={},
            provenance=replace(provenance, recipe=recipe),
            quality=(),
        )
        write_spec(folder, spec)


def blend(first: Package, second: Package, *, share: float) -> dict[str, Tensor]:
    """Weights of the blend, by name, with all training branches."""
    ours, theirs = _weights(first), _weights(second)
    return {
        name: torch.lerp(theirs[name].float(), weights.float(), share).contiguous()
        for name, weights in ours.items()
    }


def _weights(package: Package) -> dict[str, Tensor]:
    """Weights as trained; those of a package that ships come back with branches."""
    network = create(package.spec.network.name, **package.spec.network.arguments)
    load_weights(network, package.weights())
    return network.state_dict()


if __name__ == "__main__":
    main()
