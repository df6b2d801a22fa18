"""Capture features of a network by module path, with forward hooks.

A network is never changed to be distilled: a tap is a module path ("body.3") and the feature is
what that module returns. Hooks sit on the module itself, found from the bare network, so they also
fire when the network was wrapped for several processes (where every path gains a "module." prefix
and a look-up by name on the wrapper would silently find nothing).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from difflib import get_close_matches
from typing import Any

from torch import Tensor, nn

from vsrc.compressor.networks.layers.carried_state import with_state
from vsrc.runtime.spec import NetworkSpec


@contextmanager
def open_taps(network: nn.Module, paths: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Capture the outputs of the modules at `paths` while the block runs.

    Of a module that runs more than once the last output is kept.

    Args:
        network: The bare network, or a wrapper around it.
        paths: Module paths inside the bare network.

    Yields:
        Path -> feature `(N, C, H, W)`, filled by a forward pass.

    Raises:
        ValueError: Unknown module path.
    """
    features: dict[str, Tensor] = {}
    bare = unwrap(network)
    with ExitStack() as hooks:
        for path in paths:
            handle = _module_at(bare, path).register_forward_hook(_catcher(features, path))
            hooks.callback(handle.remove)
        yield features


def unwrap(network: nn.Module) -> nn.Module:
    """The bare network inside DistributedDataParallel, DataParallel or torch.compile."""
    while True:
        if isinstance(network, (nn.parallel.DistributedDataParallel, nn.DataParallel)):
            network = network.module
        elif isinstance(inner := getattr(network, "_orig_mod", None), nn.Module):
            network = inner
        else:
            return network


def spec_of(network: nn.Module) -> NetworkSpec:
    """Return the network's `spec`, with the state that its `forward` takes and returns."""
    spec = getattr(unwrap(network), "spec", None)
    if not isinstance(spec, NetworkSpec):
        raise ValueError(
            f"{type(network).__name__} has no `spec` property that returns a NetworkSpec; add one "
            "that names its scale, window, halo and taps"
        )
    return with_state(unwrap(network), spec)


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
