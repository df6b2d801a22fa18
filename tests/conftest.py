"""Reference data that tests judge against, found through `VSRC_REFERENCE`."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def _existing(path: Path, what: str) -> Path:
    if not path.is_dir():
        pytest.skip(f"{what} not found at {path}; set VSRC_REFERENCE to where it is")
    return path


@pytest.fixture(scope="session")
def reference() -> Path:
    """Official weights, benchmark frames and golden numbers."""
    path = Path(os.environ.get("VSRC_REFERENCE", ROOT.parent / "shared" / "reference"))
    return _existing(path, "reference data")


@pytest.fixture(scope="session")
def clips(reference: Path) -> Path:
    """Real clips, in `train` and `eval`."""
    return _existing(reference.parent / "clips", "real clips")


@pytest.fixture(scope="session")
def tiny_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package with a real, untrained edge-s x2 over 3 frames; to be read, never changed."""
    import numpy as np
    import torch
    from safetensors.torch import save_file

    from vsrc.compressor.networks.edge import edge_s
    from vsrc.runtime.package import describe, write_spec
    from vsrc.runtime.spec import GraphSpec, ModelSpec

    class Pictures(torch.nn.Module):
        """uint8 pictures in and out; the casts are the first and the last node."""

        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, lr: torch.Tensor) -> torch.Tensor:
            x = lr.to(torch.float32).permute(0, 1, 4, 2, 3) / 255
            sr: torch.Tensor = self.network(x) * 255
            return sr.permute(0, 2, 3, 1).round().clamp(0, 255).to(torch.uint8)

    torch.manual_seed(0)
    network = edge_s(scale=2, window=3).eval()
    folder = tmp_path_factory.mktemp("packages") / "tiny.vsrc"
    (folder / "graphs").mkdir(parents=True)
    save_file(network.state_dict(), folder / "weights.safetensors")
    sizes = {2: torch.export.Dim("h", min=8, max=128), 3: torch.export.Dim("w", min=8, max=128)}
    example = torch.from_numpy(np.zeros((1, 3, 16, 24, 3), np.uint8))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's exporter meets its own deprecations
        program = torch.onnx.export(
            Pictures().eval(),
            (example,),
            dynamo=True,
            opset_version=18,
            verbose=False,
            input_names=["lr"],
            output_names=["sr"],
            dynamic_shapes=(sizes,),
        )
    assert program is not None
    program.save(folder / "graphs" / "fp32.onnx")
    graph = GraphSpec(
        **vars(describe(folder, "graphs/fp32.onnx")),
        precision="fp32",
        io="uint8",
        opset=18,
        height=(8, 128),
        width=(8, 128),
    )
    spec = ModelSpec(
        network=network.spec,
        weights=describe(folder, "weights.safetensors"),
        degradation="bi",
        graphs={"fp32": graph},
    )
    write_spec(folder, spec)
    return folder
