"""Commands that are killed or stopped at any moment: nothing is lost, and a second run ends well.

    python benchmarks/kills.py [--how kill|once|twice] [--kills 60] [--seed 0] [--only infer,pack]
                               [--json FILE]

Each command runs once undisturbed, which gives its files and its duration; then, in fresh folders,
it is ended at a random moment of that duration and run again: by SIGKILL, or, as by Ctrl+C at a
terminal, by SIGINT to the process and its children, once, or again after 1.2 seconds if it is
still there. A run is a failure if

    torn        a file of the result is there and is not the whole file
    input       an input or the model was changed
    second run  the same command, run again, does not end with 0
    different   its result is another one than that of the undisturbed run
    left over   hidden files of the killed run are there after it
    alive       a process of the killed run is there two seconds later
    status      SIGINT: the status is not 130, unless the result is whole (0, or as Python ends)
    slow        SIGINT: it takes more than two seconds, or one after the second
    traceback   SIGINT: there is one on stderr
    pending     SIGINT: an unfinished file or folder is there
"""

from __future__ import annotations

import argparse
import fnmatch
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vsrc.compressor.network_package import write_package
from vsrc.compressor.networks import create
from vsrc.demo.tour import MARKER
from vsrc.runtime.processes.child_process import prepare_child
from vsrc.runtime.shipped_models import shipped

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from support.small_clip import write_small_clip

INPUTS = ("a.mp4", "b.mp4", "lib", "s.vsrc/model.json", "s.vsrc/graphs", "csd.vsrc")
How = Literal["kill", "once", "twice"]
STDERR = ".stderr"
LIMIT_SECONDS = 2.0
AGAIN_SECONDS = 1.2  # signals closer than a second are one wish
TRAINING = "--set batch=1 --set patch=16 --set workers=0 --set threads=1"


@dataclass(frozen=True)
class Command:
    """A command to kill.

    Attributes:
        line: Its words, in a folder of `make_material`.
        results: Files and folders that it writes.
        same_bytes: Globs of the files that are equal to the byte each time; others hold times.
        again: Words that are added when it is run again.
        share: Number of kills in a round; what imports torch takes much longer.
    """

    line: str
    results: tuple[str, ...] = ()
    same_bytes: tuple[str, ...] = ()
    again: str = ""
    share: int = 2


_EDGE = "-m edge-s --backend ort --threads 1"

COMMANDS = {
    "infer": Command(f"infer a.mp4 {_EDGE} -o out.mp4", ("out.mp4",), ("*",)),
    "pictures": Command(f"infer a.mp4 {_EDGE} -o out/%08d.png", ("out",), ("*",)),
    "library": Command(f"infer lib {_EDGE} -o results", ("results",)),
    "report": Command(
        f"infer a.mp4 {_EDGE} -o out.mkv --report r.html", ("out.mkv", "r.html"), ("*.mkv",)
    ),
    "compare": Command("compare a.mp4 b.mp4 -o page.html", ("page.html",)),
    "bench": Command(
        "bench edge-s --shape 32x32 --iterations 4 --runs 1 --no-stages --json r.json "
        "--html r.html",
        ("r.json", "r.html"),
    ),
    "pack": Command("pack s.vsrc -o copy.vsrc", ("copy.vsrc",), ("*",)),
    "calibrate": Command(
        "calibrate s.vsrc a.mp4 --windows 8 --threads 1 --overwrite",
        ("s.vsrc",),
        ("*/graphs/*", "*/weights.safetensors"),
    ),
    "preview": Command("preview a.mp4 -m edge-s --threads 1 --seconds 1 -o p.html", ("p.html",)),
    "eval": Command("eval s.vsrc --data lib --frames 3 --threads 1 --json"),
    "inspect": Command("inspect s.vsrc --json", share=1),
    "zoo": Command("zoo --json", share=1),
    "doctor": Command("doctor --offline --json", share=1),
    "data": Command("data check lib --patch 16 --clip-length 3", share=1),
    "distill": Command(
        "distill --student edge-s --teacher edge-s --objective output --data lib --steps 6 "
        f"--set checkpoint_every=1 --set clip_length=3 {TRAINING} -o d.vsrc",
        ("d.vsrc",),
        ("*/weights.safetensors",),
        again="--resume",
    ),
    "shard": Command(
        "shard --data lib -o sh --teacher edge-s --crops 4 --set patch=16 --set clip_length=3",
        ("sh",),
        ("*.safetensors",),
        share=1,
    ),
    "export": Command("export s.vsrc -o e.vsrc --io float", ("e.vsrc",), ("*.onnx",), share=1),
    "split": Command("split csd.vsrc --width 0.5 -o half.vsrc", ("half.vsrc",), ("*",), share=1),
    "demo": Command(
        "demo --steps 2 --threads 1 -o demo",
        ("demo/index.html", "demo/student.vsrc", "demo/upscaled.mp4"),  # TensorBoard's have dates
        share=1,
    ),
    "selftest": Command("selftest --quick --out self", ("self",), share=0),
}


