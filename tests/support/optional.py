"""Skips what needs a package that is not installed, and says which: extras are optional."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

OPTIONAL = frozenset({
    "accelerate", "cuda", "cv2", "hypothesis", "imageio_ffmpeg", "jinja2", "jsonschema", "jtop",
    "matplotlib", "onnx", "onnxruntime", "onnxruntime_ep_openvino",
    "onnxscript", "onnxsim", "openvino", "packaging", "PIL", "playwright",
    "psutil", "pynvml", "ray", "safetensors", "scipy", "skimage", "spandrel", "tensorboard",
    "torch", "yaml",
})  # fmt: skip
"""Top-level modules that some extra of vsrc brings; a missing one of another name is an error."""


class OptionalFile(pytest.Module):
    """A file of tests, skipped where it imports an optional package that is not installed."""

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        try:
            return super().collect()
        except self.CollectError as error:
            missing = error.__cause__
            if not isinstance(missing, ModuleNotFoundError):
                raise
            name = (missing.name or "").partition(".")[0]
            if name not in OPTIONAL:
                raise
            pytest.skip(f"{name} is not installed")


def skip_without(*modules: str) -> None:
    """Skip a test, or what needs a fixture, where one of the modules is not installed."""
    for module in modules:
        pytest.importorskip(module, reason=f"{module} is not installed")
