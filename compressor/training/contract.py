"""Check, by one step on noise, that a student and an objective can be trained together.

A network of a user may return a tuple or another size, compute NaN, or leave weights out. The step
shows it in a second, before hours of decoding. On a GPU it has the size of the run, so that too
little memory shows, too. On a CPU it is small: a process that takes all memory there is killed, and
nothing could be said.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from vsrc.compressor.features.clip_network import ClipNetwork
from vsrc.compressor.training.config import DistillConfig
from vsrc.compressor.training.distillation_step import DistillationStep
from vsrc.compressor.training.failures import is_memory_error, smaller_batch_advice
from vsrc.runtime.errors import MismatchError, TrainingError, VsrcError, describe_error
from vsrc.runtime.spec import NetworkSpec
from vsrc.runtime.text.count_text import count_text

_PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_SHOWN = 3

_CPU_BATCH, _CPU_SIDE = 2, 64
"""Largest step on a CPU: clips, and LR pixels of a side."""


def check_contract(
    distillation: DistillationStep, config: DistillConfig, device: torch.device
) -> None:
    """Run a step forward and backward on noise; weights, statistics and random state stay.

    Args:
        distillation: Student, teacher and objective; moved to the device.
        config: Sizes of the step.
        device: Device of the run.

    Raises:
        MismatchError: The student or the objective breaks its contract; the message says how.
        TrainingError: Memory runs out.
        ValueError: An option of the objective does not fit.
    """
    distillation.place(device, channels_last=config.channels_last)
    spec = distillation.student.spec
    with _left_as_it_was(distillation, device), _watched_output(distillation.student):
        try:
            loss = _loss(distillation, config, device)
            loss.backward()  # type: ignore[no-untyped-call]
        except (VsrcError, ValueError):
            raise
        except Exception as error:
            if is_memory_error(error):
                raise TrainingError(
                    f"a step on noise runs out of memory ({describe_error(error)}): "
                    f"{smaller_batch_advice(config)}"
                ) from error
            raise MismatchError(
                f"{spec.name} with objective {config.objective} fails in a step on noise "
                f"({_describe_size(config, device)}): {describe_error(error)}; vsrc -v shows where"
            ) from error
        _check_gradients(distillation, spec)


def noise_clips(
    config: DistillConfig, device: torch.device, *, batch: int, side: int
) -> tuple[Tensor, ...]:
    """Noise in the shapes of a step: LR, HR, and the teacher's pictures where they are stored.

    Args:
        config: Settings of the run.
        device: Device of the tensors.
        batch: Number of clips.
        side: Side of an LR frame, pixels.
    """
    generator = torch.Generator().manual_seed(config.seed)
    lr_shape = (batch, config.clip_length, 3, side, side)
    lr = torch.rand(lr_shape, generator=generator).to(device)
    frames = config.clip_length if config.teacher_cache is None else 1
    shape = (batch, frames, 3, side * config.scale, side * config.scale)
    hr = torch.rand(shape, generator=generator).to(device)
    return (lr, hr) if config.teacher_cache is None else (lr, hr, hr.clone())


def _loss(distillation: DistillationStep, config: DistillConfig, device: torch.device) -> Tensor:
    dtype = _PRECISIONS[config.precision]
    batch, side = _size(config, device)
    with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
        terms: object = distillation(*noise_clips(config, device, batch=batch, side=side))
    if not isinstance(terms, Mapping) or not terms:
        raise MismatchError(
            f"objective {config.objective} returns {_kind(terms)}; expected a dict of loss terms, "
            "name -> scalar tensor"
        )
    for name, term in terms.items():
        if not isinstance(term, Tensor) or term.numel() != 1:
            raise MismatchError(
                f"term {name!r} of objective {config.objective} is {_kind(term)}; expected a "
                "scalar tensor"
            )
        if not math.isfinite(term.item()):
            raise MismatchError(
                f"term {name!r} of objective {config.objective} is {term.item()} on noise in "
                "[0, 1] and the student's output for it; expected a finite number"
            )
    loss = torch.stack([term.reshape(()) for term in terms.values()]).sum()
    if not loss.requires_grad:
        raise MismatchError(
            f"the loss of objective {config.objective} has no gradient: nothing of "
            f"{distillation.student.spec.name} is trained; look for no_grad, detach or "
            "requires_grad=False"
        )
    return loss


@contextmanager
def _watched_output(student: ClipNetwork) -> Iterator[None]:
    """Check whatever the student returns while the block runs."""

    def check(_module: nn.Module, inputs: tuple[object, ...], output: object) -> None:
        lr = inputs[0] if inputs else None
        if isinstance(lr, Tensor):
            _check_output(student, lr, output)

    handle = student.network.register_forward_hook(check)
    try:
        yield
    finally:
        handle.remove()


def _check_output(student: ClipNetwork, lr: Tensor, output: object) -> None:
    spec = student.spec
    # A teacher that sees HR restores it at its own size.
    scale = 1 if getattr(student.network, "sees_hr", False) else spec.scale
    height, width = (scale * side for side in lr.shape[-2:])
    frames = (2 * lr.shape[1] - 1,) if spec.time_scale == 2 else ()
    expected = (lr.shape[0], *frames, 3, height, width)
    asked = f"{spec.name}, given LR {tuple(lr.shape)},"
    if not isinstance(output, Tensor):
        raise MismatchError(
            f"{asked} returns {_kind(output)}; expected one tensor {expected}, SR in RGB"
        )
    if tuple(output.shape) != expected:
        raise MismatchError(
            f"{asked} returns {tuple(output.shape)}; expected {expected}: SR in RGB at "
            f"scale={spec.scale}, of the frame in the middle of window={spec.window}"
        )
    if not output.is_floating_point() or not bool(output.isfinite().all()):
        what = "NaN or infinity" if output.is_floating_point() else str(output.dtype)
        raise MismatchError(f"{asked} returns {what}; expected finite floats, about 0 to 1")


def _check_gradients(distillation: DistillationStep, spec: NetworkSpec) -> None:
    trained = {
        name.removeprefix("student.network."): parameter
        for name, parameter in distillation.named_parameters()
        if parameter.requires_grad
    }
    missed = [name for name, parameter in trained.items() if parameter.grad is None]
    if missed:
        shown = ", ".join(missed[:_SHOWN]) + (", ..." if len(missed) > _SHOWN else "")
        raise MismatchError(
            f"{spec.name}: no gradient reaches {len(missed)} of {len(trained)} trained parameters "
            f"({shown}); use them in forward without detach or no_grad, or set requires_grad=False "
            "on those that should stay"
        )
    broken = [n for n, p in trained.items() if p.grad is not None and not p.grad.isfinite().all()]
    if broken:
        raise MismatchError(
            f"{spec.name}: the gradient of {broken[0]} is NaN or infinite on noise in [0, 1]; look "
            "for a square root, a logarithm or a division at 0"
        )


@contextmanager
def _left_as_it_was(distillation: DistillationStep, device: torch.device) -> Iterator[None]:
    """Restore statistics that a step changes (those of batch norm, say) and the random state."""
    devices = [device] if device.type == "cuda" else []
    buffers = {name: buffer.clone() for name, buffer in distillation.named_buffers()}
    with torch.random.fork_rng(devices):
        try:
            yield
        finally:
            distillation.zero_grad(set_to_none=True)
            with torch.no_grad():
                for name, buffer in distillation.named_buffers():
                    buffer.copy_(buffers[name])


def _size(config: DistillConfig, device: torch.device) -> tuple[int, int]:
    """Clips of the step, and LR pixels of a side."""
    batch, side = config.batch, config.patch // config.scale
    return (batch, side) if device.type != "cpu" else (min(batch, _CPU_BATCH), min(side, _CPU_SIDE))


def _describe_size(config: DistillConfig, device: torch.device) -> str:
    batch, side = _size(config, device)
    frames = count_text(config.clip_length, "frame")
    return f"batch {batch}, {frames} of {side}x{side} LR pixels"


def _kind(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a tensor {tuple(value.shape)}"
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {len(value)}"
    return "None" if value is None else f"a {type(value).__name__}"
