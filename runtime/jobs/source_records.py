"""The records of the files of a source, in the folder of an interrupted run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vsrc.runtime.encode.segments import SOURCES_FILE
from vsrc.runtime.errors import SpecError
from vsrc.runtime.hashing import ContentRecord
from vsrc.runtime.schema import from_json, to_json


@dataclass(frozen=True)
class SourceRecords:
    """The content of `sources.json`: a record for each file, in the order of the source."""

    files: tuple[ContentRecord, ...]


def records_to_text(records: Sequence[ContentRecord]) -> str:
    """Format the records of a source."""
    return json.dumps(to_json(SourceRecords(tuple(records))))


def load_records(folder: Path) -> tuple[ContentRecord, ...]:
    """Read the records from the folder of an interrupted run; empty if there are none."""
    file = folder / SOURCES_FILE
    try:
        if not file.is_file():
            return ()
        data = json.loads(file.read_text(encoding="utf-8"))
        return from_json(SourceRecords, data, where=str(file)).files
    except (OSError, ValueError, RecursionError, SpecError):
        return ()
