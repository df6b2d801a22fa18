"""Components shared by the HTML pages of several reports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from vsrc.runtime.report.before_after import Table
from vsrc.runtime.report.chart import Line, line_chart
from vsrc.runtime.sensors.telemetry import Reading


@dataclass(frozen=True)
class Figure:
    """A key figure, shown in large type."""

    name: str
    value: str
    detail: str = ""


@dataclass(frozen=True)
class Chart:
    """A chart with its heading, the names of its series and an explanation."""

    title: str
    svg: str
    legend: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Group:
    """A section of the page."""

    title: str = ""
    figures: tuple[Figure, ...] = ()
    charts: tuple[Chart, ...] = ()
    tables: tuple[Table, ...] = ()


@dataclass(frozen=True)
class Note:
    """A warning or remark at the top of the page."""

    text: str
    bad: bool = False


def when(started_utc: str) -> str:
    """Format an ISO 8601 time for reading, to the minute."""
    return f"{started_utc[:16].replace('T', ' ')} UTC"


def device_charts(readings: Sequence[Reading]) -> Iterator[Chart]:
    """Yield charts of power, temperature, clocks and load over time, where they are known."""
    for title, field, unit in (
        ("Power", "watts", "W"),
        ("Temperature", "celsius", "degrees Celsius"),
        ("Clocks", "mhz", "MHz"),
        ("Load", "load", "share of time"),
    ):
        points = [(reading.seconds, getattr(reading, field)) for reading in readings]
        names = dict.fromkeys(name for _, values in points for name in values)
        lines = [
            Line(
                name,
                [seconds for seconds, values in points if name in values],
                [values[name] for _, values in points if name in values],
            )
            for name in names
        ]
        svg = line_chart(
            lines,
            name=f"{title} over time",
            x_label="seconds",
            y_label=unit,
            from_zero=field != "celsius",
        )
        yield Chart(title, svg, tuple(names))


def unknown_table(null_reasons: Mapping[str, str]) -> Table:
    """Build a table with a row for each reason and the fields that are unknown for it."""
    fields: dict[str, list[str]] = {}
    for path, why in null_reasons.items():
        fields.setdefault(why, []).append(path)
    rows = tuple((why, ", ".join(paths)) for why, paths in fields.items())
    return Table("Not measured, and why", ("reason", "fields"), rows, words=True)
