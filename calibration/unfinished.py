"""What a calibration that was stopped leaves behind, so that the same command goes on.

It lies in the package as a hidden file, under a key over all that decides the result up to there:
the graph and the draw. Another key means another calibration: the file is skipped and replaced.
"""

from __future__ import annotations

import hashlib
import json
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vsrc.runtime.errors import StoppedError
from vsrc.runtime.pending_file import write_file

_FILE = ".calibration.vsrc-resume"
_KEY_BYTES = 32
_COUNT_BYTES = 8
_EVERY_SECONDS = 10.0


class Unfinished:
    """The file of one calibration.

    Attributes:
        count: Windows that the file covers.

    Args:
        package: Where it lies.
        facts: What decides the result, as JSON takes it.
    """

    def __init__(self, package: Path, facts: object) -> None:
        self._path = package / _FILE
        text = json.dumps(facts, sort_keys=True).encode()
        self._key = hashlib.sha256(text).digest()
        self._saved = time.monotonic()
        self.count = 0

    def load(self, restore: Callable[[bytes], None]) -> None:
        """Hand on the state that is there, if it belongs to this calibration."""
        if not self._path.is_file():
            return
        data = self._path.read_bytes()
        if data[:_KEY_BYTES] != self._key:
            return
        try:
            restore(data[_KEY_BYTES + _COUNT_BYTES :])
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile):  # it was cut short
            return
        self.count = int.from_bytes(data[_KEY_BYTES : _KEY_BYTES + _COUNT_BYTES], "little")

    def save(self, count: int, state: bytes) -> None:
        """Replace the file; it is never half there."""
        write_file(self._path, self._key + count.to_bytes(_COUNT_BYTES, "little") + state)
        self._saved = time.monotonic()
        self.count = count

    @contextmanager
    def open_until_done(self, total: int) -> Iterator[None]:
        """Remove the file when the block ends well.

        Args:
            total: Windows of the calibration.

        Raises:
            StoppedError: In place of KeyboardInterrupt, if some windows are kept.
        """
        try:
            yield
        except KeyboardInterrupt as error:
            if not self.count:
                raise
            # The observer may have been in the middle of a window: what counts is the last save.
            raise StoppedError(
                f"stopped; what {self.count} of {total} windows showed is kept, and the same "
                "command goes on from there"
            ) from error
        self._path.unlink(missing_ok=True)

    @property
    def is_due(self) -> bool:
        """Whether it is some seconds since the last save."""
        return time.monotonic() - self._saved > _EVERY_SECONDS
