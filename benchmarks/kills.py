"""Commands that are killed (SIGKILL) at any moment: nothing is lost, and a second run ends well.

    python benchmarks/kills.py [--kills 60] [--seed 0] [--only infer,compare] [--json FILE]

Each command runs once undisturbed, which gives its files and its duration; then, in fresh folders,
it is killed with all its children at a random moment of that duration and run again. A kill is a
failure if

    torn        a file of the result is there and is not the whole file
    input       an input or the model was changed
    second run  the same command, run again, does not end with 0
    different   its result is another one than that of the undisturbed run
    left over   hidden files of the killed run are there after it
    alive       a process of the killed run is there two seconds later
"""

from __future__ import annotations

import argparse
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
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vsrc.runtime.processes.child_process import prepare_child
from vsrc.runtime.shipped_models import shipped

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from support.small_clip import write_small_clip

COMMANDS = {
    "infer": "infer a.mp4 -m edge-s --backend ort --threads 1 -o out.mp4",
    "pictures": "infer a.mp4 -m edge-s --backend ort --threads 1 -o out/%08d.png",
    "library": "infer lib -m edge-s --backend ort --threads 1 -o results",
    "compare": "compare a.mp4 b.mp4 -o page.html",
    "bench": "bench edge-s --shape 32x32 --iterations 4 --runs 1 --no-stages --json r.json",
    "pack": "pack s.vsrc -o copy.vsrc",
    "calibrate": "calibrate s.vsrc a.mp4 --windows 8 --overwrite",
}
RESULTS = ("out.mp4", "out", "results", "page.html", "r.json", "copy.vsrc")
SAME_BYTES = ("infer", "pictures", "pack")
"""Commands whose results are equal to the byte; the others hold times."""


@dataclass(frozen=True)
class Kill:
    """One killed command and what was wrong; empty for nothing."""

    command: str
    seconds: float
    failures: tuple[str, ...]


def main() -> None:
    """Run, kill, compare, report."""
    options = parsed()
    draw = random.Random(options.seed)
    names = options.only.split(",") if options.only else list(COMMANDS)
    with tempfile.TemporaryDirectory(prefix="vsrc-kills.") as folder:
        material = make_material(Path(folder) / "material")
        whole = {name: undisturbed(material, Path(folder) / name, name) for name in names}
        kills = []
        for number in range(options.kills):
            name = names[number % len(names)]
            place = Path(folder) / f"{number}-{name}"
            kills.append(kill(material, place, name, whole[name], draw))
            shutil.rmtree(place)
            print(f"{number + 1} of {options.kills}: {kills[-1]}", file=sys.stderr, flush=True)
    failed = [vars(each) for each in kills if each.failures]
    report = {"kills": len(kills), "seed": options.seed, "commands": names, "failed": failed}
    text = json.dumps(report, indent=2)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")
    print(text)
    sys.exit(1 if failed else 0)


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="only these commands, with commas")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def make_material(folder: Path) -> Path:
    """Clips and a package."""
    for number, name in enumerate(("a.mp4", "b.mp4", "lib/s1/a.mp4", "lib/s2/a.mp4")):
        write_small_clip(folder / name, frames=150, seed=number)
    shutil.copytree(shipped("edge-s"), folder / "s.vsrc")
    return folder


def undisturbed(material: Path, place: Path, name: str) -> tuple[float, dict[str, str]]:
    """Duration of a command, seconds, and the hashes of its results."""
    shutil.copytree(material, place)
    began = time.perf_counter()
    with started(place, name) as process:
        if process.wait():
            sys.exit(f"{name} fails by itself")
    return time.perf_counter() - began, hashes(place, RESULTS)


def kill(
    material: Path, place: Path, name: str, whole: tuple[float, dict[str, str]], draw: random.Random
) -> Kill:
    """Kill a command and run it again."""
    shutil.copytree(material, place)
    before = hashes(place, ("a.mp4", "b.mp4", "lib", "s.vsrc/model.json", "s.vsrc/graphs"))
    seconds = draw.uniform(0, whole[0])
    failures = []
    with started(place, name) as process:
        time.sleep(seconds)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        time.sleep(2)
        if any(members(process.pid)):
            failures.append("alive")
            os.killpg(process.pid, signal.SIGKILL)
    torn = hashes(place, RESULTS)
    if name in SAME_BYTES and any(whole[1].get(path) != digest for path, digest in torn.items()):
        failures.append("torn")
    with started(place, name) as process:
        if process.wait():
            is_there = name in SAME_BYTES and torn == whole[1]  # complete when it was killed
            failures += [] if is_there else ["second run"]
    after = hashes(place, RESULTS)
    if after.keys() != whole[1].keys() or (name in SAME_BYTES and after != whole[1]):
        failures.append("different")
    inputs = ("a.mp4", "b.mp4", "lib", "s.vsrc/model.json", "s.vsrc/graphs")
    if hashes(place, inputs) != before:
        failures.append("input")
    if any(path.name.startswith(".") for path in place.rglob("*")):
        failures.append("left over")
    return Kill(name, round(seconds, 3), tuple(failures))


def started(place: Path, name: str) -> subprocess.Popen[bytes]:
    """Start a command as the leader of a group of processes."""
    child = prepare_child("from vsrc.cli import main; main()", *COMMANDS[name].split())
    quiet = subprocess.DEVNULL
    return subprocess.Popen(
        child.command, env=child.environment, cwd=place, start_new_session=True, stdin=quiet,
        stdout=quiet, stderr=quiet,
    )  # fmt: skip


def members(group: int) -> Iterator[int]:
    """Processes of a group that are there and no zombies."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _parent, owner = path.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(owner) == group and state != "Z":
            yield int(path.parent.name)


def hashes(place: Path, names: tuple[str, ...]) -> dict[str, str]:
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
