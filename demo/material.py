"""Prepare training and test material of the demo from the sample clip."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vsrc.runtime.picture.bicubic import downscale
from vsrc.runtime.sample import SAMPLE_CLIP, sample_frames

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.packet import Packet

Frames = NDArray[np.uint8]

TRAINING_FRAMES = 72
FIRST_JUDGED = 84
"""Frames `[0, 72)` are for training and `[84, 120)` for scoring; the gap separates the two."""


@dataclass(frozen=True)
class Material:
    """Frames and files of the demo.

    Attributes:
        training_clips: Folder with the training video (HR).
        low: Video of the whole clip at a quarter of its size, with its audio; lossless.
        hr: HR frames, `(120, 360, 640, 3)` uint8 RGB.
        lr: LR frames, `(120, 90, 160, 3)` uint8 RGB, MATLAB bicubic.
    """

    training_clips: Path
    low: Path
    hr: Frames
    lr: Frames


def prepare(folder: Path) -> Material:
    """Cut and downscale the sample clip into `folder`."""
    hr = sample_frames(120)
    lr = downscale(hr, 4)
    training_clips, low = folder / "training", folder / "low.mkv"
    training_clips.mkdir(parents=True)
    _write_lossless(training_clips / "first-three-seconds.mkv", hr[:TRAINING_FRAMES])
    _write_lossless(low, lr, audio=SAMPLE_CLIP)
    return Material(training_clips, low, hr, lr)


def _write_lossless(path: Path, frames: Frames, *, audio: Path | None = None) -> None:
    """Write frames as lossless FFV1 in RGB at 24 frames/s."""
    import av

    with av.open(str(path), "w") as container:
        video = container.add_stream("ffv1", rate=24)
        video.height, video.width = frames.shape[1:3]
        video.pix_fmt = "bgr0"
        packets = _audio_packets(container, audio) if audio else []
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            container.mux(video.encode(picture.reformat(format="bgr0", threads=1)))
        container.mux(video.encode(None))
        container.mux(packets)


def _audio_packets(container: OutputContainer, source: Path) -> list[Packet[AudioStream]]:
    """Copy the packets of the first audio track of `source` to a new track of `container`."""
    import av

    with av.open(str(source)) as clip:
        track = container.add_stream_from_template(clip.streams.audio[0])
        packets = [packet for packet in clip.demux(clip.streams.audio[0]) if packet.size]
    for packet in packets:
        packet.stream = track
    return packets
