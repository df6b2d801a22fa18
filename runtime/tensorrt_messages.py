"""What TensorRT logs: errors are kept, for the line that is shown when something fails."""

from __future__ import annotations

from typing import Any


class Messages:
    """Errors that were logged, the first one first: it is the cause, the others follow from it."""

    def __init__(self) -> None:
        self.errors: list[str] = []

    def cause(self) -> str:
        """The first error in one line; empty if nothing was said."""
        return " ".join(self.errors[0].split()) if self.errors else ""


def listener(module: Any, messages: Messages) -> Any:  # noqa: ANN401  classes of TensorRT
    """A logger of TensorRT that keeps errors and is silent otherwise."""
    loud = (module.ILogger.Severity.INTERNAL_ERROR, module.ILogger.Severity.ERROR)

    class Listener(module.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()

        def log(self, severity: object, text: str) -> None:
            if severity in loud:
                messages.errors.append(text)

    return Listener()
