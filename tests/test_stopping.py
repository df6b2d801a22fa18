"""SIGINT and SIGTERM end every long command with 130, and nothing is left half done."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import psutil
import pytest

from vsrc.calibration.calibration_file import read_calibration

# A shell that runs the tests in the background lets them ignore Ctrl+C, and theirs, too.
START = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # or under nohup
from vsrc.runtime.encode import segment_encoder
segment_encoder._FRAMES = segment_encoder._SECONDS = 10**6  # one part, which is never finished
from vsrc.cli import main
main()
"""

both = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["int", "term"])


def write_clip(path: Path, frames: int) -> None:
    """One shot of 64x64: noise that moves by a pixel a frame."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width = stream.height = 64
        for at in range(frames):
            picture = av.VideoFrame.from_ndarray(np.roll(noise, at, axis=1), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a short clip and one that lasts longer than any signal takes."""
    folder = tmp_path_factory.mktemp("clips")
    write_clip(folder / "a.mp4", 3)
    write_clip(folder / "b.mp4", 600)
    return folder


@pytest.fixture
def package(tiny_package: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_package, tmp_path / "student.vsrc"))


def stopped(
    arguments: list[object], line: str, number: signal.Signals, folder: Path
) -> tuple[str, dict[str, bytes]]:
    """Start `vsrc -v`, wait for a line on stderr, send the signal twice, as `timeout` may.

    It reaches children, too, as Ctrl+C at a terminal does.

    Returns:
        The last line on stderr, and the files that it leaves in `folder`.
    """
    others = folder / "others"  # ONNX Runtime keeps files there
    others.mkdir()
    environment = {**os.environ, "TMPDIR": str(others), "XDG_CACHE_HOME": str(others)}
    command = [sys.executable, "-c", START, "-v", *map(str, arguments)]
    with subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env=environment,
        start_new_session=True,
    ) as process:
        assert process.stderr is not None
        seen = ""
        while line not in seen:
            seen = process.stderr.readline()
            assert seen, f"it ended before {line!r}"
        children = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, number)
        os.killpg(process.pid, number)
        rest = process.stderr.read()
    assert process.returncode == 130, rest
    assert "Traceback" not in rest
    assert [child for child in children if child.is_running()] == []
    files = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert [name for name in files if re.search(r"\.pending|\.replaced|^others/vsrc-", name)] == []
    return rest.splitlines()[-1], {
        name: data for name, data in files.items() if not name.startswith("others/")
    }


@both
def test_export_leaves_the_package_as_it_was(
    untrained_package: Path, tmp_path: Path, number: signal.Signals
) -> None:
    package = Path(shutil.copytree(untrained_package, tmp_path / "student.vsrc"))
    before = {f"student.vsrc/{p.name}": p.read_bytes() for p in package.iterdir()}
    last, files = stopped(["export", package], "comparing", number, tmp_path)
    assert last == "vsrc: interrupted; nothing was saved"
    assert files == before


def test_export_names_the_copy_that_it_has_made(untrained_package: Path, tmp_path: Path) -> None:
    package = Path(shutil.copytree(untrained_package, tmp_path / "student.vsrc"))
    copy = tmp_path / "copy.vsrc"
    last, files = stopped(["export", package, "-o", copy], "comparing", signal.SIGINT, tmp_path)
    assert last == (
        f"vsrc: interrupted; {copy} is saved without the result of this command; run the same "
        "command to resume"
    )
    assert "copy.vsrc/model.json" in files
    assert [name for name in files if name.endswith(".onnx")] == []


@both
def test_calibrate_keeps_what_it_has_seen(
    package: Path, clips: Path, tmp_path: Path, number: signal.Signals
) -> None:
    last, files = stopped(["calibrate", package, clips], "running windows", number, tmp_path)
    assert re.fullmatch(
        r"vsrc: stopped; the statistics of [1-9]\d* of \d+ windows are kept; run the same command "
        "again to resume",
        last,
    )
    assert "student.vsrc/.calibration.vsrc-resume" in files
    assert read_calibration(package) is None


