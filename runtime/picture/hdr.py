"""HDR metadata: mastering display (ST 2086) and content light level (CTA-861.3).

Each encoder has its own options and syntax for both.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from vsrc.runtime.pyav_versions import side_data

if TYPE_CHECKING:
    import av

Point = tuple[Fraction, Fraction]
"""CIE 1931 chromaticity, x and y."""

_DYNAMIC = ("DYNAMIC_HDR_PLUS", "DYNAMIC_HDR_VIVID", "DOVI_RPU_BUFFER", "DOVI_METADATA")
"""Dynamic metadata, which is valid only for the frames of the source."""


@dataclass(frozen=True)
class Mastering:
    """The display on which a video was graded.

    Attributes:
        red: Chromaticity of the red primary.
        green: Chromaticity of the green primary.
        blue: Chromaticity of the blue primary.
        white: Chromaticity of the white point.
        darkest: Minimum luminance, cd/m2.
        brightest: Maximum luminance, cd/m2.
    """

    red: Point
    green: Point
    blue: Point
    white: Point
    darkest: Fraction
    brightest: Fraction


@dataclass(frozen=True)
class HdrMetadata:
    """HDR metadata of a stream.

    Attributes:
        mastering: Mastering display, or None.
        light: MaxCLL and MaxFALL (largest pixel, largest frame average), cd/m2, or None.
        is_dynamic: Whether frames have dynamic metadata, which cannot be kept.
    """

    mastering: Mastering | None = None
    light: tuple[int, int] | None = None
    is_dynamic: bool = False


NO_HDR = HdrMetadata()


def hdr_metadata(frame: av.VideoFrame) -> HdrMetadata:
    """Read the metadata of a decoded frame."""
    by_type = side_data(frame)
    mastering = by_type.get("MASTERING_DISPLAY_METADATA")
    light = by_type.get("CONTENT_LIGHT_LEVEL")
    return HdrMetadata(
        mastering=_read_mastering(mastering) if mastering else None,
        light=struct.unpack_from("=II", light) if light else None,
        is_dynamic=any(name in by_type for name in _DYNAMIC),
    )


def hdr_options(encoder: str, hdr: HdrMetadata) -> dict[str, str]:
    """Return the options of FFmpeg's encoder for the metadata; empty if it has none.

    Returns:
        Option name -> text to append to its value, separated by colons.
    """
    words = []
    if encoder in ("libx265", "libx264"):
        # Units of H.265, annex D.3.28: 0.00002, and 0.0001 cd/m2.
        display, level = ("master-display", "max-cll")
        if encoder == "libx264":
            display, level = ("mastering-display", "cll")
        if hdr.mastering:
            words.append(f"{display}={_format_screen(hdr.mastering, 50_000, 10_000)}")
        words += [f"{level}={hdr.light[0]},{hdr.light[1]}"] if hdr.light else []
        return {encoder.removeprefix("lib") + "-params": ":".join(words)} if words else {}
    if encoder == "libsvtav1":
        if hdr.mastering:
            words.append(f"mastering-display={_format_screen(hdr.mastering, None, None)}")
        words += [f"content-light={hdr.light[0]},{hdr.light[1]}"] if hdr.light else []
        return {"svtav1-params": ":".join(words)} if words else {}
    return {}


def _read_mastering(data: bytes) -> Mastering | None:
    """Parse FFmpeg's AVMasteringDisplayMetadata: ten rationals, then flags for which are set."""
    *numbers, has_primaries, has_luminance = struct.unpack_from("=22i", data)
    if not has_primaries or not has_luminance or 0 in numbers[1::2]:
        return None
    red_x, red_y, green_x, green_y, blue_x, blue_y, white_x, white_y, darkest, brightest = (
        Fraction(top, bottom) for top, bottom in zip(numbers[::2], numbers[1::2], strict=True)
    )
    return Mastering(
        red=(red_x, red_y),
        green=(green_x, green_y),
        blue=(blue_x, blue_y),
        white=(white_x, white_y),
        darkest=darkest,
        brightest=brightest,
    )


def _format_screen(screen: Mastering, per_unit: int | None, per_candela: int | None) -> str:
    """Format as `G(x,y)B(x,y)R(x,y)WP(x,y)L(brightest,darkest)`, in integer units or decimals."""

    def number(value: Fraction, scale: int | None) -> str:
        return f"{float(value):.7g}" if scale is None else str(round(value * scale))

    points = {"G": screen.green, "B": screen.blue, "R": screen.red, "WP": screen.white}
    places = "".join(
        f"{name}({number(x, per_unit)},{number(y, per_unit)})" for name, (x, y) in points.items()
    )
    levels = f"{number(screen.brightest, per_candela)},{number(screen.darkest, per_candela)}"
    return f"{places}L({levels})"
