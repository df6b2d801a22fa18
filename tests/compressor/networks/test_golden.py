from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.golden import Golden


@pytest.mark.parametrize("name", ["edvr_m_tsa", "pisr_fsrcnn_teacher_x4"])
def test_filled_weights_have_the_checksum_of_the_manifest(golden: Golden, name: str) -> None:
    manifest = json.loads((golden.folder / f"{name}.manifest.json").read_text())
    weights = [tensor.double() for tensor in golden.weights(name).values()]
    total = sum(w.sum().item() for w in weights)
    squares = sum(w.square().sum().item() for w in weights)
    assert len(weights) == manifest["n_keys"]
    assert total == pytest.approx(manifest["filled_checksum"]["sum"], rel=1e-9)
    assert squares == pytest.approx(manifest["filled_checksum"]["sum_sq"], rel=1e-9)
