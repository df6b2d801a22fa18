"""Run a network on video: package, windows, video in and out, sessions, reports (no torch)."""

from typing import TYPE_CHECKING

from vsrc.runtime.lazy import lazy_names

if TYPE_CHECKING:
    from vsrc.runtime.candidates.preview_config import PreviewConfig as PreviewConfig
    from vsrc.runtime.candidates.previewing import preview as preview
    from vsrc.runtime.jobs.config import InferConfig as InferConfig
    from vsrc.runtime.jobs.infer_all import infer as infer
    from vsrc.runtime.latency.config import BenchConfig as BenchConfig
    from vsrc.runtime.latency.runs import bench as bench
    from vsrc.runtime.package import open_package as open_package
    from vsrc.runtime.shipped_models import shipped as shipped

__all__ = [
    "BenchConfig",
    "InferConfig",
    "PreviewConfig",
    "bench",
    "infer",
    "open_package",
    "preview",
    "shipped",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "BenchConfig": "vsrc.runtime.latency.config",
        "bench": "vsrc.runtime.latency.runs",
        "InferConfig": "vsrc.runtime.jobs.config",
        "infer": "vsrc.runtime.jobs.infer_all",
        "PreviewConfig": "vsrc.runtime.candidates.preview_config",
        "preview": "vsrc.runtime.candidates.previewing",
        "open_package": "vsrc.runtime.package",
        "shipped": "vsrc.runtime.shipped_models",
    },
)
