"""Restores a library on a cluster of two nodes, one of which is killed in the middle.

    python benchmarks/cluster.py [--frames 1440] [--size 90x160]

Two raylets on this machine, one CPU each, form the cluster. The library is one long video, which
is cut into pieces, two short ones, and a file that is no video. What comes out is compared, byte by
byte, with what one machine makes. Then the program that waits for the tasks is killed, too, and the
same command is given again.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from vsrc.runtime.processes.child_process import prepare_child
from vsrc.runtime.sample import SAMPLE_CLIP

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112  Ray's workers give way to all else by default

HEAD = {"num_cpus": 1, "include_dashboard": False}
NAMES = ("long.mp4", "short-1.mp4", "short-2.mp4")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--frames", type=int, default=1440)
    parser.add_argument("--size", default="90x160", help="HxW of the frames")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vsrc-cluster-") as name:
        folder = Path(name)
        library = folder / "library"
        write_library(library, options.size, options.frames)
        seconds = timed(start(library, folder / "single"))
        print(f"one machine: {seconds:.1f} s")
        with_a_dead_node(library, folder / "node", folder / "single")
        with_a_dead_driver(library, folder / "driver", folder / "single")


def with_a_dead_node(library: Path, output: Path, expected: Path) -> None:
    """Kill one of two nodes once a third of the long video is there."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args=HEAD)
    node = cluster.add_node(num_cpus=1)
    began = time.perf_counter()
    driver = start(library, output, "--ray", cluster.address)
    before = wait_for_segments(output, 4, driver)
    cluster.remove_node(node, allow_graceful=False)
    print(f"killed a node after {time.perf_counter() - began:.1f} s, {before} parts were there")
    timed(driver)
    print(f"done {time.perf_counter() - began:.1f} s after the start")
    compare(output, expected)
    cluster.shutdown()  # type: ignore[no-untyped-call]


def with_a_dead_driver(library: Path, output: Path, expected: Path) -> None:
    """Kill the driver, and give the same command again."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args=HEAD)
    cluster.add_node(num_cpus=1)
    driver = start(library, output, "--ray", cluster.address)
    before = wait_for_segments(output, 4, driver)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    kept = {file: file.stat().st_mtime_ns for file in output.rglob("*.segment")}
    print(f"killed the driver, {before} parts were there")
    began = time.perf_counter()
    driver = start(library, output, "--ray", cluster.address)
    wait_for_segments(output, len(kept) + 1, driver)
    again = [file for file, stamp in kept.items() if file.stat().st_mtime_ns != stamp]
    timed(driver)
    print(f"went on: {len(again)} parts made again, done after {time.perf_counter() - began:.1f} s")
    compare(output, expected)
    cluster.shutdown()  # type: ignore[no-untyped-call]


def start(library: Path, output: Path, *options: str) -> subprocess.Popen[str]:
    child = prepare_child(
        "from vsrc.cli import main; main()", "infer", str(library), "-o", str(output), *options
    )
    return subprocess.Popen(child.command, env=child.environment, stderr=subprocess.PIPE, text=True)


def timed(process: subprocess.Popen[str]) -> float:
    """Wait for a run over the library; one of four inputs fails, which is status 1."""
    began = time.perf_counter()
    _, said = process.communicate()
    if process.returncode != 1 or "1 of 4 inputs could not be upscaled" not in said:
        raise SystemExit(f"status {process.returncode}: {said}")
    return time.perf_counter() - began


def wait_for_segments(output: Path, count: int, process: subprocess.Popen[str]) -> int:
    while process.poll() is None:
        found = len(list(output.rglob("*.segment")))
        if found >= count:
            return found
        time.sleep(0.02)
    raise SystemExit(f"the run ended before {count} parts were there")


def compare(output: Path, expected: Path) -> None:
    for name in NAMES:
        same = (output / name).read_bytes() == (expected / name).read_bytes()
        print(f"  {name}: {'the same bytes' if same else 'OTHER BYTES'}")
        if not same:
            raise SystemExit(1)


def write_library(library: Path, size: str, frames: int) -> None:
    program = shutil.which("ffmpeg")
    if program is None:
        raise SystemExit("ffmpeg is not installed; apt-get install ffmpeg")
    library.mkdir()
    height, width = size.split("x")
    for name, count in zip(NAMES, (frames, 100, 60), strict=True):
        arguments = [
            *("-stream_loop", "-1", "-i", SAMPLE_CLIP, "-vf", f"scale={width}:{height}"),
            *("-frames:v", count, "-c:v", "libx264", "-c:a", "copy", "-shortest", library / name),
        ]
        subprocess.run([program, "-v", "error", "-y", *map(str, arguments)], check=True)
    (library / "broken.mp4").write_bytes(b"no video")


if __name__ == "__main__":
    main()
