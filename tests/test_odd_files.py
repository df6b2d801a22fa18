"""Foreign, damaged and odd files end a command with one line, at once."""

from __future__ import annotations

import json
import os
import shutil
import struct
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from support.optional import skip_without
from support.small_clip import write_small_clip
from vsrc.cli import main
from vsrc.runtime.jobs.manifest import Manifest

BOMB = "data: [[&a [x, x, x], &b [*a, *a, *a], &c [*b, *b, *b], &d [*c, *c, *c]]]\n"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def refused(done: Result, status: int) -> str:
    """The one line that a command ended with."""
    assert done.exit_code == status, done.output
    (line,) = done.stderr.splitlines()
    assert line.startswith("vsrc: ")
    return line


def safetensors(header: object, data: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


@pytest.mark.parametrize(
    "header",
    [
        {"__metadata__": ["a"]},
        {"__metadata__": {"a": ["b"]}, "w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}},
        {"w": {"dtype": "F32", "shape": [10**400], "data_offsets": [0, 4]}},
        {"w": {"dtype": "F32", "shape": ["1"], "data_offsets": [0, 4]}},
        {"w": 3},
        ["w"],
        None,
    ],
)
def test_inspect_takes_odd_weights(tmp_path: Path, header: object) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(safetensors(header, bytes(4)))
    done = run("inspect", path)
    assert done.exit_code in (0, 1)
    assert done.exception is None or isinstance(done.exception, SystemExit)


@pytest.mark.parametrize("kind", ["no input", "no output", "empty", "bytes", "cut"])
def test_inspect_takes_odd_graphs(tmp_path: Path, tiny_package: Path, kind: str) -> None:
    skip_without("onnx")
    import onnx

    path = tmp_path / "a.onnx"
    whole = (tiny_package / "graphs" / "fp32.onnx").read_bytes()
    model = onnx.load_from_string(whole)
    if kind == "no input":
        del model.graph.node[0].input[:]
    elif kind == "no output":
        del model.graph.output[:]
    elif kind == "empty":
        model.Clear()
    path.write_bytes(model.SerializeToString())
    if kind == "bytes":
        path.write_bytes(b"\x08" * 99)
    elif kind == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    done = run("inspect", path)
    assert done.exit_code in (0, 1)
    assert done.exception is None or isinstance(done.exception, SystemExit)


@pytest.mark.parametrize("name", ["convnoin.onnx", "meta.safetensors"])
def test_inspect_takes_the_collected_files(cases: Path, name: str) -> None:
    refused(run("inspect", cases / "attack" / name), 1)


@pytest.mark.parametrize(
    "value", ["[", "!!python/object/apply:os.system [id]", "!tag x", "{a: ", "&a [*a]", "\x00"]
)
def test_a_setting_that_is_not_plain_yaml_is_a_line(value: str) -> None:
    skip_without("torch", "yaml")
    refused(run("distill", "--data", ".", "--set", f"steps={value}", "--dry-run"), 2)


def test_a_recipe_of_aliases_is_refused_at_once(tmp_path: Path, cases: Path) -> None:
    skip_without("torch", "yaml")
    (tmp_path / "bomb.yaml").write_text(BOMB)
    (tmp_path / "long.yaml").write_bytes(b"#" * (2 << 20))
    (tmp_path / "deep.yaml").write_text("a: " + "[" * 9999)
    for path in (*tmp_path.iterdir(), cases / "attack" / "bomb4.yaml"):
        line = refused(run("distill", "--recipe", path, "--dry-run"), 2)
        assert len(line) < 600


@pytest.mark.parametrize("name", ["stdin", "stdout"])
def test_a_closed_pipe_is_a_line(
    tmp_path: Path, tiny_package: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    clip = write_small_clip(tmp_path / "a.mp4")
    inputs = ("-", "-o", tmp_path / "b.mkv") if name == "stdin" else (clip, "-o", "-")
    from vsrc.runtime.decode import media_file
    from vsrc.runtime.jobs import run_plan

    monkeypatch.setattr(media_file if name == "stdin" else run_plan, "sys", _Without(name))
    line = refused(run("infer", *inputs, "-m", tiny_package, "--backend", "ort"), 1)
    assert f"{name} is closed" in line


class _Without:
    """The module `sys` of a process that was started without one of its streams."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> object:
        return None if name == self._name else getattr(sys, name)


@pytest.mark.parametrize(
    "text",
    [
        *("[]", "null", '"x"', "3", "[" * 9999, "\xff", '{"items": 3}'),
        '{"kind": "vsrc-manifest"}',
        '{"kind": "vsrc-manifest", "schema_version": 2, "items": [{"output": 3}]}',
        '{"kind": "vsrc-manifest", "schema_version": 1, "items": "abc"}',
    ],
)
def test_foreign_manifests_are_skipped(tmp_path: Path, text: str) -> None:
    path = tmp_path / "my-manifest-2.json"
    path.write_text(text, encoding="latin-1")
    os.mkfifo(tmp_path / "pipe-manifest.json")
    assert Manifest(path, None).items == {}
    assert Manifest(tmp_path / "pipe-manifest.json", None).items == {}


@pytest.mark.parametrize("umask", [0o077, 0o027, 0o022])
def test_the_files_of_a_package_have_the_permissions_of_the_umask(
    tmp_path: Path, tiny_package: Path, umask: int
) -> None:
    shutil.copytree(tiny_package, tmp_path / "a.vsrc")
    for path in (tmp_path / "a.vsrc").rglob("*"):
        path.chmod(0o777)
    before = os.umask(umask)
    try:
        assert run("pack", tmp_path / "a.vsrc", "-o", tmp_path / "b.vsrc").exit_code == 0
    finally:
        os.umask(before)
    for path in (tmp_path / "b.vsrc", *(tmp_path / "b.vsrc").rglob("*")):
        everything = 0o777 if path.is_dir() else 0o666
        assert path.stat().st_mode & 0o777 == everything & ~umask
