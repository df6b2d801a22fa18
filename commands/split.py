"""`vsrc split`."""

from __future__ import annotations

from pathlib import Path

import click

from vsrc.commands.options.sample_input import OutputPath
from vsrc.commands.text_output import echo_line


@click.command("split")
@click.argument("package", type=click.Path(path_type=Path))
@click.option("--width", type=float, required=True, help="Fraction of the channels to keep.")
@click.option("-o", "--output", type=OutputPath(), required=True, help="Package to write.")
@click.option("--overwrite", is_flag=True, help="Replace an existing package.")
def split_command(package: Path, width: float, output: Path, overwrite: bool) -> None:
    """Cut a narrower student from a package trained with csd."""
    from vsrc.runtime.installation import require_installed
    from vsrc.runtime.package import advised_export, open_package

    require_installed("vsrc split", "torch", "safetensors", extra="compress")
    from vsrc.compressor.split import split

    echo_line(split(open_package(package), width=width, output=output, overwrite=overwrite))
    echo_line(f"next: {advised_export(output, '--format onnx')}", err=True)