@dataclass(frozen=True)
class Kill:
    """One command that was ended and what was wrong; empty for nothing."""

    command: str
    seconds: float
    ended_seconds: float
    failures: tuple[str, ...]


def main() -> None:
    """Run, kill, compare, report."""
    options = parsed()
    draw = random.Random(options.seed)
    names = options.only.split(",") if options.only else list(COMMANDS)
    turns = [name for name in names for _ in range(COMMANDS[name].share or len(names) == 1)]
    with tempfile.TemporaryDirectory(prefix="vsrc-kills.") as folder:
        material = make_material(Path(folder) / "material")
        whole: dict[str, tuple[float, dict[str, str]]] = {}
        kills = []
        for number in range(options.kills):
            name = turns[number % len(turns)]
            if name not in whole:
                whole[name] = undisturbed(material, Path(folder) / name, name)
            place = Path(folder) / f"{number}-{name}"
            seconds = draw.uniform(0, whole[name][0])
            kills.append(kill(material, place, name, whole[name], seconds, options.how))
            shutil.rmtree(place)
            print(f"{number + 1} of {options.kills}: {kills[-1]}", file=sys.stderr, flush=True)
    failed = [vars(each) for each in kills if each.failures]
    counts = {name: sum(each.command == name for each in kills) for name in whole}
    longest = max((each.ended_seconds for each in kills), default=0.0)
    report = {
        "how": options.how, "kills": len(kills), "seed": options.seed, "commands": counts,
        "longest_seconds": longest, "failed": failed,
    }  # fmt: skip
    text = json.dumps(report, indent=2)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")
    print(text)
    sys.exit(1 if failed else 0)


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--how", choices=("kill", "once", "twice"), default="kill")
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="only these commands, with commas")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def make_material(folder: Path) -> Path:
    """Clips, a package, and one whose widths share their weights."""
    for number, name in enumerate(("a.mp4", "b.mp4", "lib/s1/a.mp4", "lib/s2/a.mp4")):
        write_small_clip(folder / name, frames=50, seed=number)
    shutil.copytree(shipped("edge-s"), folder / "s.vsrc")
    write_package(create("edsr", blocks=1, features=8), folder / "csd.vsrc")
    return folder


def undisturbed(material: Path, place: Path, name: str) -> tuple[float, dict[str, str]]:
    """Duration of a command, seconds, and the hashes of its results."""
    shutil.copytree(material, place)
    began = time.perf_counter()
    with started(place, COMMANDS[name].line) as process:
        if process.wait():
            sys.exit(f"{name} fails by itself")
    return time.perf_counter() - began, hashes(place, COMMANDS[name].results)


def kill(
    material: Path,
    place: Path,
    name: str,
    whole: tuple[float, dict[str, str]],
    seconds: float,
    how: How,
) -> Kill:
    """End a command and run it again."""
    command = COMMANDS[name]
    shutil.copytree(material, place)
    inputs = [each for each in INPUTS if not each.startswith(command.results)]
    before = hashes(place, inputs)
    ended, status, failures = end(place, command.line, seconds, how)
    torn = hashes(place, command.results)
    is_whole = torn.keys() == whole[1].keys()
    if how != "kill":
        failures += stopping_failures(place, ended, status, is_whole=is_whole)
    if differs(torn, whole[1], command) and not command.line.endswith("--overwrite"):
        failures.append("torn")
    with started(place, f"{command.line} {command.again}") as process:
        if process.wait() and not (command.results and is_whole):  # was complete
            failures.append("second run")
    after = hashes(place, command.results)
    if after.keys() != whole[1].keys() or differs(after, whole[1], command):
        failures.append("different")
    if hashes(place, inputs) != before:
        failures.append("input")
    if any(path.name not in (MARKER, STDERR) for path in place.rglob(".*")):
        failures.append("left over")
    return Kill(name, round(seconds, 3), round(ended, 3), tuple(failures))


