"""Export of checkpoints to ONNX, typed graphs and engines, with checks of their agreement."""

from typing import TYPE_CHECKING

from vsrc.runtime.lazy import lazy_names

if TYPE_CHECKING:
    from vsrc.export.config import ExportConfig as ExportConfig
    from vsrc.export.runs.exporting import export as export

__all__ = ["ExportConfig", "export"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "ExportConfig": "vsrc.export.config",
        "export": "vsrc.export.runs.exporting",
    },
)
