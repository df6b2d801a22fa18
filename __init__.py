"""vsrc: compress, export and run video super-resolution networks on edge devices."""

# pathlib is not loaded yet, and the working directory may hold another:
# ruff: noqa: PTH100, PTH110, PTH118, PTH120, PTH121

import sys as _sys
from os import path as _path

__version__ = "0.1.0"


def _warn_if_a_checkout_hides_an_installation() -> None:
    """Say so if Python found this checkout on its way to what is installed.

    A checkout called vsrc is a package for all that is started in the folder it lies in, and the
    working directory goes before what is installed. Nothing is imported unless there is a reason.
    """
    here = _path.dirname(_path.abspath(__file__))
    if not _path.exists(_path.join(here, "pyproject.toml")):
        return  # not a checkout
    folders = [_path.abspath(_path.join(str(entry), "vsrc")) for entry in _sys.path]
    found = [folder for folder in folders if _path.exists(_path.join(folder, "__init__.py"))]
    hidden = [folder for folder in found if not _path.samefile(folder, here)]
    if hidden and found[0] not in hidden:
        import warnings

        warnings.warn(
            f"this is the vsrc of the checkout {here}, not the one that is installed in {hidden[0]}"
            ": to import that, start Python from another folder, and leave the folder of the "
            "checkout out of PYTHONPATH",
            stacklevel=3,
        )


_warn_if_a_checkout_hides_an_installation()
