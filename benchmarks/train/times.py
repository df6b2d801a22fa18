"""Measure the graphs of shipped packages, and write what was measured into them and their cards.

python benchmarks/train/times.py runtime/zoo/NAME.vsrc [...]
"""

from __future__ import annotations

import sys
from pathlib import Path

from vsrc.benchmarks.train.card import card
from vsrc.benchmarks.train.ship import time_graphs


def main() -> None:
    for package in map(Path, sys.argv[1:]):
        time_graphs(package)
        (package / "README.md").write_text(card(package), encoding="utf-8")


if __name__ == "__main__":
    main()
