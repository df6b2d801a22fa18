"""Log of a run: JSON lines and TensorBoard event files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from vsrc.runtime.pending_file import write_file


class RunLog:
    """Write `log.jsonl` and TensorBoard's event files to a run's folder.

    Args:
        folder: Folder of the run; created if missing.
        steps_done: Step from which a resumed run continues; entries of later steps are dropped,
            as they are repeated.
    """

    def __init__(self, folder: Path, *, steps_done: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "log.jsonl"
        kept = _lines_until(path, steps_done) if path.exists() else []
        write_file(path, "".join(kept))
        self._lines = path.open("a", encoding="utf-8")
        self._curves = SummaryWriter(str(folder / "tensorboard"), purge_step=steps_done + 1)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Log the values of a step."""
        self._lines.write(json.dumps({"step": step, **values}) + "\n")
        self._lines.flush()
        for name, value in values.items():
            self._curves.add_scalar(name, value, step)

    def show(self, step: int, picture: Tensor) -> None:
        """Log an image, `(3, H, W)` in [0, 1]."""
        self._curves.add_image("held out: upscaled LR, SR, HR", picture, step)

    def close(self) -> None:
        """Close both files; idempotent."""
        self._lines.close()
        self._curves.close()


def _lines_until(path: Path, step: int) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
