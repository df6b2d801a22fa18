"""Remove the names of host and user, and serial numbers, from evidence that is passed on."""

from __future__ import annotations

import getpass
import json
import re
import socket
from pathlib import Path

_IDENTIFIERS = re.compile(
    r"(?:GPU|MIG)-[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
    r"|(?:[0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}"
)
"""UUIDs of GPUs, and MAC addresses."""
_SERIAL_NUMBER = re.compile(
    r"""(serial(?:[ _-]?(?:number|no))?["']?\s*[:=]\s*["']?)[^\s"',;]+""", re.IGNORECASE
)
"""The word serial and what follows it, in text or JSON."""
_LEAST_NAME = 3
"""Length of the shortest name that is replaced: "pi" is in "pipeline"."""


def anonymize(text: str) -> str:
    """Replace names of host and user, the home folder, and identifiers of devices.

    Args:
        text: Text, or JSON, where letters beyond ASCII may be escaped.
    """
    names = {str(Path.home()): "~", socket.gethostname(): "HOST", _user(): "USER"}
    for name, word in names.items():
        if len(name) >= _LEAST_NAME and name != "root":
            for written in (name, json.dumps(name)[1:-1]):
                text = re.sub(rf"(?<![\w.-]){re.escape(written)}(?![\w-])", word, text)
    return _SERIAL_NUMBER.sub(r"\1REMOVED", _IDENTIFIERS.sub("REMOVED", text))


def anonymize_files(folder: Path) -> None:
    """Rewrite each text file below a folder."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        if (clean := anonymize(text)) != text:
            path.write_text(clean, encoding="utf-8")


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""
