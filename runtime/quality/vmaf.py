"""VMAF by the ffmpeg of imageio-ffmpeg; Debian's ffmpeg lacks libvmaf."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

from vsrc.runtime.errors import MissingDependencyError, VsrcError
from vsrc.runtime.installation import require
from vsrc.runtime.picture.colour import BT709, LIMITED, Colour, FromRgb
from vsrc.runtime.pixels import Pixels8
from vsrc.runtime.processes.bound_program import bound_to_parent
from vsrc.runtime.quality.eval_report import MetricValues
from vsrc.runtime.quality.metrics import MetricKind

_LEAST_SIDE = 32
"""Smallest side for the wavelets of libvmaf, pixels."""


class Vmaf:
    """VMAF (model v0.6.1, for a TV viewed from three times its height), 0 worst to 100 best.

    SR and true frames are written to temporary files as YUV 4:2:0, the input format of libvmaf.
    """

    def __init__(self, border: int) -> None:
        del border  # libvmaf uses whole frames
        import imageio_ffmpeg

        self._ffmpeg = str(imageio_ffmpeg.get_ffmpeg_exe())
        self._folder = tempfile.TemporaryDirectory(prefix="vsrc-vmaf-")
        names = ("sr.yuv", "truth.yuv")
        self._files = [(Path(self._folder.name) / name).open("wb") for name in names]
        self._to_yuv: FromRgb | None = None
        self._size = (0, 0)

    def add(self, sr: Pixels8, truth: Pixels8) -> None:
        """Take the next pair; see `Metric`."""
        height, width = (size // 2 * 2 for size in truth.shape[:2])  # chroma has half the rows
        if self._to_yuv is None:
            self._size = (width, height)
            colour = Colour(matrix=BT709, range=LIMITED)
            self._to_yuv = FromRgb(colour, width=width, height=height, pix_fmt="yuv420p")
        for file, frame in zip(self._files, (sr, truth), strict=True):
            file.write(self._to_yuv(frame[:height, :width]).to_ndarray().tobytes())

    def result(self) -> MetricValues:
        """See `Metric`."""
        for file in self._files:
            file.close()
        with self._folder as folder:
            return {"vmaf": self._pooled(Path(folder)) if min(self._size) >= _LEAST_SIDE else None}

    def _pooled(self, folder: Path) -> float:
        raw = ("-f", "rawvideo", "-pix_fmt", "yuv420p", "-framerate", "25", "-video_size")
        inputs = [
            part
            for name in ("sr.yuv", "truth.yuv")
            for part in (*raw, "{}x{}".format(*self._size), "-i", name)
        ]
        graph = "[0:v][1:v]libvmaf=log_fmt=json:log_path=vmaf.json:n_threads=2"
        done = subprocess.run(
            bound_to_parent(
                [
                    *(self._ffmpeg, "-nostdin", "-v", "error", *inputs),
                    *("-lavfi", graph, "-f", "null", "-"),
                ]
            ),
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise VsrcError(f"{self._ffmpeg} could not compute VMAF: {done.stderr.strip()[-300:]}")
        pooled = json.loads((folder / "vmaf.json").read_text())["pooled_metrics"]
        return float(pooled["vmaf"]["mean"])


def check_vmaf() -> None:
    """Check that there is an ffmpeg that computes VMAF.

    Raises:
        MissingDependencyError: imageio-ffmpeg is missing, has no program for this machine, or one
            without libvmaf.
    """
    require("VMAF", "imageio_ffmpeg")
    import imageio_ffmpeg

    try:
        program = str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise MissingDependencyError(
            "imageio-ffmpeg has no ffmpeg for this machine; set IMAGEIO_FFMPEG_EXE to one that "
            "has libvmaf, or leave out the metric vmaf"
        ) from error
    done = subprocess.run(
        [program, "-hide_banner", "-filters"], capture_output=True, text=True, check=False
    )
    if " libvmaf " not in done.stdout:
        raise MissingDependencyError(
            f"{program} has no libvmaf; set IMAGEIO_FFMPEG_EXE to an ffmpeg that has, or leave out "
            "the metric vmaf"
        )


VMAF = {
    "vmaf": MetricKind(
        "VMAF: model v0.6.1, frames as YUV 4:2:0 of BT.709, arithmetic mean over the frames",
        Vmaf,
        check_vmaf,
    )
}
