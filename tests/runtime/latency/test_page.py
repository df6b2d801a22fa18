from __future__ import annotations

import dataclasses
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pytest

from support.made_reports import MACHINE, NETWORK, STARTED, measurement
from support.seen_page import TEXT, contrasts, opened_quietly
from vsrc.runtime.latency.assembly import assemble
from vsrc.runtime.latency.config import BenchConfig
from vsrc.runtime.latency.measurement import StageTimes, Watched
from vsrc.runtime.latency.page import write_bench_page
from vsrc.runtime.latency.report import BenchReport
from vsrc.runtime.latency.table import on_front, table_text
from vsrc.runtime.report.chart import (
    Bar,
    Dot,
    Line,
    histogram,
    line_chart,
    scatter,
    ticks,
    waterfall,
)
from vsrc.runtime.sensors.telemetry import Reading
from vsrc.runtime.shipped_models import shipped
from vsrc.runtime.spec import Quality

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

Make = Callable[..., BenchReport]


def report(name: str, level_ms: float, decibels: float | None, data: str = "city") -> BenchReport:
    samples = level_ms * np.random.default_rng(0).lognormal(0.0, 0.1, 400)
    readings = tuple(
        Reading(float(at), {"VDD_IN": 5.0 + at}, {"cpu": 50.0, "gpu": 45.0 + at}, {"gpu": 600.0})
        for at in range(8)
    )
    stages: dict[str, tuple[float, ...]] = {
        "decode": (0.5,) * 20, "pre": (1.0,) * 20, "network": (level_ms,) * 20,
        "post": (0.7,) * 20, "encode": (3.0,) * 20,
    }  # fmt: skip
    found = measurement(
        tuple(samples),
        runs=5,
        name=name,
        network=dataclasses.replace(NETWORK, name=name, gmac_per_lr_pixel=4e-5),
        quality=() if decibels is None else (Quality(data, "psnr_y", "p", decibels),),
        stages=StageTimes(durations_ms=stages, clock="a profiler"),
        watched=Watched({"board": "<b>"}, {}, ("VDD_IN",), readings, (0.0, 3.0), ((4.0, 7.0),)),
    )
    config = BenchConfig(model=Path(f"{name}.vsrc"), shape=(90, 160), max_p99_ms=2 * level_ms)
    machine = dataclasses.replace(MACHINE, cpu="A CPU")
    return assemble(config, found, machine=machine, started=STARTED)


def test_the_front_holds_what_nothing_beats() -> None:
    small, large = report("small", 10.0, 25.0), report("large", 40.0, 26.0)
    beaten, unknown = report("beaten", 50.0, 25.5), report("unknown", 5.0, None)
    elsewhere = report("elsewhere", 60.0, 20.0, data="other")
    reports = [small, large, beaten, unknown, elsewhere]
    assert on_front(reports) == [True, True, False, False, True]
    text = table_text(reports)
    assert "Pareto-optimal in latency and dB: small fp32, large fp32, elsewhere fp32." in text
    assert "their dB are not comparable" in text


def test_the_table_has_a_cell_for_all_that_is_known() -> None:
    lines = table_text([report("small", 10.0, 25.0)]).splitlines()
    assert lines[0] == "LR 90x160 (HxW), A CPU"
    cells = lines[3].split()
    # 90 x 160 x 4e-5 GMAC; busy at 10.5 W (the mean of 9 to 12) over 6.5 W idle.
    assert cells[:6] == ["small", "x4", "fp32", "ort-cpu,", "2", "thr"]
    assert cells[6:8] == ["40,000", "0.576"]
    assert cells[-2] == "25.00"
    found = report("small", 10.0, 25.0).power
    assert cells[-1] == f"{found.joule_per_frame:.3g}"


def test_unknown_cells_are_dashes() -> None:
    bare = report("bare", 10.0, None)
    power = dataclasses.replace(bare.power, joule_per_frame=None)
    line = table_text([dataclasses.replace(bare, power=power)]).splitlines()[3]
    assert line.split()[-2:] == ["-", "-"]


def test_the_page_names_a_shipped_model_as_it_is_typed(tmp_path: Path) -> None:
    pytest.importorskip("jinja2")
    found = report("edge-s", 10.0, 25.0)
    subject = dataclasses.replace(found.subject, model=str(shipped("edge-s")))
    page = write_bench_page(tmp_path / "a.html", [dataclasses.replace(found, subject=subject)])
    text = page.read_text(encoding="utf-8")
    assert str(shipped("edge-s").parent) not in text
    assert re.search(r"<t[hd][^>]*>model</t[hd]>\s*<td[^>]*>edge-s</td>", text)


# --- Charts ---------------------------------------------------------------------------------------


def svg(text: str) -> ET.Element:
    return ET.fromstring(text)


def test_a_line_goes_through_its_points() -> None:
    root = svg(line_chart([Line("a", [0, 1, 2], [0.0, 10.0, 5.0])], name="n", x_label="s",
                          y_label="ms"))  # fmt: skip
    (line,) = root.findall("polyline")
    points = [tuple(map(float, pair.split(","))) for pair in line.attrib["points"].split()]
    (x0, y0), (x1, y1), (x2, y2) = points
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2)  # equal steps in time
    assert y1 < y2 < y0  # more is further up
    assert (y0 - y2) / (y0 - y1) == pytest.approx(0.5, abs=0.01)
    assert root.attrib["aria-label"] == "n"


