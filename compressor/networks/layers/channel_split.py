"""A narrow student made of the first channels of a wide teacher (CSD, Wang et al., IJCAI 2021).

In CSSR, channel-splitting super-resolution, the student at width w has the first `int(w * n)` of
the n channels of every layer of its teacher. Since both have the same layers, each tensor of the
student is the leading corner of the teacher's:

    teacher's weight (out, in, kh, kw)   ┌────────┬──────────┐
                                         │student │          │
                                         ├────────┘          │
                                         └───────────────────┘

This holds for the upsampler too, where the shuffle takes groups of 4 consecutive channels.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from vsrc.runtime.errors import MismatchError


def leading_corners(teacher: Mapping[str, Tensor], student: nn.Module) -> dict[str, Tensor]:
    """Return the student's tensors as views of the teacher's, so that gradients reach the teacher.

    With `torch.func.functional_call(student, leading_corners(...), lr)` both widths are trained
    on one set of weights.

    Args:
        teacher: Parameters and buffers by name.
        student: The same network at a smaller width.

    Raises:
        MismatchError: Teacher and student are not the same network.
    """
    own = {**dict(student.named_parameters()), **dict(student.named_buffers())}
    wanted = {key: tensor.shape for key, tensor in own.items() if key in student.state_dict()}
    if beyond := sorted(teacher.keys() - own.keys()):
        raise MismatchError(
            f"the teacher has {beyond[0]} and {len(beyond) - 1} more tensors that the student "
            "lacks; expected the same network at a smaller width"
        )
    for key, shape in wanted.items():
        wide = tuple(teacher[key].shape) if key in teacher else ()
        if len(wide) != len(shape) or any(map(int.__lt__, wide, shape)):
            raise MismatchError(
                f"{key} is {tuple(shape)} in the student and {wide or 'absent'} in the teacher; "
                "expected the same network at a smaller width"
            )
    return {
        key: teacher[key][tuple(slice(size) for size in shape)] for key, shape in wanted.items()
    }


def copy_leading_channels(teacher: nn.Module, student: nn.Module) -> None:
    """Initialise a student with the first channels of its teacher."""
    with torch.no_grad():
        student.load_state_dict(leading_corners(teacher.state_dict(), student))
