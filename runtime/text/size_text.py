"""Sizes as text: networks are fed `HxW`, as tensors are; videos are `WxH`, as in FFmpeg."""

from __future__ import annotations

_LANDSCAPE = frozenset({(1920, 1080), (1280, 720), (3840, 2160)})
"""Width and height of the usual landscape videos, pixels."""


def format_shape(height: int, width: int) -> str:
    """Format the shape of LR frames as `--shape` takes it: "180x320 (HxW)"."""
    return f"{height}x{width} (HxW)"


def format_size(width: int, height: int) -> str:
    """Format the size of a video or an image: "1920x1080 (WxH)"."""
    return f"{width}x{height} (WxH)"


def hint_at_swapped_shape(height: int, width: int) -> str | None:
    """Return a hint if a shape looks like the width and height of a usual landscape video."""
    if (height, width) not in _LANDSCAPE:
        return None
    return (
        f"--shape is HxW: {height}x{width} is a portrait frame of {height} rows; "
        f"for landscape: --shape {width}x{height}"
    )


def size_text(size_bytes: int) -> str:
    """Format a size with three digits and a suitable unit: "175 kB"."""
    value = float(size_bytes)
    for unit in ("bytes", "kB", "MB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} GB" if value < 1000 else f"{value:,.0f} GB"
