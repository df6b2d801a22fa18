"""`--device`: the GPU that a command uses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


class DeviceIndex(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """Index of a CUDA device among those that CUDA_VISIBLE_DEVICES leaves."""

    name = "N"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """See `click.ParamType.convert`; an index that is not there lists those that are."""
        from vsrc.runtime.errors import MissingDependencyError
        from vsrc.runtime.sensors.cuda_device import devices_text, list_devices

        text = str(value).strip()
        if text == "0":
            return 0  # without a GPU nothing is on it, and nothing needs to be
        is_index = text.isascii() and text.isdigit()
        try:
            devices = list_devices()
        except MissingDependencyError as error:
            if is_index:
                raise
            self.fail(f"{text!r} is not the index of a CUDA device; {error}", param, ctx)
        if not is_index or int(text) >= len(devices):
            there = devices_text(devices)
            self.fail(f"there is no CUDA device {text}; there are: {there}", param, ctx)
        return int(text)


def device_option(command: F) -> F:
    """Add `--device`."""
    return click.option(
        "--device",
        type=DeviceIndex(),
        default=0,
        show_default=True,
        metavar="N",
        help="Index of the NVIDIA GPU among those in CUDA_VISIBLE_DEVICES.",
    )(command)
