"""Draw small charts as SVG, with the light or dark theme of the page, without scripts.

Plots have a fixed size that the page scales; colours are classes of assets/chart.css. Each mark has
a title, which browsers show as a tooltip and screen readers read.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

WIDTH, HEIGHT = 560, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 80, 14, 16, 46
_TICKS = 6
COLOURS = 6
"""Number of distinguishable series; chart.css has a class for each."""


@dataclass(frozen=True)
class Line:
    """A series: name, and points from left to right."""

    label: str
    x: Sequence[float]
    y: Sequence[float]


@dataclass(frozen=True)
class Dot:
    """A named point; marked points are highlighted and connected by a line."""

    label: str
    x: float
    y: float
    marked: bool = False


@dataclass(frozen=True)
class Bar:
    """A horizontal bar from `start` to `end`, with the text beside it."""

    label: str
    start: float
    end: float
    text: str


@dataclass(frozen=True)
class _Axes:
    """Maps values to positions in the plot; ticks are at round numbers."""

    x: tuple[float, float]
    y: tuple[float, float]

    def across(self, value: float) -> float:
        low, high = self.x
        return _LEFT + (value - low) / (high - low) * (WIDTH - _LEFT - _RIGHT)

    def up(self, value: float) -> float:
        low, high = self.y
        return HEIGHT - _BOTTOM - (value - low) / (high - low) * (HEIGHT - _TOP - _BOTTOM)

    def frame(self, x_label: str, y_label: str) -> Iterator[str]:
        """Yield grid lines, tick labels and axis labels."""
        floor, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
        for value in ticks(*self.y):
            y = self.up(value)
            yield f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
            yield _text(_LEFT - 8, y + 4, number(value), "end")
        for value in ticks(*self.x):
            x = self.across(value)
            yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{floor}" y2="{floor + 5}"/>'
            yield _text(x, floor + 19, number(value), "middle")
        yield _text((_LEFT + right) / 2, HEIGHT - 6, x_label, "middle")
        turned = f"rotate(-90 13 {(_TOP + floor) / 2})"
        yield _text(13, (_TOP + floor) / 2, y_label, "middle", turned)


def line_chart(
    lines: Sequence[Line], *, name: str, x_label: str, y_label: str, from_zero: bool = True
) -> str:
    """Plot series over a common axis, at most `COLOURS`; empty if there is nothing to draw."""
    lines = [line for line in lines if len(line.x)][:COLOURS]
    if not lines:
        return ""
    low, high = _range([value for line in lines for value in line.y], from_zero=from_zero)
    axes = _Axes(_range([value for line in lines for value in line.x]), (low, high))
    parts = list(axes.frame(x_label, y_label))
    for index, line in enumerate(lines):
        points = " ".join(
            f"{axes.across(x):.1f},{axes.up(y):.1f}" for x, y in _iter_thinned(line.x, line.y)
        )
        title = f"<title>{escape(line.label)}</title>"
        parts.append(f'<polyline class="line c{index}" points="{points}">{title}</polyline>')
    return _svg(parts, name, extra=_scale(axes))


def histogram(values: Sequence[float], *, name: str, x_label: str, marks: dict[str, float]) -> str:
    """Plot a histogram of values; `marks` are labelled positions on the axis."""
    data = np.asarray(values, dtype=np.float64)
    high = float(np.quantile(data, 0.995)) if len(data) >= 200 else float(data.max())
    low, shown = float(data.min()), data[data <= high]
    if low == high:
        low, high = low * 0.99 - 1e-9, high * 1.01 + 1e-9
    counts, edges = np.histogram(shown, bins=min(60, max(8, round(math.sqrt(len(data))))))
    axes = _Axes((low, high), (0.0, float(counts.max()) * 1.1))
    parts = list(axes.frame(x_label, "samples"))
    floor = HEIGHT - _BOTTOM
    for count, left, right in zip(counts, edges[:-1], edges[1:], strict=True):
        x, top = axes.across(float(left)), axes.up(float(count))
        width = max(axes.across(float(right)) - x - 1, 0.5)
        title = f"<title>{number(float(left))} to {number(float(right))}: {count}</title>"
        parts.append(
            f'<rect class="fill c0" x="{x:.1f}" y="{top:.1f}" width="{width:.1f}" '
            f'height="{floor - top:.1f}">{title}</rect>'
        )
    for label, value in marks.items():
        if low <= value <= high:
            x = axes.across(value)
            parts.append(f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{floor}"/>')
            parts.append(_text(x + 4, _TOP + 10, label, "start"))
    return _svg(parts, name)


def waterfall(bars: Sequence[Bar], *, name: str, x_label: str) -> str:
    """Plot bars below each other, each with its name on the left and its text at its end."""
    row, left = 30, 92
    height = len(bars) * row + _BOTTOM
    most = max((bar.end for bar in bars), default=0.0) or 1.0
    span = WIDTH - left - 120
    parts = []
    for value in ticks(0.0, most):
        x = left + value / most * span
        bottom = height - _BOTTOM
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{bottom}"/>')
        parts.append(_text(x, bottom + 18, number(value), "middle"))
    for index, bar in enumerate(bars):
        y, x = index * row, left + bar.start / most * span
        width = max((bar.end - bar.start) / most * span, 1.5)
        title = f"<title>{escape(f'{bar.label}: {bar.text}')}</title>"
        parts.append(_text(left - 10, y + 20, bar.label, "end"))
        parts.append(
            f'<rect class="fill c0" x="{x:.1f}" y="{y + 5}" width="{width:.1f}" height="20" '
            f'rx="3">{title}</rect>'
        )
        parts.append(_text(x + width + 8, y + 20, bar.text, "start"))
    parts.append(_text(left + span / 2, height - 6, x_label, "middle"))
    return _svg(parts, name, height=height)


def scatter(dots: Sequence[Dot], *, name: str, x_label: str, y_label: str) -> str:
    """Plot named points; marked points are connected from left to right."""
    axes = _Axes(_range([dot.x for dot in dots]), _range([dot.y for dot in dots], gap=0.16))
    parts = list(axes.frame(x_label, y_label))
    front = sorted((dot for dot in dots if dot.marked), key=lambda dot: dot.x)
    points = " ".join(f"{axes.across(dot.x):.1f},{axes.up(dot.y):.1f}" for dot in front)
    parts.append(f'<polyline class="line front" points="{points}"/>')
    for dot in dots:
        x, y = axes.across(dot.x), axes.up(dot.y)
        words = escape(f"{dot.label}: {number(dot.x)}, {number(dot.y)}")
        shape = "dot marked" if dot.marked else "dot"
        parts.append(
            f'<circle class="{shape}" cx="{x:.1f}" cy="{y:.1f}" r="6"><title>{words}</title>'
            "</circle>"
        )
        # The Pareto front rises to the right, so the space below right of a dot and above left of
        # it is free for labels.
        if x > WIDTH * 0.6:
            parts.append(_text(x - 8, y - 11, dot.label, "end"))
        else:
            parts.append(_text(x + 8, y + 20, dot.label, "start"))
    return _svg(parts, name)


def ticks(low: float, high: float) -> list[float]:
    """Return about `_TICKS` round numbers between two values."""
    rough = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * times for times in (1, 2, 2.5, 5, 10) if power * times >= rough)
    first = math.ceil(low / step - 1e-9)
    return [step * index for index in range(first, math.floor(high / step + 1e-9) + 1)]


def number(value: float) -> str:
    """Format a value with few digits."""
    if value and abs(value) >= 10_000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def _range(
    values: Sequence[float], *, from_zero: bool = False, gap: float = 0.06
) -> tuple[float, float]:
    """Return the range of values, extended by a share `gap` on either side."""
    low, high = min(values), max(values)
    if from_zero and low >= 0:
        low = 0.0
    more = (high - low) * gap or abs(high) * gap or 1.0
    return (0.0 if from_zero and low == 0 else low - more), high + more


def _iter_thinned(x: Sequence[float], y: Sequence[float]) -> Iterator[tuple[float, float]]:
    """Yield at most two points for each pixel column: the lowest and the highest."""
    columns = WIDTH - _LEFT - _RIGHT
    if len(x) <= 2 * columns:
        yield from zip(x, y, strict=True)
        return
    edges = np.linspace(0, len(x), columns + 1).astype(int)
    for start, end in itertools.pairwise(edges):
        part = np.asarray(y[start:end])
        for at in sorted({int(part.argmin()), int(part.argmax())}):
            yield x[start + at], y[start + at]


def _text(x: float, y: float, words: str, anchor: str, transform: str = "") -> str:
    turned = f' transform="{transform}"' if transform else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{turned}>{escape(words)}</text>'


def _scale(axes: _Axes) -> str:
    """Return data attributes with which a script finds the value under the pointer."""
    places = {"left": _LEFT, "right": WIDTH - _RIGHT, "top": _TOP, "bottom": HEIGHT - _BOTTOM}
    values = {**places, "low": axes.x[0], "high": axes.x[1]}
    return "".join(f' data-{name}="{value:g}"' for name, value in values.items())


def _svg(parts: Sequence[str], name: str, *, height: int = HEIGHT, extra: str = "") -> str:
    head = f'<svg class="chart" viewBox="0 0 {WIDTH} {height}" role="img"{extra}'
    return f'{head} aria-label="{escape(name, quote=True)}">{"".join(parts)}</svg>'
