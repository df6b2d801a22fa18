"""Any image super-resolution or restoration checkpoint that spandrel recognises.

`create("spandrel:4x_something.pth")` detects the architecture from the names in the file
(ESRGAN, SwinIR, HAT, SPAN, OmniSR and some thirty others), builds it and loads the weights.
Restoration networks have scale 1; those of one channel get luma.
"""

from __future__ import annotations

import copy
import importlib
import sys
import warnings
from difflib import get_close_matches
from functools import cached_property
from types import ModuleType
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vsrc.compressor.networks.checkpoints.checkpoint_file import read_weights
from vsrc.compressor.networks.image.foreign_windows import free_batch_of_windows
from vsrc.compressor.networks.layers.counting import gmac_per_lr_pixel, parameter_count
from vsrc.compressor.networks.layers.luma import LumaPath
from vsrc.compressor.networks.layers.receptive_field import find_halo
from vsrc.runtime.dependencies import find_version
from vsrc.runtime.errors import MismatchError, MissingDependencyError, first_line
from vsrc.runtime.installation import explain_missing
from vsrc.runtime.spec import NetworkSpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from spandrel import ImageModelDescriptor, SizeRequirements

SPANDREL = "spandrel:"
"""Prefix of the name of such a network; the rest is the path of its checkpoint."""

_DESCRIBED = ("torchvision::nms", "torchvision::qnms")
"""Operators of torchvision that its Python code registers on import."""

_PURPOSES = ("SR", "Restoration")
_CHANNELS = ((3, 3), (1, 1))

PACKED = "spandrel"
"""Name of such a network in a package: its architecture is recognised in the package's weights."""


class SpandrelImage(nn.Module):
    """A network loaded by spandrel, with our interface.

    Args:
        descriptor: Spandrel's descriptor of a network for super-resolution, or for restoration
            (scale 1), on RGB or on luma.
        path: Path of the checkpoint, for the spec; empty for a network that was packed.
        hr_features: Module path inside the network whose output is the feature at output
            resolution right before the last convolution; empty where there is none.
        stages: Module paths inside the network, comma separated, in order of depth.
    """

    def __init__(
        self,
        descriptor: ImageModelDescriptor[nn.Module],
        *,
        path: str,
        hr_features: str = "",
        stages: str = "",
    ) -> None:
        super().__init__()
        self.network = descriptor.model
        free_batch_of_windows(self.network)
        self.path, self.scale = path, descriptor.scale
        self.architecture = descriptor.architecture.name
        self.needs = descriptor.size_requirements
        # Spandrel's own call runs in inference mode and clips, so it gives no
        # gradient; this is the function it calls between those two.
        self._call = descriptor._call_fn
        self.luma_path = LumaPath(self.scale) if descriptor.input_channels == 1 else None
        self.taps = {"hr_features": hr_features, "stages": stages}
        for tap in filter(None, [hr_features, *stages.split(",")]):
            self._check_tap(tap)

    @cached_property
    def spec(self) -> NetworkSpec:
        """Scale, window, halo and taps of the network; the halo is measured."""
        hr_features, stages = self.taps["hr_features"], self.taps["stages"]
        gmac = gmac_per_lr_pixel(self)
        halo = find_halo(
            self,
            window=1,
            scale=self.scale,
            size_multiple=self.needs.multiple_of,
            gmac_per_lr_pixel=gmac,
        )
        return NetworkSpec(
            name=f"{SPANDREL}{self.path}" if self.path else PACKED,
            arguments={key: tap for key, tap in self.taps.items() if tap},
            scale=self.scale,
            window=1,
            halo=halo.pixels,
            halo_is_exact=halo.is_exact,
            parameters=parameter_count(self.collapsed()),
            gmac_per_lr_pixel=gmac,
            size_multiple=self.needs.multiple_of,
            colour="rgb" if self.luma_path is None else "y",
            hr_features=f"network.{hr_features}" if hr_features else None,
            stages=tuple(f"network.{tap}" for tap in stages.split(",") if tap),
        )

    @property
    def least_side(self) -> int:
        """The smallest H or W that the graph takes, LR pixels."""
        return int(self.needs.minimum)

    def forward(self, lr: Tensor) -> Tensor:
        """Upscale an image.

        Args:
            lr: `(N, 3, H, W)` float32 RGB in [0, 1], any size.

        Returns:
            `(N, 3, sH, sW)`, not clipped unless the network itself does.
        """
        if self.luma_path is None:
            return self._upscale(lr)
        luma, chroma = self.luma_path.split(lr)
        return self.luma_path.join(self._upscale(luma), chroma)

    def _upscale(self, planes: Tensor) -> Tensor:
        height, width = planes.shape[-2:]
        sr: Tensor = self._call(self.network, _pad(planes, self.needs))
        return sr[..., : height * self.scale, : width * self.scale]

    def collapsed(self) -> SpandrelImage:
        """Return a copy in which convolutions that are merged from branches are plain ones.

        SPAN merges its branches in place at each call, which ends torch's exporter with a
        segmentation fault.
        """
        merged = copy.deepcopy(self)
        for module in list(merged.network.modules()):
            for name, child in list(module.named_children()):
                if hasattr(child, "update_params") and hasattr(child, "eval_conv"):
                    setattr(module, name, _merge_branches(child))
        return merged

    def _check_tap(self, path: str) -> None:
        inside = [name for name, _ in self.network.named_modules()]
        if path not in inside:
            near = get_close_matches(path, inside, n=3) or inside[1:4]
            raise ValueError(f"{self.path} has no module {path!r}; did you mean {', '.join(near)}?")


