from __future__ import annotations

import argparse
import os
import pickle
import zipfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from vsrc.compressor.networks import create, load_weights
from vsrc.compressor.networks.checkpoints.checkpoint_file import CONTAINERS, read_weights
from vsrc.compressor.networks.checkpoints.renaming import rename
from vsrc.compressor.networks.loading.weights import load_state
from vsrc.runtime.errors import MismatchError

if TYPE_CHECKING:
    from collections.abc import Callable


class Tiny(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, 4, 3)
        self.tail = nn.Conv2d(4, 3, 3)


class FromElsewhere(Tiny):
    """A network whose weights are published under other names."""

    def adapt_checkpoint(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        return rename(state, [(r"first\.(\w+)", r"head.\1"), (r"unused\..*", "")])


def tiny_state(seed: int = 0) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    return dict(Tiny().state_dict())


def assert_holds(network: nn.Module, state: dict[str, Tensor]) -> None:
    own = network.state_dict()
    assert own.keys() == state.keys()
    for key, tensor in state.items():
        assert torch.equal(own[key], tensor), key


def prefixed(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {prefix + key: tensor for key, tensor in state.items()}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: prefixed(state, "module."),
        lambda state: prefixed(state, "module._orig_mod."),
        lambda state: {"state_dict": prefixed(state, "generator."), "iter": 7},
        lambda state: {"params": tiny_state(9), "params_ema": state},
        lambda state: {"model_state_dict": prefixed(state, "module."), "epoch": 3, "loss": 0.5},
        lambda state: {"ema": {"params": state}, "model": tiny_state(9)},
        lambda state: {"ema": {"n_averaged": torch.tensor(5), **prefixed(state, "module.")}},
    ],
    ids=["plain", "parallel", "compiled", "generator", "ema", "csd", "nested", "averaged"],
)
def test_layouts_that_trainers_write_are_opened(
    wrap: Callable[[dict[str, Tensor]], object], tmp_path: Path
) -> None:
    state = tiny_state()
    torch.save(wrap(state), tmp_path / "tiny.pth")
    network = Tiny()
    load_weights(network, tmp_path / "tiny.pth")
    assert_holds(network, state)


@pytest.mark.parametrize("container", CONTAINERS)
def test_every_container_is_opened(container: str, tmp_path: Path) -> None:
    state = tiny_state()
    torch.save({container: state, "optimizer": {"state": {}}}, tmp_path / "tiny.pth")
    assert read_weights(tmp_path / "tiny.pth").keys() == state.keys()


