from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from vsrc.runtime.machine import (
    _core_limit,
    board_model,
    core_count,
    has_bf16,
    peak_memory_bytes,
    this_machine,
    thread_count,
)


def test_cores_and_memory_are_those_psutil_sees() -> None:
    machine = this_machine()
    assert machine.cores == len(psutil.Process().cpu_affinity() or ())
    assert machine.memory_bytes == psutil.virtual_memory().total
    assert machine.cpu


def test_peak_memory_grows_by_what_was_held() -> None:
    code = (
        "from vsrc.runtime.machine import peak_memory_bytes\n"
        "before = peak_memory_bytes(); block = bytearray(b'1') * (200 << 20); del block\n"
        "print(peak_memory_bytes() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 195 << 20 < int(done.stdout) < 230 << 20


def test_peak_memory_of_a_child_is_not_that_of_its_parent() -> None:
    code = (
        "import subprocess, sys; block = bytearray(b'1') * (600 << 20)\n"
        "child = 'from vsrc.runtime.machine import peak_memory_bytes as p; print(p())'\n"
        "subprocess.run([sys.executable, '-c', child], check=True)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 400 << 20
    assert (peak_memory_bytes() or 0) >= psutil.Process().memory_info().rss * 0.9


@pytest.mark.parametrize(
    ("text", "cores"), [("max 100000\n", None), ("150000 100000\n", 1.5), ("oops\n", None)]
)
def test_a_control_groups_limit_is_read_in_cores(
    text: str, cores: float | None, tmp_path: Path
) -> None:
    path = tmp_path / "cpu.max"
    path.write_text(text)
    assert _core_limit(path) == cores
    assert _core_limit(tmp_path / "missing") is None


def test_a_board_names_itself(tmp_path: Path) -> None:
    path = tmp_path / "model"
    # As NVIDIA's documents show it; device tree strings end in a zero byte.
    path.write_bytes(b"NVIDIA Jetson Orin Nano Developer Kit\0")
    assert board_model(path) == "NVIDIA Jetson Orin Nano Developer Kit"
    assert board_model(tmp_path / "missing") is None


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("flags\t\t: fpu avx512f avx512_bf16 sse", True),
        ("flags\t\t: fpu amx_bf16", True),
        ("Features\t: fp asimd bf16 i8mm", True),
        ("flags\t\t: fpu avx512f avx2", False),
        ("model name\t: bf16", False),
    ],
)
def test_bf16_is_read_from_the_flags_of_the_cpu(
    line: str, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text(f"processor\t: 0\n{line}\nbugs\t\t:\n")
    monkeypatch.setattr("vsrc.runtime.machine._CPU_INFO", info)
    assert has_bf16() is expected
    monkeypatch.setattr("vsrc.runtime.machine._CPU_INFO", tmp_path / "none")
    assert has_bf16() is False


def test_threads_are_those_that_a_quota_lets_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quota = tmp_path / "cpu.max"
    monkeypatch.setattr("vsrc.runtime.machine._CPU_QUOTA", quota)
    monkeypatch.setattr("vsrc.runtime.machine.core_count", lambda: 64)
    assert thread_count() == 64  # no control group
    for text, expected in (("max 100000", 64), ("250000 100000", 3), ("1000 100000", 1)):
        quota.write_text(text)
        assert thread_count() == expected
        assert thread_count(7) == 7
    assert core_count() >= 1
