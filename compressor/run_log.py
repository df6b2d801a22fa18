"""What a run leaves to be read later: a line of JSON for each entry, and curves for TensorBoard."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter


class RunLog:
    """Appends to `log.jsonl` and to TensorBoard's event files in a run's folder.

    Args:
        folder: Made if it is not there.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lines = (folder / "log.jsonl").open("a", encoding="utf-8")
        self._curves = SummaryWriter(str(folder / "tensorboard"))

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Note the values of a step."""
        self._lines.write(json.dumps({"step": step, **values}) + "\n")
        self._lines.flush()
        for name, value in values.items():
            self._curves.add_scalar(name, value, step)

    def close(self) -> None:
        """Finish both files; calling it twice does nothing."""
        self._lines.close()
        self._curves.close()
