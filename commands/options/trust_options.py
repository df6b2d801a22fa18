"""The option to trust engines that were built elsewhere, for commands that run models."""

from __future__ import annotations

import click


def _allow(context: click.Context, _option: click.Parameter, value: bool) -> None:
    """Trust them until the command ends."""
    from vsrc.runtime.backends.device.engine_trust import allow_engines

    if value:
        context.with_resource(allow_engines())


allow_code_option = click.option(
    "--allow-code",
    is_flag=True,
    callback=_allow,
    expose_value=False,
    help="Trust engines that were not built on this machine: loading one runs its code.",
)
