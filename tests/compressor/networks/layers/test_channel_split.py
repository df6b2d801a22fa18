from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn
from torch.func import functional_call

from vsrc.compressor.networks import create
from vsrc.compressor.networks.layers.channel_split import copy_leading_channels, leading_corners
from vsrc.runtime.errors import MismatchError

if TYPE_CHECKING:
    from vsrc.runtime.spec import Argument

NETWORKS: list[tuple[str, dict[str, Argument]]] = [
    ("edsr", {"scale": 4, "blocks": 2, "features": 16}),
    ("edsr", {"scale": 3, "blocks": 2, "features": 16}),
    ("rcan", {"scale": 2, "groups": 2, "blocks": 2, "features": 16, "reduction": 4}),
]
each = pytest.mark.parametrize(("name", "arguments"), NETWORKS)


def teacher_of(name: str, arguments: dict[str, Argument]) -> nn.Module:
    torch.manual_seed(0)
    return create(name, **arguments)


@each
@pytest.mark.parametrize("width", [0.25, 0.5, 0.75])
def test_the_student_is_its_teacher_with_the_other_channels_silent(
    name: str, arguments: dict[str, Argument], width: float
) -> None:
    teacher = teacher_of(name, arguments)
    student = create(name, width=width, **arguments)
    copy_leading_channels(teacher, student)
    corners = {key: tensor.shape for key, tensor in student.state_dict().items()}
    with torch.no_grad():
        for key, weight in teacher.named_parameters():
            weight[corners[key][0] :] = 0  # what the student lacks puts out nothing
    lr = torch.rand(1, 3, 6, 5)
    torch.testing.assert_close(student(lr), teacher(lr), rtol=1e-4, atol=1e-5)


@each
def test_a_student_run_on_views_teaches_the_corner_of_its_teacher(
    name: str, arguments: dict[str, Argument]
) -> None:
    teacher = teacher_of(name, arguments)
    student = create(name, width=0.5, **arguments)
    corners = leading_corners(dict(teacher.named_parameters()), student)
    functional_call(student, corners, torch.rand(1, 3, 6, 6)).sum().backward()
    head = teacher.get_parameter("head.weight").grad
    assert head is not None
    assert head[:8].abs().sum() > 0
    assert head[8:].abs().sum() == 0


def test_another_network_is_refused() -> None:
    teacher = teacher_of("edsr", {"blocks": 1, "features": 16})
    deeper = create("edsr", blocks=2, features=16, width=0.5)
    with pytest.raises(MismatchError, match=r"body\.1\.conv1\.weight .*\(8, 8, 3, 3\)"):
        leading_corners(teacher.state_dict(), deeper)


def test_a_wider_student_is_refused() -> None:
    narrow = teacher_of("edsr", {"blocks": 1, "features": 16, "width": 0.5})
    with pytest.raises(MismatchError, match="smaller width"):
        copy_leading_channels(narrow, create("edsr", blocks=1, features=16))
