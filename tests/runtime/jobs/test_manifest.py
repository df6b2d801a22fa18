"""A manifest is what it was written as, or counts as none: it is only a hint of what is done."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from support.malformed import JSON, changed
from vsrc.runtime.backends.graph_in_use import GraphInUse
from vsrc.runtime.encode.segments import Segment
from vsrc.runtime.jobs.manifest import Item, Manifest

GRAPH = GraphInUse("ort-cpu", "int8-cpu", "graphs/int8-cpu.onnx", "0" * 64)
ITEMS = (
    Item("a.mp4", "a.mkv", "1", GRAPH, 9, (0, 5), (Segment(0, 5, "2", 7),)),
    Item("b.mp4", "b.mkv", error="not a video"),
)


def written() -> str:
    with tempfile.TemporaryDirectory() as folder:
        manifest = Manifest(Path(folder) / "vsrc-manifest.json", None)
        for item in ITEMS:
            manifest.record(item)
        manifest.save()
        return manifest.path.read_text(encoding="utf-8")


TEXT = written()


def read(content: bytes) -> dict[str, Item]:
    """The items of such a file, which can be saved again."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vsrc-manifest.json"
        path.write_bytes(content)
        manifest = Manifest(path, None)
        manifest.save()
        return manifest.items


def test_what_was_written_is_read() -> None:
    assert tuple(read(TEXT.encode()).values()) == ITEMS


def test_items_of_before_graphs_were_noted_are_read() -> None:
    data = json.loads(TEXT)
    del data["items"][0]["graph"]
    assert read(json.dumps(data).encode())["a.mkv"].graph is None


def test_a_manifest_of_version_1_is_read() -> None:
    segment = {"first": 0, "stop": 5, "sha256": "2", "size_bytes": 7, "redone": 3, "spoilt": 1}
    item = {"input": "a.mp4", "output": "a.mkv", "job": "1", "frames": 9, "piece": [0, 5]}
    item |= {"segments": [segment], "redone": 4, "spoilt": 2}
    data = {"kind": "vsrc-manifest", "schema_version": 1, "items": [item]}
    read_item = read(json.dumps(data).encode())["a.mkv"]
    assert (read_item.recomputed_frames, read_item.corrupted_frames) == (4, 2)
    (read_segment,) = read_item.segments
    assert (read_segment.recomputed_frames, read_segment.corrupted_frames) == (3, 1)
    assert read(json.dumps({**data, "schema_version": 2}).encode()) == {}  # the names of version 1


@given(st.binary(max_size=64) | st.just(b"[" * 100_000))
def test_bytes_are_no_manifest(content: bytes) -> None:
    assert read(content) == {}


@given(JSON | changed(json.loads(TEXT)))
def test_a_changed_manifest_is_read_or_counts_as_none(data: object) -> None:
    for output, item in read(json.dumps(data).encode()).items():
        assert (type(output), type(item)) == (str, Item)
