"""Saved state of an interrupted calibration, from which the same command resumes.

It is a hidden file in the package, with a hash of everything that determines the result so far (the
graph and the draw), and one of its own content. If one of them differs, the file belongs to another
calibration or is damaged: it is ignored and replaced.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vsrc.runtime.errors import StoppedError
from vsrc.runtime.package import inside
from vsrc.runtime.pending_file import write_file

_FILE = ".calibration.vsrc-resume"
_KEY_BYTES = 32
_HEAD_BYTES = 2 * _KEY_BYTES
_COUNT_BYTES = 8
_EVERY_SECONDS = 10.0


class Unfinished:
    """State file of one calibration.

    Attributes:
        count: Number of windows included in the saved state.

    Args:
        package: Package folder that holds the file.
        facts: Everything that determines the result, JSON-serialisable.

    Raises:
        SpecError: The file is a link that leads out of the package.
    """

    def __init__(self, package: Path, facts: object) -> None:
        self._path = inside(package, _FILE)
        text = json.dumps(facts, sort_keys=True).encode()
        self._key = hashlib.sha256(text).digest()
        self._saved = time.monotonic()
        self.count = 0

    def load(self, restore: Callable[[bytes], None]) -> None:
        """Pass the saved state to `restore` if it belongs to this calibration."""
        if not self._path.is_file():
            return
        data = self._path.read_bytes()
        key, digest, content = data[:_KEY_BYTES], data[_KEY_BYTES:_HEAD_BYTES], data[_HEAD_BYTES:]
        if key != self._key or digest != hashlib.sha256(content).digest():
            return
        restore(content[_COUNT_BYTES:])
        self.count = int.from_bytes(content[:_COUNT_BYTES], "little")

    def save(self, count: int, state: bytes) -> None:
        """Replace the file atomically."""
        content = count.to_bytes(_COUNT_BYTES, "little") + state
        write_file(self._path, self._key + hashlib.sha256(content).digest() + content)
        self._saved = time.monotonic()
        self.count = count

    @contextmanager
    def open_until_done(self, total: int) -> Iterator[None]:
        """Remove the file when the block ends without an exception.

        Args:
            total: Number of windows of the calibration.

        Raises:
            StoppedError: Instead of KeyboardInterrupt, if the state of some windows is saved.
        """
        try:
            yield
        except KeyboardInterrupt as error:
            if not self.count:
                raise
            # The observer may have been in the middle of a window: only the last save is valid.
            raise StoppedError(
                f"stopped; the statistics of {self.count} of {total} windows are kept; run the "
                "same command again to resume"
            ) from error
        self._path.unlink(missing_ok=True)

    @property
    def is_due(self) -> bool:
        """Whether the last save was long enough ago (some seconds) to save again."""
        return time.monotonic() - self._saved > _EVERY_SECONDS
