"""What `inspect` says of checkpoints and other files of weights."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from vsrc.compressor.networks import create
from vsrc.export.inspection import checkpoint
from vsrc.export.inspection.any_file import inspect
from vsrc.runtime import installation
from vsrc.runtime.errors import MismatchError, MissingDependencyError, SpecError
from vsrc.runtime.inspection.facts import (
    Inspection,
    check_intact,
)


def rows_of(inspection: Inspection) -> dict[str, str]:
    return dict(inspection.rows)


def test_weights_are_counted_and_their_network_is_named(tmp_path: Path) -> None:
    network = create("fsrcnn", scale=4)
    path = tmp_path / "w.safetensors"
    save_file(network.state_dict(), path, metadata={"epoch": "7"})
    found = inspect(path)
    check_intact(found)
    assert found.facts["numbers"] == sum(p.numel() for p in network.state_dict().values())
    assert found.facts["metadata"] == {"epoch": "7"}
    assert found.facts["network"] == "They fit create('fsrcnn', scale=4)"
    shapes = {item["name"]: tuple(item["shape"]) for item in found.facts["tensors"]}
    assert shapes == {name: tuple(p.shape) for name, p in network.state_dict().items()}


def test_a_checkpoint_is_opened_down_to_its_weights(tmp_path: Path) -> None:
    state = {f"module.{key}": value for key, value in create("fsrcnn").state_dict().items()}
    path = tmp_path / "w.pth"
    torch.save({"params": state, "iter": 5}, path)
    found = inspect(path)
    assert len(found.facts["tensors"]) == len(state)
    assert found.facts["network"] == "They fit create('fsrcnn', scale=4)"


@pytest.mark.parametrize("name", ["a.npz", "a.pth.tar", "a", "old.weights"])
def test_a_checkpoint_of_any_name_is_opened(name: str, tmp_path: Path) -> None:
    state = create("fsrcnn", scale=4).state_dict()
    if name.endswith(".npz"):
        np.savez(tmp_path / name, **{key: value.numpy() for key, value in state.items()})
    else:
        torch.save(state, tmp_path / name, _use_new_zipfile_serialization="old" not in name)
    assert str(inspect(tmp_path / name).facts["network"]).startswith(
        "They fit create('fsrcnn', scale=4)"
    )


def test_weights_of_nothing_we_know_are_still_shown(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file({"a": torch.zeros(2, 3), "b": torch.zeros(4, dtype=torch.float16)}, path)
    found = inspect(path)
    assert found.facts["network"] is None
    assert found.facts["numbers_by_dtype"] == {"F32": 6, "F16": 4}


def test_without_torch_safetensors_are_read_and_pickles_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "_has_torch", lambda: False)
    monkeypatch.setattr(installation, "is_importable", lambda name: name != "torch")
    path = tmp_path / "w.safetensors"
    save_file({"a": torch.zeros(2, 3)}, path)
    assert inspect(path).facts["numbers"] == 6
    torch.save({"a": torch.zeros(2, 3)}, tmp_path / "w.pth")
    with pytest.raises(MissingDependencyError, match=r"w\.pth .*torch"):
        inspect(tmp_path / "w.pth")


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
            return os.mkdir, (str(tmp_path / "evil"),)

    torch.save({"a": Evil()}, tmp_path / "w.pth")
    with pytest.raises(MismatchError):
        inspect(tmp_path / "w.pth")
    assert not (tmp_path / "evil").exists()


def safetensors_bytes(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"w\.safetensors .* 0 bytes"),
        (b"\0\0\0", r"w\.safetensors .* 0 bytes"),
        (struct.pack("<Q", 1 << 62) + b"{}", "4611686018427387904 bytes"),
        (safetensors_bytes(b"not json"), r"w\.safetensors .*JSON"),
        (safetensors_bytes(b"[" * 100_000), r"w\.safetensors .*JSON"),
        (safetensors_bytes([1, 2]), r"w\.safetensors .*object"),
        (safetensors_bytes({"a": 5}), r"w\.safetensors: .*'a'.*offsets"),
        (
            safetensors_bytes({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}),
            r"w\.safetensors: .*'a'.*offsets",
        ),
    ],
)
def test_damaged_safetensors_are_refused(data: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(data)
    with pytest.raises(SpecError, match=message):
        inspect(path)


@pytest.mark.parametrize("place", [[0, 8], [4, 0], [0, 400]])
def test_a_tensor_outside_its_file_is_a_problem(place: list[int], tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    entry = {"dtype": "F32", "shape": [1], "data_offsets": place}
    path.write_bytes(safetensors_bytes({"a": entry}, b"\0" * 8))
    with pytest.raises(SpecError, match=r"w\.safetensors: .* a .*shape"):
        check_intact(inspect(path))


def test_weights_that_vsrc_lacks_name_spandrel_and_code(
    spandrel: ModuleType, tmp_path: Path
) -> None:
    compact = spandrel.architectures.Compact.Compact(num_feat=8, num_conv=2, upscale=2)
    torch.save(compact.state_dict(), tmp_path / "2x.pth")
    found = inspect(tmp_path / "2x.pth")
    assert found.facts["network"] is None
    assert str(found.facts["spandrel"]).startswith("recognised as RealESRGAN Compact x2")
    assert any("vsrc pack module:function --weights" in text for _, text in found.rows)
