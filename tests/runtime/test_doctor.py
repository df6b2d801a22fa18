from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from vsrc.cli import main
from vsrc.runtime import doctor
from vsrc.runtime.dependencies import Need
from vsrc.runtime.doctor import Diagnosis, Finding, check_base, examine
from vsrc.runtime.doctor_text import WIDTH, doctor_text
from vsrc.runtime.errors import MissingDependencyError
from vsrc.runtime.machine import this_machine
from vsrc.runtime.trials import Outcome


@pytest.fixture(scope="module")
def diagnosis() -> Diagnosis:
    return examine()


def found(*findings: Finding) -> Diagnosis:
    return Diagnosis("0.1", "3.11", this_machine(), None, (), findings)


GOOD_BASE = Finding("base", "numpy", "ok", "2.0")
GOOD_RUN = Finding("run", "onnxruntime CPU", "ok", "1.30", "ran a graph")


def test_this_environment_is_well(diagnosis: Diagnosis) -> None:
    check_base(diagnosis)
    names = {finding.name: finding for finding in diagnosis.findings}
    assert names["onnxruntime CPU"].said == "ran a graph"
    assert names["torch"].state == "ok"
    assert all(finding.fix for finding in diagnosis.findings if finding.state != "ok")


def test_the_doctor_itself_loads_nothing_heavy() -> None:
    code = (
        "import sys; from vsrc.runtime.doctor import examine; from vsrc.runtime import doctor_text;"
        "doctor_text.doctor_text(examine()); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"av", "numpy", "onnx", "onnxruntime", "tensorrt", "tensorrt_rtx", "torch"}
    assert not heavy & set(done.stdout.split())


def test_the_text_fits_a_terminal(diagnosis: Diagnosis) -> None:
    text = doctor_text(diagnosis)
    assert max(map(len, text.splitlines())) <= WIDTH
    for finding in diagnosis.findings:
        assert finding.name in text.replace("\n          ", " ")


def test_the_text_names_each_remedy_once() -> None:
    text = doctor_text(
        found(
            GOOD_BASE,
            Finding("eval", "lpips", "absent", fix="pip install 'vsrc[eval]'"),
            Finding("eval", "scikit-image", "absent", fix="pip install 'vsrc[eval]'"),
            Finding("run", "onnxruntime", "broken", "1.0", "ImportError: oh", "pip install it"),
        )
    )
    assert text.count("pip install 'vsrc[eval]'") == 1
    assert "for lpips, scikit-image" in text
    assert "BROKEN  onnxruntime 1.0: ImportError: oh" in text


def test_with_everything_there_no_remedy_is_named() -> None:
    assert doctor_text(found(GOOD_BASE, GOOD_RUN)).endswith("All is there and works.")


@pytest.mark.parametrize(
    ("findings", "message"),
    [
        ((Finding("base", "av", "absent", fix="pip i"), GOOD_RUN), "av is absent"),
        ((Finding("base", "av", "old", "9", "", "pip -U"), GOOD_RUN), "av is old.* pip -U"),
        ((GOOD_BASE, Finding("run", "onnxruntime", "absent", fix="pip i")), "is absent"),
        ((GOOD_BASE, Finding("run", "CPU", "broken", fix="pip i")), "mend it with: pip i"),
    ],
)
def test_a_missing_base_has_status_three(findings: tuple[Finding, ...], message: str) -> None:
    with pytest.raises(MissingDependencyError, match=message) as caught:
        check_base(found(*findings))
    assert caught.value.exit_status == 3


def test_what_only_some_commands_need_may_be_missing() -> None:
    check_base(found(GOOD_BASE, GOOD_RUN, Finding("eval", "lpips", "absent", fix="pip i")))
    broken_gpu = Finding("run", "onnxruntime-gpu CUDA", "broken", "1.3", "no driver", "pip i")
    check_base(found(GOOD_BASE, broken_gpu, GOOD_RUN))


def test_two_wheels_of_onnxruntime_clash(monkeypatch: pytest.MonkeyPatch) -> None:
    wheels = ["onnxruntime", "onnxruntime-gpu"]
    monkeypatch.setattr(doctor, "installed_like", lambda _prefix: wheels)
    (finding,) = doctor._onnxruntime(has_gpu=True)
    assert finding.state == "broken"
    assert finding.fix == (
        "pip uninstall -y onnxruntime onnxruntime-gpu && pip install 'vsrc[gpu]'"
    )


def test_without_onnxruntime_the_extra_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "installed_like", lambda _prefix: [])
    assert doctor._onnxruntime(has_gpu=False)[0].fix == "pip install 'vsrc[cpu]'"
    assert doctor._onnxruntime(has_gpu=True)[0].fix == "pip install 'vsrc[gpu]'"


