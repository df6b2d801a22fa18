"""Named features of a network, seen from outside by forward hooks.

A network is never changed to be distilled: a tap is a module path ("body.3") and the feature is
what that module returns. Hooks sit on the module itself, found from the bare network, so they also
fire when the network was wrapped for several processes (where every path gains a "module." prefix
and a look-up by name on the wrapper would find nothing, without a word).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn

from vsrc.runtime.spec import NetworkSpec


@dataclass(frozen=True)
class TapShape:
    """Shape of a feature, whatever the size of the picture.

    Attributes:
        channels: Channels.
        ratio: Side of the feature / side of the LR frame.
    """

    channels: int
    ratio: Fraction


@contextmanager
def tapped(network: nn.Module, paths: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Catch what the modules at `paths` return while the block runs.

    A module that runs more than once is seen at its last run.

    Args:
        network: The bare network, or a wrapper around it.
        paths: Module paths inside the bare network.

    Yields:
        Path -> feature `(N, C, H, W)`, filled by a forward pass.

    Raises:
        ValueError: A path that leads nowhere.
    """
    features: dict[str, Tensor] = {}
    bare = unwrapped(network)
    with ExitStack() as hooks:
        for path in paths:
            handle = _module_at(bare, path).register_forward_hook(_catcher(features, path))
            hooks.callback(handle.remove)
        yield features


def unwrapped(network: nn.Module) -> nn.Module:
    """The bare network inside DistributedDataParallel, DataParallel or torch.compile."""
    while True:
        if isinstance(network, (nn.parallel.DistributedDataParallel, nn.DataParallel)):
            network = network.module
        elif isinstance(inner := getattr(network, "_orig_mod", None), nn.Module):
            network = inner
        else:
            return network


def spec_of(network: nn.Module) -> NetworkSpec:
    """The network's description of itself."""
    spec = getattr(unwrapped(network), "spec", None)
    if not isinstance(spec, NetworkSpec):
        raise ValueError(
            f"{type(network).__name__} has no `spec` property that returns a NetworkSpec; add one "
            "that names its scale, window, halo and taps"
        )
    return spec


def tap_shapes(network: nn.Module, paths: Sequence[str]) -> Mapping[str, TapShape]:
    """Channels and size ratio of each tap, found by a forward pass on shapes alone.

    Raises:
        ValueError: A path that leads nowhere, or a feature that is not one per restored frame.
    """
    spec = spec_of(network)
    side = 16 * spec.size_multiple
    twin = copy.deepcopy(unwrapped(network)).to("meta").eval()
    window = (spec.window,) if spec.window > 1 else ()
    with torch.no_grad(), tapped(twin, paths) as features:
        twin(torch.empty(1, *window, 3, side, side, device="meta"))
    if silent := [path for path in paths if path not in features]:
        raise ValueError(f"tap {silent[0]!r} of {spec.name} does not run in a forward pass")
    return {path: _shape(path, features[path], spec, side) for path in paths}


def _shape(path: str, feature: Tensor, spec: NetworkSpec, side: int) -> TapShape:
    restored = 1 if spec.time_scale == 1 else 2 * spec.window - 1
    if feature.dim() != 4 or feature.shape[0] != restored or feature.shape[2] != feature.shape[3]:
        raise ValueError(
            f"tap {path!r} of {spec.name} has shape {tuple(feature.shape)} for one window; "
            f"expected ({restored}, C, H, W), one map a restored frame: choose a later module"
        )
    return TapShape(channels=feature.shape[1], ratio=Fraction(feature.shape[2], side))


def _catcher(features: dict[str, Tensor], path: str) -> Any:  # noqa: ANN401  torch's type of hooks
    def catch(_module: nn.Module, _inputs: object, output: object) -> None:
        if not isinstance(output, Tensor):
            raise ValueError(f"tap {path!r} returns {type(output).__name__}, not a tensor")
        features[path] = output

    return catch


def _module_at(network: nn.Module, path: str) -> nn.Module:
    try:
        return network.get_submodule(path)
    except AttributeError as error:
        modules = [name for name, _ in network.named_modules()]
        near = get_close_matches(path, modules, n=3) or modules[1:4]
        raise ValueError(
            f"tap {path!r} is no module of {type(network).__name__}; "
            f"did you mean {', '.join(near)}?"
        ) from error
