"""Inspect weights without running code from their file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vsrc.runtime.dependencies import is_importable
from vsrc.runtime.inspection.facts import Inspection
from vsrc.runtime.inspection.weights import TensorInfo, inspect_safetensors, weights_inspection
from vsrc.runtime.installation import require

if TYPE_CHECKING:
    from torch import Tensor


_FITS = "They fit"


def inspect_weights(path: Path) -> Inspection:
    """List the weights of a safetensors file; with torch installed, their network, too.

    Raises:
        SpecError: The file is not a safetensors file.
    """
    inspection = inspect_safetensors(path)
    if inspection.problems or not _has_torch():
        return inspection
    from vsrc.compressor.networks.checkpoints.checkpoint_file import read_weights

    return _with_network(inspection, read_weights(path), path)


def inspect_checkpoint(path: Path) -> Inspection:
    """List the weights of a torch checkpoint, and their network.

    Raises:
        MissingDependencyError: torch is not installed.
        MismatchError: The file is not a plain checkpoint.
    """
    require(f"reading {path}", "torch", "safetensors", extra="compress")
    from vsrc.compressor.networks.checkpoints.checkpoint_file import read_weights

    state = read_weights(path)
    tensors = [
        TensorInfo(name, str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape))
        for name, tensor in state.items()
    ]
    return _with_network(weights_inspection(path, tensors, metadata={}), state, path)


def _has_torch() -> bool:
    return all(is_importable(name) for name in ("torch", "safetensors"))


def _with_network(inspection: Inspection, state: Mapping[str, Tensor], path: Path) -> Inspection:
    """Add the network that the weights fit, or how a network that vsrc lacks would be loaded."""
    from torch import nn

    from vsrc.compressor.networks.loading.fits import find_fits
    from vsrc.compressor.networks.loading.recognition import describe_nearest

    verdict = describe_nearest(_bare(state), nn.Identity())
    if not verdict.startswith(_FITS) and (fits := find_fits(state)):
        verdict = f"{_FITS} {' or '.join(map(str, fits))}"
    rows, facts = [("network", verdict)], dict(inspection.facts)
    facts["network"] = None if verdict.startswith("No network") else verdict
    if not verdict.startswith(_FITS):
        facts["spandrel"] = _recognised_by_spandrel(state, path)
        code = f"module:function --weights {path} loads them with your own code"
        rows += [("spandrel", facts["spandrel"]), ("or", f"vsrc pack {code}")]
    return replace(
        inspection, rows=(*inspection.rows[:1], *rows, *inspection.rows[1:]), facts=facts
    )


def _recognised_by_spandrel(state: Mapping[str, Tensor], path: Path) -> str:
    """Say what spandrel makes of weights, or why it cannot."""
    from vsrc.compressor.networks.image.spandrel_image import recognise
    from vsrc.runtime.errors import VsrcError

    try:
        network = recognise(state, path=str(path))
    except VsrcError as error:
        return str(error)
    words = f"{network.architecture} x{network.scale}, RGB: vsrc pack {path} takes it"
    return f"recognised as {words}"


def _bare(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Remove the prefix that DataParallel or torch.compile adds to each name."""
    for wrapper in ("module.", "_orig_mod."):
        if state and all(name.startswith(wrapper) for name in state):
            return _bare({name.removeprefix(wrapper): value for name, value in state.items()})
    return state
