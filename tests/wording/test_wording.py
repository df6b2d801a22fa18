"""What each command says where something is wrong, word for word.

The other tests look at the class of an error and at the values in it. All wording is in
`snapshots/COMMAND.txt`, as a terminal shows it. To try one more mistake, add its `$ vsrc ...` line
there. `VSRC_UPDATE_SNAPSHOTS=1 pytest tests/wording` writes the answers, and git shows the change.
"""

from __future__ import annotations

import os
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from support.optional import skip_without
from support.transcripts import rerun

SNAPSHOTS = Path(__file__).with_name("snapshots")


@pytest.fixture(scope="module")
def folder(
    untrained_package: Path, tiny_package: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The files that the transcripts name."""
    skip_without("yaml", "PIL")
    from PIL import Image

    root = tmp_path_factory.mktemp("wording")
    shutil.copytree(untrained_package, root / "untrained.vsrc")
    shutil.copytree(tiny_package, root / "student.vsrc")
    shutil.copytree(tiny_package, root / "damaged.vsrc")
    (root / "damaged.vsrc" / "graphs" / "fp32.onnx").write_bytes(b"no graph")
    for name, frames in (("clip.mkv", 5), ("short.mkv", 2)):
        write_video(root / "videos" / name, frames)
    shutil.copy(root / "videos" / "clip.mkv", root / "clip.mkv")
    for name, size in (("a.png", (32, 24)), ("b.png", (24, 24))):
        (root / "pictures").mkdir(exist_ok=True)
        Image.new("RGB", size).save(root / "pictures" / name)
    (root / "nothing").mkdir()
    (root / "broken.mp4").write_bytes(bytes(100))
    (root / "notes.txt").write_text("notes\n" * 99)
    (root / "existing.mkv").touch()
    (root / "list.yaml").write_text("- steps")
    (root / "typo.yaml").write_text("learning_rat: 1")
    (root / "kind.yaml").write_text("steps: many")
    (root / "broken.json").write_text("{")
    (root / "mine.py").write_text("def make(scale=4): ...")
    (root / "other.json").write_text("{}")
    (root / "set.json").write_text('{"kind": "vsrc-bench-set"}')
    return root


def write_video(path: Path, frames: int) -> None:
    """A still of noise, 32x24, as FFV1."""
    import av

    path.parent.mkdir(exist_ok=True)
    noise = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=Fraction(25))
        stream.height, stream.width, stream.pix_fmt = 24, 32, "bgr0"
        for _ in range(frames):
            picture = av.VideoFrame.from_ndarray(noise, format="rgb24")
            container.mux(stream.encode(picture.reformat(format="bgr0")))
        container.mux(stream.encode(None))


@pytest.mark.parametrize("snapshot", sorted(SNAPSHOTS.glob("*.txt")), ids=lambda path: path.stem)
def test_a_command_says_what_its_snapshot_says(
    snapshot: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shutil.copytree(folder, tmp_path / "here"))
    expected = snapshot.read_text(encoding="utf-8")
    answers = rerun(expected)
    if os.environ.get("VSRC_UPDATE_SNAPSHOTS") == "1":
        snapshot.write_text(answers, encoding="utf-8")
    else:
        assert answers.splitlines() == expected.splitlines()


def test_every_command_has_a_snapshot() -> None:
    from vsrc.cli import COMMANDS

    quiet = {"completion", "doctor", "selftest", "zoo"}  # they take no input that could be wrong
    assert {path.stem for path in SNAPSHOTS.glob("*.txt")} == set(COMMANDS) - quiet
