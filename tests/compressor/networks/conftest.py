"""What tests of networks share: golden numbers of the official code, and graphs of our networks."""

from __future__ import annotations

import importlib
import json
import sys
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vsrc.compressor.taps import spec_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Golden:
    """Arrays of the official code, and the weights they were made with.

    Attributes:
        folder: Where the `.npz` and `.manifest.json` files lie.
    """

    folder: Path

    def arrays(self, name: str) -> dict[str, NDArray[np.generic]]:
        """Inputs, outputs and intermediates of `name.npz`, as they are stored."""
        with np.load(self.folder / f"{name}.npz") as stored:
            return dict(stored)

    def tensors(self, name: str) -> dict[str, Tensor]:
        """The same as `arrays`, as tensors."""
        return {key: torch.from_numpy(array) for key, array in self.arrays(name).items()}

    def weights(self, name: str) -> dict[str, Tensor]:
        """Weights by the fill rule of `name.manifest.json`, float32.

        Keys that keep what the constructor gives them (`fill: fixed`) or that come from an official
        checkpoint are left out.
        """
        plan = json.loads((self.folder / f"{name}.manifest.json").read_text())["state_dict"]
        filled = {key: entry for key, entry in plan.items() if entry["fill"] == "normal"}
        return {key: torch.from_numpy(_fill(key, entry)) for key, entry in filled.items()}

    def shapes(self, name: str) -> dict[str, tuple[int, ...]]:
        """Every key of the official state dict and its shape."""
        plan = json.loads((self.folder / f"{name}.manifest.json").read_text())["state_dict"]
        return {key: tuple(entry["shape"]) for key, entry in plan.items()}

    def tolerance(self, name: str, key: str) -> float:
        """Five times the distance of the official float32 run from its float64 run.

        Where that was not measured: 1e-4 of the largest value, plus 1e-5.
        """
        entry = json.loads((self.folder / "index.json").read_text())[f"{name}.npz"][key]
        if "max_abs_f32_vs_f64" in entry:
            return 5 * float(entry["max_abs_f32_vs_f64"])
        return 1e-4 * float(entry["absmax"]) + 1e-5

    def fill(self, network: nn.Module, name: str) -> nn.Module:
        """Load `weights(name)`; what the manifest does not fill stays as constructed."""
        missing, unexpected = network.load_state_dict(self.weights(name), strict=False)
        fixed = set(self.shapes(name)) - set(self.weights(name))
        assert not unexpected
        assert set(missing) <= fixed
        return network.eval()


def _fill(key: str, entry: dict[str, object]) -> NDArray[np.float32]:
    shape, mul, add = entry["shape"], entry["mul"], entry["add"]
    assert isinstance(shape, list)
    assert isinstance(mul, (int, float))
    assert isinstance(add, (int, float))
    normal = np.random.Generator(np.random.PCG64(zlib.crc32(key.encode()))).standard_normal(shape)
    normal = np.abs(normal) if entry.get("abs") else normal  # a running variance is not negative
    return np.asarray(normal * mul + add, dtype=np.float32)


@pytest.fixture(scope="session")
def golden(reference: Path) -> Golden:
    """Golden numbers of the official code."""
    return Golden(reference / "golden")


@dataclass(frozen=True)
class Graph:
    """A network as an ONNX file."""

    path: Path

    def run(self, lr: Tensor) -> Tensor:
        """What ONNX Runtime makes of `lr`."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        providers = ["CPUExecutionProvider"]
        session = onnxruntime.InferenceSession(str(self.path), options, providers=providers)
        (sr,) = session.run(None, {"lr": lr.numpy()})
        return torch.from_numpy(sr)

    def build_for_rtx(self, largest: tuple[int, ...]) -> int:
        """Bytes of the engine that TensorRT for RTX builds; no GPU is needed.

        Args:
            largest: Largest input; the engine takes H and W down to half of it.
        """
        trt = pytest.importorskip("tensorrt_rtx")
        logger = trt.Logger(trt.Logger.ERROR)
        builder = trt.Builder(logger)
        typed = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        network = builder.create_network(typed)
        parser = trt.OnnxParser(network, logger)
        parsed = parser.parse_from_file(str(self.path))
        assert parsed, [parser.get_error(i).desc() for i in range(parser.num_errors)]
        least = (*largest[:-2], largest[-2] // 2, largest[-1] // 2)
        profile = builder.create_optimization_profile()
        profile.set_shape("lr", least, least, largest)
        config = builder.create_builder_config()
        config.add_optimization_profile(profile)
        engine = builder.build_serialized_network(network, config)
        return 0 if engine is None else int(engine.nbytes)


@pytest.fixture(scope="session")
def make_graph(tmp_path_factory: pytest.TempPathFactory) -> Callable[[nn.Module, Tensor], Graph]:
    """Writes a network as ONNX, opset 18, with free H and W, traced with frames `(..., H, W)`."""

    def write(network: nn.Module, lr: Tensor) -> Graph:
        multiple = spec_of(network).size_multiple
        # In multiples of the size the network needs, which its shapes then follow from.
        low, high = -(-8 // multiple), 4096 // multiple
        height, width = (torch.export.Dim(name, min=low, max=high) for name in ("h", "w"))
        if multiple > 1:
            height, width = multiple * height, multiple * width
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's exporter uses what torch deprecates
            program = torch.onnx.export(
                network.eval(),
                (lr,),
                dynamo=True,
                opset_version=18,
                dynamic_shapes=({lr.ndim - 2: height, lr.ndim - 1: width},),
                input_names=["lr"],
                output_names=["sr"],
                verbose=False,
            )
        assert program is not None
        path = tmp_path_factory.mktemp("graph") / "network.onnx"
        program.save(str(path))
        return Graph(path)

    return write


@pytest.fixture(scope="session")
def spandrel() -> ModuleType:
    """Spandrel, also where the compiled part of torchvision was built for another torch.

    Spandrel takes Python code alone from torchvision, whose import fails there for want of two
    operators that it describes but never runs.
    """
    try:
        return importlib.import_module("spandrel")
    except ImportError as error:
        pytest.skip(f"spandrel is not installed ({error})")
    except RuntimeError:
        for name in ("nms", "qnms"):
            torch.library.define(f"torchvision::{name}", "(Tensor a, Tensor b, float c) -> Tensor")
        for name in list(sys.modules):
            if name.partition(".")[0] in ("spandrel", "torchvision"):  # half imported
                del sys.modules[name]
        return importlib.import_module("spandrel")
