"""Damaged videos through `vsrc infer`: nothing may crash, hang or leak, and each gets its word.

    python benchmarks/fuzz.py [--files 500] [--seed 0] [--lanes 1] [--keep FOLDER] [--json FILE]

Good clips of 12 frames, one for each pair of container and codec in SEEDS, are made with ffmpeg and
damaged in the ways of MUTATIONS. Processes of their own take many files each, so that what one file
leaves behind shows. A file is a failure if

    crash      the process died, or an exception came out that is no error of vsrc's
    hang       it took longer than LIMIT_SECONDS
    silent     neither status 0 with the line of the result, nor status 1 with a line "vsrc: ..."
    left over  the status is not 0, but an output is there
    count      only video packets were damaged, yet the number of frames changed
    leak       run again and again, the process grows by more than 1 MB each time
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import platform
import queue
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import av

FRAMES = 12
LIMIT_SECONDS = 60
FILES_PER_PROCESS = 100
TS_PIECE = 12
"""By so many bytes before and behind it a place in a packet of a transport stream is found."""

WARM_UP = 50
"""Files of a process that do not count in the mean of its growth."""

LEAK_BYTES = 1 << 20
REPEATS = 40
"""Most runs of a file that is suspected of leaking."""

CALM = 5
"""So many runs in a row that add less than a leak would show that there is none."""

X265 = "-x265-params log-level=none:keyint=6"
SEEDS = {
    "h264.mp4": "-c:v libx264 -g 6 -bf 2 -c:a aac",
    "h264.mkv": "-c:v libx264 -g 6 -bf 2 -pix_fmt yuv420p10le -c:a libmp3lame",
    "h264.ts": "-c:v libx264 -g 6 -c:a mp2",
    "hevc.mp4": f"-c:v libx265 {X265} -c:a aac",
    "hevc.ts": f"-c:v libx265 {X265} -c:a aac",
    "vp9.webm": "-c:v libvpx-vp9 -g 6 -deadline realtime -cpu-used 8 -c:a libopus",
    "vp8.webm": "-c:v libvpx -g 6 -deadline realtime -cpu-used 8 -c:a libvorbis",
    "av1.mp4": "-c:v libaom-av1 -cpu-used 8 -usage realtime -g 6 -c:a aac",
    "av1.webm": "-c:v libaom-av1 -cpu-used 8 -usage realtime -g 6 -c:a libopus",
    "mpeg4.avi": "-c:v mpeg4 -g 6 -c:a libmp3lame",
    "mpeg2.ts": "-c:v mpeg2video -g 6 -bf 2 -c:a mp2",
    "mjpeg.avi": "-c:v mjpeg -pix_fmt yuvj420p -c:a pcm_s16le",
    "prores.mov": "-c:v prores_ks -c:a pcm_s16le",
    "ffv1.mkv": "-c:v ffv1 -c:a flac",
}
"""Clips and the words that make ffmpeg write them."""


def main() -> None:
    """Make the files, run them, report."""
    options = parsed()
    if options.worker:
        work(Path(options.worker))
        return
    with folder_of(options.keep) as folder:
        seeds = make_seeds(folder / "seeds", options.seeds.split(",") if options.seeds else None)
        files = list(make_files(folder / "damaged", seeds, options.files, options.seed))
        batches = [
            files[at : at + FILES_PER_PROCESS] for at in range(0, len(files), FILES_PER_PROCESS)
        ]
        began = time.perf_counter()
        with ThreadPoolExecutor(options.lanes) as pool:
            runs = list(pool.map(lambda batch: run_batch(batch, folder), batches))
        outcomes = [one for run in runs for one in run]
        judge_leaks(outcomes, folder)
        report = summary(outcomes, seconds=time.perf_counter() - began, seed=options.seed)
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))
    sys.exit(1 if report["failures"] else 0)


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lanes", type=int, default=1, help="processes at a time")
    parser.add_argument("--seeds", help="only these clips, with commas")
    parser.add_argument("--keep", type=Path, help="leave the files here")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser.parse_args()


@contextmanager
def folder_of(keep: Path | None) -> Iterator[Path]:
    """A folder for the files."""
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep
        return
    with tempfile.TemporaryDirectory(prefix="vsrc-fuzz.") as name:
        yield Path(name)


# --- files ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Damaged:
    """One file.

    Attributes:
        path: Where it lies.
        kind: How it was damaged.
        frames: As many as the result has to have, if any; None where nobody can say.
    """

    path: Path
    kind: str
    frames: int | None


def make_seeds(folder: Path, names: list[str] | None) -> dict[str, Path]:
    """The good clips; those that this ffmpeg cannot write are left out, with a word."""
    folder.mkdir(parents=True, exist_ok=True)
    sources = f"-f lavfi -i testsrc2=s=64x48:r=25:d={FRAMES / 25} -f lavfi -i sine=d={FRAMES / 25}"
    found = {}
    for name in names or SEEDS:
        path = folder / name
        words = f"-v error -y {sources} -pix_fmt yuv420p {SEEDS[name]} -shortest".split()
        done = subprocess.run(
            [ffmpeg(), *words, str(path)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            print(f"no {name}: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
        else:
            found[name] = path
    return found


def ffmpeg() -> str:
    """The program: that of the machine, or the one that comes with imageio-ffmpeg."""
    found = shutil.which("ffmpeg")
    if found is None:
        import imageio_ffmpeg

        found = imageio_ffmpeg.get_ffmpeg_exe()
    return str(found)


def make_files(folder: Path, seeds: dict[str, Path], count: int, seed: int) -> Iterator[Damaged]:
    """Damage the clips in turn, each in all ways."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(seed)
    names = list(seeds)
    kinds = list(MUTATIONS)
    for index in range(count):
        name = names[index % len(names)]
        kind = kinds[index // len(names) % len(kinds)]
        path = folder / f"{index:04d}-{kind}-{name}"
        mutate = MUTATIONS[kind]
        if mutate is None:
            damage_packets(seeds[name], path, draw)
            yield Damaged(path, kind, frames_of(seeds[name]))
        else:
            other = seeds[draw.choice(names)]
            path.write_bytes(mutate(seeds[name].read_bytes(), other.read_bytes(), draw))
            yield Damaged(path, kind, None)


def bits(data: bytes, _: bytes, draw: random.Random) -> bytes:
    """A few bits anywhere are turned over."""
    return flipped(data, range(len(data)), draw.choice((1, 4, 16, 64)), draw)


def ends(data: bytes, _: bytes, draw: random.Random) -> bytes:
    """Bits of the first and last 2 KB, where headers and indices lie, are turned over."""
    places = [at for at in range(len(data)) if at < 2048 or at >= len(data) - 2048]
    return flipped(data, places, draw.choice((1, 4, 16)), draw)


def cut(data: bytes, _: bytes, draw: random.Random) -> bytes:
    """Nothing after some point."""
    return data[: draw.randrange(len(data))]


def spliced(data: bytes, other: bytes, draw: random.Random) -> bytes:
    """The beginning of one file and the end of another."""
    return data[: draw.randrange(len(data))] + other[draw.randrange(len(other)) :]


def hole(data: bytes, _: bytes, draw: random.Random) -> bytes:
    """A stretch is missing, zero, or noise."""
    begin = draw.randrange(len(data))
    end = min(len(data), begin + draw.randrange(1, len(data) // 4))
    filling = draw.choice((b"", bytes(end - begin), draw.randbytes(end - begin)))
    return data[:begin] + filling + data[end:]


def flipped(data: bytes, places: range | list[int], count: int, draw: random.Random) -> bytes:
    """`data` with one bit turned over at `count` of the places."""
    changed = bytearray(data)
    for _ in range(count):
        changed[draw.choice(places)] ^= 1 << draw.randrange(8)
    return bytes(changed)


Mutation = Callable[[bytes, bytes, random.Random], bytes]
MUTATIONS: dict[str, Mutation | None] = {
    "bits": bits, "ends": ends, "cut": cut, "spliced": spliced, "hole": hole, "packets": None,
}  # fmt: skip


def damage_packets(source: Path, target: Path, draw: random.Random) -> None:
    """Turn over bits inside one to three video packets and leave all else as it is."""
    with av.open(str(source)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    data = bytearray(source.read_bytes())
    for index in draw.sample(range(FRAMES), draw.randrange(1, 4)):
        packet = packets[index]
        if target.suffix == ".ts":
            damage_pieces(data, packet, draw)
        else:
            changed = flipped(packet, range(len(packet)), draw.choice((1, 8, 64)), draw)
            place = data.index(packet)
            data[place : place + len(packet)] = changed
    target.write_bytes(data)


def damage_pieces(data: bytearray, packet: bytes, draw: random.Random) -> None:
    """The same in a transport stream, where a packet lies in pieces between headers.

    What divides one frame from the next there are start codes inside the packets. Without one, two
    frames become one, and its time stamps say no more than that the rate varies: these stay.
    """
    kept = {at + more for at in find_all(packet, b"\0\0\1") for more in range(-1, 6)}
    free = [at for at in range(TS_PIECE, len(packet) - TS_PIECE) if at not in kept]
    for at in draw.sample(free, min(len(free), draw.choice((1, 8, 64)))):
        place = data.find(packet[at - TS_PIECE : at + TS_PIECE])
        if place >= 0:
            data[place + TS_PIECE] ^= 1 << draw.randrange(8)


def find_all(data: bytes, what: bytes) -> list[int]:
    """Where `what` lies in `data`."""
    return [found.start() for found in re.finditer(re.escape(what), data)]


def frames_of(path: Path) -> int:
    """Frames of a good clip."""
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


# --- the process that takes many files ------------------------------------------------------------


@dataclass
class Outcome:
    """What became of a file.

    Attributes:
        name: Of the file.
        kind: How it was damaged.
        status: Exit status, or None.
        line: Last line on stderr, or the line of the result.
        failure: Which of the failures it is; empty for none.
        detail: More on that.
        seconds: How long it took.
        grown_bytes: By how much the process was larger afterwards.
    """

    name: str
    kind: str
    status: int | None = None
    line: str = ""
    failure: str = ""
    detail: str = ""
    seconds: float = 0.0
    grown_bytes: int = 0


def work(folder: Path) -> None:
    """Take names of files on stdin; answer each with a line of JSON on stdout."""
    from vsrc.cli import main as vsrc

    answers = os.fdopen(os.dup(1), "w")
    said = {number: (folder / f"said-{os.getpid()}-{number}").open("w+b") for number in (1, 2)}
    for number, file in said.items():
        os.dup2(file.fileno(), number)  # what libraries written in C say is caught, too
    output = folder / f"out-{os.getpid()}.mkv"
    for line in sys.stdin:
        for file in said.values():
            file.seek(0)
            file.truncate()
        arguments = ["infer", line.strip(), "-o", str(output), "--preset", "ultrafast"]
        before, began = resident_bytes(), time.perf_counter()
        status, trouble = call(vsrc, [*arguments, "--threads", "1"])
        sys.stdout.flush()
        sys.stderr.flush()
        answer = {
            "status": status,
            "trouble": trouble,
            "seconds": round(time.perf_counter() - began, 3),
            "out": text_of(said[1]),
            "err": text_of(said[2]),
            "left_over": output.exists() and status != 0,
        }
        output.unlink(missing_ok=True)
        answer["grown_bytes"] = resident_bytes() - before
        print(json.dumps(answer), file=answers, flush=True)


def call(command: Callable[[list[str]], object], arguments: list[str]) -> tuple[int | None, str]:
    """Exit status of a command, or what came out of it that should not have."""
    try:
        command(arguments)
    except SystemExit as end:
        return (end.code if isinstance(end.code, int) else 0), ""
    except BaseException:
        return None, traceback.format_exc()[-2000:]
    return 0, ""


def text_of(file: IO[bytes]) -> str:
    """What was written to a file through its descriptor."""
    file.seek(0)
    return file.read().decode(errors="replace")[-4000:]


def resident_bytes() -> int:
    """Memory of this process, without what it only has not given back yet."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


# --- the supervisor -------------------------------------------------------------------------------


class Worker:
    """A process that takes one file after another; it is started again when it is lost."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[str] | None = None

    def run(self, path: Path) -> dict[str, object] | str:
        """The answer of the process, or why there is none: "hang", or "crash (status)"."""
        process, answers = self._started()
        assert process.stdin is not None
        process.stdin.write(f"{path}\n")
        process.stdin.flush()
        try:
            answer = answers.get(timeout=LIMIT_SECONDS)
        except queue.Empty:
            self.close()
            return "hang"
        if answer:
            found: dict[str, object] = json.loads(answer)
            return found
        status = process.wait()
        self._process = None
        return f"crash (status {status})"

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _started(self) -> tuple[subprocess.Popen[str], queue.Queue[str]]:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-X", "faulthandler", __file__, "--worker", str(self._folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            self._answers: queue.Queue[str] = queue.Queue()
            threading.Thread(
                target=_pass_on, args=(self._process, self._answers), daemon=True
            ).start()
        return self._process, self._answers


def _pass_on(process: subprocess.Popen[str], answers: queue.Queue[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        answers.put(line)
    answers.put("")


def run_batch(files: list[Damaged], folder: Path) -> list[Outcome]:
    """Run files in one process, as long as it lives."""
    worker = Worker(folder)
    try:
        return [judged(one, worker.run(one.path)) for one in files]
    finally:
        worker.close()


def judged(file: Damaged, answer: dict[str, object] | str) -> Outcome:
    """The verdict on one file, but for leaks."""
    outcome = Outcome(file.path.name, file.kind)
    if isinstance(answer, str):
        outcome.failure, outcome.detail = answer.partition(" ")[0], answer
        return outcome
    out, err = str(answer["out"]), str(answer["err"])
    outcome.status = answer["status"] if isinstance(answer["status"], int) else None
    outcome.seconds = float(str(answer["seconds"]))
    outcome.grown_bytes = int(str(answer["grown_bytes"]))
    outcome.line = (out if outcome.status == 0 else err).strip().rpartition("\n")[2]
    if answer["trouble"]:
        outcome.failure, outcome.detail = "crash", str(answer["trouble"])
    elif not has_its_word(outcome):
        outcome.failure, outcome.detail = "silent", err
    elif answer["left_over"]:
        outcome.failure = "left over"
    elif outcome.status == 0 and file.frames is not None:
        found = re.search(r"  (\d+) frames, ", outcome.line)
        if found is None or int(found[1]) != file.frames:
            outcome.failure, outcome.detail = "count", f"{file.frames} frames are due; {err}"
    return outcome


def has_its_word(outcome: Outcome) -> bool:
    """Whether status and line are such as a user can act on."""
    if outcome.status == 0:
        return " frames, " in outcome.line
    return outcome.status == 1 and outcome.line.startswith("vsrc: ")


def judge_leaks(outcomes: list[Outcome], folder: Path) -> None:
    """Run files after which a process was larger by 1 MB again and again."""
    damaged = folder / "damaged"
    for outcome in outcomes:
        if outcome.failure or outcome.grown_bytes <= LEAK_BYTES:
            continue
        growth = lasting_growth(Damaged(damaged / outcome.name, outcome.kind, None), folder)
        if growth > LEAK_BYTES:
            outcome.failure, outcome.detail = "leak", f"{growth / 1e6:.1f} MB a run"


def lasting_growth(file: Damaged, folder: Path) -> float:
    """Bytes that each run of a file adds, once the buffers that grow but once have grown."""
    worker = Worker(folder)
    grown: list[int] = []
    try:
        for _ in range(REPEATS):
            grown.append(judged(file, worker.run(file.path)).grown_bytes)
            last = grown[-CALM:]
            if len(grown) > CALM and sum(last) < LEAK_BYTES:
                break
    finally:
        worker.close()
    return statistics.mean(grown[-CALM:] if len(grown) < REPEATS else grown[REPEATS // 2 :])


def summary(outcomes: list[Outcome], *, seconds: float, seed: int) -> dict[str, object]:
    """What is to be told of all of them."""
    growth = [one.grown_bytes for one in outcomes]
    # What a process loads and what its allocator takes once shows in its first files.
    warm = [bytes_ for at, bytes_ in enumerate(growth) if at % FILES_PER_PROCESS >= WARM_UP]
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, PyAV {av.__version__}",
        "date": time.strftime("%Y-%m-%d"),
        "seed": seed,
        "files": len(outcomes),
        "seconds": round(seconds, 1),
        "longest_seconds": max((one.seconds for one in outcomes), default=0.0),
        "statuses": dict(Counter(str(one.status) for one in outcomes)),
        "by_kind": {
            kind: dict(Counter(str(one.status) for one in outcomes if one.kind == kind))
            for kind in MUTATIONS
        },
        "growth_bytes_median": round(statistics.median(growth)) if growth else 0,
        "growth_bytes_mean_when_warm": round(statistics.mean(warm)) if warm else 0,
        "words": Counter(
            re.sub(r"\S*/\S+|\d[\d.]*", "N", one.line)[:90] for one in outcomes if one.status
        ).most_common(12),
        "failures": [asdict(one) for one in outcomes if one.failure],
    }


if __name__ == "__main__":
    main()
