"""The page of a self-test, which needs no package to be written."""

from __future__ import annotations

from html import escape

from vsrc.export.selftest.result import SelftestReport, StepResult

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 60em; padding: 0 1em }
table { border-collapse: collapse; margin: 1em 0; width: 100% }
td, th { border-bottom: 1px solid #ccc; padding: .3em .6em; text-align: left; vertical-align: top }
.passed { color: #06621b } .failed { color: #b00020; font-weight: bold } .skipped { color: #555 }
@media (prefers-color-scheme: dark) {
  body { background: #121212; color: #eee } .passed { color: #7ddc8d }
  .failed { color: #ff8a93 } .skipped { color: #aaa }
}
"""


def page_html(report: SelftestReport) -> str:
    """Format a report as one HTML file."""
    facts = "".join(_row(name, escape(text)) for name, text in report.facts.items())
    steps = "".join(_step(step) for step in report.steps)
    how = " (--quick)" if report.quick else ""
    end = " <strong>It was interrupted.</strong>" if report.interrupted else ""
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>vsrc selftest</title>"
        f"<meta name=viewport content='width=device-width'><style>{_STYLE}</style>"
        f"<h1>Self-test of vsrc {escape(report.vsrc)}{how}</h1>"
        f"<p>{escape(report.started_utc)}, {report.seconds:.0f} s.{end}</p>"
        f"<table>{facts}</table>{steps}</html>\n"
    )


def _step(step: StepResult) -> str:
    said = f"<p>{escape(step.said)}</p>" if step.said else ""
    rows = "".join(
        f"<tr><td>{escape(check.name)}<td class={check.state}>{check.state}<td>{escape(check.said)}"
        for check in step.checks
    )
    table = f"<table>{rows}</table>" if rows else ""
    return (
        f"<h2>{step.number}. {escape(step.name)}: <span class={step.state}>{step.state}</span>"
        f" <small>{step.seconds:.1f} s</small></h2>{said}{table}"
    )


def _row(name: str, text: str) -> str:
    return f"<tr><th>{escape(name)}<td>{text}"