@pytest.mark.parametrize("key", ["student", "whatever"])
def test_a_single_state_under_any_key_is_found(key: str, tmp_path: Path) -> None:
    state = tiny_state()
    adam = {"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 0.1}]}
    torch.save({"epoch": 3, key: state, "optimizer": adam}, tmp_path / "tiny.pth")
    assert read_weights(tmp_path / "tiny.pth").keys() == state.keys()
    torch.save({key: state, "other": state}, tmp_path / "two.pth")
    with pytest.raises(MismatchError, match=f"{key}, other"):
        read_weights(tmp_path / "two.pth")


@pytest.mark.parametrize(
    ("network", "beside"),
    [
        ("generator", ("step_counter", "perceptual_loss.vgg.0.weight")),
        ("generator_ema", ("generator.head.weight", "discriminator.body.weight")),
        ("netG", ("netD.0.weight", "lpips.lin0.weight")),
        ("model", ("loss_fn.kernel", "val_metric.total")),
    ],
)
def test_the_network_is_taken_from_a_file_with_losses_and_discriminators(
    network: str, beside: tuple[str, ...], tmp_path: Path
) -> None:
    state = tiny_state()
    stored = {**prefixed(state, f"{network}."), **{name: torch.ones(1) for name in beside}}
    torch.save({"state_dict": stored, "pytorch-lightning_version": "2"}, tmp_path / "a.ckpt")
    found = Tiny()
    load_weights(found, tmp_path / "a.ckpt")
    assert_holds(found, state)


def test_a_part_called_model_beside_other_parts_of_a_network_stays(tmp_path: Path) -> None:
    state = {"model.0.weight": torch.ones(1), "head.weight": torch.ones(1)}
    torch.save(state, tmp_path / "own.pth")
    assert read_weights(tmp_path / "own.pth").keys() == state.keys()


def test_safetensors_and_the_old_torch_format_are_read(tmp_path: Path) -> None:
    state = tiny_state()
    save_file(state, tmp_path / "tiny.safetensors")
    torch.save(state, tmp_path / "tiny.pt", _use_new_zipfile_serialization=False)
    save_file(state, tmp_path / "LOUD.SAFETENSORS")
    for name in ("tiny.safetensors", "tiny.pt", "LOUD.SAFETENSORS"):
        network = Tiny()
        load_weights(network, str(tmp_path / name))
        assert_holds(network, state)


@pytest.mark.parametrize("make", ["script", "trace"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_torchscript_program_gives_its_weights(make: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.PReLU()).half().eval()
    lr = torch.rand(1, 3, 8, 8, dtype=torch.float16)
    trace = partial(torch.jit.trace, example_inputs=lr)
    program = torch.jit.script(network) if make == "script" else trace(network)
    program.save(str(tmp_path / "program.pt"))
    found, wanted = read_weights(tmp_path / "program.pt"), network.state_dict()
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[key], wanted[key]) for key in wanted)
    assert {key: each.dtype for key, each in found.items()} == {
        key: each.dtype for key, each in wanted.items()
    }


def test_a_model_package_gives_its_weights(untrained_package: Path) -> None:
    network = create("edge", encoded=8, features=24, blocks=4, scale=2, window=3)
    load_weights(network, untrained_package)
    stored = read_weights(untrained_package / "weights.safetensors")
    assert_holds(network, stored)


def test_half_precision_becomes_the_precision_of_the_network(tmp_path: Path) -> None:
    state = {key: tensor.half() for key, tensor in tiny_state().items()}
    save_file(state, tmp_path / "half.safetensors")
    network = Tiny()
    load_weights(network, tmp_path / "half.safetensors")
    assert network.head.weight.dtype == torch.float32
    assert_holds(network, {key: tensor.float() for key, tensor in state.items()})


def test_a_network_may_know_the_names_of_others() -> None:
    state = tiny_state()
    published = {key.replace("head", "first"): tensor for key, tensor in state.items()}
    for given in (published, state):
        network = FromElsewhere()
        load_state(network, {**given, "unused.running": torch.zeros(1)}, where="here")
        assert_holds(network, state)


def test_a_prefix_that_the_network_has_too_stays() -> None:
    network = nn.ModuleDict({"module": nn.Linear(2, 2)})
    state = {"module.weight": torch.ones(2, 2), "module.bias": torch.ones(2)}
    load_state(network, state, where="here")
    assert_holds(network, state)


class TestRefusals:
    def test_pickled_objects_name_what_was_found(self, tmp_path: Path) -> None:
        path = tmp_path / "with_args.pth"
        torch.save({"state_dict": tiny_state(), "args": argparse.Namespace(lr=1)}, path)
        with pytest.raises(
            MismatchError, match=r"with_args\.pth .*argparse\.Namespace.*torch\.save"
        ):
            load_weights(Tiny(), path)

    def test_code_in_a_pickle_does_not_run(self, tmp_path: Path) -> None:
        witness = tmp_path / "ran"

        class Trap:
            def __reduce__(self) -> tuple[object, tuple[str, int]]:
                return os.mkdir, (str(witness), 0o700)

        torch.save({"weight": Trap()}, tmp_path / "trap.pth")
        (tmp_path / "trap.pkl").write_bytes(pickle.dumps(Trap(), protocol=2))
        for name in ("trap.pth", "trap.pkl"):
            with pytest.raises(MismatchError, match=r"trap\..*posix\.mkdir"):
                load_weights(Tiny(), tmp_path / name)
        assert not witness.exists()

    def test_code_in_a_torchscript_program_does_not_run(self, tmp_path: Path) -> None:
        witness = tmp_path / "ran"

        class Trap:
            def __reduce__(self) -> tuple[object, tuple[str, int]]:
                return os.mkdir, (str(witness), 0o700)

        with zipfile.ZipFile(tmp_path / "trap.pt", "w") as archive:
            for name in ("data.pkl", "constants.pkl"):
                archive.writestr(f"trap/{name}", pickle.dumps(Trap(), protocol=2))
            archive.writestr("trap/version", "3")
        with pytest.raises(MismatchError, match=r"trap\.pt .*posix\.mkdir"):
            load_weights(Tiny(), tmp_path / "trap.pt")
        assert not witness.exists()

    def test_a_whole_module_is_refused(self, tmp_path: Path) -> None:
        torch.save(Tiny(), tmp_path / "module.pth")
        with pytest.raises(MismatchError, match=r"Tiny.*torch\.save\(network\.state_dict"):
            load_weights(Tiny(), tmp_path / "module.pth")

    def test_numpy_arrays_are_refused(self, tmp_path: Path) -> None:
        torch.save({"head.weight": np.zeros(3)}, tmp_path / "arrays.pth")
        with pytest.raises(MismatchError, match="numpy"):
            load_weights(Tiny(), tmp_path / "arrays.pth")

    @pytest.mark.parametrize("content", [b"", b"hello", b"<!DOCTYPE html>", b"version https://git"])
    @pytest.mark.parametrize("suffix", ["pth", "safetensors"])
    def test_bytes_that_are_no_checkpoint(
        self, content: bytes, suffix: str, tmp_path: Path
    ) -> None:
        path = tmp_path / f"bad.{suffix}"
        path.write_bytes(content)
        with pytest.raises(MismatchError, match=r"bad\..*download"):
            load_weights(Tiny(), path)

    def test_a_file_cut_short(self, tmp_path: Path) -> None:
        torch.save(tiny_state(), tmp_path / "cut.pth")
        save_file(tiny_state(), tmp_path / "cut.safetensors")
        for name in ("cut.pth", "cut.safetensors"):
            path = tmp_path / name
            path.write_bytes(path.read_bytes()[:-40])
            with pytest.raises(MismatchError, match=f"{name} .*download"):
                load_weights(Tiny(), path)

    @pytest.mark.parametrize(
        ("content", "said"),
        [([1, 2], "a list"), ({"epoch": 3}, r"dict .*epoch .*torch\.save"), ({}, "nothing")],
    )
    def test_no_tensors_inside(self, content: object, said: str, tmp_path: Path) -> None:
        torch.save(content, tmp_path / "none.pth")
        with pytest.raises(MismatchError, match=said):
            load_weights(Tiny(), tmp_path / "none.pth")

    def test_a_checkpoint_that_holds_itself(self, tmp_path: Path) -> None:
        content: dict[str, object] = {}
        content["params"] = content
        torch.save(content, tmp_path / "snake.pth")
        with pytest.raises(MismatchError, match=r"snake\.pth .*params"):
            load_weights(Tiny(), tmp_path / "snake.pth")

    def test_no_such_file(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match=r"absent\.pth"):
            load_weights(Tiny(), tmp_path / "absent.pth")

    def test_numbers_that_are_not_finite(self) -> None:
        state = tiny_state()
        state["tail.bias"][1] = torch.nan
        with pytest.raises(MismatchError, match=r"diverged\.pth: tail\.bias .*NaN"):
            load_state(Tiny(), state, where="diverged.pth")

    def test_integers_in_place_of_weights(self) -> None:
        state = {key: (100 * tensor).to(torch.int8) for key, tensor in tiny_state().items()}
        with pytest.raises(MismatchError, match=r"int8 .*expected float32"):
            load_state(Tiny(), state, where="quantised.pth")

    def test_differences_are_counted_and_the_first_few_named(self) -> None:
        state = tiny_state()
        del state["head.bias"]
        state["tail.bias"] = torch.zeros(5)
        state |= {f"more.{index}": torch.zeros(1) for index in range(5)}
        with pytest.raises(MismatchError) as caught:
            load_state(Tiny(), state, where="other.pth")
        said = str(caught.value)
        assert "1 missing (head.bias)" in said
        assert "5 unknown (more.0, more.1, more.2, ...)" in said
        assert "tail.bias is float32 (5,), expected float32 (3,)" in said

    def test_nothing_is_copied_when_something_does_not_fit(self) -> None:
        network = Tiny()
        before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
        with pytest.raises(MismatchError):
            load_state(network, {**tiny_state(5), "tail.bias": torch.zeros(9)}, where="other.pth")
        assert_holds(network, before)


class TestAdvice:
    def test_another_scale_is_recognised_with_the_arguments_kept(self) -> None:
        state = create("edge-s", scale=2, window=3).state_dict()
        with pytest.raises(MismatchError, match=r"edge-s \(scale=4\).*'edge-s', scale=2, window=3"):
            load_state(create("edge-s", scale=4, window=3), state, where="x2.pth")

    def test_another_network_of_the_table_is_recognised(self) -> None:
        state = create("edge-m", scale=4).state_dict()
        with pytest.raises(MismatchError, match=r"create\('edge-m', scale=4\)"):
            load_state(create("edge-s"), state, where="medium.pth")

    def test_the_nearest_is_named_with_its_share(self) -> None:
        state = dict(create("edge-l", scale=4).state_dict())
        del state["tail.bias"]
        with pytest.raises(MismatchError, match=r"create\('edge-l', scale=4\): 9\d%"):
            load_state(create("edge-s"), state, where="cut.pth")

    def test_what_is_nothing_of_ours_lists_the_table(self) -> None:
        with pytest.raises(MismatchError, match=r"tiny\.pth .*No network.*edge-s"):
            load_state(create("edge-s"), tiny_state(), where="tiny.pth")
