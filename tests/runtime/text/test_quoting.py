"""Nothing foreign moves the cursor, begins a line or turns the text around."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from support.small_clip import write_small_clip
from vsrc.cli import main
from vsrc.runtime.text.quoting import printable, printable_lines, quoted


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain name.mp4", "plain name.mp4"),
        ("Größe 東京 🎬\u00a0x", "Größe 東京 🎬\u00a0x"),
        ("a\nvsrc: b", "a\\nvsrc: b"),
        ("\x1b[31m\x07\x7f\x9b", "\\x1b[31m\\a\\x7f\\x9b"),
        ("\udcff\udc80.mp4", "\\xff\\x80.mp4"),
        ("\u202egpj.exe\u2028", "\\u202egpj.exe\\u2028"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_is_not_printed_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_any_text_is_one_line_that_can_be_written(text: str) -> None:
    shown = printable(text)
    assert len(shown.splitlines()) <= 1
    shown.encode()
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in shown)
    assert printable_lines("a\n" + shown) == "a\n" + shown


@dataclass(frozen=True)
class _Inner:
    names: tuple[str, ...]


@dataclass(frozen=True)
class _Result:
    path: Path
    inner: _Inner
    values: dict[str, list[float]]


def test_a_result_is_copied_with_printable_texts() -> None:
    result = _Result(Path("a\nb"), _Inner(("c\x1b", "d")), {"e\r": [1.0]})
    assert quoted(result) == _Result(Path("a\\nb"), _Inner(("c\\x1b", "d")), {"e\\r": [1.0]})


def raw(text: str) -> set[str]:
    return {character for character in text if character in "\x1b\x07\r\x9b\u202e"}


def test_provenance_cannot_forge_lines_of_inspect(tmp_path: Path, tiny_package: Path) -> None:
    path = tmp_path / "a.vsrc"
    shutil.copytree(tiny_package, path)
    data = json.loads((path / "model.json").read_text())
    licence = "MIT\n\x1b[1A  graph fp32   all sound"
    data["provenance"].update(licence=licence, command="\x1b]0;x\x07\u202e")
    (path / "model.json").write_text(json.dumps(data))
    done = CliRunner().invoke(main, ["inspect", str(path)])
    assert done.exit_code == 0
    assert not raw(done.stdout)
    assert not any(line.lstrip().startswith("graph fp32   all") for line in done.stdout.split("\n"))
    as_json = CliRunner().invoke(main, ["inspect", str(path), "--json"])
    assert licence in json.dumps(json.loads(as_json.stdout), ensure_ascii=False).encode().decode(
        "unicode_escape"
    )


@pytest.mark.parametrize("name", ["a\x1b[31m\nvsrc: done.mp4", "b\udcff\r.mp4", "[red]x[bold].mp4"])
def test_names_of_files_are_quoted_in_lines_and_work_in_reports(
    tmp_path: Path, tiny_package: Path, name: str
) -> None:
    clip = write_small_clip(tmp_path / "clip.mp4").rename(tmp_path / name)
    arguments = ["infer", str(clip), "-m", str(tiny_package), "--backend", "ort"]
    output = tmp_path / f"out{name}"
    report = tmp_path / "r.html"
    done = CliRunner().invoke(main, [*arguments, "-o", str(output), "--report", str(report)])
    assert done.exit_code == 0, done.output
    assert not raw(done.output)
    assert output.is_file()
    report.read_text(encoding="utf-8")
    missing = CliRunner().invoke(main, [*arguments[:1], f"no{name}", "-o", "x.mp4"])
    assert missing.exit_code == 1
    assert not raw(missing.output)
    assert missing.stderr.count("\n") == 1
    page = tmp_path / "c.html"
    compared = CliRunner().invoke(main, ["compare", str(clip), str(output), "-o", str(page)])
    assert compared.exit_code == 0, compared.output
    page.read_text(encoding="utf-8")
