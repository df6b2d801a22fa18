"""What engines are built with, and for which GPUs."""

from __future__ import annotations

from dataclasses import dataclass

from vsrc.runtime.backends.device.engine_file import EngineBackend, EngineTarget, ProfileShapes
from vsrc.runtime.backends.device.engines import Here


@dataclass(frozen=True)
class Builder:
    """A TensorRT, and the GPUs that it builds for.

    Attributes:
        backend: `trt` or `trt-rtx`.
        version: Its version.
        here: GPU that they are built for; None for `gpus`.
        gpus: Compute capabilities of `trt-rtx` engines.
        workspace_bytes: As in `BuildOrder`.
    """

    backend: EngineBackend
    version: str
    here: Here | None
    gpus: tuple[str, ...]
    workspace_bytes: int | None

    def target(self, name: str, sha256: str, shapes: ProfileShapes) -> EngineTarget:
        """Target of a float32 engine with uint8 frames."""
        if self.here is not None:
            return self.here.video_target(name, sha256, shapes)
        return EngineTarget(
            backend=self.backend,
            version=self.version,
            gpu=None,
            compute_capabilities=self.gpus,
            graph=name,
            graph_sha256=sha256,
            precision="fp32",
            io="uint8",
            shapes=shapes,
        )
