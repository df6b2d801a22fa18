from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from support.remedies import lines_of
from vsrc.cli import main
from vsrc.runtime import installation
from vsrc.runtime.dependencies import Dependency
from vsrc.runtime.errors import MissingDependencyError
from vsrc.runtime.inspection import doctor, doctor_gpu, doctor_models, doctor_onnxruntime
from vsrc.runtime.inspection.doctor import Diagnosis, check_base, checked, examine, examine_extra
from vsrc.runtime.inspection.doctor_text import WIDTH, doctor_text
from vsrc.runtime.inspection.dry_run import DryRun
from vsrc.runtime.inspection.finding import Finding, Remedy, examine_package
from vsrc.runtime.inspection.trials import Outcome
from vsrc.runtime.installation import Command
from vsrc.runtime.machine import this_machine


@pytest.fixture(scope="module")
def diagnosis() -> Diagnosis:
    return examine(offline=True)


def found(*findings: Finding) -> Diagnosis:
    return Diagnosis("0.1", "3.11", this_machine(), 12_300_000_000, None, (), findings)


GOOD_BASE = Finding("base", "numpy", "ok", "2.0")
GOOD_RUN = Finding("run", "onnxruntime CPU", "ok", "1.30", "ran a graph")


def test_this_environment_is_well(diagnosis: Diagnosis) -> None:
    check_base(diagnosis)
    names = {finding.name: finding for finding in diagnosis.findings}
    assert names["onnxruntime CPU"].said == "ran a graph"
    assert (names["torch"].state == "ok") == (importlib.util.find_spec("torch") is not None)
    advised = [finding for finding in diagnosis.findings if finding.fix]
    assert all(finding.state != "ok" for finding in advised)
    assert {finding.unchecked for finding in advised} <= {"no package index was queried"}


