"""What the measuring process of `vsrc bench` hands to the one that reports."""

from __future__ import annotations

from dataclasses import dataclass

from vsrc.runtime.rates import Rates
from vsrc.runtime.sampling import Series


@dataclass(frozen=True)
class Measurement:
    """Raw findings; times in ms, memory in bytes.

    Attributes:
        import_ms: Importing the runtime and the library that runs the graph.
        load_ms: From an opened package to a session that is ready.
        first_inference_ms: The first frame.
        series: The samples after it.
        frames_per_run: Output frames of one sample.
        session: Label of the session.
        graph_sha256: Hash of the graph that ran.
        precision: Its arithmetic.
        before_load_bytes: Peak memory before the model was opened; None where unknown.
        peak_bytes: Peak memory after the last sample; None where unknown.
        rates: How fast this machine is, measured after the samples.
        versions: Package -> version, of what took part.
    """

    import_ms: float
    load_ms: float
    first_inference_ms: float
    series: Series
    frames_per_run: int
    session: str
    graph_sha256: str
    precision: str
    before_load_bytes: int | None
    peak_bytes: int | None
    rates: Rates
    versions: dict[str, str]
