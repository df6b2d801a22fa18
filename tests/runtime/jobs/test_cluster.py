"""A library restored on Ray: the files of one machine, and what failed named at the end."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from click.testing import CliRunner

from vsrc.cli import main
from vsrc.runtime.backends.device.engine_trust import allow_engines, are_all_engines_allowed
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer
from vsrc.runtime.jobs.permissions import Permissions
from vsrc.runtime.media_access import MediaAccess, allow_media, media_access

Make = Callable[..., Any]

START = """
import ray, sys
ray.init(num_cpus=2, include_dashboard=False, object_store_memory=80 << 20)
"""
HEAD = f"""{START}
print(ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
"""
PROGRAM = f"""{START}
from vsrc.cli import main
main(sys.argv[1:])
"""


@pytest.fixture(scope="module")
def ray_starts() -> None:
    """Skips where a local Ray does not: it needs ports and shared memory that not all allow."""
    pytest.importorskip("ray", reason="needs Ray: pip install ray")
    try:
        command = [sys.executable, "-c", START]
        subprocess.run(command, capture_output=True, check=True, timeout=120)
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
        pytest.skip(f"a local Ray does not start here: {error}")


@pytest.mark.slow
@pytest.mark.usefixtures("ray_starts")
def test_a_cluster_gives_the_files_of_one_machine(
    tmp_path: Path, clip: Path, write_clip: Make, moving: Make, tiny_package: Path
) -> None:
    library = tmp_path / "library"
    library.mkdir()
    frames = moving(1000, 16, 16)
    write_clip(library / "long.mp4", frames, sound=True, options={"preset": "ultrafast"})
    shutil.copy(clip, library / "short.mp4")
    (library / "broken.mp4").write_bytes(b"no video")
    shutil.copy(clip, tmp_path / "part.mp4")
    playlist = tmp_path / "twice.ffconcat"  # workers must be allowed to read it, too
    playlist.write_text("ffconcat version 1.0\nfile part.mp4\nfile part.mp4\n")
    options: dict[str, Any] = {"model": tiny_package, "preset": "ultrafast", "threads": 1}
    with allow_media(playlists=True):
        infer(InferConfig((library, playlist), tmp_path / "one", **options))
    command = [sys.executable, "-c", PROGRAM, "infer", str(library), str(playlist)]
    command += ["-o", str(tmp_path / "many"), "--allow-playlist"]
    command += ["-m", str(tiny_package), "--preset", "ultrafast", "--threads", "1"]
    quiet = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    done = subprocess.run(
        [*command, "--ray", "auto", "--json"],
        env={**os.environ, **quiet},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 1, done.stderr
    assert "1 of 4 inputs" in done.stderr
    found = json.loads(done.stdout)  # whatever Ray says, it does not say it there
    names = [Path(file["output"]).name for file in found["files"]]
    assert [Path(name).stem for name in names] == ["long", "short", "twice"]
    assert [failure["input"] for failure in found["failures"]] == ["broken.mp4"]
    for name in names:
        one, many = (tmp_path / folder / name for folder in ("one", "many"))
        assert one.read_bytes() == many.read_bytes()
    assert not list((tmp_path / "many").glob(".*"))
    items = json.loads((tmp_path / "many" / "vsrc-manifest.json").read_text())["items"]
    made = [(item["output"], bool(item["sha256"]), bool(item["error"])) for item in items]
    assert made == [
        ("broken.mp4", False, True),
        ("long.mp4", True, False),
        ("short.mp4", True, False),
        (names[2], True, False),
    ]


@pytest.mark.slow
@pytest.mark.usefixtures("ray_starts")
def test_workers_import_nothing_from_the_folder_of_the_driver(
    tmp_path: Path, clip: Path, tiny_package: Path
) -> None:
    ran, folder = tmp_path / "ran", tmp_path / "videos"
    folder.mkdir()
    for name in ("av", "onnxruntime", "fractions", "json"):
        text = f"open({str(ran)!r}, 'a').write({name!r} + ' ')\nraise SystemExit(9)"
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    environment = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token_hex(32)}
    environment |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    with subprocess.Popen(
        [sys.executable, "-c", HEAD],
        env=environment,
        stdin=subprocess.PIPE,  # it ends when this is closed
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as head:
        assert head.stdout is not None
        address = head.stdout.readline().strip()
        command = ["infer", str(clip), "-m", str(tiny_package), "-o", str(tmp_path / "sr.mp4")]
        start = "import sys; sys.path.remove('')\nfrom vsrc.cli import main\nmain()"
        done = subprocess.run(
            [sys.executable, "-c", start, *command, "--threads", "1", "--ray", address],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )
    assert done.returncode == 0, done.stderr
    assert not ran.exists(), ran.read_text(encoding="utf-8")


@pytest.mark.parametrize("options", [["--shard", "1/2"], ["--report", "a.html"]])
def test_what_a_cluster_does_by_itself_is_refused(options: list[str]) -> None:
    arguments = ["infer", "a.mp4", "-o", "b.mp4", "--ray", "auto", *options]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2
    assert "leave out" in done.stderr


@pytest.mark.parametrize("network", [False, True])
@pytest.mark.parametrize("playlists", [False, True])
def test_what_a_command_allows_travels_to_other_processes(network: bool, playlists: bool) -> None:
    with allow_media(network=network, playlists=playlists), allow_engines():
        sent = pickle.dumps(Permissions.of_this_process())
    assert media_access() == MediaAccess()
    assert not are_all_engines_allowed()
    with pickle.loads(sent).granted():
        assert media_access() == MediaAccess(network, playlists)
        assert are_all_engines_allowed()
    assert media_access() == MediaAccess()
    assert not are_all_engines_allowed()


def test_frames_do_not_travel() -> None:
    done = CliRunner().invoke(main, ["infer", "-", "-o", "b.mp4", "--ray", "auto"])
    assert done.exit_code == 2
    assert "cluster" in done.stderr