@both
def test_bench_keeps_nothing_and_ends_its_child(
    package: Path, tmp_path: Path, number: signal.Signals
) -> None:
    report = tmp_path / "report.json"
    arguments = ["bench", package, "--shape", "32x32", "--json", report]
    last, files = stopped(arguments, "loading", number, tmp_path)
    assert last == "vsrc: interrupted; nothing was saved"
    assert [name for name in files if not name.startswith("student.vsrc/")] == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_infer_says_that_nothing_is_kept(
    package: Path, clips: Path, tmp_path: Path, number: signal.Signals
) -> None:
    arguments = ["infer", clips / "b.mp4", "-m", package, "-o", tmp_path / "sr.mp4"]
    last, files = stopped(arguments, "64x64", number, tmp_path)
    assert last == "vsrc: interrupted; nothing was saved"
    assert [name for name in files if not name.startswith("student.vsrc/")] == []


def test_infer_says_how_many_results_are_complete(
    package: Path, clips: Path, tmp_path: Path
) -> None:
    arguments = ["infer", clips, "-m", package, "-o", tmp_path / "out"]
    last, files = stopped(arguments, "b.mp4", signal.SIGTERM, tmp_path)
    assert last == (
        "vsrc: interrupted; 1 of 2 results is complete; "
        "run the same command again to resume after it"
    )
    results = [name for name in files if not name.startswith("student.vsrc/")]
    assert sorted(results) == ["out/a.mp4", "out/vsrc-manifest.json"]


def distill_command(clips: Path, folder: Path, *, steps: int) -> list[object]:
    settings = {"patch": 32, "batch": 1, "objective": "none", "workers": 1, "device": "cpu"}
    arguments: list[object] = ["distill", "--data", clips, "-o", folder / "s.vsrc"]
    for key, value in settings.items():
        arguments += ["--set", f"{key}={value}"]
    return [*arguments, "--steps", steps]


@pytest.mark.slow
@both
def test_distill_saves_first(clips: Path, tmp_path: Path, number: signal.Signals) -> None:
    arguments = distill_command(clips, tmp_path, steps=2000)
    last, files = stopped(arguments, "step 1/2000", number, tmp_path)
    assert re.fullmatch(
        r"vsrc: stopped at step \d+ of 2000; \S+/step-\d{8} is saved; resume with the "
        "same command and --resume",
        last,
    )
    kept = {name.split("/")[2] for name in files if name.startswith("s.vsrc.run/checkpoints/")}
    assert len(kept) == 1
    assert not (tmp_path / "s.vsrc").exists()


@pytest.mark.slow
def test_distill_keeps_nothing_before_its_first_step(clips: Path, tmp_path: Path) -> None:
    arguments = distill_command(clips, tmp_path, steps=9)
    last, files = stopped(arguments, "a.mp4: 1 of 2", signal.SIGTERM, tmp_path)
    assert last == "vsrc: interrupted; nothing was saved"
    assert files == {}


AT_AN_IMPORT = """
import os, signal, sys
for name in ("SIGINT", "SIGHUP"):  # as at a terminal, whatever started the tests
    signal.signal(getattr(signal, name), signal.default_int_handler)

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == module:
            os.kill(os.getpid(), signal.Signals[number])

module, number = sys.argv.pop(1), sys.argv.pop(1)
sys.meta_path.insert(0, Finder())
from vsrc.__main__ import main
main()
"""


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize(
    "module",
    [
        "vsrc.cli",
        "click",
        "vsrc.runtime.processes.stop_signal",
        "vsrc.runtime.processes.stop_watch",
        "vsrc.commands.zoo",
        "vsrc.compressor.zoo",
    ],
)
def test_a_signal_while_vsrc_is_imported_is_no_traceback(module: str, number: str) -> None:
    command = [sys.executable, "-c", AT_AN_IMPORT, module, number, "zoo", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 130
    assert re.fullmatch(r"vsrc: interrupted.*\n", done.stderr), done.stderr
    assert done.stdout == ""


def test_a_stopped_command_does_not_wait_for_its_threads() -> None:
    code = (
        "import atexit, sys, threading, time; import vsrc.cli; from vsrc.__main__ import main\n"
        "threading.Thread(target=time.sleep, args=(600,)).start()\n"
        "atexit.register(print, 'tidied')\n"
        "vsrc.cli.main = lambda: sys.exit(130)\n"
        "main()"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (130, "tidied\n", "")
