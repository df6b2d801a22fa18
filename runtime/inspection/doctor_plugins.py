"""Part of the diagnosis: OpenVINO, and plugins of ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from vsrc.runtime.backends.ort_plugin import NO_DEVICE, Plugin, installed_plugins
from vsrc.runtime.dependencies import find_version, is_importable
from vsrc.runtime.inspection.finding import Finding, Remedy, with_outcome
from vsrc.runtime.inspection.trials import Outcome, run_trial
from vsrc.runtime.installation import this_installation


def examine_plugins() -> Iterator[Remedy]:
    """Run a graph on OpenVINO and on each installed plugin; those that are absent are not named."""
    if is_importable("openvino"):
        finding = Finding("run", "openvino", "ok", find_version("openvino") or "")
        finding = with_outcome(finding, run_trial("openvino"))
        broken = finding.state == "broken"
        yield Remedy(finding, this_installation().reinstall("openvino") if broken else None)
    for plugin in installed_plugins():
        yield examine_plugin(plugin, run_trial("plugin", plugin.backend))


def examine_plugin(plugin: Plugin, outcome: Outcome) -> Remedy:
    """Describe the outcome of a trial of a plugin."""
    version = find_version(plugin.module.replace("_", "-")) or ""
    finding = with_outcome(Finding("run", plugin.backend, "ok", version), outcome)
    if NO_DEVICE in finding.said:
        said = finding.said.partition(f"{NO_DEVICE}: ")[2]
        return Remedy(replace(finding, state="no-device", said=said))
    return Remedy(finding)  # its library or a driver is missing, for which there is no pip command
