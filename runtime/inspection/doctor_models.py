"""Part of the diagnosis: the students that ship with vsrc."""

from __future__ import annotations

from collections.abc import Iterator

from vsrc.runtime.errors import SpecError
from vsrc.runtime.inspection.finding import Finding, Remedy, with_outcome
from vsrc.runtime.inspection.trials import run_trial
from vsrc.runtime.installation import this_installation
from vsrc.runtime.package import open_package
from vsrc.runtime.shipped_models import list_shipped, shipped


def examine_models(*, can_run: bool) -> Iterator[Remedy]:
    """Upscale a frame with each student that ships.

    Args:
        can_run: Whether ONNX Runtime works; without it the students are not tried.
    """
    for name in list_shipped():
        path = shipped(name)
        try:
            is_student = bool(open_package(path).spec.graphs)
        except SpecError as error:
            finding = Finding("models", name, "broken", said=f"SpecError: {error}")
            yield Remedy(finding, this_installation().reinstall_itself())
            continue
        if not is_student:
            continue
        if not can_run:
            yield Remedy(Finding("models", name, "untried", said="no ONNX Runtime to run it"))
            continue
        finding = with_outcome(Finding("models", name, "ok"), run_trial("package", str(path)))
        is_damaged = finding.said.startswith("SpecError")
        yield Remedy(finding, this_installation().reinstall_itself() if is_damaged else None)
