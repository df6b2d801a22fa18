"""Which versions of what took part."""

from __future__ import annotations

import platform
import sys

from vsrc import __version__

_LIBRARIES = ("numpy", "onnxruntime", "tensorrt", "tensorrt_rtx")


def loaded_versions() -> dict[str, str]:
    """Package -> version, of Python, vsrc and the libraries that this process has loaded."""
    loaded = {name: sys.modules[name] for name in _LIBRARIES if name in sys.modules}
    found = {name: str(getattr(module, "__version__", "?")) for name, module in loaded.items()}
    return {"python": platform.python_version(), "vsrc": __version__, **found}