def test_the_doctor_itself_loads_nothing_heavy() -> None:
    code = (
        "import sys; from vsrc.runtime.inspection.doctor import examine; from "
        "vsrc.runtime.inspection import doctor_text;"
        "doctor_text.doctor_text(examine(offline=True)); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"av", "numpy", "onnx", "onnxruntime", "tensorrt", "tensorrt_rtx", "torch"}
    assert not heavy & set(done.stdout.split())


def test_the_text_fits_a_terminal(diagnosis: Diagnosis) -> None:
    text = doctor_text(diagnosis)
    assert max(map(len, text.splitlines())) <= WIDTH
    for finding in diagnosis.findings:
        assert finding.name in text.replace("\n          ", " ")


def test_the_text_names_each_line_once() -> None:
    line = "pip install lpips scikit-image"
    text = doctor_text(
        found(
            GOOD_BASE,
            Finding("eval", "lpips", "absent", fix=line),
            Finding("eval", "scikit-image", "absent", fix=line),
            Finding("run", "onnxruntime", "broken", "1.0", "ImportError: oh", "pip install it"),
            Finding("report", "jinja2", "absent", fix="pip install jinja2", unchecked="no answer"),
        )
    )
    assert text.count(line) == 1
    assert "for lpips, scikit-image" in text
    assert "BROKEN  onnxruntime 1.0: ImportError: oh" in text
    sure, _, unsure = text.partition("not checked (no answer)")
    assert line in sure
    assert "pip install jinja2" in unsure


def test_the_extra_of_pages_names_every_command_that_writes_one() -> None:
    context = click.Context(main)
    helps = {name: main.get_command(context, name) for name in main.list_commands(context)}
    writers = {
        name
        for name, command in helps.items()
        if command is not None
        and re.search(r"\b(HTML|pages?)\b", command.get_help(click.Context(command)))
    }
    assert len(writers) > 4
    text = doctor_text(found(GOOD_BASE, Finding("report", "jinja2", "ok", "3.1")))
    (title,) = (line for line in text.splitlines() if "pages" in line)
    assert {name for name in writers if name not in title} == set()


def test_with_everything_there_no_line_is_named() -> None:
    text = doctor_text(found(GOOD_BASE, GOOD_RUN, Finding("nvidia", "tensorrt", "no-gpu")))
    assert text.endswith("Everything is installed and works.")


def test_beside_torch_stands_where_the_build_without_cuda_comes_from() -> None:
    torch = Finding("compress", "torch", "absent", fix="pip install torch")
    assert "PyTorch's wheel index for" in doctor_text(found(GOOD_BASE, torch))


def test_only_what_a_dry_run_passed_is_advised(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = {
        "good": DryRun("possible"),
        "bad": DryRun("impossible", "No matching distribution found for b"),
        "far": DryRun("unknown", "the package index gave no answer"),
    }
    monkeypatch.setattr(doctor, "try_commands", lambda _commands, **_options: outcomes)
    remedies = [
        Remedy(Finding("report", name, "absent"), Command(line))
        for name, line in (("a", "good"), ("b", "bad"), ("c", "far"))
    ]
    good, bad, far = checked(remedies)
    assert (good.fix, good.unchecked) == ("good", "")
    assert bad.fix is None
    assert bad.said.endswith("No matching distribution found for b")  # pip's own words
    assert (far.fix, far.unchecked) == ("far", "the package index gave no answer")


def test_progress_says_when_the_package_index_is_queried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        doctor, "try_commands", lambda _commands, **_options: {"a": DryRun("possible")}
    )
    absent = Remedy(Finding("report", "jinja2", "absent"), Command("a"))
    steps: list[str] = []
    checked([absent], progress=steps.append)
    assert [step for step in steps if "with pip" in step and "--offline" in step] == steps != []
    steps.clear()
    checked([absent], offline=True, progress=steps.append)
    checked([], progress=steps.append)
    assert steps == []


@pytest.mark.parametrize(
    ("findings", "message"),
    [
        ((Finding("base", "av", "absent", fix="pip i"), GOOD_RUN), "^av .*pip i"),
        ((Finding("base", "av", "old", "9", "", "pip -U"), GOOD_RUN), "^av .*pip -U"),
        ((GOOD_BASE, Finding("run", "onnxruntime", "absent", fix="pip i")), "^onnxruntime .*pip i"),
        ((GOOD_BASE, Finding("run", "CPU", "broken", fix="pip i")), "^CPU .*pip i"),
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


@pytest.mark.usefixtures("wheel")
def test_two_builds_of_onnxruntime_clash(monkeypatch: pytest.MonkeyPatch) -> None:
    wheels = ["onnxruntime", "onnxruntime-gpu"]
    monkeypatch.setattr(doctor_onnxruntime, "providers_of", lambda _module: wheels)
    (remedy,) = doctor_onnxruntime.examine_onnxruntime(has_gpu=False)
    assert remedy.finding.state == "broken"
    line = "pip uninstall -y onnxruntime onnxruntime-gpu && pip install 'onnxruntime>=1.20'"
    assert lines_of([remedy]) == {"onnxruntime and onnxruntime-gpu": line}


@pytest.mark.usefixtures("wheel")
@pytest.mark.parametrize(
    ("has_gpu", "line"),
    [
        (False, "pip install 'onnxruntime>=1.20'"),
        (True, "pip install 'onnxruntime-gpu[cuda,cudnn]>=1.20'"),
    ],
)
def test_without_onnxruntime_the_build_for_this_machine(
    has_gpu: bool, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installation, "has_nvidia_gpu", lambda: has_gpu)
    monkeypatch.setattr(doctor_onnxruntime, "providers_of", lambda _module: [])
    (remedy,) = doctor_onnxruntime.examine_onnxruntime(has_gpu=has_gpu)
    assert remedy.finding.state == "absent"
    assert lines_of([remedy]) == {"onnxruntime": line}


def test_without_onnxruntime_no_student_is_called_broken() -> None:
    remedies = list(doctor_models.examine_models(can_run=False))
    assert {remedy.finding.state for remedy in remedies} == {"untried"}
    assert {remedy.command for remedy in remedies} == {None}


@pytest.mark.usefixtures("wheel")
def test_a_student_that_is_damaged_is_brought_back(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = Outcome(False, "SpecError: sha256 does not match")
    monkeypatch.setattr(doctor_models, "run_trial", lambda _name, _path: outcome)
    remedy = next(doctor_models.examine_models(can_run=True))
    assert remedy.finding.state == "broken"
    assert remedy.command is not None
    assert "--force-reinstall --no-deps vsrc-edge==" in remedy.command.text


@pytest.mark.usefixtures("wheel")
def test_what_gives_no_answer_in_time_is_not_installed_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    late = Outcome(False, "gave no answer within 60 seconds", is_late=True)
    for module in (doctor, doctor_gpu, doctor_onnxruntime):
        monkeypatch.setattr(module, "run_trial", lambda *_: late)
    monkeypatch.setattr(doctor_gpu, "find_version", lambda _name: "1.0")
    monkeypatch.setattr(doctor_gpu, "is_importable", lambda _name: True)
    monkeypatch.setattr(doctor_onnxruntime, "providers_of", lambda _module: ["onnxruntime"])
    av = Dependency("av", None, "av>=1", ">=1", "18.0")
    remedies = [
        *doctor_gpu.examine_nvidia(has_gpu=True),
        *doctor_onnxruntime.examine_onnxruntime(has_gpu=True),
        doctor._base(av, has_gpu=True),
    ]
    slow = [remedy for remedy in remedies if remedy.finding.state == "slow"]
    assert {"tensorrt", "onnxruntime", "av"} <= {remedy.finding.name for remedy in slow}
    assert [remedy.command for remedy in slow] == [None] * len(slow)
    with pytest.raises(MissingDependencyError, match=r"av is slow \(gave no answer within 60"):
        check_base(found(slow[-1].finding, GOOD_RUN))
    assert "could not be checked; run vsrc doctor" in doctor_text(found(slow[-1].finding, GOOD_RUN))


@pytest.mark.parametrize(
    ("installed", "state"), [(None, "absent"), ("2.5.9", "old"), ("2.6.0+cpu", "ok")]
)
def test_a_package_is_absent_old_or_there(installed: str | None, state: str) -> None:
    package = Dependency("no-such", "compress", "no-such>=2.6", ">=2.6", installed)
    assert examine_package("compress", package).state == state


@pytest.mark.usefixtures("wheel")
def test_one_line_installs_what_is_missing_of_an_extra() -> None:
    needed = [
        Dependency("no-such", "report", "no-such>=1", ">=1", None),
        Dependency("pytest", "report", "pytest", "", "9.0"),
        Dependency("older", "report", "older>=2", ">=2", "1.0"),
        Dependency("other", "eval", "other", "", None),
    ]
    both = "pip install 'no-such>=1' 'older>=2'"
    expected = {"no-such": both, "pytest": None, "older": both}
    assert lines_of(examine_extra("report", needed)) == expected


def test_gpus_are_read_from_nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA H200, 570.1, 143771 MiB, 9.0'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert doctor.find_gpus() == ("NVIDIA H200, 570.1, 143771 MiB, 9.0",)
    program.write_text("#!/bin/sh\nexit 9\n")  # as without a driver
    assert doctor.find_gpus() == ()


def test_the_command_speaks_json(diagnosis: Diagnosis) -> None:
    done = CliRunner().invoke(main, ["doctor", "--json", "--offline"])
    assert done.exit_code == 0
    data = json.loads(done.stdout)
    assert [item["name"] for item in data["findings"]] == [f.name for f in diagnosis.findings]


def test_the_command_reports_before_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = found(GOOD_BASE, Finding("run", "onnxruntime", "absent", fix="pip install onnxruntime"))
    monkeypatch.setattr(doctor, "examine", lambda **_options: bad)
    done = CliRunner().invoke(main, ["doctor"])
    assert done.exit_code == 3
    assert "Required" in done.stdout
    assert done.stderr.endswith(": pip install onnxruntime\n")
