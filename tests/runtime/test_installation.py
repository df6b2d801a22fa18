from __future__ import annotations

import json
import shlex
import subprocess
import sys
import sysconfig
from importlib import import_module, metadata
from pathlib import Path

import pytest

from vsrc.runtime import installation
from vsrc.runtime.dependencies import dependencies
from vsrc.runtime.errors import MissingDependencyError
from vsrc.runtime.installation import (
    Installation,
    clashing_onnxruntimes,
    constraints_in,
    explain_missing,
    missing_text,
    replace_onnxruntime,
    require,
    require_installed,
    this_installation,
)

WHEEL = Installation(None, None, None, ("pip",))


def checkout(folder: Path) -> Installation:
    return Installation(folder, folder / "constraints.txt", folder, ("pip",))


def use(monkeypatch: pytest.MonkeyPatch, here: Installation) -> None:
    monkeypatch.setattr(installation, "this_installation", lambda: here)


def hide(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    for module in modules:
        monkeypatch.setitem(sys.modules, module, None)


def test_of_a_wheel_the_packages_are_named_with_their_bounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use(monkeypatch, WHEEL)
    assert missing_text("jinja2").endswith(": pip install jinja2")
    assert missing_text("ray").endswith(": pip install 'ray>=2.40'")
    several = missing_text("onnx", "onnxsim", extra="export")
    assert several.startswith("onnx and onnxsim, which are not installed")
    assert several.endswith("install them: pip install 'onnx>=1.17' 'onnxsim>=0.6'")


def test_of_a_checkout_its_folder_and_its_constraints_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "my checkout"
    folder.mkdir()
    (folder / "constraints.txt").touch()
    use(monkeypatch, checkout(folder))
    line = missing_text("jinja2").partition("install it: ")[2]
    expected = ["-c", f"{folder}/constraints.txt", "-e", f"{folder}[report]"]
    assert shlex.split(line) == ["pip", "install", *expected]
    monkeypatch.chdir(folder)
    assert missing_text("ray").endswith("pip install -c constraints.txt -e '.[cluster]'")
    both = missing_text("onnx", "jinja2", extra="export")
    assert both.endswith("pip install -c constraints.txt -e '.[export,report]'")


def test_a_missing_onnxruntime_names_both_builds(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, WHEEL)
    monkeypatch.setattr(installation, "has_nvidia_gpu", lambda: False)
    on_cpu = missing_text("onnxruntime", extra="export")
    assert "take onnxruntime-gpu[cuda,cudnn]>=1.20, the extra gpu, instead" in on_cpu
    assert on_cpu.endswith("pip install 'onnxruntime>=1.20'")
    monkeypatch.setattr(installation, "has_nvidia_gpu", lambda: True)
    on_gpu = missing_text("onnxruntime", extra="export")
    assert "for the CPU alone take onnxruntime>=1.20, the extra cpu, instead" in on_gpu
    assert on_gpu.endswith("pip install 'onnxruntime-gpu[cuda,cudnn]>=1.20'")


def test_beside_torch_stands_where_the_build_without_cuda_comes_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use(monkeypatch, WHEEL)
    monkeypatch.setattr(installation, "has_nvidia_gpu", lambda: False)
    text = missing_text("torch", extra="compress")
    assert "PyTorch's wheel index for CPUs" in text
    assert text.endswith("pip install 'torch>=2.6'")


def test_what_is_missing_is_said_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, WHEEL)
    hide(monkeypatch, "jinja2")
    expected = "^--html .*jinja2.* pip install jinja2$"
    for check in (require, require_installed):
        with pytest.raises(MissingDependencyError, match=expected) as caught:
            check("--html", "json", "jinja2")
        assert caught.value.exit_status == 3
    require("--html", "json")


def test_what_is_broken_is_installed_again_and_what_it_lacks_is_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, WHEEL)
    monkeypatch.syspath_prepend(tmp_path)
    lacking, broken = tmp_path / "lacking_of_this_test.py", tmp_path / "broken_of_this_test.py"
    lacking.write_text("import no_such_module")
    broken.write_text("raise ImportError('libGL.so.1: cannot open')")
    with pytest.raises(
        MissingDependencyError, match=r"lacking_of_this_test .*: pip install no_such_module$"
    ):
        require("a test", "lacking_of_this_test")
    again = r"libGL.*; try: pip install --force-reinstall --no-deps broken_of_this_test$"
    with pytest.raises(MissingDependencyError, match=again):
        require("a test", "broken_of_this_test")


def test_a_failing_import_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, WHEEL)
    hide(monkeypatch, "ray")
    line = r"ray.*: pip install 'ray>=2\.40'$"
    with pytest.raises(MissingDependencyError, match=line), explain_missing("ray"):
        import_module("ray")


