"""Output of results as JSON on stdout."""

from __future__ import annotations

import json

import click


def echo_json(result: object) -> None:
    """Print a result dataclass as JSON on stdout."""
    from vsrc.runtime.schema import to_json

    click.echo(json.dumps(to_json(result), indent=2))
