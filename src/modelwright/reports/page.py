"""What all pages share: templates, style, and charts drawn into them."""

from __future__ import annotations

import unicodedata
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from modelwright.reports.charts import Figure
from modelwright.reports.format import count, duration, number, pairs, percent, quantity, shortened, size, words
from modelwright.reports.svg import to_svg

if TYPE_CHECKING:
    import jinja2


@cache
def templates() -> jinja2.Environment:
    """The template engine; everything put into a page is escaped."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: _asset(name)),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=printable,
    )
    environment.filters.update(
        count=count, number=number, duration=duration, size=size, percent=percent, words=words, shortened=shortened, pairs=pairs
    )
    environment.filters["quantity"] = lambda value, name="": quantity(name, value)
    return environment


def _asset(name: str) -> str:
    return (resources.files("modelwright.reports") / "templates" / name).read_text(encoding="utf-8")


def style() -> Any:
    """The style sheet."""
    import markupsafe

    return markupsafe.Markup(_asset("report.css"))


def printable(value: Any) -> Any:
    """Show control and text-direction characters as a replacement sign: they are unseen, or turn text around."""
    import markupsafe

    if not isinstance(value, str) or isinstance(value, markupsafe.Markup):
        return value
    return "".join(
        "\ufffd" if unicodedata.category(c) in ("Cc", "Cs", "Cf") and c not in "\n\t\u200d\xad" else c for c in value
    )


def drawn(figure: Figure | None) -> dict[str, Any] | None:
    """A figure with its chart rendered."""
    import markupsafe

    if figure is None:
        return None
    svg = to_svg(figure.chart, printable(figure.alternative), figure.key)
    return {
        "key": figure.key,
        "title": figure.title,
        "caption": figure.caption,
        "scrolls": figure.scrolls,
        "svg": markupsafe.Markup(printable(svg)),
    }
