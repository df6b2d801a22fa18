"""What an interrupted calibration has saved is used as it was written, or not at all."""

from __future__ import annotations

from pathlib import Path

from vsrc.calibration.unfinished import Unfinished


def loaded(folder: Path, facts: object) -> tuple[int, list[bytes]]:
    restored: list[bytes] = []
    unfinished = Unfinished(folder, facts)
    unfinished.load(restored.append)
    return unfinished.count, restored


def test_any_damage_begins_anew(tmp_path: Path) -> None:
    Unfinished(tmp_path, ["facts"]).save(7, b"statistics of seven windows")
    assert loaded(tmp_path, ["facts"]) == (7, [b"statistics of seven windows"])
    assert loaded(tmp_path, ["other facts"]) == (0, [])
    (file,) = tmp_path.iterdir()
    data = file.read_bytes()
    for place in range(len(data)):
        file.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        assert loaded(tmp_path, ["facts"]) == (0, [])
    for stop in (0, 31, 64, len(data) - 1):
        file.write_bytes(data[:stop])
        assert loaded(tmp_path, ["facts"]) == (0, [])
