"""Let ONNX Runtime find the CUDA and cuDNN that pip installed beside it."""

from __future__ import annotations

import contextlib
import io
import logging
from typing import Any

logger = logging.getLogger(__name__)


def preload_cuda(runtime: Any) -> str:  # noqa: ANN401  the module onnxruntime, which has no types
    """Load the libraries of NVIDIA's wheels, where the loader does not look by itself.

    Without a CUDA of the system, ONNX Runtime's CUDA and TensorRT providers do not load otherwise.

    Args:
        runtime: Module of ONNX Runtime; before 1.21 it had no such function.

    Returns:
        What it said about libraries that are missing; empty if all were loaded.
    """
    if not hasattr(runtime, "preload_dlls"):
        return ""
    said = io.StringIO()  # it prints, and stdout is for results
    with contextlib.redirect_stdout(said):
        runtime.preload_dlls()
    text = " ".join(said.getvalue().split())
    if text:
        logger.info("%s", text)
    return text
