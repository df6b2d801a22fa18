"""Compare candidates on clips that choose between them: clean, and through x264.

    python benchmarks/train/judge.py CLIPS CANDIDATE [CANDIDATE ...] [--frames 40] [--every 4]

CLIPS is a folder of videos that nothing is trained on and that no figure of the documentation is
measured on. Their first frames are reduced to at most 360 rows (which is then the ground truth) and
made smaller by MATLAB's bicubic; that LR clip is restored as it is, and coded by x264 at CRF 23, 28
and 33. A candidate is a package or a checkpoint of `vsrc distill` (a folder with
`ema.safetensors`; `--student` says of what network). Printed are PSNR of Y, dB, means over frames
and then clips, and what Lanczos gives; JSON with `--json`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from torch import nn

from vsrc.compressor.data.coded import code
from vsrc.compressor.features.clip_network import ClipNetwork
from vsrc.compressor.networks import create, load_weights
from vsrc.compressor.networks.loading.packaged import from_package
from vsrc.runtime.package import open_package
from vsrc.runtime.picture.fast_resize import Planes, bicubic_down
from vsrc.runtime.picture.likeness import psnr

ROWS, BORDER = 360, 4
QUALITIES = (None, 23, 28, 33)
"""CRF of x264; None for the clean clip."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clips", type=Path)
    parser.add_argument("candidates", type=Path, nargs="+")
    parser.add_argument("--student", default="edge-s")
    parser.add_argument("--scale", type=int, default=4)
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--every", type=int, default=4, help="every so many frames are measured")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    truths = [truth_of(path, options.frames) for path in sorted(options.clips.iterdir())]
    scale = options.scale
    inputs = [[lr_of(truth, quality, scale=scale) for quality in QUALITIES] for truth in truths]
    measured = range(2, options.frames, options.every)
    rows = {"Lanczos": [_mean(truths, inputs, at, lanczos(scale), measured) for at in range(4)]}
    print(f"{'':40} " + " ".join(f"{_name(q):>8}" for q in QUALITIES))
    _say("Lanczos", rows["Lanczos"])
    for path in options.candidates:
        network = ClipNetwork(read_candidate(path, options.student, scale=scale).eval())
        restore = Restored(network)
        started = time.process_time()
        rows[str(path)] = [_mean(truths, inputs, at, restore, measured) for at in range(4)]
        _say(str(path), rows[str(path)], f"{time.process_time() - started:.0f} s")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


def _name(quality: int | None) -> str:
    return "clean" if quality is None else f"crf {quality}"


def _say(name: str, values: list[float], note: str = "") -> None:
    print(f"{name[-40:]:40} " + " ".join(f"{value:8.3f}" for value in values), note, flush=True)


def truth_of(path: Path, frames: int) -> Planes:
    """First frames of a video, reduced to at most `ROWS` rows: `(T, 3, H, W)` uint8."""
    pictures = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            pictures.append(_reduced(frame.to_ndarray(format="rgb24").astype(np.uint8)))
            if len(pictures) == frames:
                break
    return np.stack(pictures).transpose(0, 3, 1, 2)


def _reduced(picture: Planes) -> Planes:
    height, width = picture.shape[:2]
    if height > ROWS:
        size = (round(width * ROWS / height), ROWS)
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    return picture[: picture.shape[0] // 8 * 8, : picture.shape[1] // 8 * 8]


def lr_of(truth: Planes, quality: int | None, *, scale: int) -> Planes:
    """LR frames, clean or coded."""
    lr = bicubic_down(truth, scale)
    return lr if quality is None else code(lr, "libx264", quality=quality)


def read_candidate(path: Path, student: str, *, scale: int) -> nn.Module:
    """A package, or the averaged weights of a training checkpoint."""
    if (path / "model.json").is_file():
        return from_package(open_package(path))
    network = create(student, scale=scale)
    load_weights(network, path / "ema.safetensors" if path.is_dir() else path)
    return network


class Restored:
    """Upscales single frames of a clip by a network."""

    def __init__(self, network: ClipNetwork) -> None:
        self.network = network

    def __call__(self, lr: Planes, frame: int) -> Planes:
        """Upscale one frame, `(T, 3, H, W)` to `(sH, sW, 3)` uint8."""
        reach = self.network.spec.window // 2
        first = max(0, frame - reach)
        clip = torch.from_numpy(np.array(lr[first : frame + reach + 1]))[None].float() / 255
        with torch.inference_mode():
            sr = self.network(clip, [frame - first])[0, 0]
        return np.asarray((sr.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy())


def lanczos(scale: int) -> Callable[[Planes, int], Planes]:
    """Enlarge single frames of a clip by Lanczos."""

    def enlarge(lr: Planes, frame: int) -> Planes:
        picture = np.ascontiguousarray(lr[frame].transpose(1, 2, 0))
        size = (picture.shape[1] * scale, picture.shape[0] * scale)
        enlarged = cv2.resize(picture, size, interpolation=cv2.INTER_LANCZOS4)
        return np.asarray(enlarged, dtype=np.uint8)

    return enlarge


def _mean(
    truths: list[Planes],
    inputs: list[list[Planes]],
    at: int,
    restore: Callable[[Planes, int], Planes],
    measured: range,
) -> float:
    """PSNR of Y of input number `at` of each clip, dB."""
    means = []
    for truth, lrs in zip(truths, inputs, strict=True):
        values = [
            psnr(restore(lrs[at], frame), truth[frame].transpose(1, 2, 0), border=BORDER)
            for frame in measured
            if frame < len(truth)
        ]
        means.append(float(np.mean(values)))
    return float(np.mean(means))


if __name__ == "__main__":
    main()