def _merge_branches(block: nn.Module) -> nn.Module:
    """The convolution that SPAN's `Conv3XC` computes in evaluation mode, with its activation."""
    block.update_params()  # type: ignore[operator]
    conv = block.eval_conv
    assert isinstance(conv, nn.Module)
    return nn.Sequential(conv, nn.LeakyReLU(0.05)) if block.has_relu else conv


def from_spandrel(path: str, *, hr_features: str = "", stages: str = "") -> SpandrelImage:
    """Load the image network of a checkpoint, with its weights, in evaluation mode.

    Args:
        path: `.pth`, `.pt` or `.safetensors`.
        hr_features: See `SpandrelImage`.
        stages: See `SpandrelImage`.

    Raises:
        MissingDependencyError: Spandrel is not installed, or its torchvision does not load.
        MismatchError: Unknown architecture, or neither super-resolution nor restoration of
            pictures.
    """
    return recognise(read_weights(path), path=path, hr_features=hr_features, stages=stages)


def import_spandrel() -> ModuleType:
    """Import spandrel, even with a torchvision whose compiled part was built for another torch.

    The index has one torchvision, built for the torch with CUDA. With a CPU build of torch its
    import fails as operators are missing that spandrel never runs: it uses only Python code of
    torchvision. They are declared here, without an implementation.

    Raises:
        MissingDependencyError: Spandrel or torchvision is missing, or fails in another way.
    """
    with explain_missing("spandrel", extra="teachers"):
        try:
            return importlib.import_module("spandrel")
        except RuntimeError as error:
            if "torchvision::" not in str(error):
                raise ImportError(str(error), name="spandrel") from error
        for name in _DESCRIBED:
            if not _is_declared(name):
                torch.library.define(name, "(Tensor a, Tensor b, float c) -> Tensor")
        for name in list(sys.modules):
            if name.partition(".")[0] in ("spandrel", "torchvision"):  # partially imported
                del sys.modules[name]
        try:
            return importlib.import_module("spandrel")
        except RuntimeError as error:
            raise MissingDependencyError(
                f"torchvision {find_version('torchvision')} was built for another torch than "
                f"{torch.__version__} ({error}); install both from the same wheel index, as "
                "PyTorch's page 'Get started' shows"
            ) from error


def _is_declared(operator: str) -> bool:
    namespace, _, name = operator.partition("::")
    return hasattr(getattr(torch.ops, namespace), name)


def recognise(
    state: Mapping[str, Tensor], *, path: str, hr_features: str = "", stages: str = ""
) -> SpandrelImage:
    """Load the network from tensors already read; `path` is their file."""
    broken = next((key for key, tensor in state.items() if not torch.isfinite(tensor).all()), None)
    if broken is not None:
        raise MismatchError(f"{path}: {broken} holds NaN or infinity; take another checkpoint")
    descriptor = _descriptor(import_spandrel(), state, path)
    architecture = descriptor.architecture.name
    if descriptor.purpose not in _PURPOSES:
        raise MismatchError(
            f"{path} is a {architecture} for {descriptor.purpose}; expected super-resolution or "
            "restoration"
        )
    channels = (descriptor.input_channels, descriptor.output_channels)
    if channels not in _CHANNELS:
        raise MismatchError(
            f"{path} is a {architecture} from {channels[0]} channels to {channels[1]}; expected "
            "RGB or luma"
        )
    image = SpandrelImage(descriptor, path=path, hr_features=hr_features, stages=stages)
    return image.float().eval()


def _descriptor(
    spandrel: ModuleType, state: Mapping[str, Tensor], path: str
) -> ImageModelDescriptor[nn.Module]:
    """Let spandrel detect and load a network, whatever a trainer wrote before its names."""
    load = spandrel.ModelLoader().load_from_state_dict
    for named in _without_prefixes(state):
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "torch.meshgrid", UserWarning)  # Swin's
                descriptor: ImageModelDescriptor[nn.Module] = load(dict(named))
        except spandrel.UnsupportedModelError:
            continue
        except Exception as error:  # names of a known network, and other shapes or fewer tensors
            line = first_line(error)
            raise MismatchError(
                f"{path}: spandrel recognises a network in it, and cannot load it: {line}"
            ) from error
        return descriptor
    raise MismatchError(
        f"{path}: spandrel recognises no architecture in it; name its network, one of vsrc or "
        "module:function, and give this file as its weights"
    )


def _without_prefixes(state: Mapping[str, Tensor]) -> Iterator[Mapping[str, Tensor]]:
    """Yield tensors as they are named, then without one after the other shared first part."""
    yield state
    while state and all("." in key for key in state):
        if len({key.partition(".")[0] for key in state}) > 1:
            return
        state = {key.partition(".")[2]: tensor for key, tensor in state.items()}
        yield state


def _pad(lr: Tensor, needs: SizeRequirements) -> Tensor:
    """Replicate the bottom and right border until the network accepts the size.

    While a graph is exported the caller pads, as in `layers.pad_to_multiple`.
    """
    if torch.compiler.is_exporting():
        return lr
    right, bottom = needs.get_padding(lr.shape[-1], lr.shape[-2])
    return F.pad(lr, (0, right, 0, bottom), "replicate") if right or bottom else lr
