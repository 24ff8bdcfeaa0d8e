"""From an Altair chart to an SVG element that can stand inside a page."""

from __future__ import annotations

import re
import threading
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import altair as alt

_ROOT = re.compile(r"<svg\b[^>]*?\bwidth=\"(?P<width>[\d.]+)\" height=\"(?P<height>[\d.]+)\"[^>]*>")
_IDENTIFIER = re.compile(r"(?P<before>\bid=\"|url\(#|href=\"#)(?P<name>[^\")]+)")


def to_svg(chart: alt.TopLevelMixin, label: str, prefix: str) -> str:
    """Render a chart as one inline ``<svg>`` element.

    Parameters
    ----------
    chart : altair chart
        Its data must be inline.
    label : str
        Text alternative.
    prefix : str
        Put before every id, since all charts share the page's ids.

    Returns
    -------
    str
        Markup with ``role="img"``, without namespaces, scripts or references to other resources.
    """
    import vl_convert

    # No base URL is allowed: a chart can only show what it carries. Checking the charts against the schema took a
    # third of the time of a report; the tests do it.
    svg = vl_convert.vegalite_to_svg(chart.to_dict(validate=False), allowed_base_urls=[])
    svg = _IDENTIFIER.sub(lambda m: f"{m['before']}{prefix}-{m['name']}", svg)
    root = _ROOT.match(svg)
    if root is None:
        raise ValueError(f"vl-convert returned no sized SVG element: {svg[:200]!r}")
    width, height = root["width"], root["height"]
    opening = f'<svg role="img" aria-label="{escape(label)}" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
    return opening + svg[root.end() :].strip()


def warm_up() -> None:
    """Load the renderer in a thread: the first chart of a process takes a second longer than all others."""
    threading.Thread(target=_first_chart, name="first chart").start()


def _first_chart() -> None:
    # No chart is made by Altair here: it looks whether pandas is loaded, and meanwhile another thread may be loading it.
    import altair  # noqa: F401
    import vl_convert

    point = {"data": {"values": [{"x": 0}]}, "mark": "point", "encoding": {"x": {"field": "x", "type": "quantitative"}}}
    vl_convert.vegalite_to_svg(point, allowed_base_urls=[])
