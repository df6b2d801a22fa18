"""How LR pictures are made from HR pictures.

`bi`  MATLAB's bicubic with antialiasing: what most benchmarks mean by "x4".
"""

from __future__ import annotations

from collections.abc import Callable

from vsrc.compressor.data.planes import Planes, bicubic_down

WHOLE_FRAME: dict[str, Callable[[Planes, int], Planes]] = {"bi": bicubic_down}
"""Degradations without chance: `(..., H, W)` uint8 and the scale to LR, done once a frame."""
