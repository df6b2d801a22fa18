"""Frames with their time stamps, on the way from the reader through the network to the writer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vsrc.runtime.pixels import Pixels

if TYPE_CHECKING:
    from av.packet import Packet
    from av.stream import Stream

Packets = tuple["Packet[Stream]", ...]


@dataclass(frozen=True, eq=False)
class SourceFrame:
    """One frame of the source.

    Attributes:
        rgb: `(H, W, 3)` uint8, or uint16 where the source has more than 8 bits.
        pts: When it is shown, in units of the stream's time_base.
        duration: How long it is shown, the same unit; 0 where nothing says so.
        packets: Packets of the other tracks that lie before it in the file, on their way to the
            writer. They ride on the frames so that the order of the result never depends on timing.
        starts_shot: It does not continue the frame before it.
        wanted: False for a neighbour that is fed to the network but not restored itself.
        name: File name without suffix, where the source is a row of pictures.
    """

    rgb: Pixels
    pts: int
    duration: int = 0
    packets: Packets = ()
    starts_shot: bool = False
    wanted: bool = True
    name: str = ""


@dataclass(frozen=True, eq=False)
class ResultFrame:
    """One frame of the result; the fields are those of `SourceFrame`.

    Attributes:
        rgb: `(sH, sW, 3)` of the source's type, or None where only the packets go on, or where the
            frame is kept.
        pts: In units of the result's time_base.
        duration: The same unit.
        packets: As they rode on the source frame.
        name: File name without suffix, where the source is a row of pictures.
        is_kept: It is part of the result and encoded already, by a run that was stopped.
        starts_shot: It does not continue the frame before it.
        is_redone: Reduced precision had spoilt it, and it was restored again in fp32.
        is_spoilt: Reduced precision has spoilt it, and it could not be.
    """

    rgb: Pixels | None
    pts: int
    duration: int = 0
    packets: Packets = ()
    name: str = ""
    is_kept: bool = False
    starts_shot: bool = False
    is_redone: bool = False
    is_spoilt: bool = False

    @property
    def counts(self) -> bool:
        """Whether it is a frame of the result."""
        return self.rgb is not None or self.is_kept