def test_long_series_keep_their_spikes_when_they_are_thinned() -> None:
    values = [1.0] * 100_000
    values[54_321] = 9.0
    text = line_chart([Line("a", range(100_000), values)], name="n", x_label="s", y_label="ms")
    (line,) = svg(text).findall("polyline")
    heights = {float(pair.split(",")[1]) for pair in line.attrib["points"].split()}
    assert len(line.attrib["points"].split()) < 2000
    assert len(heights) == 2


def test_a_histogram_counts_every_sample() -> None:
    root = svg(histogram([1.0, 1.1, 5.0], name="n", x_label="ms", marks={"p50": 1.1}))
    counts = [int((bar[0].text or "").rpartition(" ")[2]) for bar in root.findall("rect")]
    assert sum(counts) == 3
    assert len([one for one in root.findall("line") if one.attrib["class"] == "mark"]) == 1


@pytest.mark.parametrize("values", [[3.0], [3.0] * 500, [0.0, 0.0]])
def test_equal_samples_have_a_histogram(values: list[float]) -> None:
    svg(histogram(values, name="n", x_label="ms", marks={"p50": values[0]}))


def test_nothing_to_draw_gives_nothing() -> None:
    assert line_chart([Line("a", [], [])], name="n", x_label="s", y_label="ms") == ""


def test_names_are_text_and_never_markup() -> None:
    evil = "<script>\"'&"
    for text in (
        scatter([Dot(evil, 1, 2, True)], name=evil, x_label=evil, y_label=evil),
        waterfall([Bar(evil, 0, 1, evil)], name=evil, x_label=evil),
        line_chart([Line(evil, [1], [1])], name=evil, x_label=evil, y_label=evil),
    ):
        root = svg(text)
        assert root.attrib["aria-label"] == evil
        assert not list(root.iter("script"))


@pytest.mark.parametrize("low", [0.0, 3.2, -40.0])
@pytest.mark.parametrize("span", [1e-3, 0.7, 13.0, 25_000.0])
def test_ticks_are_round_and_lie_inside(low: float, span: float) -> None:
    found = ticks(low, low + span)
    assert 3 <= len(found) <= 8
    assert all(low - 1e-9 * span <= value <= low + span * (1 + 1e-9) for value in found)


# --- The page -------------------------------------------------------------------------------------


@pytest.fixture
def page_file(tmp_path: Path) -> Path:
    reports = [report("small", 10.0, 25.0), report("large", 40.0, 26.0)]
    return write_bench_page(tmp_path / "bench.html", reports)


@pytest.fixture
def opened(browser: Browser, page_file: Path) -> Iterator[Page]:
    with opened_quietly(browser, page_file, width=1100) as page:
        yield page


@pytest.mark.browser
def test_the_page_shows_every_chart_and_table(opened: Page) -> None:
    for name in ("Quality against latency", "Histogram of latency", "Latency over time",
                 "Stages of a frame", "Power over time", "Temperature over time"):  # fmt: skip
        chart = opened.get_by_role("img", name=name, exact=True).first
        box = chart.bounding_box()
        assert box
        assert box["width"] > 300
        assert box["height"] > 100
    assert opened.get_by_role("table").count() == 7  # one of both, and three of each
    assert opened.locator("dl").first.inner_text().startswith("Median latency")
    assert "<b>" in opened.locator("table").nth(2).inner_text()  # the board's name, as text


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1100])
def test_nothing_sticks_out_and_charts_can_be_seen(
    browser: Browser, page_file: Path, scheme: Literal["light", "dark"], width: int
) -> None:
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 800})
    page = context.new_page()
    page.goto(page_file.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    words = contrasts(page, TEXT) + contrasts(page, ".chart text", "fill")
    marks = contrasts(page, ".chart .line", "stroke") + contrasts(page, ".chart .fill", "fill")
    context.close()
    # WCAG 2.2: 4.5 for text (1.4.3), 3 for what a chart consists of (1.4.11).
    assert len(words) > 20
    assert [one for one in words if one[1] < 4.5] == []
    assert len(marks) > 20
    assert [one for one in marks if one[1] < 3] == []


@pytest.mark.browser
def test_tables_fit_a_narrow_paper(browser: Browser, page_file: Path) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 800})
    page = context.new_page()
    page.emulate_media(media="print")
    page.goto(page_file.as_uri())
    right = page.locator("table").evaluate_all(
        "(tables) => Math.max(...tables.map((table) => table.getBoundingClientRect().right))"
    )
    heading, cell = (
        page.locator(kind).first.evaluate("(e) => parseFloat(getComputedStyle(e).fontSize)")
        for kind in ("thead th", "tbody td")
    )
    context.close()
    assert 0 < right <= 390
    assert heading <= cell


@pytest.mark.browser
def test_on_paper_there_is_no_dark_page(browser: Browser, page_file: Path) -> None:
    context = browser.new_context(color_scheme="dark")
    page = context.new_page()
    page.emulate_media(media="print")
    page.goto(page_file.as_uri())
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    words = contrasts(page, TEXT) + contrasts(page, ".chart text", "fill")
    assert [one for one in words if one[1] < 4.5] == []
    context.close()
