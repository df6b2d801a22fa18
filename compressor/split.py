"""Cut a narrower student from a network whose widths share their weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from vsrc.compressor.features.taps import spec_of
from vsrc.compressor.networks.layers.channel_split import copy_leading_channels
from vsrc.compressor.networks.loading.packaged import create_unfilled, from_package
from vsrc.compressor.results import write_weights
from vsrc.runtime.errors import MismatchError
from vsrc.runtime.package import Package, check_new_folder, new_folder, write_spec


def split(package: Package, *, width: float, output: Path, overwrite: bool = False) -> Path:
    """Write the package of a narrower student: the first channels of every layer.

    The quality depends on whether its width was trained: `csd` trains the student's width, and
    those of `other_widths`, along with the full one (`teacher.vsrc` in the folder of the run).

    Args:
        package: Package of the full width, or of any wider one.
        width: Fraction of the channels of the full width that is kept, in (0, 1].
        output: Folder to write.
        overwrite: Replace an existing package.

    Returns:
        `output`.

    Raises:
        OutputError: The output exists, or is the package itself.
        MismatchError: The network has no shared widths, or is narrower than `width`.
        ValueError: Invalid width.
    """
    check_new_folder(output, overwrite=overwrite, inputs=[package.path])
    name = package.spec.network.name
    if "width" not in package.spec.network.arguments:
        raise MismatchError(
            f"{package.path} holds {name}, whose widths share no weights; expected one trained "
            "with objective csd (edsr, rcan)"
        )
    student = create_unfilled(package, arguments={"width": width})
    copy_leading_channels(from_package(package), student)
    with new_folder(output, overwrite=overwrite) as folder:
        weights = write_weights(folder, student)
        # Measurements and graphs belong to the other width.
        spec = replace(
            package.spec, network=spec_of(student), weights=weights, graphs={}, quality=()
        )
        write_spec(folder, spec)
    return output
