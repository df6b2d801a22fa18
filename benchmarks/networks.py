"""Time and memory of every network, as ratios to its bare convolutions.

    nice -n 19 python benchmarks/networks.py [--size 24x32] [NAME ...] > docs/results/networks.md

A network cannot be faster than the convolutions in it, so these are its measure: every convolution
of one forward pass is recorded with its shapes, and all of them are run alone, one after the other,
on random numbers. What a network takes beyond that is its activations, its joints and whatever else
it does: warping, attention, matrix products.

One thread, eager, float32, one window; forward in the form that is deployed, without gradients, and
a training step forward and backward in the form that is trained. Time is CPU time of the process,
the least of a few runs, network and convolutions in turn, so that other work on the machine changes
it little. Memory is the most that tensors made during the pass hold at once, as torch's profiler
sees it, weights and input not counted. For the bare convolutions of a training step that is what
no one can do without: the input of each, kept until its gradient is taken.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from vsrc.compressor.features.taps import spec_of
from vsrc.compressor.networks import create, names
from vsrc.compressor.networks.layers.counting import shape_twin
from vsrc.compressor.networks.loading.packaged import to_deployed
from vsrc.runtime.machine import this_machine

ENOUGH_SECONDS = 3.0
MOST_RUNS = 7

Run = Callable[[], object]


@dataclass(frozen=True)
class Operand:
    """Input, weight or bias of a convolution.

    Attributes:
        shape: Its shape.
        learns: Whether a training step takes its gradient: not that of a picture, or of a kernel
            that is fixed.
    """

    shape: tuple[int, ...]
    learns: bool

    def tensor(self) -> Tensor:
        """Numbers of that shape; which ones does not matter to the time."""
        return torch.full(self.shape, 0.5)


@dataclass(frozen=True)
class Convolution:
    """One convolution of a forward pass; `settings` are stride, padding and so on."""

    input: Operand
    weight: Operand
    bias: Operand | None
    settings: tuple[Any, ...]

    def parameters(self) -> tuple[Tensor, Tensor | None]:
        """Weight and bias."""
        return self.weight.tensor(), None if self.bias is None else self.bias.tensor()


class Recorder(TorchDispatchMode):
    """Notes every convolution, whoever calls it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[Convolution] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401
        """See torch's own."""
        if func is torch.ops.aten.convolution.default:
            x, weight, bias = (
                None if t is None else Operand(tuple(t.shape), t.requires_grad) for t in args[:3]
            )
            assert x is not None
            assert weight is not None
            self.found.append(Convolution(x, weight, bias, tuple(args[3:])))
        return func(*args, **(kwargs or {}))


@dataclass(frozen=True)
class Cost:
    """What one pass takes: seconds of CPU, and bytes at the highest."""

    seconds: float
    peak: int


@dataclass(frozen=True)
class Line:
    """A network and its bare convolutions, forward and for a training step.

    Attributes:
        name: Of the network.
        share: Of its multiply-accumulates, those in convolutions.
        forward: The network.
        bare_forward: Its convolutions alone.
        training: The network.
        bare_training: Its convolutions alone.
    """

    name: str
    share: float
    forward: Cost
    bare_forward: Cost
    training: Cost
    bare_training: Cost

    def cells(self) -> list[str]:
        """One line of the table."""
        pairs = ((self.forward, self.bare_forward), (self.training, self.bare_training))
        cells = [self.name, f"{self.share:.0%}"]
        for whole, bare in pairs:
            cells += [f"{whole.seconds * 1e3:.1f}", f"{whole.seconds / bare.seconds:.2f}"]
            cells += [f"{whole.peak / 1e6:.1f}", f"{whole.peak / bare.peak:.2f}"]
        return cells


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="all, if none is given")
    parser.add_argument("--size", default="24x32", help="HxW of the LR frames, multiples of 8")
    options = parser.parse_args()
    torch.set_num_threads(1)
    height, width = map(int, options.size.split("x"))
    chosen = options.names or names()
    print_head(chosen, options.size)
    for name in chosen:
        print(f"| {' | '.join(measured(name, height, width).cells())} |", flush=True)


