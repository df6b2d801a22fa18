"""Commands that upscale a whole video as a candidate of a preview did."""

from __future__ import annotations

import shlex
from pathlib import Path

from vsrc.runtime.candidates.preview_config import PreviewConfig
from vsrc.runtime.decode.frames.deinterlace import bwdif_options
from vsrc.runtime.encode.targets import kept_suffix
from vsrc.runtime.media_access import media_access
from vsrc.runtime.sample import typed_input
from vsrc.runtime.shipped_models import typed_name

_OPTIONS = ("backend", "precision", "threads", "codec", "crf", "preset", "fps")
_FLAGS = ("allow_hdr", "deinterlace")


def format_infer_command(config: PreviewConfig, label: str, package: Path) -> str:
    """Command of `vsrc infer` with the settings of the preview."""
    names = dict(zip(config.models, config.names, strict=False))
    name = names.get(package) or typed_name(package)
    default = PreviewConfig(video=config.video)
    changed = {option: getattr(config, option) for option in _OPTIONS}
    options = [
        word
        for option, value in changed.items()
        if value != getattr(default, option)
        for word in (f"--{option}", f"{value:g}" if isinstance(value, float) else str(value))
    ]
    options += [f"--{flag.replace('_', '-')}" for flag in _FLAGS if getattr(config, flag)]
    options += ["--allow-playlist"] if media_access().playlists else []
    words = ["vsrc", "infer", typed_input(config.video), "-m", name, *options]
    return shlex.join([*words, "-o", _output(config, label)])


def format_ffmpeg_command(config: PreviewConfig, label: str, *, scale: int) -> str:
    """Command of ffmpeg that upscales by Lanczos, and deinterlaces first if the preview did."""
    filters = [f"bwdif={bwdif_options(is_unmarked=False)}"] if config.deinterlace else []
    filters.append(f"scale=iw*{scale}:ih*{scale}:flags=lanczos")
    words = ["ffmpeg", "-i", str(config.video), "-vf", ",".join(filters), "-c:a", "copy"]
    return shlex.join([*words, _output(config, label)])


def _output(config: PreviewConfig, label: str) -> str:
    video = Path(config.video)
    return f"{video.stem}-{label.lower()}{kept_suffix(video)}"
