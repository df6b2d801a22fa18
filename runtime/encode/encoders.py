"""Video encoders by short names, and the choice of their pixel format."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vsrc.runtime.decode.probe import VideoInfo
from vsrc.runtime.errors import MediaError, MissingDependencyError
from vsrc.runtime.picture.hdr import NO_HDR, HdrMetadata, hdr_options

if TYPE_CHECKING:
    import av


@dataclass(frozen=True)
class Encoder:
    """Options of one of FFmpeg's encoders.

    Attributes:
        name: FFmpeg's name of the encoder.
        quality: Name of its option for constant quality; empty where it has none.
        default: Default value of that option; None for the encoder's own default.
        preset: Default preset; empty for the encoder's own default.
        quiet: Options that suppress messages on stderr, or keep closed captions.
        coarsest: Largest value of the quality option, the smallest being 0; None if unknown.
    """

    name: str
    quality: str = ""
    default: int | None = None
    preset: str = ""
    quiet: tuple[tuple[str, str], ...] = ()
    coarsest: int | None = None


# At 18 x264 is usually considered visually lossless: upscaled detail should survive the encoder.
ENCODERS = {
    "x264": Encoder("libx264", "crf", 18, "medium", coarsest=51),
    "x265": Encoder(
        "libx265",
        "crf",
        20,
        "medium",
        (("x265-params", "log-level=error:frame-threads=3"), ("a53cc", "1")),
        coarsest=51,
    ),
    "av1": Encoder("libsvtav1", "crf", 28, "8", coarsest=63),
    "vp9": Encoder("libvpx-vp9", "crf", 24, coarsest=63),
    "prores": Encoder("prores_ks"),
    "ffv1": Encoder("ffv1"),
    "nvenc": Encoder("h264_nvenc", "cq", 20, "p5", coarsest=51),
    "nvenc-hevc": Encoder("hevc_nvenc", "cq", 22, "p5", coarsest=51),
    "nvenc-av1": Encoder("av1_nvenc", "cq", 28, "p5"),
}


def find_encoder(codec: str) -> tuple[Encoder, av.Codec]:
    """Find an encoder by its short name or FFmpeg's name.

    Raises:
        MissingDependencyError: This build of FFmpeg has no such encoder.
        ValueError: It is not a video encoder.
    """
    import av
    from av.codec.codec import UnknownCodecError

    os.environ.setdefault("SVT_LOG", "1")  # errors only, of the AV1 encoder
    by_name = {encoder.name: encoder for encoder in ENCODERS.values()}
    encoder = ENCODERS.get(codec) or by_name.get(codec) or Encoder(codec, "crf")
    try:
        opened_codec = av.Codec(encoder.name, "w")
        # FFmpeg knows names of formats, too: `hevc` opens libx265, whose options are known.
        encoder = by_name.get(opened_codec.name, encoder)
    except UnknownCodecError as error:
        raise MissingDependencyError(
            f"the FFmpeg inside PyAV has no encoder {encoder.name!r}; "
            f"--codec takes one of {', '.join(ENCODERS)}, or what `python -m av --codecs` lists"
        ) from error
    if opened_codec.type != "video":
        raise ValueError(f"codec={codec!r} encodes {opened_codec.type}; name a video encoder")
    return encoder, opened_codec


def encoder_options(
    encoder: Encoder,
    *,
    crf: int | None,
    preset: str | None,
    width: int,
    hdr: HdrMetadata = NO_HDR,
) -> dict[str, str]:
    """Return FFmpeg's options for the encoder; `width` is that of the result, pixels.

    Raises:
        ValueError: The encoder does not support this quality.
    """
    if crf is not None and not encoder.quality:
        raise ValueError(f"{crf=} is not supported by {encoder.name}: leave it out")
    if crf is not None and encoder.coarsest is not None and not 0 <= crf <= encoder.coarsest:
        raise ValueError(f"{crf=} must lie in [0, {encoder.coarsest}] for {encoder.name}")
    options: dict[str, str] = {}
    quality = encoder.default if crf is None else crf
    if quality is not None:
        options[encoder.quality] = str(quality)
    if preset or encoder.preset:
        options["preset"] = preset or encoder.preset
    options.update(encoder.quiet)
    for name, words in hdr_options(encoder.name, hdr).items():
        options[name] = f"{options[name]}:{words}" if name in options else words
    if encoder.name == "libx264" and -(-width // 16) % 16 and _has_avx512():
        # In x264's AVX-512 code for macroblock trees a row that is no multiple of 16 blocks reads
        # uninitialised memory: the same frames would give different bytes each time.
        before = f"{options['x264-params']}:" if "x264-params" in options else ""
        options["x264-params"] = f"{before}asm=avx2"
    return options


def _has_avx512() -> bool:
    try:
        return "avx512" in Path("/proc/cpuinfo").read_text()
    except OSError:  # not Linux: a resumed job may give other bytes
        return False


def pixel_format(info: VideoInfo, codec: av.Codec, *, width: int, height: int, depth: int) -> str:
    """Choose the encoder's pixel format that is nearest to the source's for this size and depth.

    Depth has priority over subsampling: 10 bits in 4:2:0 are better than 8 bits in 4:4:4.

    H.264 and later codecs cannot crop to odd sizes in 4:2:0. So that no pixel is added or lost, an
    odd width or height is encoded without subsampling along it.

    Args:
        info: Source; image sequences and RGB video become 4:2:0, which every player supports.
        codec: Encoder.
        width: Width of the result, pixels.
        height: Height of the result, pixels.
        depth: Wanted bits per sample.

    Raises:
        MediaError: The encoder supports no suitable format.
    """
    fitting = ["gray"] if info.pix_fmt.startswith("gray") else []
    fitting += [f"yuv{chroma}p" for chroma in _chroma(info) if _divides(chroma, width, height)]
    offered = [video_format.name for video_format in codec.video_formats or []]
    # It lists 10 bits on every GPU, but only the newest support it.
    wanted = 8 if codec.name == "h264_nvenc" else depth
    for bits in _depths(wanted):
        for name in fitting:
            for candidate in _pixel_formats(name, bits):
                if candidate in offered:
                    return candidate
    raise MediaError(
        f"{codec.name} supports {', '.join(offered) or 'no known format'}, and none of them fits "
        f"{width}x{height} from {info.pix_fmt}; choose another --codec"
    )


def _depths(depth: int) -> list[int]:
    """Depths to try, best first: the source's, then larger ones, then smaller ones."""
    known = (8, 10, 12, 14, 16)
    return [bits for bits in known if bits >= depth] + [
        bits for bits in known[::-1] if bits < depth
    ]


def _pixel_formats(family: str, depth: int) -> tuple[str, ...]:
    """FFmpeg's names of a format: planar first, then that of hardware encoders."""
    if depth == 8:
        return (family,)
    semi_planar = ("p010le",) if (family, depth) == ("yuv420p", 10) else ()
    return (f"{family}{depth}le", *semi_planar)


def _chroma(info: VideoInfo) -> tuple[str, ...]:
    """Subsamplings to try, best first: the source's, then finer ones, then coarser ones."""
    name = info.pix_fmt.replace("yuva", "yuv", 1)
    if not info.is_rgb and name.startswith(("yuv444", "yuvj444")):
        return ("444", "422", "420")
    if not info.is_rgb and name.startswith(("yuv422", "yuvj422", "yuyv422", "uyvy422")):
        return ("422", "444", "420")
    return ("420", "422", "444")


def _divides(chroma: str, width: int, height: int) -> bool:
    return (chroma == "444" or width % 2 == 0) and (chroma != "420" or height % 2 == 0)
