"""The self-test as a command: what it writes, and how it ends."""

from __future__ import annotations

import getpass
import itertools
import json
import re
import shutil
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from vsrc.cli import main
from vsrc.export.selftest import running
from vsrc.export.selftest.context import Context
from vsrc.export.selftest.privacy import anonymize, anonymize_files
from vsrc.export.selftest.result import SelftestConfig
from vsrc.export.selftest.running import LIMIT_SECONDS, STEPS, selftest
from vsrc.runtime.errors import MissingDependencyError, VsrcError
from vsrc.runtime.processes import fresh_process
from vsrc.runtime.processes.child_process import prepare_child
from vsrc.runtime.processes.fresh_process import ask
from vsrc.runtime.sensors.cuda_device import list_devices

Ask = Callable[..., dict[str, Any]]


def has_device() -> bool:
    try:
        return bool(list_devices())
    except MissingDependencyError:
        return False


def run(out: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["selftest", "--out", str(out), *options])


def read(out: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((out / "selftest.json").read_text())
    return data


def answers(**checks: str) -> Ask:
    """In the place of the processes: each step has one check of this state, or raises."""

    def instead(_module: str, request: dict[str, Any], tell: Any, *, seconds: float) -> Any:  # noqa: ANN401
        step = request["step"]
        assert 0 < seconds <= LIMIT_SECONDS
        evidence = Path(request["evidence"])
        (evidence / "log.txt").write_text(
            f"{socket.gethostname()} {Path.home()}/x {getpass.getuser()}\n"
        )
        if step == "machine":
            facts = {"device": "0: Stand-in 0 (8.7)"} if "machine" not in checks else {}
            (evidence / "facts.json").write_text(json.dumps(facts))
        state = checks.get(step, "passed")
        if state == "raises":
            raise VsrcError("its process was ended by signal SIGSEGV")
        if state == "lacks":
            raise MissingDependencyError("tensorrt_rtx is not installed")
        if state == "interrupted":
            tell({"name": "one", "state": "passed", "said": ""})
            raise KeyboardInterrupt
        tell({"name": "one", "state": state, "said": f"on {socket.gethostname()}"})
        return {}

    return instead


def test_the_steps_fit_into_eight_minutes() -> None:
    assert sum(step.seconds for step in STEPS) <= LIMIT_SECONDS == 480


@pytest.mark.slow
def test_what_a_cpu_can_passes_and_the_rest_is_listed(tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed")
    out = tmp_path / "evidence"
    done = run(out, "--quick", "--json", str(tmp_path / "report.json"))
    assert done.exit_code == 0, done.output
    data = read(out)
    assert data == json.loads((tmp_path / "report.json").read_text())
    states = {step["name"]: step["state"] for step in data["steps"]}
    assert states == {
        **dict.fromkeys(("machine", "builds"), "passed"),
        **dict.fromkeys(("memory", "sensors", "pictures", "routes", "bench"), "skipped"),
    }
    builds = [check["name"] for check in data["steps"][3]["checks"]]
    assert len(builds) == 8  # four precisions, free and fixed shapes
    sidecars = {path.name for path in (out / "builds").glob("*.json")}
    precisions = ("fp32", "fp16", "int8", "int8-with-fp32")
    kinds = itertools.product(precisions, ("free", "fixed"), ("whole", "encode", "fuse"))
    assert sidecars == {f"{'-'.join(kind)}.json" for kind in kinds}
    assert "2 of 7 steps passed, 5 skipped" in (out / "selftest.html").read_text()


@pytest.mark.skipif(has_device(), reason="there is a CUDA device")
def test_without_a_device_the_status_is_3_and_evidence_is_there(tmp_path: Path) -> None:
    done = run(tmp_path / "evidence")
    assert done.exit_code == 3
    assert "--quick" in done.stderr
    data = read(tmp_path / "evidence")
    assert [step["state"] for step in data["steps"]] == ["passed", *["skipped"] * 6]
    assert data["facts"]["python"]


@pytest.mark.parametrize("how", ["failed", "raises"])
def test_a_step_that_fails_is_status_4_and_the_others_are_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(running, "ask", answers(pictures=how))
    done = run(tmp_path / "evidence")
    assert done.exit_code == 4
    assert "step 5 (pictures)" in done.stderr
    states = [step["state"] for step in read(tmp_path / "evidence")["steps"]]
    assert states == ["passed"] * 4 + ["failed"] + ["passed"] * 2


def test_all_that_could_be_tried_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "ask", answers(routes="skipped"))
    done = run(tmp_path / "evidence", "--json", "-")
    assert done.exit_code == 0
    assert json.loads(done.stdout) == read(tmp_path / "evidence")


def test_without_tensorrt_its_steps_are_skipped_and_the_others_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lacking = ("builds", "pictures", "bench")
    monkeypatch.setattr(running, "ask", answers(**dict.fromkeys(lacking, "lacks")))
    done = run(tmp_path / "evidence")
    assert done.exit_code == 0
    states = {step["name"]: step["state"] for step in read(tmp_path / "evidence")["steps"]}
    assert {name for name, state in states.items() if state == "skipped"} == set(lacking)
    monkeypatch.setattr(running, "ask", answers(memory="lacks"))  # of a device that is there
    assert run(tmp_path / "evidence").exit_code == 4


def test_what_was_found_before_an_interruption_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "ask", answers(builds="interrupted"))
    done = run(tmp_path / "evidence")
    assert done.exit_code == 130
    data = read(tmp_path / "evidence")
    assert data["interrupted"]
    assert [step["state"] for step in data["steps"]] == ["passed"] * 3 + ["failed"]
    assert [check["name"] for check in data["steps"][-1]["checks"]] == ["one"]
    assert (tmp_path / "evidence" / "builds" / "log.txt").is_file()
    assert "interrupted" in (tmp_path / "evidence" / "selftest.html").read_text()


