"""Step 7: latency of the engines, beside trtexec where it is installed."""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess

import numpy as np

from vsrc.export.selftest.build_step import PACKAGE, USUAL_SIZE, find_backend, work_package
from vsrc.export.selftest.context import Context
from vsrc.runtime.backends.device.device_session import DeviceSession
from vsrc.runtime.backends.device.engines import FoundEngine, find_engines, open_whole, this_device
from vsrc.runtime.errors import VsrcError
from vsrc.runtime.package import open_package
from vsrc.runtime.processes.bound_program import bound_to_parent

_SECONDS = 2.0
_TRTEXEC = ("/usr/src/tensorrt/bin", "/usr/local/tensorrt/bin")
_MEDIAN = re.compile(r"GPU Compute Time:.*?median = ([0-9.]+) ms")


def try_speed(context: Context) -> None:
    """Time one engine of each precision that was built."""
    backend = find_backend(quick=context.quick)
    package = open_package(work_package(context.work, PACKAGE))
    here = this_device(backend, context.device)
    window = np.zeros((1, package.spec.network.window, *USUAL_SIZE, 3), dtype=np.uint8)
    for name in ("fp32", "fp16", "int8"):
        engines = find_engines(package, name, here, [])[:1]
        if not engines:
            context.add(name, "skipped", "no engine was built")
            continue
        with context.attempt(name) as said:
            session = open_whole(package.spec.network, here, engines)
            if not isinstance(session, DeviceSession):
                raise VsrcError("it is not a session on a device")
            stages = session.stages(window, seconds=_SECONDS)
            session.close()
            median = statistics.median(stages.network_ms)
            said.append(f"network {median:.3f} ms per frame of {USUAL_SIZE[1]}x{USUAL_SIZE[0]}")
            said.append(_beside(context, name, engines[0]))


def _beside(context: Context, name: str, engine: FoundEngine) -> str:
    """The same engine in trtexec."""
    program = shutil.which("trtexec", path=os.pathsep.join((*os.get_exec_path(), *_TRTEXEC)))
    if program is None or engine.spec.target.backend != "trt":
        return "no trtexec beside it"
    height, width = USUAL_SIZE
    shape = f"lr:1x3x{height}x{width}x3"
    is_free = len(engine.spec.target.shapes["lr"]) > 1
    done = subprocess.run(
        bound_to_parent(
            [
                *(program, f"--loadEngine={engine.path}", f"--duration={_SECONDS:.0f}"),
                *("--useCudaGraph", f"--device={context.device}"),
                *((f"--shapes={shape}",) if is_free else ()),
            ]
        ),
        capture_output=True,
        text=True,
        errors="replace",
        timeout=30,
        check=False,
    )
    context.keep(f"trtexec-{name}.txt", done.stdout + done.stderr)
    found = _MEDIAN.search(done.stdout)
    if done.returncode or found is None:
        return f"trtexec ended with status {done.returncode}"
    return f"trtexec {float(found[1]):.3f} ms"
