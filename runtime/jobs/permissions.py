"""What the command line allows beyond local files, for work that other processes do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from vsrc.runtime.backends.device.engine_trust import allow_engines, are_all_engines_allowed
from vsrc.runtime.media_access import MediaAccess, allow_media, media_access


@dataclass(frozen=True)
class Permissions:
    """What a process may open and load; see `media_access` and `engine_trust`.

    Attributes:
        media: What media files may be opened beside local ones.
        engines: Whether engines that were not built on the machine may be loaded.
    """

    media: MediaAccess
    engines: bool

    @classmethod
    def of_this_process(cls) -> Permissions:
        """Return what is allowed now."""
        return cls(media_access(), are_all_engines_allowed())

    @contextmanager
    def granted(self) -> Iterator[None]:
        """Allow it in this process, for the block."""
        with ExitStack() as stack:
            stack.enter_context(
                allow_media(network=self.media.network, playlists=self.media.playlists)
            )
            if self.engines:
                stack.enter_context(allow_engines())
            yield