def end(place: Path, line: str, seconds: float, how: How) -> tuple[float, int, list[str]]:
    """End a command after some time; return the seconds that it takes, its status and failures."""
    ended = 0.0
    with started(place, line) as process:
        if how == "kill":
            time.sleep(seconds)
            os.kill(process.pid, signal.SIGKILL)
            status = process.wait()
        else:
            wait_for_handlers(process)
            time.sleep(seconds)
            ended, status = interrupt(process, is_twice=how == "twice")
        time.sleep(2)
        is_alive = any(members(process.pid))
        if is_alive:
            os.killpg(process.pid, signal.SIGKILL)
    return ended, status, ["alive"] if is_alive else []


def wait_for_handlers(process: subprocess.Popen[bytes]) -> None:
    """Wait until vsrc handles SIGTERM: before that, Python itself answers SIGINT."""
    status = Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        caught = int(status.read_text().partition("SigCgt:")[2].split()[0], 16)
        if caught >> (signal.SIGTERM - 1) & 1:
            return
        time.sleep(0.005)


def interrupt(process: subprocess.Popen[bytes], *, is_twice: bool) -> tuple[float, int]:
    """Send SIGINT to a group; return the seconds that it takes, since the last, and the status."""
    for wait in (AGAIN_SECONDS if is_twice else 60.0, 60.0):
        began = time.perf_counter()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        try:
            status = process.wait(wait)
            break
        except subprocess.TimeoutExpired:
            continue
    else:
        os.killpg(process.pid, signal.SIGKILL)
        status = process.wait()
    return time.perf_counter() - began, status


def stopping_failures(place: Path, ended: float, status: int, *, is_whole: bool) -> list[str]:
    """What is wrong with the end of a command that was interrupted."""
    words = (place / STDERR).read_text(errors="replace")
    pending = [path for path in place.rglob("*") if ".pending" in path.name]
    checks = {
        "status": status == 130 or (status in (0, -signal.SIGINT) and is_whole),
        "slow": ended <= LIMIT_SECONDS,
        "traceback": not ("Traceback" in words or "Aborted!" in words),
        "pending": not pending,
    }
    failures = [name for name, is_good in checks.items() if not is_good]
    if failures:
        print(f"{failures}: {status=} {pending=} {words[-2000:]}", file=sys.stderr)
    return failures


def differs(files: dict[str, str], whole: dict[str, str], command: Command) -> bool:
    """Whether a file that is equal to the byte each time is another one."""
    return any(
        whole.get(path) != digest
        for path, digest in files.items()
        if any(fnmatch.fnmatchcase(path, glob) for glob in command.same_bytes)
    )


def started(place: Path, line: str) -> subprocess.Popen[bytes]:
    """Start a command as the leader of a group of processes."""
    child = prepare_child("from vsrc.__main__ import main; main()", *line.split())
    quiet = subprocess.DEVNULL
    with (place / STDERR).open("wb") as errors:
        return subprocess.Popen(
            child.command, env=child.environment, cwd=place, start_new_session=True, stdin=quiet,
            stdout=quiet, stderr=errors, preexec_fn=heed_interrupts,
        )  # fmt: skip


def heed_interrupts() -> None:
    """Undo that a shell lets what it starts in the background ignore Ctrl+C."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def members(group: int) -> Iterator[int]:
    """Processes of a group that are there and no zombies."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _parent, owner = path.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(owner) == group and state != "Z":
            yield int(path.parent.name)


def hashes(place: Path, names: Iterable[str]) -> dict[str, str]:
    """Hashes of files, and of those in folders; what is hidden is left out."""
    found = {}
    for name in names:
        path = place / name
        files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
        for file in files:
            if not file.name.startswith("."):
                digest = hashlib.sha256(file.read_bytes()).hexdigest()
                found[str(file.relative_to(place))] = digest
    return found


if __name__ == "__main__":
    main()