def test_without_jinja2_there_is_json_and_no_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "ask", answers())
    out = tmp_path / "evidence"
    assert run(out).exit_code == 0
    monkeypatch.setitem(sys.modules, "jinja2", None)
    done = run(out)
    assert done.exit_code == 0
    assert read(out)["steps"]
    assert not (out / "selftest.html").exists()  # that of the first run would be wrong now
    assert "jinja2" in done.stderr
    assert "pip install" in done.stderr


@pytest.mark.parametrize("name", ["pictures/mine.txt", "selftest.html", "builds"])
def test_what_no_selftest_wrote_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(running, "ask", answers())
    mine = tmp_path / name
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("mine")
    done = run(tmp_path)
    assert done.exit_code == 2
    assert mine.read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 1
    assert run(tmp_path, "--overwrite").exit_code != 2
    assert run(tmp_path).exit_code != 2  # it is its own now


def test_its_json_replaces_nothing_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_package: Path
) -> None:
    monkeypatch.setattr(running, "ask", answers())
    package, mine = tmp_path / "s.vsrc", tmp_path / "mine.json"
    shutil.copytree(tiny_package, package)
    mine.write_text("{}")
    before = (package / "model.json").read_bytes()
    for file in ("s.vsrc/model.json", "s.vsrc/new.json"):
        done = run(tmp_path / "out", "--json", str(tmp_path / file), "--overwrite")
        assert done.exit_code == 2
    assert run(tmp_path / "out", "--json", str(mine)).exit_code == 2
    assert mine.read_text() == "{}"
    assert (package / "model.json").read_bytes() == before
    assert not (tmp_path / "out").exists()
    for _ in range(2):
        assert run(tmp_path / "out", "--json", str(tmp_path / "new.json")).exit_code != 2


def test_evidence_names_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "orin-of-ada")
    monkeypatch.setattr(getpass, "getuser", lambda: "ada.lovelace")
    monkeypatch.setattr(running, "ask", answers())
    selftest(SelftestConfig(tmp_path / "evidence"))
    files = [path for path in (tmp_path / "evidence").rglob("*") if path.is_file()]
    assert len(files) > len(STEPS)
    for path in files:
        text = path.read_text()
        assert "orin-of-ada" not in text
        assert "ada.lovelace" not in text


def test_json_hides_no_name_and_stays_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "gerät")
    monkeypatch.setattr(getpass, "getuser", lambda: "jürgen")
    monkeypatch.setenv("HOME", "/home/Jürgen Ö")
    facts = {
        "cuda runtime": "13.0 (/home/Jürgen Ö/venv/libcudart.so.13)",
        "host": "gerät of jürgen",
        "serial_number": "1422520000123",
        "said": "Serial Number: 1422520000124",
    }
    context = Context(tmp_path, tmp_path, 0, True, lambda _: None)
    context.keep("facts.json", facts)
    anonymize_files(tmp_path)
    assert json.loads((tmp_path / "facts.json").read_text()) == {
        "cuda runtime": "13.0 (~/venv/libcudart.so.13)",
        "host": "HOST of USER",
        "serial_number": "REMOVED",
        "said": "Serial Number: REMOVED",
    }


def test_identifiers_are_removed_and_words_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "pipe")
    monkeypatch.setattr(getpass, "getuser", lambda: "ada")
    monkeypatch.setenv("HOME", "/home/ada")
    text = (
        "pipe: the pipeline of ada ran in /home/ada/vsrc\n"
        "GPU-00010203-0405-0607-0809-0a0b0c0d0e0f Serial Number: 1422520000123\n"
        "serial=77 serialized"
    )
    clean = anonymize(text)
    assert clean.splitlines()[0] == "HOST: the pipeline of USER ran in ~/vsrc"
    assert not re.search(r"0a0b|1422|77", clean)
    assert clean.endswith("serialized")


def test_a_process_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    # A child of the child holds its pipes open, as trtexec would.
    code = "import os, time; os.fork(); time.sleep(600)"
    monkeypatch.setattr(fresh_process, "prepare_child", lambda _: prepare_child(code))
    began = time.monotonic()
    with pytest.raises(VsrcError, match="no answer within 1 seconds"):
        ask("any", {}, lambda _: None, seconds=1)
    assert time.monotonic() - began < 60