def test_two_builds_of_onnxruntime_are_replaced_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, WHEEL)
    line = replace_onnxruntime("onnxruntime", "onnxruntime-gpu", extra="gpu").text
    assert line == (
        "pip uninstall -y onnxruntime onnxruntime-gpu && "
        "pip install 'onnxruntime-gpu[cuda,cudnn]>=1.20'"
    )
    monkeypatch.setattr(installation, "find_version", lambda _name: "1.30")
    assert clashing_onnxruntimes() == ("onnxruntime", "onnxruntime-gpu")
    only_gpu = {"onnxruntime-gpu": "1.30"}
    monkeypatch.setattr(installation, "find_version", only_gpu.get)
    assert clashing_onnxruntimes() == ()


def test_the_constraints_of_this_python_go_first(tmp_path: Path) -> None:
    assert constraints_in(tmp_path) is None
    (tmp_path / "constraints.txt").touch()
    assert constraints_in(tmp_path) == tmp_path / "constraints.txt"
    (tmp_path / "constraints").mkdir()
    file = tmp_path / "constraints" / "{}.{}.txt".format(*sys.version_info)
    file.touch()
    assert constraints_in(tmp_path) == file


def test_how_a_copy_came_here_is_read_from_what_pip_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, wheel = tmp_path / "site-packages", tmp_path / "vsrc_edge-1-py3-none-any.whl"
    info = site / "vsrc_edge-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: vsrc-edge\nVersion: 1\n")
    monkeypatch.setattr(installation, "_PACKAGE", site / "vsrc")
    monkeypatch.setattr(installation, "_pip", lambda: (("pip",), ()))
    found = metadata.PathDistribution(info)
    monkeypatch.setattr(metadata, "distribution", lambda _name: found)
    assert this_installation().source is None  # an index, or a folder of wheels
    assert this_installation().newer() == "update it: pip install -U vsrc-edge"
    (info / "direct_url.json").write_text(json.dumps({"url": wheel.as_uri(), "archive_info": {}}))
    here = this_installation()
    assert (here.checkout, here.source) == (None, wheel)
    assert str(wheel) in here.newer()
    assert here.reinstall_itself() is None  # the file is gone
    wheel.touch()
    again = here.reinstall_itself()
    assert again is not None
    assert again.text == f"pip install --force-reinstall --no-deps {wheel}"


def test_a_pip_that_is_not_on_the_path_is_named_in_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts = tmp_path / "scripts"  # as pip's installation makes them, in environments that have it
    scripts.mkdir()
    for name in ("pip", "pip{}.{}".format(*sys.version_info)):
        (scripts / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pip "$@"\n')
        (scripts / name).chmod(0o755)
    paths = sysconfig.get_paths()
    monkeypatch.setattr(sysconfig, "get_paths", lambda: paths | {"scripts": str(scripts)})
    monkeypatch.setenv("PATH", str(scripts))
    assert this_installation().pip == ("pip",)
    monkeypatch.setenv("PATH", str(tmp_path))
    (program,) = this_installation().pip
    assert Path(program).parent == scripts
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    assert said.stdout.startswith("pip ")
    monkeypatch.setattr(sysconfig, "get_paths", lambda: paths | {"scripts": str(tmp_path)})
    assert this_installation().pip[0] == sys.executable
    assert this_installation().pip[-2:] == ("-m", "pip")
    (tmp_path / "uv").write_text("#!/bin/sh\n")
    (tmp_path / "uv").chmod(0o755)
    monkeypatch.setattr(installation, "is_importable", lambda module: module != "pip")
    line = shlex.split(this_installation().install("jinja2").text)
    assert line[:5] == ["uv", "pip", "install", "--python", sys.executable]


def test_the_advised_pip_runs_nothing_of_the_folder_it_is_typed_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pip", "json"):
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('{name}.py was run')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    line = shlex.join((*this_installation().pip, "--version"))
    done = subprocess.run(line, shell=True, capture_output=True, text=True)
    assert done.stdout.startswith("pip "), done.stderr


def test_a_damaged_checkout_is_restored_by_git(tmp_path: Path) -> None:
    assert checkout(tmp_path).reinstall_itself() is None
    (tmp_path / ".git").mkdir()
    command = checkout(tmp_path).reinstall_itself()
    assert command is not None
    assert command.text == f"git -C {tmp_path} restore runtime/zoo"


def lines() -> list[str]:
    """The lines for every package that any machine can have, as few as hold them all."""
    here = this_installation()
    wheel = Installation(None, None, None, here.pip, here.target)
    extras = ("cpu", "compress", "teachers", "export", "eval", "report", "cluster")
    onnxruntime = next(one.requirement for one in dependencies() if one.name == "onnxruntime")
    return [
        here.install_extras(*extras).text,
        wheel.install_extras(*extras).text,
        here.install_freely("jetson-stats", "nvidia-ml-py").text,
        wheel.reinstall(onnxruntime).text,
    ]


@pytest.mark.slow
@pytest.mark.parametrize("line", lines())
def test_a_line_that_is_advised_works_as_it_is_typed(line: str) -> None:
    words = shlex.split(line)
    words[words.index("install") + 1 : words.index("install") + 1] = ["--dry-run", "--quiet"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=600, check=False)
    if any(word in done.stderr for word in ("Retrying", "Connection", "no such option: --dry-run")):
        pytest.skip("no package index answers")
    assert done.returncode == 0, done.stderr[-2000:]
