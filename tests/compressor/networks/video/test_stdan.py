from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vsrc.compressor.networks import create
from vsrc.compressor.networks.layers.deform import ModulatedDeformConv
from vsrc.compressor.networks.video.stdan import Stdan, StdanSize, stdan
from vsrc.compressor.networks.video.stdan_stdfa import DeformableAttention

if TYPE_CHECKING:
    from pathlib import Path

    from support.golden import Golden

TINY = StdanSize(features=8, embedded=24, encoder_groups=1, reconstruct_groups=1, depth=2)


def _tiny(window: int = 3) -> Stdan:
    """A small network whose offsets are not 0."""
    torch.manual_seed(0)
    network = Stdan(TINY, window=window)
    for module in network.modules():
        if isinstance(module, ModulatedDeformConv):
            nn.init.normal_(module.conv_offset.weight, 0, 0.1)
    nn.init.normal_(
        network.get_parameter("stdfa.deformable_corr.dcn_attention.conv_offset_mask.weight"), 0, 0.1
    )
    return network.eval()


@pytest.fixture(scope="module")
def official(golden: Golden) -> Stdan:
    network = stdan()
    golden.fill(network, "stdan")
    return network


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("stdan_b", {"lstfi": "stdan_b", "stdfa": "stdan_b", "encoder": "stdan_b2"}),
        ("stdan_b", {"recon": "stdan_b2"}),
        ("stdan", {"lstfi": "stdan_lstfi", "stdfa": "stdan_stdfa"}),
    ],
)
def test_it_gives_what_the_official_code_gives(
    golden: Golden, official: Stdan, name: str, parts: dict[str, str]
) -> None:
    seen: dict[str, Tensor] = {}
    hooks = [
        official.stdfa.register_forward_hook(
            lambda _, args, output: seen.update(lstfi=args[0], stdfa=output)
        ),
        official.feature_extraction.register_forward_hook(
            lambda *call: seen.update(encoder=call[2])
        ),
        official.feature_recon.register_forward_hook(lambda *call: seen.update(recon=call[2])),
    ]
    with torch.no_grad():
        seen["output"] = official(golden.tensors(name)["input"])
    for hook in hooks:
        hook.remove()
    for key, file in {"output": name, **parts}.items():
        difference = (seen[key] - golden.tensors(file)[key]).abs().max().item()
        assert difference <= golden.tolerance(file, key), key


def test_state_dict_is_the_official_one(reference: Path) -> None:
    expected = json.loads((reference / "stdan_state_dict_shapes.json").read_text())
    with torch.device("meta"):
        state = stdan().state_dict()
    assert {key: list(value.shape) for key, value in state.items()} == expected


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("", 8_292_843),
        ("conv_first", 1_792),
        ("feature_extraction", 746_920),
        ("stdfa", 379_144),
        ("feature_recon", 1_980_568),
    ],
)
def test_parameter_counts_are_the_official_ones(path: str, parameters: int) -> None:
    with torch.device("meta"):
        part = stdan().get_submodule(path)
    assert sum(p.numel() for p in part.parameters()) == parameters


def test_real_frames_run_at_a_size_it_has_to_pad(official: Stdan, reference: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    files = sorted((reference / "data" / "stdan_example" / "test_example").rglob("*.png"))
    frames = np.stack([np.asarray(image.open(file).convert("RGB")) for file in files])
    lr = torch.from_numpy(frames[None, :, :20, :29]).permute(0, 1, 4, 2, 3).float() / 255
    with torch.no_grad():
        sr = official(lr)
    assert sr.shape == (1, 7, 3, 80, 116)
    assert torch.isfinite(sr).all()


@pytest.mark.parametrize("window", [2, 4])
@pytest.mark.parametrize("size", [(8, 8), (1, 9), (11, 21)])
def test_any_size_is_padded_by_reflection_and_cropped(window: int, size: tuple[int, int]) -> None:
    network = _tiny(window)
    lr = torch.rand(1, window, 3, *size)
    padding = ((0, 0), (0, 0), (0, 0), (0, -size[0] % 8), (0, -size[1] % 8))
    padded = torch.from_numpy(np.pad(lr.numpy(), padding, mode="reflect"))
    with torch.no_grad():
        sr, whole = network(lr), network(padded)
    assert sr.shape == (1, 2 * window - 1, 3, 4 * size[0], 4 * size[1])
    torch.testing.assert_close(sr, whole[..., : 4 * size[0], : 4 * size[1]])


def test_frames_encoded_one_by_one_fuse_to_the_same() -> None:
    network = _tiny()
    lr = torch.rand(2, 3, 3, 8, 16)
    with torch.no_grad():
        frames = [network.encode(lr[:, index]) for index in range(3)]
        l1, l2, l3 = (torch.stack(level, dim=1) for level in zip(*frames, strict=True))
        torch.testing.assert_close(network.fuse((l1, l2, l3)), network(lr))


def test_a_clip_played_backward_comes_out_backward() -> None:
    """The frames between are fused from both directions, whose order the fusion has to undo."""
    network = _tiny(4)
    weight = network.fusion_f_b.weight
    with torch.no_grad():
        weight[:, weight.shape[1] // 2 :] = weight[:, : weight.shape[1] // 2]
        lr = torch.rand(1, 4, 3, 8, 8)
        torch.testing.assert_close(network(lr.flip(1)), network(lr).flip(1), rtol=1e-4, atol=1e-5)


def test_the_two_best_of_nine_places_are_merged() -> None:
    torch.manual_seed(0)
    layer = DeformableAttention(8, groups=2).double()  # fresh: no offsets, every mask 1/2
    query, key, value = (torch.randn(1, 8, 5, 6).double() for _ in range(3))
    fit, merged = layer(query, key, value)
    for y, x in ((0, 0), (2, 3), (4, 5)):
        keys, values = (_nine_places(picture / 2, y, x) for picture in (key, value))
        likeness = keys @ query[0, :, y, x]
        best = likeness.argsort(descending=True)[:2]
        share = torch.softmax(likeness[best], dim=0)
        torch.testing.assert_close(merged[0, :, y, x], share @ values[best])
        torch.testing.assert_close(fit[0, 0, y, x], share @ keys[best] @ query[0, :, y, x])


def _nine_places(picture: Tensor, y: int, x: int) -> Tensor:
    """What lies around a pixel, `(9, C)`, zero outside."""
    around = F.pad(picture, (1, 1, 1, 1))
    return torch.stack([around[0, :, y + dy, x + dx] for dy in range(3) for dx in range(3)])


def test_spec_says_that_frames_are_doubled() -> None:
    spec = _tiny(2).spec
    assert (spec.window, spec.time_scale, spec.scale, spec.size_multiple) == (2, 2, 4, 8)


def test_a_step_lowers_the_loss() -> None:
    network = _tiny(3).train()
    lr, hr = torch.rand(1, 3, 3, 8, 8), torch.rand(1, 5, 3, 32, 32)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-4)
    before = F.mse_loss(network(lr), hr)
    before.backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    optimiser.step()
    assert F.mse_loss(network(lr), hr) < before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"scale": 2}, "scale=2: stdan .*scale=4"), ({"window": 1}, "window=1: stdan .* 2 ")],
)
def test_arguments_it_cannot_have_are_refused(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        create("stdan", **arguments)