def test_a_provider_that_does_not_load_is_broken_and_the_other_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def trial(name: str, argument: str = "") -> Outcome:
        if name == "onnxruntime":
            return Outcome(True, "Tensorrt CUDA CPU")
        return Outcome(argument == "CPUExecutionProvider", "libcudnn.so.9 not found")

    monkeypatch.setattr(doctor, "installed_like", lambda _prefix: ["onnxruntime-gpu"])
    monkeypatch.setattr(doctor, "run_trial", trial)
    states = {finding.name.split()[1]: finding for finding in doctor._onnxruntime(has_gpu=True)}
    assert {name: finding.state for name, finding in states.items()} == {
        "CPU": "ok",
        "CUDA": "broken",
        "Tensorrt": "broken",
    }
    assert states["CUDA"].fix == "pip install 'vsrc[gpu]'"
    assert states["Tensorrt"].fix == "pip install 'tensorrt>=10.13.2,<11'"


def test_on_a_jetson_tensorrt_comes_from_jetpack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "installed_version", lambda _name: None)
    monkeypatch.setattr(doctor, "run_trial", lambda _name: Outcome(False, "ModuleNotFoundError"))
    board, desktop = doctor._tensorrt(on_jetson=True)[0], doctor._tensorrt(on_jetson=False)[0]
    assert "--system-site-packages" in (board.fix or "")
    assert desktop.fix == "pip install 'vsrc[trt]'"


def test_tensorrt_without_metadata_is_there_if_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "installed_version", lambda _name: None)
    monkeypatch.setattr(doctor, "run_trial", lambda _name: Outcome(True, "its builder starts"))
    assert [finding.state for finding in doctor._tensorrt(on_jetson=True)] == ["ok", "ok"]


@pytest.mark.parametrize(
    ("installed", "state", "fix"),
    [
        (None, "absent", "pip install 'vsrc[compress]'"),
        ("2.5.9", "old", "pip install -U 'torch>=2.6'"),
        ("2.6.0+cpu", "ok", None),
    ],
)
def test_an_extra_is_absent_old_or_there(
    installed: str | None, state: str, fix: str | None
) -> None:
    finding = doctor._of_extra(Need("torch", "compress", "2.6", installed))
    assert (finding.state, finding.fix) == (state, fix)


def test_gpus_are_read_from_nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA H200, 570.1, 143771 MiB, 9.0'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert doctor._gpus() == ("NVIDIA H200, 570.1, 143771 MiB, 9.0",)
    program.write_text("#!/bin/sh\nexit 9\n")  # as without a driver
    assert doctor._gpus() == ()


def test_the_command_speaks_json(diagnosis: Diagnosis) -> None:
    done = CliRunner().invoke(main, ["doctor", "--json"])
    assert done.exit_code == 0
    data = json.loads(done.stdout)
    assert [item["name"] for item in data["findings"]] == [f.name for f in diagnosis.findings]


def test_the_command_reports_before_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = found(GOOD_BASE, Finding("run", "onnxruntime", "absent", fix="pip install 'vsrc[cpu]'"))
    monkeypatch.setattr(doctor, "examine", lambda: bad)
    done = CliRunner().invoke(main, ["doctor"])
    assert done.exit_code == 3
    assert "Always needed" in done.stdout
    assert done.stderr.endswith("mend it with: pip install 'vsrc[cpu]'\n")
