"""Files that are there when they are complete, and what is left of those that never were."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from vsrc.runtime.part_file import PartFile

KILLED = """
import os, signal, sys
from pathlib import Path
from vsrc.runtime.part_file import PartFile
PartFile(Path(sys.argv[1])).file.write(b"half")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_is_removed_and_what_is_in_use_is_not(tmp_path: Path) -> None:
    path = tmp_path / "a[1].mp4"
    subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    (orphan,) = tmp_path.iterdir()
    first = PartFile(path)
    assert not orphan.exists()
    second = PartFile(path)
    assert len(list(tmp_path.iterdir())) == 2
    second.file.write(b"whole")
    second.commit()
    first.discard()
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [
        ("a[1].mp4", b"whole")
    ]
