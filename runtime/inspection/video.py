"""Inspect a video or image: its properties, and whether `vsrc infer` accepts it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from vsrc.runtime.decode.detection import PICTURE_SUFFIXES
from vsrc.runtime.decode.probe import VideoInfo, check_supported
from vsrc.runtime.decode.video_reader import VideoReader
from vsrc.runtime.errors import MediaError
from vsrc.runtime.inspection.facts import Inspection
from vsrc.runtime.text.size_text import format_size, size_text


def inspect_video(path: Path) -> Inspection:
    """Report what FFmpeg reads from the file, after decoding its first frame.

    Raises:
        MediaError: It is not a video or image, or no frame can be decoded.
    """
    with closing(VideoReader(path, is_strict=True)) as reader:
        info = reader.info
    size_bytes = path.stat().st_size
    refusal = _refusal(info)
    seconds = None if info.duration is None else float(info.duration)
    kind = "picture" if path.suffix.lower() in PICTURE_SUFFIXES else "video"
    size = format_size(info.width, info.height)
    rows = [
        (kind, f"{info.codec} {size}, {info.pix_fmt}, {info.depth} bit"),
        ("colour", str(info.colour)),
    ]
    if kind == "video":
        rows.append(("time", _time_text(info)))
    if info.sample_aspect_ratio not in (None, 1):
        rows.append(("pixels", f"sample aspect ratio {info.sample_aspect_ratio}"))
    if info.rotation:
        rows.append(("rotated", f"by {info.rotation} degrees"))
    rows += [("" if index else "tracks", str(track)) for index, track in enumerate(info.tracks)]
    if info.chapters:
        rows.append(("chapters", str(info.chapters)))
    rows.append(("infer", f"rejects it: {refusal}" if refusal else "accepts it"))
    return Inspection(
        kind=kind,
        path=str(path),
        title=f"{info.container}, {size_text(size_bytes)}",
        rows=tuple(rows),
        facts={
            "size_bytes": size_bytes,
            "container": info.container,
            "codec": info.codec,
            "width_px": info.width,
            "height_px": info.height,
            "pix_fmt": info.pix_fmt,
            "depth_bits": info.depth,
            "colour": str(info.colour),
            "is_hdr": info.colour.is_hdr,
            "is_interlaced": info.is_interlaced,
            "fps": float(info.rate),
            "fps_fraction": str(info.rate),
            "frames": info.frames or info.counted or None,
            "duration_seconds": seconds,
            "sample_aspect_ratio": str(info.sample_aspect_ratio or 1),
            "rotation_degrees": info.rotation,
            "tracks": [str(track) for track in info.tracks],
            "chapters": info.chapters,
            "refusal": refusal,
        },
    )


def _time_text(info: VideoInfo) -> str:
    count = info.frames or info.counted
    frames = f"{count:,} frames" if count else "an unknown number of frames"
    length = "" if info.duration is None else f", {float(info.duration):.3f} s"
    return f"{frames}, {float(info.rate):.6g} per second on average{length}"


def _refusal(info: VideoInfo) -> str | None:
    """Return why `vsrc infer` rejects it without further options; None if it accepts it."""
    try:
        check_supported(info, allow_hdr=False, deinterlace=False)
    except MediaError as error:
        return str(error).removeprefix(info.path).strip()
    return None
