"""Libraries of training clips, as `vsrc distill` opens them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vsrc.compressor.data.ingest import open_library
from vsrc.compressor.data.library import ClipLibrary


def opened(folder: Path, cache: Path, **options: object) -> ClipLibrary:
    """Open a folder; x4 and `bi` unless told otherwise."""
    given = {"scale": 4, "degradation": "bi", **options}
    return open_library([folder], cache=cache, **given)  # type: ignore[arg-type]


def first_frame(library: ClipLibrary, clip: int = 0) -> NDArray[np.uint8]:
    """HR, `(H, W, 3)`."""
    return np.asarray(library.clips[clip].hr_frames(library.scale)[0].transpose(1, 2, 0))
