"""Plugins of ONNX Runtime: a stand-in of one, and OpenVINO's where it is installed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from support.optional import skip_without
from vsrc.runtime.backends import opening, ort_plugin
from vsrc.runtime.backends.opening import open_session, open_video_session
from vsrc.runtime.backends.ort_plugin import (
    PLUGINS,
    Plugin,
    _options,
    check_assignment,
    installed_plugins,
    plugin_of,
    plugin_provider,
)
from vsrc.runtime.backends.ort_provider import Provider
from vsrc.runtime.errors import MismatchError, MissingDependencyError
from vsrc.runtime.inspection.doctor_plugins import examine_plugin
from vsrc.runtime.inspection.trials import Outcome
from vsrc.runtime.package import open_package


class FakeRuntime(ModuleType):
    """Stands for ONNX Runtime: what was registered, and the devices that this gives."""

    __version__ = "1.31"
    InferenceSession = SimpleNamespace(get_provider_graph_assignment_info=None)

    def __init__(self, *kinds: str, ep_name: str = "FakeExecutionProvider") -> None:
        super().__init__("onnxruntime")
        self.registered: list[tuple[str, str]] = []
        self.kinds, self.ep_name = kinds, ep_name

    def register_execution_provider_library(self, name: str, path: str) -> None:
        self.registered.append((name, path))

    def get_ep_devices(self) -> list[Any]:
        names = ["CPUExecutionProvider", *[self.ep_name] * len(self.kinds)]
        kinds = ["CPU", *self.kinds]
        return [
            SimpleNamespace(ep_name=name, device=SimpleNamespace(type=SimpleNamespace(name=kind)))
            for name, kind in zip(names, kinds, strict=True)
        ]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """Install a package `onnxruntime-ep-fake` and replace ONNX Runtime."""
    (tmp_path / "onnxruntime_ep_fake.py").write_text(
        "def get_library_path(): return '/lib/fake.so'\n"
        "def get_ep_names(): return ['FakeExecutionProvider']\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    def use(*kinds: str) -> FakeRuntime:
        runtime = FakeRuntime(*kinds)
        monkeypatch.setitem(sys.modules, "onnxruntime", runtime)
        ort_plugin._register.cache_clear()
        return runtime

    yield use
    ort_plugin._register.cache_clear()
    sys.modules.pop("onnxruntime_ep_fake", None)


@pytest.mark.parametrize(
    ("kinds", "taken"), [(["CPU"], "CPU"), (["CPU", "NPU"], "NPU"), (["NPU", "CPU", "GPU"], "GPU")]
)
def test_a_plugin_is_registered_once_and_its_best_device_is_taken(
    fake: Any,  # noqa: ANN401
    kinds: list[str],
    taken: str,
) -> None:
    runtime = fake(*kinds)
    for _ in range(2):
        provider = plugin_provider("ort:fake")
        assert provider.device_kind == taken
        assert provider.name == "FakeExecutionProvider"
        assert provider.label == f"ort:fake/{taken.lower()}"
        assert provider.precisions == (("fp32",) if taken == "CPU" else ("fp16", "fp32"))
    assert runtime.registered == [("FakeExecutionProvider", "/lib/fake.so")]


def test_a_plugin_without_a_device_is_status_3(fake: Any) -> None:  # noqa: ANN401
    fake()
    with pytest.raises(MissingDependencyError, match=r"^ort:fake offers no device") as caught:
        plugin_provider("ort:fake")
    assert caught.value.exit_status == 3


def test_a_library_that_does_not_load_is_status_3(fake: Any) -> None:  # noqa: ANN401
    runtime = fake("GPU")

    def fail(_name: str, _path: str) -> None:
        raise RuntimeError("libdriver.so.1: cannot open shared object file")

    runtime.register_execution_provider_library = fail
    with pytest.raises(MissingDependencyError, match=r"^ort:fake does not load: .*libdriver"):
        plugin_provider("ort:fake")


def test_a_library_that_another_has_registered_is_used(fake: Any) -> None:  # noqa: ANN401
    runtime = fake("GPU")

    def refuse(name: str, _path: str) -> None:
        raise RuntimeError(f"EP library is already registered under {name}")

    runtime.register_execution_provider_library = refuse
    assert plugin_provider("ort:fake").device_kind == "GPU"


def test_an_old_onnxruntime_says_which_one_is_needed(
    fake: Any,  # noqa: ANN401
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runtime = fake("GPU")
    monkeypatch.setattr(runtime, "InferenceSession", SimpleNamespace())
    with pytest.raises(MissingDependencyError, match=r"install .*onnxruntime>=1\.24"):
        plugin_provider("ort:fake")


@pytest.mark.parametrize("name", [name for name in PLUGINS if name != "openvino"])
def test_what_is_not_installed_names_its_package(name: str) -> None:
    plugin = plugin_of(f"ort:{name}")
    if plugin in installed_plugins():
        pytest.skip(f"{plugin.package} is installed")
    with pytest.raises(MissingDependencyError, match=f"install {plugin.package}$") as caught:
        plugin_provider(f"ort:{name}")
    assert caught.value.exit_status == 3


def test_openvino_that_is_not_installed_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ort_plugin, "is_importable", lambda _module: False)
    with pytest.raises(MissingDependencyError, match=r"\[openvino\]|onnxruntime-ep-openvino"):
        opening.require_backend("ort:openvino")


def test_a_name_that_nobody_knows_is_a_wrong_argument(tiny_package: Path) -> None:
    with pytest.raises(ValueError, match=r"ort:abacus.* ort:openvino"):
        open_video_session(open_package(tiny_package), backend="ort:abacus")


def assigned(*parts: tuple[str, list[str]]) -> Any:  # noqa: ANN401
    infos = [
        SimpleNamespace(
            ep_name=name,
            get_nodes=lambda operators=operators: [
                SimpleNamespace(op_type=operator) for operator in operators
            ],
        )
        for name, operators in parts
    ]
    return SimpleNamespace(get_provider_graph_assignment_info=lambda: infos)


def test_convolutions_that_fall_back_to_the_cpu_are_an_error() -> None:
    provider = Provider("ort:fake/gpu", "Fake", ("fp32",), plugin="fake", device_kind="GPU")
    whole = assigned(("Fake", ["Conv", "Conv"]), ("CPUExecutionProvider", ["Cast", "Transpose"]))
    check_assignment(whole, provider)
    part = assigned(("Fake", ["Conv"]), ("CPUExecutionProvider", ["QLinearConv", "MatMul", "Add"]))
    with pytest.raises(MismatchError, match=r"ort:fake/gpu leaves 2 .*\(QLinearConv, MatMul\)"):
        check_assignment(part, provider)


@pytest.mark.parametrize(
    ("device", "precision", "hint"),
    [
        ("CPU", "fp32", "f32"),
        ("CPU", "bf16", "bf16"),
        ("CPU", "int8-cpu", "f32"),
        ("CPU", "fp16", "f32"),  # a CPU gains nothing by it
        ("GPU", "fp16", "f16"),
        ("GPU", "fp32", "f32"),  # OpenVINO's own default is f16
    ],
)
def test_openvino_is_told_the_precision(device: str, precision: str, hint: str) -> None:
    provider = Provider("ort:openvino/x", "OpenVINO", (), plugin="openvino", device_kind=device)
    settings = json.loads(_options(provider, precision, 3)["load_config"])[device]
    assert settings["INFERENCE_PRECISION_HINT"] == hint
    assert settings.get("INFERENCE_NUM_THREADS") == (3 if device == "CPU" else None)


def test_openvinos_plugin_runs_networks_or_says_why_not(tiny_package: Path) -> None:
    """On a CPU of Intel it gives the pictures of ONNX Runtime; on others it offers no device."""
    skip_without("onnxruntime_ep_openvino")
    package = open_package(tiny_package)
    try:
        session = open_session(package, backend="ort:openvino", precision="fp32")
    except MissingDependencyError as error:
        is_intel = "GenuineIntel" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
        if is_intel or "Intel devices" not in str(error):
            raise
        pytest.skip(str(error))
    lr = np.random.default_rng(0).integers(
        0, 256, (1, package.spec.network.window, 22, 30, 3), dtype=np.uint8
    )
    with closing(session), closing(package.session(backend="ort", precision="fp32")) as judge:
        assert session.label.startswith("ort:openvino/")
        assert np.abs(session(lr).astype(int) - judge(lr)).max() <= 1


def test_auto_tries_plugins_that_have_a_device_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    devices = {"ort:openvino": "CPU", "ort:webgpu": "GPU"}
    monkeypatch.setattr(
        opening, "installed_plugins", lambda: [PLUGINS["openvino"], PLUGINS["webgpu"]]
    )
    monkeypatch.setattr(
        opening,
        "provider_of",
        lambda backend: Provider(backend, "", (), device_kind=devices[backend]),
    )
    assert opening._auto_backends("auto") == ("trt", "trt-rtx", "ort-cuda", "ort:webgpu", "ort")
    assert opening._auto_backends("bf16") == ("ort:openvino", "openvino")


def test_doctor_tells_a_missing_device_from_a_broken_plugin() -> None:
    plugin = Plugin("fake", "onnxruntime-ep-fake", "onnxruntime_ep_fake")
    said = "MissingDependencyError: ort:fake offers no device here: it found none of its kind"
    idle = examine_plugin(plugin, Outcome(False, said)).finding
    assert (idle.state, idle.said) == ("no-device", "it found none of its kind")
    broken = examine_plugin(plugin, Outcome(False, "its process crashed")).finding
    assert (broken.state, broken.said) == ("broken", "its process crashed")
    works = examine_plugin(plugin, Outcome(True, "ran a graph (GPU)")).finding
    assert (works.state, works.name) == ("ok", "ort:fake")
