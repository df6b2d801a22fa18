"""Small trials that show whether a library works; each runs in a separate process.

A native library built for another platform may crash, print, or keep a device busy, which must not
affect the caller. `run_trial` runs this file in a process and reads one line of JSON.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from vsrc.runtime.pixels import Pixels8

from vsrc.runtime.memory import oom_kills, oom_kills_since
from vsrc.runtime.processes.bound_program import bound_to_parent
from vsrc.runtime.processes.child_process import prepare_child
from vsrc.runtime.processes.process_end import describe_end

_SECONDS = 60
_CODE = "from vsrc.runtime.inspection.trials import main; main()"


@dataclass(frozen=True)
class Outcome:
    """Result of a trial.

    Attributes:
        works: Whether the trial succeeded.
        said: Result, or the error, in one line.
        is_late: Whether there was no result in time: a busy machine may be the reason.
    """

    works: bool
    said: str
    is_late: bool = False


def run_trial(name: str, argument: str = "") -> Outcome:
    """Run the trial called `name` (a key of `TRIALS`) in a fresh process."""
    child, before = prepare_child(_CODE, name, argument), oom_kills()
    try:
        done = subprocess.run(
            bound_to_parent(child.command),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
            env=child.environment,
        )
    except subprocess.TimeoutExpired:
        said = f"gave no answer within {_SECONDS} seconds; try again when the machine is less busy"
        return Outcome(False, said, is_late=True)
    last = done.stdout.strip().rpartition("\n")[2]
    if done.returncode or not last.startswith("{"):
        killed = oom_kills_since(before)
        end = describe_end(done.returncode, done.stderr, oom_kills=killed)
        return Outcome(False, f"its process {end}")
    outcome = json.loads(last)
    return Outcome(works=outcome["works"], said=outcome["said"])


def main() -> None:
    """Run the trial named by the arguments, and print its outcome."""
    name, argument = sys.argv[1:3]
    try:
        answer = {"works": True, "said": TRIALS[name](argument)}
    except Exception as error:  # any error of a library is reported to the user
        words = f"{type(error).__name__}: {error}"
        answer = {"works": False, "said": " ".join(words.split())[:300]}
    sys.stdout.write("\n" + json.dumps(answer) + "\n")


def _av(gpu: str) -> str:
    """Decode the sample clip and encode two frames of it; also with NVENC if there is a GPU."""
    import itertools

    import av
    from av.codec.codec import UnknownCodecError

    from vsrc.runtime.decode.video_reader import VideoReader
    from vsrc.runtime.sample import SAMPLE_CLIP

    with contextlib.closing(VideoReader(SAMPLE_CLIP)) as reader:
        frames = [frame.rgb for frame in itertools.islice(reader, 2)]
    problems = {}
    for codec in ("x264", "x265", "av1", *(("nvenc",) if gpu else ())):
        try:
            _encode(codec, frames)
        except Exception as error:  # noqa: PERF203  any error of a library is the finding
            problems[codec] = str(error)
    if "x264" in problems:
        raise RuntimeError(f"x264 does not encode: {problems['x264']}")
    decoders = {"h264": "h264", "hevc": "hevc", "av1": "libdav1d", "vp9": "vp9", "prores": "prores"}
    known = []
    for label, name in decoders.items():
        with contextlib.suppress(UnknownCodecError):
            av.Codec(name, "r")
            known.append(label)
    tried = [codec for codec in ("x264", "x265", "av1") if codec not in problems]
    tried += ["nvenc"] if gpu and "nvenc" not in problems else []
    return f"opens a video; decodes {' '.join(known)}; encodes {' '.join(tried)}"


def _encode(codec: str, frames: Sequence[Pixels8]) -> None:
    """Encode frames with the options that `vsrc infer` uses."""
    from fractions import Fraction

    import av

    from vsrc.runtime.encode.encoders import encoder_options, find_encoder
    from vsrc.runtime.processes.scheduling import keep_scheduling

    height, width = frames[0].shape[:2]
    encoder, _ = find_encoder(codec)
    context = av.CodecContext.create(encoder.name, "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.framerate, context.time_base = Fraction(25), Fraction(1, 25)
    context.options = encoder_options(encoder, crf=None, preset=None, width=width)
    with keep_scheduling():
        context.open()
    packets = []
    for pts, rgb in enumerate(frames):
        frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(
            format="yuv420p", threads=1
        )
        frame.pts = pts
        packets += context.encode(frame)
    packets += context.encode(None)
    if not packets:
        raise RuntimeError("the encoder returned no packets")


def _numpy(_: str) -> str:
    import numpy as np

    assert np.array_equal(np.eye(3) @ np.arange(9.0).reshape(3, 3), np.arange(9.0).reshape(3, 3))
    return ""


def _onnxruntime(_: str) -> str:
    """List the execution providers."""
    import onnxruntime

    providers = onnxruntime.get_available_providers()
    return " ".join(name.removesuffix("ExecutionProvider") for name in providers)


def _provider(provider: str) -> str:
    """Multiply two matrices on an ONNX Runtime provider."""
    import numpy as np
    import onnxruntime

    from vsrc.runtime.backends.ort_cuda import preload_cuda
    from vsrc.runtime.latency.rates import MATMUL_GRAPH

    lacks = "" if provider.startswith("CPU") else preload_cuda(onnxruntime)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # the reason is read from the exception, not from its log
    session = onnxruntime.InferenceSession(
        str(MATMUL_GRAPH), sess_options=options, providers=[provider]
    )
    if (got := session.get_providers()[0]) != provider:
        why = lacks or "a library that it needs did not load"
        raise RuntimeError(f"asked for {provider}, got {got}: {why}")
    a = np.arange(64, dtype=np.float32).reshape(8, 8)
    _check_product(session.run(None, {"a": a, "b": a})[0], a)
    return "ran a graph"


def _plugin(backend: str) -> str:
    """Multiply two matrices on a plugin of ONNX Runtime."""
    import numpy as np

    from vsrc.runtime.backends.ort import open_ort
    from vsrc.runtime.backends.ort_plugin import plugin_provider
    from vsrc.runtime.latency.rates import MATMUL_GRAPH

    provider = plugin_provider(backend)
    session = open_ort(MATMUL_GRAPH, threads=0, provider=provider)
    a = np.arange(64, dtype=np.float32).reshape(8, 8)
    _check_product(session.run(None, {"a": a, "b": a})[0], a)
    return f"ran a graph ({provider.device_kind})"


def _openvino(_: str) -> str:
    """Multiply two matrices with OpenVINO."""
    import numpy as np

    from vsrc.runtime.backends.lane_trial import LanePlan
    from vsrc.runtime.backends.openvino_session import CompiledGraph
    from vsrc.runtime.latency.rates import MATMUL_GRAPH

    graph = CompiledGraph(MATMUL_GRAPH, precision="fp32", plan=LanePlan(1, 1))
    a = np.arange(64, dtype=np.float32).reshape(8, 8)
    _check_product(graph.run({"a": a, "b": a})["c"], a)
    return "ran a graph"


def _check_product(product: NDArray[np.float32], a: NDArray[np.float32]) -> None:
    import numpy as np

    if not np.allclose(product, a @ a):
        raise RuntimeError("the product of two matrices is wrong")


def _tensorrt(_: str) -> str:
    import tensorrt

    tensorrt.Builder(tensorrt.Logger(tensorrt.Logger.ERROR))
    return "its builder starts"


def _tensorrt_rtx(_: str) -> str:
    import tensorrt_rtx

    tensorrt_rtx.Builder(tensorrt_rtx.Logger(tensorrt_rtx.Logger.ERROR))
    return "its builder starts"


def _cuda(_: str) -> str:
    """Describe the devices, and the CUDA runtime and driver."""
    from vsrc.runtime.sensors.cuda_device import cuda_device, list_devices
    from vsrc.runtime.sensors.cuda_library import load_cuda, version_text

    lines = []
    for index in range(len(list_devices())):
        device = cuda_device(index)
        lines.append(
            f"{device}, {device.multiprocessors} SMs, {device.free_bytes / 2**30:.1f} of "
            f"{device.total_bytes / 2**30:.1f} GiB free"
        )
    library = load_cuda()
    versions = library.versions
    return (
        f"{'; '.join(lines)}; CUDA runtime {version_text(versions.runtime)} ({library.path}), "
        f"driver for CUDA {version_text(versions.driver)}"
    )


def _cuda_versions(_: str) -> str:
    """Versions of the CUDA runtime and of the driver, whether or not they fit."""
    from vsrc.runtime.sensors.cuda_library import load_cuda, version_text

    versions = load_cuda(check_driver=False).versions
    return f"{version_text(versions.runtime)} {version_text(versions.driver)}"


def _power_mode(_: str) -> str:
    """Read the power mode of a Jetson, or the power limit of a GPU."""
    from vsrc.runtime.sensors.telemetry import find_sensors

    sensors, missing = find_sensors()
    facts = {name: text for sensor in sensors for name, text in sensor.facts.items()}
    reasons = dict(missing)
    for sensor in sensors:
        reasons |= sensor.unreadable
        sensor.close()
    for name in ("power mode", "gpu power limit"):
        if name in facts:
            return facts[name]
    raise RuntimeError(reasons.get("power mode") or reasons.get("gpu") or "it is not reported")


def _nvenc(_: str) -> str:
    """Encode two frames of the sample clip on the GPU."""
    from vsrc.runtime.sample import sample_frames

    _encode("nvenc", list(sample_frames(2)))
    return "encoded frames"


def _nvdec(_: str) -> str:
    """Decode a frame of the sample clip on the GPU."""
    import av
    from av.codec.hwaccel import HWAccel

    from vsrc.runtime.sample import SAMPLE_CLIP

    hardware = HWAccel("cuda", allow_software_fallback=False)
    with av.open(str(SAMPLE_CLIP), hwaccel=hardware) as container:
        frame = next(container.decode(video=0))
    return f"decoded a frame of {frame.width}x{frame.height}"


def _package(path: str) -> str:
    """Upscale a tiny frame with a model package."""
    import numpy as np

    from vsrc.runtime.package import open_package

    session = open_package(path).session()
    side = max(32, session.network.size_multiple)
    sr = session(np.zeros((1, session.network.window, side, side, 3), dtype=np.uint8))
    return f"upscaled a frame to {sr.shape[-2]}x{sr.shape[-3]}"


TRIALS: dict[str, Callable[[str], str]] = {
    "av": _av,
    "cuda": _cuda,
    "cuda-versions": _cuda_versions,
    "numpy": _numpy,
    "nvdec": _nvdec,
    "nvenc": _nvenc,
    "onnxruntime": _onnxruntime,
    "openvino": _openvino,
    "package": _package,
    "plugin": _plugin,
    "power-mode": _power_mode,
    "provider": _provider,
    "tensorrt": _tensorrt,
    "tensorrt-rtx": _tensorrt_rtx,
}
"""Name -> trial; it returns the result as text, or raises."""
