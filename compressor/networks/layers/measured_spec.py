"""Describe a network that has no `spec`: everything but its window is found by running it."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from vsrc.compressor.networks.layers.counting import gmac_per_lr_pixel, parameter_count
from vsrc.compressor.networks.layers.found_taps import FoundTaps, find_taps
from vsrc.compressor.networks.layers.receptive_field import (
    Halo,
    find_halo,
    find_scale,
    find_size_multiple,
)
from vsrc.runtime.errors import first_line
from vsrc.runtime.spec import Argument, NetworkSpec

_UNKNOWN_HALO = Halo(32, is_exact=False)


def measure_spec(
    network: nn.Module,
    *,
    name: str,
    arguments: Mapping[str, Argument] | None = None,
    window: int | None = None,
    scale: int | None = None,
) -> NetworkSpec:
    """Build the spec of a network from its gradients, its shapes and its parameters.

    Args:
        network: Network for `(N, 3, H, W)`, or `(N, T, 3, H, W)` where window > 1, on the CPU.
        name: Name for the spec.
        arguments: Arguments of its constructor.
        window: Frames fed at once; None for the attribute `window` of the network, else 1.
        scale: SR/LR side ratio that the output must have; None for the attribute `scale`, else for
            what the network gives.

    Raises:
        ValueError: It fails on such frames, or returns no picture of a multiple of their size.
    """
    window = _told(network, "window", window) or 1
    was_training = network.training
    network.eval()
    try:
        found = _find_scale(network, name, window)
        told = _told(network, "scale", scale)
        if told not in (None, found):
            raise ValueError(f"{name} upscales by {found}, but scale={told} was given")
        multiple = find_size_multiple(network, window=window, scale=found)
        gmac = _gmac(network, window)
        halo = _halo(network, window=window, scale=found, size_multiple=multiple, gmac=gmac)
        taps = _taps(network, window=window, scale=found, size_multiple=multiple)
        return NetworkSpec(
            name=name,
            arguments=dict(arguments or {}),
            scale=found,
            window=window,
            halo=halo.pixels,
            halo_is_exact=halo.is_exact,
            parameters=parameter_count(network),
            gmac_per_lr_pixel=gmac,
            size_multiple=multiple,
            hr_features=taps.hr_features,
            stages=taps.stages,
        )
    finally:
        network.train(was_training)


def _told(network: nn.Module, key: str, value: int | None) -> int | None:
    own = getattr(network, key, None)
    if value is None and isinstance(own, int) and not isinstance(own, bool):
        return own
    return value


def _find_scale(network: nn.Module, name: str, window: int) -> int:
    try:
        return find_scale(network, window=window)
    except ValueError:
        raise
    except Exception as error:  # what a foreign network raises is not known
        shape = "(1, 3, H, W)" if window == 1 else f"(1, {window}, 3, H, W)"
        line = first_line(error)
        raise ValueError(
            f"{name} fails on frames {shape} in [0, 1]: {type(error).__name__}: {line}; if it "
            "takes another number of frames, set it with --window, or as its attribute `window`"
        ) from error


def _halo(network: nn.Module, *, window: int, scale: int, size_multiple: int, gmac: float) -> Halo:
    try:
        return find_halo(
            network,
            window=window,
            scale=scale,
            size_multiple=size_multiple,
            gmac_per_lr_pixel=gmac,
        )
    except RuntimeError:  # no gradient: an operator without one, or out of memory
        return _UNKNOWN_HALO


def _taps(network: nn.Module, *, window: int, scale: int, size_multiple: int) -> FoundTaps:
    try:
        return find_taps(network, window=window, scale=scale, size_multiple=size_multiple)
    except RuntimeError:
        return FoundTaps(None, ())


def _gmac(network: nn.Module, window: int) -> float:
    """Count on the meta device; 0 where the network makes tensors of its own on the CPU."""
    try:
        return gmac_per_lr_pixel(network, window=window if window > 1 else None)
    except (RuntimeError, NotImplementedError):
        return 0.0
