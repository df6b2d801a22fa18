"""The network beside the name of a measured model."""

from __future__ import annotations

from vsrc.runtime.latency.model_names import named_with


def test_the_network_stands_beside_another_name() -> None:
    assert named_with("student", "edge-s", scale=4) == "student (edge-s x4)"
    assert named_with("edge-s", "edge-s", scale=4) == "edge-s x4"
