"""Options that allow more than local files to be opened; for every command that opens videos."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def _allow(context: click.Context, option: click.Parameter, value: bool) -> None:
    """Allow it until the command ends."""
    from vsrc.runtime.media_access import allow_media, media_access

    if not value:
        return
    now = media_access()
    is_network = option.name == "allow_network"
    context.with_resource(
        allow_media(
            network=now.network or is_network,
            playlists=now.playlists or not is_network,
        )
    )


_OPTIONS = (
    click.option(
        "--allow-network",
        is_flag=True,
        callback=_allow,
        expose_value=False,
        help="Open URLs and streams that are given as inputs.",
    ),
    click.option(
        "--allow-playlist",
        is_flag=True,
        callback=_allow,
        expose_value=False,
        help="Read playlists and concat scripts, which name files of their own folder.",
    ),
)


def media_options(command: F) -> F:
    """Add the options to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
