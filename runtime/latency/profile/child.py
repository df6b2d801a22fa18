"""The measuring process of `vsrc bench --profile`, which has loaded nothing else.

In each round every network is opened again, in another order, and timed briefly. A disturbance of
some seconds then affects all networks alike and shows up as a difference between rounds.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from vsrc.runtime.processes.fresh_process import Message, answer

_WARMUP_SECONDS = 0.1
_LEAST_SAMPLES = 3


def main() -> None:
    """Answer one request; see `vsrc.runtime.processes.fresh_process`."""
    answer(_measure)


def _measure(request: Message, tell: Callable[[Message], None]) -> Message:
    """Time `request["packages"]` at `request["shapes"]`.

    Returns:
        `rounds_ms`: for each package and shape, one list of samples per round; and the label of
        the session.
    """
    from vsrc.runtime.dependencies import collect_versions
    from vsrc.runtime.latency.rates import measure_rates

    packages, shapes, rounds = request["packages"], request["shapes"], request["rounds"]
    samples_ms: list[list[list[list[float]]]] = [[[] for _ in shapes] for _ in packages]
    label, done = "", 0
    shuffled = random.Random(0)
    for _ in range(rounds):
        for index in shuffled.sample(range(len(packages)), len(packages)):
            label, samples = _visit(packages[index], request)
            for at, values in enumerate(samples):
                samples_ms[index][at].append(values)
            done += 1
            tell({"stage": "measure", "done": done, "total": rounds * len(packages)})
    tell({"stage": "machine"})
    rates = measure_rates(threads=request["threads"])
    answer = {"rounds_ms": samples_ms, "session": label, "rates": asdict(rates)}
    return {**answer, "versions": collect_versions()}


def _visit(package: str, request: Message) -> tuple[str, list[list[float]]]:
    """Open a package, time it at every shape and close it; return label and samples."""
    import numpy as np

    from vsrc.runtime.package import open_package

    session = open_package(Path(package)).session(
        backend=request["backend"],
        precision=request["precision"],
        threads=request["threads"],
        device=request["device"],
    )
    generator = np.random.default_rng(0)
    samples = []
    for height, width in request["shapes"]:
        shape = (1, session.network.window, height, width, 3)
        lr = generator.integers(0, 256, shape, dtype=np.uint8)
        samples.append(_sample(partial(session, lr), request["seconds"]))
    session.close()
    return session.label, samples


def _sample(run: Callable[[], Any], seconds: float) -> list[float]:
    """Time calls after a short warm-up; return the durations, ms."""
    from vsrc.runtime.latency.sampling import time_ms

    run()
    spent = 0.0
    while spent < _WARMUP_SECONDS:
        spent += time_ms(run) / 1000
    durations_ms: list[float] = []
    while len(durations_ms) < _LEAST_SAMPLES or sum(durations_ms) < seconds * 1000:
        durations_ms.append(time_ms(run))
    return durations_ms
