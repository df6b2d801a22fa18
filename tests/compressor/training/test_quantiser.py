"""The student under int8: against the graph it stands for, and what its ranges learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vsrc.compressor.networks import create
from vsrc.compressor.training.fake_quant import best_range, fake_activation, weight_levels
from vsrc.compressor.training.quantiser import Quantiser, convolution_paths, edges


def lively_edge(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return create("edge", encoded=8, features=24, blocks=4, scale=2, window=3)


def test_an_activation_is_the_nearest_of_256_steps() -> None:
    x = torch.linspace(-3, 3, 1001)
    found = fake_activation(x, torch.tensor(math.log(2.0)))
    steps = np.arange(-128, 128) * (2.0 / 127)
    nearest = steps[np.abs(x.numpy()[:, None] - steps).argmin(1)]
    np.testing.assert_allclose(found.numpy(), nearest, atol=1e-6)


def test_a_weight_has_a_step_for_each_output_channel() -> None:
    torch.manual_seed(0)
    weight = torch.randn(5, 3, 3, 3) * torch.tensor([1e-3, 1.0, 50.0, 0.0, 2.0]).view(-1, 1, 1, 1)
    levels, steps = weight_levels(weight)
    found = levels * steps.view(-1, 1, 1, 1)
    for channel, exact in zip(found, weight, strict=True):
        step = float(exact.abs().max()) / 127
        wholes = channel / max(step, 1e-30)
        torch.testing.assert_close(wholes, wholes.round(), atol=1e-4, rtol=0)
        assert float((channel - exact).abs().max()) <= step * 0.5001


def test_gradients_pass_the_rounding_and_stop_at_the_clip() -> None:
    x = torch.tensor([-5.0, -0.3, 0.4, 5.0], requires_grad=True)
    log_range = torch.tensor(0.0, requires_grad=True)
    torch.autograd.backward(fake_activation(x, log_range).sum())
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 1.0, 1.0, 0.0]


def test_the_range_learns_to_hold_what_it_clips() -> None:
    """Descending the squared error finds about what a search over all ranges finds."""
    torch.manual_seed(0)
    x = torch.randn(4000)
    log_range = torch.tensor(math.log(0.5), requires_grad=True)
    optimizer = torch.optim.Adam([log_range], lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        torch.autograd.backward((fake_activation(x, log_range) - x).square().sum())
        optimizer.step()

    def error(top: float) -> float:
        return float((fake_activation(x, torch.tensor(math.log(top))) - x).square().sum())

    best = min((error(top), top) for top in np.linspace(0.5, 6, 200))[0]
    assert error(math.exp(log_range.item())) < 1.2 * best
    assert error(best_range(x)) < 1.2 * best


def test_paths_are_those_of_the_deployed_network() -> None:
    network = lively_edge()
    body = [f"body.{index}" for index in range(4)]
    assert convolution_paths(network) == ("encoder", "fusion", *body, "tail")
    assert edges(convolution_paths(network)) == ("encoder", "tail")
    collapsed = network.get_submodule("")
    deployed = getattr(collapsed, "collapsed")()  # noqa: B009  nn.Module declares no such method
    convolutions = [path for path, one in deployed.named_modules() if isinstance(one, nn.Conv2d)]
    assert sorted(convolutions) == sorted(convolution_paths(network))


def test_offsets_of_deformable_convolutions_stay_float() -> None:
    found = convolution_paths(create("edvr-xs"))
    offsets = {path for path in found if path.endswith("conv_offset")}
    assert offsets
    assert offsets < set(edges(found))


def test_bfloat16_convolves_the_same_int8_values() -> None:
    """Only the sums are rounded; values of 8 bits times a step would be, too."""
    torch.manual_seed(0)
    convolution, x = nn.Conv2d(16, 8, 3, bias=False), torch.randn(1, 16, 12, 12)
    network = nn.Sequential(convolution)
    quantiser = Quantiser(network, ())
    with torch.no_grad(), quantiser.applied(network):
        expected = network(x)
        with torch.autocast("cpu", torch.bfloat16):
            found = network(x)
            rounded = torch.nn.functional.conv2d(x, convolution.weight)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=2**-8, atol=1e-6)
    assert not torch.allclose(rounded.float(), expected, rtol=2**-8, atol=1e-6)


def test_outside_the_block_nothing_has_changed() -> None:
    network, lr = lively_edge(), torch.rand(1, 3, 3, 16, 16)
    quantiser, names = Quantiser(network), list(network.state_dict())
    before = network(lr)
    with quantiser.applied(network):
        inside = network(lr)
    assert torch.equal(network(lr), before)
    assert not torch.equal(inside, before)
    assert list(network.state_dict()) == names


def test_all_layers_learn_under_int8() -> None:
    network, lr = lively_edge(), torch.rand(2, 3, 3, 16, 16)
    quantiser = Quantiser(network)
    with quantiser.applied(network):
        (network(lr) - torch.rand(2, 3, 32, 32)).square().mean().backward()
    gradients = {name: one.grad for name, one in network.named_parameters()}
    assert all(one is not None and bool((one != 0).any()) for one in gradients.values())
    assert quantiser.log_ranges.grad is not None
    assert bool((quantiser.log_ranges.grad != 0).all())


def test_what_cannot_be_int8_is_refused() -> None:
    network = lively_edge()
    with pytest.raises(ValueError, match=r"'body\.9'; .*encoder"):
        Quantiser(network, ["body.9"])
    with pytest.raises(ValueError, match=r"encoder, fusion, .*tail"):
        Quantiser(network, convolution_paths(network))


def test_the_int8_graph_gives_what_training_saw() -> None:
    """The graph of `vsrc export --precision int8`, run by ONNX Runtime, is the judge."""
    import onnxruntime as ort

    from vsrc.compressor.features.taps import spec_of
    from vsrc.compressor.networks.loading.packaged import to_deployed
    from vsrc.export.graphs.graph_plan import plan_whole
    from vsrc.export.graphs.quantise import int8_graph
    from vsrc.export.graphs.to_onnx import to_onnx
    from vsrc.export.shape_range import shape_range_of

    # Sums in another order differ in their last bits (1e-5 of a step), so that a value in the
    # middle between two steps may fall to either. In this draw none comes nearer than 1.7e-4.
    network = lively_edge(seed=34)
    lr = torch.rand(2, 3, 3, 8, 12)
    quantiser = Quantiser(network)
    with quantiser.applied(network):
        network(lr)  # ranges are found
        with torch.no_grad():
            expected: Tensor = network(lr).clamp(0, 1)
    spec, plain = spec_of(network), to_deployed(network)
    extent = shape_range_of(((8, 12),), multiple=1)
    plan = plan_whole(plain, spec, graph_io="float", extent=extent)
    model = to_onnx(plan, spec, graph_io="float", extent=extent, opset=18)
    calibration = quantiser.calibration(weights_sha256="0" * 64)
    int8 = int8_graph(model, calibration, target="nvidia").SerializeToString()
    options = ort.SessionOptions()
    # As it stands: kernels that fold steps into each other round a few more values elsewhere.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(int8, options, providers=["CPUExecutionProvider"])
    found = np.concatenate([session.run(None, {"lr": one[None].numpy()})[0] for one in lr])
    assert float(np.abs(plain(lr).detach().numpy() - expected.numpy()).mean()) > 1e-4
    np.testing.assert_allclose(found, expected.numpy(), atol=2e-6)
