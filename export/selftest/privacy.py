"""Remove the names of host and user, and serial numbers, from evidence that is passed on."""

from __future__ import annotations

import getpass
import re
import socket
from pathlib import Path

_IDENTIFIERS = re.compile(
    r"(?:GPU|MIG)-[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
    r"|(?:[0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}"
    r"|(?<=[Ss]erial)(?: [Nn]umber)?\s*[:=]\s*\S+"
)
"""UUIDs of GPUs, MAC addresses, and what follows the word serial."""
_LEAST_NAME = 3
"""Length of the shortest name that is replaced: "pi" is in "pipeline"."""


def anonymize(text: str) -> str:
    """Replace names of host and user, the home folder, and identifiers of devices."""
    names = {str(Path.home()): "~", socket.gethostname(): "HOST", _user(): "USER"}
    for name, word in names.items():
        if len(name) >= _LEAST_NAME and name != "root":
            text = re.sub(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", word, text)
    return _IDENTIFIERS.sub("REMOVED", text)


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
