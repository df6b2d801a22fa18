"""What a run leaves to be read later: a line of JSON for each entry, and curves for TensorBoard."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from vsrc.runtime.pending_file import write_file


class RunLog:
    """Writes `log.jsonl` and TensorBoard's event files in a run's folder.

    Args:
        folder: Made if it is not there.
        steps_done: Where a resumed run takes up; what was logged of later steps is dropped, since
            they are done again.
    """

    def __init__(self, folder: Path, *, steps_done: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "log.jsonl"
        kept = _lines_until(path, steps_done) if path.exists() else []
        write_file(path, "".join(kept))
        self._lines = path.open("a", encoding="utf-8")
        self._curves = SummaryWriter(str(folder / "tensorboard"), purge_step=steps_done + 1)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Note the values of a step."""
        self._lines.write(json.dumps({"step": step, **values}) + "\n")
        self._lines.flush()
        for name, value in values.items():
            self._curves.add_scalar(name, value, step)

    def show(self, step: int, picture: Tensor) -> None:
        """Note a picture, `(3, H, W)` in [0, 1]."""
        self._curves.add_image("held out: enlarged LR, SR, HR", picture, step)

    def close(self) -> None:
        """Finish both files; calling it twice does nothing."""
        self._lines.close()
        self._curves.close()


def _lines_until(path: Path, step: int) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
