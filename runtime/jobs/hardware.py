"""Choose between the CPU and the video decoder of a GPU, once for each input."""

from __future__ import annotations

from dataclasses import dataclass

from vsrc.runtime.decode.hardware_decoder import find_obstacle, hardware_opener
from vsrc.runtime.decode.packet_decoder import DecoderOpener
from vsrc.runtime.decode.probe import VideoInfo
from vsrc.runtime.encode.targets import Target
from vsrc.runtime.errors import HardwareError
from vsrc.runtime.installation import is_jetson_board
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.sensors.selftest_record import has_passed_selftest


@dataclass(frozen=True)
class DecoderChoice:
    """What decodes an input.

    Attributes:
        open_decoder: Opens the decoder of the GPU; None for the CPU.
        note: Line for the user; empty where nothing was asked for.
    """

    open_decoder: DecoderOpener | None = None
    note: str = ""


def choose_decoder(target: Target, config: InferConfig, info: VideoInfo) -> DecoderChoice:
    """Choose what decodes an input.

    Without `--hwaccel cuda` the GPU decodes only if a self-test has passed on it.
    """
    if config.hwaccel == "none" or target.source.is_pictures:
        return DecoderChoice()
    if config.hwaccel == "auto" and not has_passed_selftest(config.device):
        return DecoderChoice()
    obstacle = _obstacle(target, config, info)
    if obstacle:
        return on_cpu(obstacle)
    try:
        opener = hardware_opener(info, config.device)
    except HardwareError as error:
        return on_cpu(str(error))
    return DecoderChoice(opener, f"decoded by NVDEC on CUDA device {config.device}")


def on_cpu(reason: str) -> DecoderChoice:
    """Choose the CPU, and say why."""
    return DecoderChoice(note=f"decoded on the CPU: {reason}")


def _obstacle(target: Target, config: InferConfig, info: VideoInfo) -> str:
    if is_jetson_board():
        return "a Jetson's decoder is not NVDEC of desktop GPUs"
    if target.is_pipe:
        return "frames from a pipe cannot be decoded again if NVDEC fails"
    if config.shard is not None:
        return "shares of a video are decoded on the CPU"
    if config.deinterlace:
        return "--deinterlace works on frames of the CPU's decoders"
    return find_obstacle(target.source.files[0], info)