def print_head(chosen: list[str], size: str) -> None:
    machine = this_machine()
    subset = "" if chosen == names() else f" {' '.join(chosen)}"
    print("# Networks against their bare convolutions\n")
    print(f"`python benchmarks/networks.py --size {size}{subset}`\n")
    load = "" if machine.load_average is None else f", load average {machine.load_average:.1f}"
    print(f"{machine.cpu}, {machine.cores} cores{load}; torch {torch.__version__}, one thread.\n")
    print(f"One window of {size} LR pixels, made without arguments. What is measured and how: see")
    print("the head of the script. `/conv` columns are ratios to the bare convolutions.\n")
    columns = ["network", "MAC in conv"]
    for which in ("forward", "training step"):
        columns += [f"{which} CPU ms", "/conv", f"{which} peak MB", "/conv"]
    print(f"| {' | '.join(columns)} |")
    print(f"|---|{'---:|' * (len(columns) - 1)}")


def measured(name: str, height: int, width: int) -> Line:
    torch.manual_seed(0)
    network = create(name)
    spec = spec_of(network)
    factor = spec.scale if getattr(network, "sees_hr", False) else 1
    frames = () if spec.window == 1 else (spec.window,)
    lr = torch.rand(1, *frames, 3, height * factor, width * factor)
    found, share = convolutions(network, lr)
    parameters = [one.parameters() for one in found]
    with torch.no_grad():
        lean = to_deployed(network)
        inputs = [one.input.tensor() for one in found]
        forward, bare_forward = compared(
            lambda: lean(lr), lambda: bare_pass(found, inputs, parameters)
        )
    network.train()
    training, bare_training = compared(
        lambda: training_step(network, lr), lambda: bare_step(found, parameters)
    )
    return Line(name, share, forward, bare_forward, training, bare_training)


def convolutions(network: nn.Module, lr: Tensor) -> tuple[list[Convolution], float]:
    """Those of one forward pass in order, and their share of its multiply-accumulates."""
    twin = shape_twin(network)
    for own, shape in zip(network.parameters(), twin.parameters(), strict=True):
        shape.requires_grad_(own.requires_grad)
    recorder = Recorder()
    with FlopCounterMode(display=False) as counter, recorder:
        twin(lr.to("meta"))
    counts = counter.get_flop_counts()["Global"]
    return recorder.found, counts[torch.ops.aten.convolution] / sum(counts.values())


def compared(whole: Run, bare: Run) -> tuple[Cost, Cost]:
    """Both in turn until each has run often enough, then both under the profiler."""
    runs = (whole, bare)
    seconds: tuple[list[float], list[float]] = ([], [])
    while len(seconds[0]) < 2 or (
        sum(map(sum, seconds)) < ENOUGH_SECONDS and len(seconds[0]) < MOST_RUNS
    ):
        for run, taken in zip(runs, seconds, strict=True):
            started = time.process_time()
            run()
            taken.append(time.process_time() - started)
    first, second = (Cost(min(s), peak_bytes(r)) for r, s in zip(runs, seconds, strict=True))
    return first, second


def peak_bytes(run: Run) -> int:
    """Most that tensors made during the run hold at once."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        run()
    events = [e for e in profiled.profiler.kineto_results.events() if e.name() == "[memory]"]
    now = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    return peak


def training_step(network: nn.Module, lr: Tensor) -> None:
    torch.autograd.backward(network(lr).mean())
    network.zero_grad(set_to_none=True)


def bare_pass(
    found: list[Convolution], inputs: list[Tensor], parameters: list[tuple[Tensor, Tensor | None]]
) -> None:
    for one, x, (weight, bias) in zip(found, inputs, parameters, strict=True):
        torch.convolution(x, weight, bias, *one.settings)


def bare_step(found: list[Convolution], parameters: list[tuple[Tensor, Tensor | None]]) -> None:
    """Forward through all, keeping what each needs for its gradients, then backward through all."""
    results = []
    for one, (weight, bias) in zip(found, parameters, strict=True):
        x = one.input.tensor().requires_grad_(one.input.learns)
        weight = weight.detach().requires_grad_(one.weight.learns)
        bias = (
            bias
            if one.bias is None or bias is None
            else bias.detach().requires_grad_(one.bias.learns)
        )
        results.append(torch.convolution(x, weight, bias, *one.settings).mean())
    while results:
        result = results.pop()
        if result.requires_grad:
            torch.autograd.backward(result)


if __name__ == "__main__":
    main()
