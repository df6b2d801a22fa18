"""The sessions of a run: one for each model and bit depth that its inputs need."""

from __future__ import annotations

import logging
from collections.abc import Callable

from vsrc.runtime.backends.opening import first_that_loads, open_video_session
from vsrc.runtime.decode.probe import VideoInfo
from vsrc.runtime.decode.sources import Source
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.family import FamilyChoice, choose_family
from vsrc.runtime.package import Package, open_package
from vsrc.runtime.shipped_models import shipped
from vsrc.runtime.windows.session import Session

logger = logging.getLogger(__name__)

_Key = tuple[str | None, bool]
"""Name of the shipped student, or None for the model of the config; whether samples are deep."""


class RunSessions:
    """The sessions of a run, opened when the first input has been opened successfully.

    Attributes:
        said: Notes on what `auto` chose, and why not something faster.

    Args:
        config: Settings of the run.
        given: Open session that is used for all inputs, and left open.
    """

    def __init__(self, config: InferConfig, given: Session | None = None) -> None:
        self._config = config
        self._given = given
        self._own: dict[_Key, Session] = {}
        self._exact: dict[_Key, Session] = {}
        self.said: list[str] = []
        self._reported = 0

    def new_notes(self) -> tuple[str, ...]:
        """Notes of `said` that were not returned before: each is for one input alone."""
        notes, self._reported = tuple(self.said[self._reported :]), len(self.said)
        return notes

    def choose(self, source: Source, info: VideoInfo) -> FamilyChoice | None:
        """Choose a shipped student for a source; None where the model is given."""
        if self._given is not None or self._config.model is not None:
            return None
        return choose_family(source, info)

    def model_name(self, choice: FamilyChoice | None) -> str:
        """Return the name of the model of an input: of its package, or of the given network."""
        if self._given is not None:
            return self._given.network.name
        return choice.name if choice else (self._config.model or shipped()).stem

    def package(self, choice: FamilyChoice | None) -> Package:
        """Open the package of an input, whose session was not given."""
        return open_package(choice.package if choice else self._config.model or shipped())

    def session(self, info: VideoInfo, choice: FamilyChoice | None) -> Session:
        """Return the given session, or the session for this model and bit depth."""
        if self._given is not None:
            return self._given
        key = _key(info, choice)
        if key not in self._own:
            backend, precision = self._config.backend, self._config.precision
            self._own[key] = self._opened(info, choice, backend, precision, self._say)
        return self._own[key]

    @property
    def is_given(self) -> bool:
        """Whether the caller passed a session; its package is then unknown."""
        return self._given is not None

    def exact(self, info: VideoInfo, choice: FamilyChoice | None) -> Session:
        """Return the same network in fp32, on the same backend or else on the CPU.

        Raises:
            VsrcError: The package has no fp32 graph, or no backend can run it.
        """
        key = _key(info, choice)
        if key not in self._exact:
            self._exact[key] = first_that_loads(
                (self._config.backend, "ort"),
                lambda backend: self._opened(info, choice, backend, "fp32", logger.info),
                [],
            )
        return self._exact[key]

    def close(self) -> None:
        """Close the sessions that were opened here."""
        for session in (*self._own.values(), *self._exact.values()):
            session.close()

    def _say(self, note: str) -> None:
        if note not in self.said:
            self.said.append(note)

    def _opened(
        self,
        info: VideoInfo,
        choice: FamilyChoice | None,
        backend: str,
        precision: str,
        say: Callable[[str], None],
    ) -> Session:
        return open_video_session(
            self.package(choice),
            backend=backend,
            precision=precision,
            threads=self._config.threads,
            device=self._config.device,
            is_deep=info.depth > 8,
            size=(info.height, info.width),
            say=say,
        )


def _key(info: VideoInfo, choice: FamilyChoice | None) -> _Key:
    return (choice.name if choice else None, info.depth > 8)
