"""Read bytes around a place of a file that FFmpeg reads, or of a pipe, which passes only once."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from vsrc.runtime.decode.transport.transport_packets import HEAD_BYTES

_KEPT_BYTES = 32 << 20
"""Last bytes of a pipe that are kept: FFmpeg may have read so far beyond the packet that it
returns."""


class ByteSource(Protocol):
    """What FFmpeg reads a container from; places are counted from where the container begins."""

    def head(self) -> bytes:
        """Return the first `HEAD_BYTES` bytes."""

    def read_range(self, start: int, stop: int) -> tuple[int, bytes]:
        """Return bytes of `[start, stop)`, and the place of the first of them.

        Fewer come back where the source ends before, or no longer has what is farther back.
        """


@dataclass(frozen=True)
class FileBytes:
    """A file, or a part of one.

    Attributes:
        path: The file.
        begin: Place at which the part begins.
    """

    path: Path
    begin: int = 0

    def head(self) -> bytes:
        """See `ByteSource`."""
        return self.read_range(0, HEAD_BYTES)[1]

    def read_range(self, start: int, stop: int) -> tuple[int, bytes]:
        """See `ByteSource`."""
        with self.path.open("rb") as file:
            file.seek(self.begin + start)
            return start, file.read(stop - start)


class KeptBytes:
    """A binary stream that keeps the last bytes that were read from it.

    FFmpeg reads it as it would read the stream. `read_range` may read ahead; those bytes are
    returned again by `read`.

    Args:
        stream: Stream to read, such as stdin.
        most: Most bytes to keep.
    """

    def __init__(self, stream: BinaryIO, *, most: int = _KEPT_BYTES) -> None:
        self._stream, self._most = stream, most
        self._head = b""
        self._chunks: deque[bytes] = deque()
        self._begin = self._end = 0  # of the chunks
        self._place = 0

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes; fewer at the end of the stream."""
        if self._place == self._end:
            self._take(size)
        stop = self._end if size < 0 else min(self._end, self._place + size)
        data = self._kept(self._place, stop)
        self._place = stop
        return data

    def seekable(self) -> bool:
        """Whether FFmpeg may go to another place, as in a file that stdin was redirected from."""
        return self._stream.seekable()

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to another place; what was kept is forgotten."""
        if whence == 1:  # the stream itself may be ahead
            offset, whence = self._place + offset, 0
        self._place = self._stream.seek(offset, whence)
        self._chunks.clear()
        self._begin = self._end = self._place
        return self._place

    def tell(self) -> int:
        """Return the place of the next byte."""
        return self._place

    def keep_nothing(self) -> None:
        """Keep no more bytes, of a stream in which nobody will look back."""
        self._most = 0

    def head(self) -> bytes:
        """See `ByteSource`."""
        return self._head

    def read_range(self, start: int, stop: int) -> tuple[int, bytes]:
        """See `ByteSource`; waits for bytes that have not come yet."""
        while self._end < stop and self._take(stop - self._end):
            pass
        start = max(start, self._begin)
        return start, self._kept(start, stop)

    def _take(self, size: int) -> bool:
        """Read on in the stream; return whether anything came."""
        data = self._stream.read(size)
        if not data:
            return False
        if self._end < HEAD_BYTES and len(self._head) == self._end:
            self._head = (self._head + data)[:HEAD_BYTES]
        self._chunks.append(data)
        self._end += len(data)
        while self._chunks and self._begin + len(self._chunks[0]) <= min(
            self._end - self._most, self._place
        ):
            self._begin += len(self._chunks.popleft())
        return True

    def _kept(self, start: int, stop: int) -> bytes:
        parts, place = [], self._end
        for chunk in reversed(self._chunks):
            place -= len(chunk)
            if place < stop:
                parts.append(chunk[max(0, start - place) : stop - place])
            if place <= start:
                break
        return b"".join(reversed(parts))
