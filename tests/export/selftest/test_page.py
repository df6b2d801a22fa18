"""The page of a self-test: its verdict, and that it can be read on a phone."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from support.seen_page import TEXT, contrasts
from vsrc.export.selftest.page import write_selftest_page
from vsrc.export.selftest.result import Check, CheckState, SelftestReport, StepResult
from vsrc.export.selftest.verdict import verdict_badge

if TYPE_CHECKING:
    from playwright.sync_api import Browser

LONG = "/usr/lib/python3.11/site-packages/nvidia/cu13/lib/" * 3 + "libcudart.so.13"


def step(number: int, state: CheckState, said: str = "") -> StepResult:
    checks = (Check("CUDA runtime", state, f"<b> {LONG}"),) if state != "skipped" else ()
    return StepResult(number, f"step-{number}", state, said, 1.0, checks)


def report(*states: CheckState) -> SelftestReport:
    steps = tuple(step(number, state) for number, state in enumerate(states, 1))
    facts = {"processor": "A CPU", "cores": "2", "system": "Linux 6", "cuda runtime": LONG}
    return SelftestReport(
        vsrc="1", started_utc="2026-01-01T00:00:00Z", seconds=61.0, quick=False, has_device=True,
        interrupted=False, steps=steps, facts=facts,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("made", "kind", "words"),
    [
        (report("passed", "skipped", "passed"), "good", "2 of 3 steps passed, 1 skipped"),
        (report("passed", "passed", "passed"), "good", "3 of 3 steps passed"),
        (report("passed", "failed", "failed"), "bad", "failed: steps 2 (step-2), 3 (step-3)"),
        (report("failed"), "bad", "failed: step 1 (step-1)"),
        (report("passed"), "plain", "unfinished: 1 of 3 steps were run"),
        (replace(report("passed", "failed"), interrupted=True), "bad", "interrupted in step 2"),
        (
            replace(report("passed", "skipped", "skipped"), has_device=False),
            "bad",
            "no CUDA device to test",
        ),
        (
            replace(report("passed", "skipped", "skipped"), has_device=False, quick=True),
            "good",
            "1 of 3 steps passed, 2 skipped",
        ),
    ],
)
def test_the_verdict(made: SelftestReport, kind: str, words: str) -> None:
    badge = verdict_badge(made, planned=3)
    assert badge.kind == kind
    assert words in badge.text


def test_the_page_begins_with_the_title_the_verdict_and_the_machine(tmp_path: Path) -> None:
    pytest.importorskip("jinja2", reason="jinja2 is not installed")
    made = report("passed", "failed", "skipped")
    text = write_selftest_page(tmp_path / "a.html", made, planned=3).read_text()
    header = html.unescape(re.sub(r"<[^>]+>", " ", text.partition("<main>")[0]))
    places = [
        header.rindex(words)
        for words in ("Self-test of vsrc 1", "failed: step 2 (step-2)", "A CPU, 2 cores, Linux 6")
    ]
    assert places == sorted(places)
    assert "<b> /usr" not in text  # text of a check is no markup


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_is_wider_than_the_screen(
    browser: Browser, tmp_path: Path, scheme: Literal["light", "dark"], width: int
) -> None:
    pytest.importorskip("jinja2", reason="jinja2 is not installed")
    made = report("passed", "failed", "skipped")
    path = write_selftest_page(tmp_path / "a.html", made, planned=3)
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 800})
    page = context.new_page()
    page.goto(path.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    words = contrasts(page, TEXT)
    context.close()
    assert len(words) > 10
    assert [one for one in words if one[1] < 4.5] == []  # WCAG 2.2, 1.4.3
