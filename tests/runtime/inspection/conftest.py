"""An installation that the doctor examines."""

from __future__ import annotations

import pytest

from vsrc.runtime import installation
from vsrc.runtime.inspection import doctor, doctor_gpu, doctor_models, doctor_onnxruntime
from vsrc.runtime.installation import Installation

WHEEL = Installation(None, None, None, ("pip",))


@pytest.fixture
def wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if vsrc came from a wheel, on a PC without a GPU."""
    for module in (doctor, doctor_gpu, doctor_models, doctor_onnxruntime, installation):
        monkeypatch.setattr(module, "this_installation", lambda: WHEEL, raising=False)
    monkeypatch.setattr(installation, "has_nvidia_gpu", lambda: False)
