"""Small charts of a page of windows, drawn directly: a chart library takes longer than all checks of a window together.

Sizes and colours are those of `reports.charts`; the style sheet turns the colours for dark pages.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from modelwright.reports.charts import BLUE, FAINT, GREY, GRID, INK, VERMILION, WIDTH
from modelwright.reports.format import number, shortened

_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 10, 24
_HEIGHT = 180


class Mark(NamedTuple):
    """A value of one window, by its place, with both ends of an interval where there is one."""

    at: int
    value: float
    low: float | None = None
    high: float | None = None


class Line(NamedTuple):
    """Values of windows in one colour; ``band`` draws the intervals as one band, else each is a stroke."""

    name: str
    colour: str
    marks: Sequence[Mark]
    band: bool = False


def timeline(
    lines: Sequence[Line],
    ticks: Sequence[str],
    label: str,
    *,
    reference: tuple[float, str] | None = None,
    zero: bool = False,
    states: Sequence[str] = (),
) -> str:
    """Values over windows.

    Parameters
    ----------
    lines : sequence of Line
        The first is drawn last, over the others.
    ticks : sequence of str
        Short names of the windows, in their order.
    label : str
        Text alternative.
    reference : tuple of float and str, optional
        A value to compare with, and its name.
    zero : bool, default=False
        Whether the axis begins at 0.
    states : sequence of str
        Of the windows; alarms are marked below the axis.
    """
    values = [v for line in lines for mark in line.marks for v in (mark.value, mark.low, mark.high) if v is not None]
    values += [] if reference is None else [reference[0]]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    low = min(low, 0.0) if zero else low
    steps = nice(low, high)
    low, high = min(low, steps[0]), max(high, steps[-1])
    n = max(len(ticks), 1)

    def x(at: int) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * ((at + 0.5) / n)

    def y(value: float) -> float:
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - (value - low) / (high - low or 1.0))

    parts = []
    for step in steps:
        parts.append(_path(f"M{_LEFT} {y(step):.1f}H{WIDTH - _RIGHT}", GRID))
        parts.append(_text(_LEFT - 6, y(step) + 4, short(step, steps), FAINT, anchor="end"))
    if reference is not None:
        parts.append(_path(f"M{_LEFT} {y(reference[0]):.1f}H{WIDTH - _RIGHT}", FAINT, dash="4 3"))
    for line in reversed(lines):
        marks = [mark for mark in line.marks if mark.low is not None and mark.high is not None]
        if line.band and len(marks) > 1:
            upper = " ".join(f"{x(m.at):.1f},{y(m.high):.1f}" for m in marks if m.high is not None)
            lower = " ".join(f"{x(m.at):.1f},{y(m.low):.1f}" for m in reversed(marks) if m.low is not None)
            parts.append(f'<polygon points="{upper} {lower}" fill="{line.colour}" fill-opacity="0.16"/>')
        else:
            rules = "".join(f"M{x(m.at):.1f} {y(m.low):.1f}V{y(m.high):.1f}" for m in marks if None not in (m.low, m.high))  # type: ignore[arg-type]
            parts.append(_path(rules, line.colour, width=2, opacity=0.5))
        if len(line.marks) > 1:
            way = "L".join(f"{x(m.at):.1f} {y(m.value):.1f}" for m in line.marks)
            parts.append(_path(f"M{way}", line.colour, width=1.6))
        if len(line.marks) <= 40:
            parts += [f'<circle cx="{x(m.at):.1f}" cy="{y(m.value):.1f}" r="3" fill="{line.colour}"/>' for m in line.marks]
    parts += [
        f'<rect x="{x(at) - 2.5:.1f}" y="{_HEIGHT - _BOTTOM + 2}" width="5" height="5" fill="{VERMILION}"/>'
        for at, state in enumerate(states)
        if state == "alarm"
    ]
    parts += _ends(ticks)
    return _svg(WIDTH, _HEIGHT, label, parts)


def bars(values: Sequence[float], ticks: Sequence[str], label: str, *, over: Sequence[float] = ()) -> str:
    """A bar for each window, and within it a second one."""
    n, steps = max(len(values), 1), nice(0.0, max([*values, 1.0]))
    room, high = WIDTH - _LEFT - _RIGHT, steps[-1]

    def y(value: float) -> float:
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - value / high)

    def x(at: int) -> float:
        return _LEFT + room * ((at + 0.5) / n)

    width = max(min(room / n * 0.7, 26.0), 1.0)
    parts = []
    for step in steps:
        parts.append(_path(f"M{_LEFT} {y(step):.1f}H{WIDTH - _RIGHT}", GRID))
        parts.append(_text(_LEFT - 6, y(step) + 4, short(step, steps), FAINT, anchor="end"))
    for series, colour in ((values, GREY), (over, BLUE)):
        for at, value in enumerate(series):
            if value > 0:
                top, left = y(value), x(at) - width / 2
                size = f'width="{width:.1f}" height="{y(0) - top:.1f}"'
                parts.append(f'<rect x="{left:.1f}" y="{top:.1f}" {size} fill="{colour}"/>')
    return _svg(WIDTH, _HEIGHT, label, [*parts, *_ends(ticks)])


def heat(rows: Sequence[tuple[str, Sequence[float | None]]], ticks: Sequence[str], label: str, *, width: int = 700) -> str:
    """Columns against windows; the darker, the further from the reference. Nothing is drawn where nothing was judged."""
    left, step = (190, 20) if width > WIDTH else (122, 20)
    n = max(len(ticks), 1)
    room = width - left - _RIGHT
    wide = min(room / n, 40.0)
    parts = []
    for k, (name, cells) in enumerate(rows):
        top = 4 + k * step
        parts.append(_text(left - 8, top + 13, shortened(name, 26 if width > WIDTH else 16), INK, anchor="end"))
        for at, distance in enumerate(cells):
            x = left + at * wide
            if distance is None:
                parts.append(_path(f"M{x + 3:.1f} {top + 9}H{x + wide - 4:.1f}", GRID))
                continue
            # Up to 0.05 is chance and trifles; from 0.1 on it counts.
            colour, depth = (
                (VERMILION, 0.35 + 1.5 * distance) if distance >= 0.1 else (BLUE, 0.06 + 4 * max(distance - 0.02, 0))
            )
            parts.append(
                f'<rect x="{x:.1f}" y="{top}" width="{max(wide - 1.5, 1):.1f}" height="{step - 2}" rx="2" fill="{colour}" '
                f'fill-opacity="{min(depth, 1):.2f}"><title>{escape(name)}, {escape(ticks[at])}: {distance:.3f}</title></rect>'
            )
    height = 4 + step * len(rows) + 20
    if ticks:
        parts.append(_text(left, height - 5, ticks[0], FAINT))
        if n > 2 and wide * n > 150:
            parts.append(_text(left + wide * n, height - 5, ticks[-1], FAINT, anchor="end"))
    return _svg(width, height, label, parts)


def share_bars(rows: Sequence[tuple[str, float, float]], label: str) -> str:
    """Shares of rows then and now, a pair of bars for each interval or label."""
    left, step = 118, 26
    most = max([0.01, *(max(was, now) for _, was, now in rows)])
    room = WIDTH - left - 44
    parts = []
    for k, (name, was, now) in enumerate(rows):
        top = k * step + 2
        parts.append(_text(left - 8, top + 15, shortened(name, 18), INK, anchor="end"))
        for share, colour, down in ((was, GREY, 2), (now, BLUE, 12)):
            parts.append(
                f'<rect x="{left}" y="{top + down}" width="{max(room * share / most, 0.5):.1f}" height="9" fill="{colour}"/>'
            )
        parts.append(_text(left + room * max(was, now) / most + 5, top + 16, f"{now:.0%}", FAINT))
    return _svg(WIDTH, step * len(rows) + 4, label, parts)


def nice(low: float, high: float, n: int = 5) -> list[float]:
    """Round values from at most ``low`` to at least ``high``."""
    if not high > low:
        low, high = low - (abs(low) * 0.05 or 0.5), high + (abs(high) * 0.05 or 0.5)
    raw = (high - low) / n
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999)
    first = math.floor(low / step + 1e-9)
    last = math.ceil(high / step - 1e-9)
    return [round(k * step, 12) for k in range(first, last + 1)]


def short(value: float, steps: Sequence[float]) -> str:
    """A number at an axis, with as many decimals as its neighbours need."""
    if max(map(abs, steps)) >= 10_000:
        return f"{value / 1000:g}k"
    step = abs(steps[1] - steps[0]) if len(steps) > 1 else 1.0
    decimals = max(
        0, -math.floor(math.log10(step) + 1e-9) + (1 if abs(step / 10 ** math.floor(math.log10(step)) - 2.5) < 0.01 else 0)
    )
    return f"{value:.{decimals}f}" if decimals <= 6 else number(value)


def _ends(ticks: Sequence[str]) -> list[str]:
    """Names of the first and the last window."""
    if not ticks:
        return []
    found = [_text(_LEFT, _HEIGHT - 4, ticks[0], FAINT)]
    if len(ticks) > 1:
        found.append(_text(WIDTH - _RIGHT, _HEIGHT - 4, ticks[-1], FAINT, anchor="end"))
    return found


def _path(d: str, colour: str, *, width: float = 1, opacity: float = 1, dash: str = "") -> str:
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<path d="{d}" fill="none" stroke="{colour}" stroke-width="{width:g}" stroke-opacity="{opacity:g}"{dashed}/>'


def _text(x: float, y: float, text: str, colour: str, *, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" font-size="11" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(width: float, height: float, label: str, parts: Sequence[str]) -> str:
    size = f'width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}"'
    family = 'font-family="Helvetica, Arial, sans-serif"'
    return f'<svg role="img" aria-label="{escape(label)}" {size} {family}>{"".join(parts)}</svg>'
