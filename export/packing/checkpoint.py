"""Load the network of a checkpoint, which its tensors tell, or that the user names."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vsrc.compressor.networks.checkpoints.checkpoint_file import read_weights
from vsrc.compressor.networks.image.spandrel_image import PACKED, recognise
from vsrc.compressor.networks.loading.fits import Fit, find_fits
from vsrc.compressor.networks.loading.recognition import describe_nearest
from vsrc.compressor.networks.loading.weights import load_state
from vsrc.compressor.networks.table import NETWORKS, builder_of, create, names
from vsrc.export.packing.config import OwnNetwork
from vsrc.runtime.errors import MismatchError, MissingDependencyError
from vsrc.runtime.picture.bicubic import downscale, upscale
from vsrc.runtime.sample import sample_frames
from vsrc.runtime.spec import NetworkSpec

if TYPE_CHECKING:
    from torch import Tensor, nn

_PICTURE_DB = 22.0
"""Least PSNR to the enlarged input for an output to be a picture; FSRCNN x4 is at 37 dB, and at
19 dB and less at every other scale."""
_SIDES = (64, 96)


@dataclass(frozen=True)
class LoadedNetwork:
    """A network with its weights, in evaluation mode, and its spec."""

    network: nn.Module
    spec: NetworkSpec


def load_checkpoint(own: OwnNetwork) -> LoadedNetwork:
    """Load a checkpoint into the network that it belongs to.

    Raises:
        MismatchError: The file is no checkpoint, or no network takes its tensors.
        MissingDependencyError: Only spandrel may know it, and spandrel is not installed.
        ValueError: Several networks or scales fit; the message lists them.
    """
    path = Path(own.source)
    if own.network is not None and ":" in own.network:
        return load_code(replace(own, source=own.network, weights=path))
    state = read_weights(path)
    if own.network == PACKED:
        return _by_spandrel(state, path, own)
    if own.network is not None and own.network not in NETWORKS:
        raise ValueError(
            f"--network {own.network} is none of {', '.join(names())}, {PACKED}, module:function"
        )
    among = None if own.network is None else [own.network]
    fits = find_fits(state, among=among, scale=own.scale)
    if not fits and own.network is not None:
        scale = {} if own.scale is None else {"scale": own.scale}
        network = create(own.network, **scale)
        try:
            load_state(network, state, where=str(path))  # raises, and says what differs
        except MismatchError as error:
            raise MismatchError(f"{error}. {_describe_own_code(path)}") from error
    if not fits:
        return _by_spandrel(state, path, own)
    return _choose(fits, state, path)


def load_code(own: OwnNetwork) -> LoadedNetwork:
    """Make the network of a `module:function`, with weights if there are any.

    Raises:
        MismatchError: The weights do not fit.
        ValueError: No such function, or what it returns takes no frames.
    """
    from vsrc.compressor.features.taps import spec_of
    from vsrc.compressor.networks.layers.measured_spec import measure_spec

    network = create(own.source) if own.window is None else builder_of(own.source)()
    if own.weights is not None:
        load_state(network, read_weights(own.weights), where=str(own.weights))
    network.eval()
    if own.window is not None:
        spec = measure_spec(network, name=own.source, window=own.window, scale=own.scale)
    else:
        spec = replace(spec_of(network), name=own.source, arguments={})
    if own.scale not in (None, spec.scale):
        raise ValueError(f"{own.source} upscales by {spec.scale}, not by {own.scale}")
    return LoadedNetwork(network, spec)


def _by_spandrel(state: Mapping[str, Tensor], path: Path, own: OwnNetwork) -> LoadedNetwork:
    from torch import nn

    try:
        network = recognise(state, path=str(path)).eval()
    except MissingDependencyError as error:
        raise MissingDependencyError(
            f"{path} fits no network of vsrc. {_describe_own_code(path)}. Spandrel supports many "
            f"more networks: {error}"
        ) from error
    except MismatchError as error:
        nearest = describe_nearest(state, nn.Identity())
        raise MismatchError(
            f"{error}. {nearest}; to name it: --network NAME. {_describe_own_code(path)}"
        ) from error
    network.path = ""  # a package recognises it in its own weights
    spec = network.spec
    if own.scale not in (None, spec.scale):
        raise ValueError(f"{path} upscales by {spec.scale}, not by {own.scale}")
    return LoadedNetwork(network, spec)


def _describe_own_code(path: Path) -> str:
    words = ["vsrc", "pack", "module:function", "--weights", str(path), "-o", f"{path.stem}.vsrc"]
    return f"To load it with your own code: {shlex.join(words)}"


def _choose(fits: list[Fit], state: Mapping[str, Tensor], path: Path) -> LoadedNetwork:
    loaded = [_load(fit, state, path) for fit in fits]
    if len(loaded) == 1:
        return loaded[0]
    likeness = [_likeness(each) for each in loaded]
    ranked = sorted(zip(likeness, fits, loaded, strict=True), key=lambda each: -each[0])
    if ranked[0][0] >= _PICTURE_DB > ranked[1][0]:
        return ranked[0][2]
    listed = "; ".join(
        f"--network {fit.name} --scale {fit.scale} ({decibels:.1f} dB to the upscaled input)"
        for decibels, fit, _ in ranked
    )
    raise ValueError(f"{path} fits several networks; choose with one of: {listed}")


def _load(fit: Fit, state: Mapping[str, Tensor], path: Path) -> LoadedNetwork:
    from vsrc.compressor.features.taps import spec_of

    network = create(fit.name, **fit.arguments).eval()
    load_state(network, state, where=str(path))
    return LoadedNetwork(network, spec_of(network))


def _likeness(loaded: LoadedNetwork) -> float:
    """PSNR of what the network makes of a small picture to its bicubic enlargement, dB."""
    import torch

    spec = loaded.spec
    frames = downscale(sample_frames(spec.window), 4)[:, : _SIDES[0], : _SIDES[1]]
    centre = upscale(np.ascontiguousarray(frames[spec.radius]), spec.scale)
    lr = torch.from_numpy(np.ascontiguousarray(frames)).movedim(-1, -3)[None].float() / 255
    with torch.inference_mode():
        sr = loaded.network(lr if spec.window > 1 else lr[:, 0])
    truth = torch.from_numpy(centre).movedim(-1, 0).float() / 255
    sr = sr.reshape(-1, *sr.shape[-3:])[0]
    if sr.shape != truth.shape:
        return float("-inf")
    return float(-10 * torch.log10(((sr - truth) ** 2).mean().clamp(min=1e-12)))
