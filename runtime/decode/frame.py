"""Frames with time stamps, passed from the reader through the network to the writer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vsrc.runtime.picture.device_planes import ResidentFrame, Surface
from vsrc.runtime.pixels import Pixels

if TYPE_CHECKING:
    import av
    from av.packet import Packet
    from av.stream import Stream

Packets = tuple["Packet[Stream]", ...]


@dataclass(frozen=True, eq=False)
class SourceFrame:
    """One frame of the source.

    Attributes:
        rgb: `(H, W, 3)` uint8, or uint16 where the source has more than 8 bits.
        pts: Presentation time stamp, units of the stream's time_base.
        duration: Display duration, units of the stream's time_base; 0 if unknown.
        packets: Packets of the other tracks that precede it in the file. They are attached to the
            frames so that the order of the output never depends on timing.
        starts_shot: Whether it is the first frame of a shot.
        wanted: False for a neighbour that is fed to the network but not upscaled itself.
        name: File name without suffix, where the source is an image sequence.
        carrier: Frame with the captions and other side data of this one; see `make_carrier`.
        resident: The same pixels in the memory of a device; None if they are not there.
    """

    rgb: Pixels
    pts: int
    duration: int = 0
    packets: Packets = ()
    starts_shot: bool = False
    wanted: bool = True
    name: str = ""
    carrier: av.VideoFrame | None = None
    resident: ResidentFrame | None = None


@dataclass(frozen=True, eq=False)
class ResultFrame:
    """One frame of the result; the fields are those of `SourceFrame`.

    Attributes:
        rgb: Pixels, `(sH, sW, 3)` in the source's dtype; None if there are only packets, if the
            frame is kept, or if it is on a device.
        pts: Presentation time stamp, units of the result's time_base.
        duration: Display duration, units of the result's time_base.
        packets: Packets of the source frame.
        name: File name without suffix, where the source is an image sequence.
        is_kept: Whether it was already encoded, by a run that was stopped.
        starts_shot: Whether it is the first frame of a shot.
        is_recomputed: Whether reduced precision had corrupted it, and it was recomputed in fp32.
        is_corrupted: Whether reduced precision has corrupted it, and it could not be recomputed.
        carrier: Frame with the captions and other side data of the source frame.
        surface: The frame for the encoder of a device, in its memory; None if it is not there.
    """

    rgb: Pixels | None
    pts: int
    duration: int = 0
    packets: Packets = ()
    name: str = ""
    is_kept: bool = False
    starts_shot: bool = False
    is_recomputed: bool = False
    is_corrupted: bool = False
    carrier: av.VideoFrame | None = None
    surface: Surface | None = None

    @property
    def is_new(self) -> bool:
        """Whether it was upscaled in this run, not copied or kept from an interrupted run."""
        return self.rgb is not None or self.surface is not None

    @property
    def counts(self) -> bool:
        """Whether it is a frame of the result."""
        return self.is_new or self.is_kept
