"""Table of all networks, by name."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from torch import Tensor, nn

from vsrc.compressor.networks.image.edsr import Edsr
from vsrc.compressor.networks.image.etds import Etds
from vsrc.compressor.networks.image.fsrcnn import Fsrcnn
from vsrc.compressor.networks.image.hr_teacher import HrTeacher
from vsrc.compressor.networks.image.imdn import Imdn, ImdnAs
from vsrc.compressor.networks.image.imdn_fast import ImdnRtc, ImdnRte
from vsrc.compressor.networks.image.rcan import Rcan
from vsrc.compressor.networks.image.rlfn import Rlfn
from vsrc.compressor.networks.image.san import San
from vsrc.compressor.networks.image.spandrel_image import SPANDREL, from_spandrel
from vsrc.compressor.networks.layers.measured_spec import measure_spec
from vsrc.compressor.networks.video.edge import edge, edge_l, edge_m, edge_s
from vsrc.compressor.networks.video.edvr import edvr_l, edvr_m, edvr_xs
from vsrc.compressor.networks.video.fastdvdnet import FastDvdNet
from vsrc.compressor.networks.video.mobile_rrn import MobileRrn
from vsrc.compressor.networks.video.stdan import stdan
from vsrc.compressor.networks.video.vespcn import Vespcn
from vsrc.compressor.networks.video.vsrnet import Vsrnet
from vsrc.runtime.spec import Argument, NetworkSpec
from vsrc.runtime.user_code import describe_python_file, search_working_directory

_MOST_NAMES = 8
"""Names of a module that an error lists."""


class Network(Protocol):
    """Interface of every network of the table, in addition to `nn.Module`."""

    @property
    def spec(self) -> NetworkSpec:
        """Scale, window, halo and taps of the network."""

    def __call__(self, lr: Tensor, /) -> Tensor:
        """Upscale `lr`; shapes as in the network's own docstring."""


NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "edvr-xs": edvr_xs,
    "edvr-m": edvr_m,
    "edvr-l": edvr_l,
    "stdan": stdan,
    "imdn": Imdn,
    "imdn-as": ImdnAs,
    "imdn-rtc": ImdnRtc,
    "imdn-rte": ImdnRte,
    "rlfn": Rlfn,
    "mobile-rrn": MobileRrn,
    "etds": Etds,
    "fsrcnn": Fsrcnn,
    "fsrcnn-teacher": HrTeacher,
    "edsr": Edsr,
    "rcan": Rcan,
    "san": San,
    "vespcn": Vespcn,
    "vsrnet": Vsrnet,
    "fastdvdnet": FastDvdNet,
    "edge": edge,
    "edge-s": edge_s,
    "edge-m": edge_m,
    "edge-l": edge_l,
}


def names() -> list[str]:
    """Names that `create` accepts, in the order of the table."""
    return list(NETWORKS)


def create(name: str, **arguments: Argument) -> nn.Module:
    """Build a network with fresh weights.

    Args:
        name: A name of the table; or `module:function` of your own (installed, or in the working
            directory), a function that returns an `nn.Module`, whose `spec` (`NetworkSpec`) is
            measured where it has none, see `measure_spec`; or `spandrel:FILE`, any image
            checkpoint that spandrel recognises, weights included.
        arguments: Passed to its constructor; all networks of the table accept `scale`.

    Raises:
        ValueError: Unknown name (with the nearest ones) or unknown argument.
    """
    return make_network(name, arguments)


def make_network(
    name: str, arguments: Mapping[str, Argument], *, spec: NetworkSpec | None = None
) -> nn.Module:
    """Build a network as `create` does; `spec` spares measuring one that declares none.

    Raises:
        ValueError: Unknown name or unknown argument, or the user's function raised an exception.
    """
    builder = builder_of(name)
    known = inspect.signature(builder).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in known.values())
    if not takes_any and (unknown := sorted(set(arguments) - set(known))):
        raise ValueError(f"{name} takes no argument {unknown[0]!r}; it takes {', '.join(known)}")
    network = _build(name, builder, arguments)
    if ":" in name and not isinstance(getattr(network, "spec", None), NetworkSpec):
        if not isinstance(network, nn.Module):
            raise ValueError(f"{name} returns {type(network).__name__}, expected an nn.Module")
        found = spec or measure_spec(network, name=name, arguments=arguments)
        setattr(network, "spec", found)  # noqa: B010
    return network


def _build(
    name: str, builder: Callable[..., nn.Module], arguments: Mapping[str, Argument]
) -> nn.Module:
    """Call the builder; an exception of the user's code is reported as such."""
    if ":" not in name or name.startswith(SPANDREL):
        return builder(**arguments)
    try:
        return builder(**arguments)
    except Exception as error:
        raise ValueError(f"{name} raised {type(error).__name__}: {error}") from error


def builder_of(name: str) -> Callable[..., nn.Module]:
    """Find the function that makes a network; see `create`.

    Raises:
        ValueError: There is none of that name.
    """
    if name in NETWORKS:
        return NETWORKS[name]
    if name.startswith(SPANDREL):
        return partial(from_spandrel, name.removeprefix(SPANDREL))
    if ":" in name:
        return import_function(name)
    if Path(name).suffix == ".py":
        raise ValueError(describe_python_file(Path(name)))
    if Path(name).is_file():
        raise ValueError(
            f"{name} is a file, not the name of a network: write {SPANDREL}{name} if spandrel "
            f"recognises it (vsrc inspect {name} shows it), else the name of its network or "
            "module:function, with the file as its weights (--teacher-weights)"
        )
    if near := get_close_matches(name, NETWORKS, n=3):
        raise ValueError(f"there is no network {name!r}; did you mean {', '.join(near)}?")
    raise ValueError(f"there is no network {name!r}; expected one of: {', '.join(NETWORKS)}")


def import_function(name: str) -> Callable[..., Any]:
    """Import `module:function` of a user, installed or in the working directory.

    Raises:
        ValueError: It cannot be imported, or is no function.
    """
    module_name, _, function = name.partition(":")
    search_working_directory()
    try:
        module = importlib.import_module(module_name)
    except (ImportError, AttributeError, SyntaxError, TypeError) as error:
        raise ValueError(f"{name!r} cannot be imported: {error}") from error
    builder = getattr(module, function, None)
    if builder is None:
        raise ValueError(f"{name!r} does not exist; {_suggest(module, function)}")
    if not callable(builder):
        raise ValueError(f"{name!r} is not a function")
    return builder  # type: ignore[no-any-return]


def _suggest(module: ModuleType, function: str) -> str:
    """Name the functions and classes of a module that may have been meant."""
    names = [
        name
        for name, value in vars(module).items()
        if callable(value) and getattr(value, "__module__", "") == module.__name__
    ]
    if near := get_close_matches(function, names, n=3):
        return f"did you mean {', '.join(near)}?"
    listed = ", ".join(names[:_MOST_NAMES]) or "no function and no class"
    return f"the module defines {listed}{', ...' if len(names) > _MOST_NAMES else ''}"
