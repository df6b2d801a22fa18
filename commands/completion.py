"""`vsrc completion`."""

from __future__ import annotations

import click

SHELLS = ("bash", "zsh", "fish")
_HELP = """Print the completion script of a shell.

\b
bash  eval "$(vsrc completion bash)"       in ~/.bashrc
zsh   eval "$(vsrc completion zsh)"        in ~/.zshrc, after compinit
fish  vsrc completion fish | source        in ~/.config/fish/config.fish
"""


@click.command("completion", help=_HELP)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion_command(context: click.Context, shell: str) -> None:
    """Print the completion script of a shell."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None  # click knows the shells that the argument takes
    root = context.find_root()
    # `source` of click runs bash to check its version, which the user's shell does anyway.
    script = kind(root.command, {}, "vsrc", "_VSRC_COMPLETE")
    click.echo(script.source_template % script.source_vars())
