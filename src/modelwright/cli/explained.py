"""``modelwright explain``: contributions of columns as text, JSON and files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from modelwright.artifacts.explain import Explanation
from modelwright.errors import InvalidInputError
from modelwright.reports.format import NOTHING, number

if TYPE_CHECKING:
    from rich.console import Console

#: Rows that are explained when none are named.
FIRST_ROWS = 10


def row_numbers(text: str | None, n_rows: int) -> list[int]:
    """Rows asked for, such as ``0,5,10-12``; the first ten by default.

    Examples
    --------
    >>> row_numbers("0,3-5", 10)
    [0, 3, 4, 5]

    Raises
    ------
    InvalidInputError
        If the text is no list of row numbers, or a row does not exist.
    """
    if text is None:
        return list(range(min(FIRST_ROWS, n_rows)))
    found: list[int] = []
    for part in text.split(","):
        low, dash, high = part.strip().partition("-")
        if not low.isdigit() or (dash and not high.isdigit()):
            raise InvalidInputError(f"{part!r} is no row number.", where="--rows", mend="Write them as 0,5,10-12.")
        found += range(int(low), int(high if dash else low) + 1)
    if absent := [row for row in found if row >= n_rows]:
        raise InvalidInputError(
            f"There is no row {absent[0]}; the table has {n_rows} rows.", where="--rows", mend="Rows are counted from 0."
        )
    return list(dict.fromkeys(found))


def print_explanation(console: Console, explanation: Explanation, frame: pl.DataFrame, rows: list[int], most: int) -> None:
    """Print, for each row, the prediction and the columns that moved it most."""
    from rich.table import Table
    from rich.text import Text

    for position, row in enumerate(rows):
        output = explanation.output(position)
        what = f"proba of {explanation.classes[output]!r}" if explanation.classes else "prediction"
        head = f"row {row}: {what} {number(float(explanation.prediction[position, output]))}"
        console.print(Text(head, style="bold"), Text(f"from {number(float(explanation.base[output]))}", style="dim"))
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 2))
        for name, value in explanation.top(position, most):
            cell = frame[name][position] if name in frame.columns else None
            style = "green" if value > 0 else "red" if value < 0 else "dim"
            table.add_row(
                Text(name), Text(NOTHING if cell is None else str(cell)[:40], style="dim"), Text(f"{value:+.4g}", style=style)
            )
        console.print(table)
        rest = len(explanation.columns) - most
        if rest > 0:
            shown = sum(value for _, value in explanation.top(position, most))
            others = float(explanation.values[position, :, output].sum()) - shown
            console.print(Text(f"  {rest} other columns {others:+.4g}", style="dim"))
    if not explanation.exact:
        console.print(Text("A member of the model has no exact form; its share was estimated by sampling.", style="yellow"))


def explanation_json(explanation: Explanation, rows: list[int]) -> dict[str, Any]:
    """Everything for machines."""
    names = [str(label) for label in explanation.classes] or ["prediction"]

    def by_output(values: np.ndarray) -> dict[str, float]:
        return dict(zip(names, np.asarray(values, dtype=np.float64).tolist(), strict=True))

    return {
        "type": "Explanation",
        "exact": explanation.exact,
        "base": by_output(explanation.base),
        "rows": [
            {
                "row": row,
                "prediction": by_output(explanation.prediction[position]),
                "contributions": {
                    name: by_output(explanation.values[position, j]) for j, name in enumerate(explanation.columns)
                },
            }
            for position, row in enumerate(rows)
        ],
    }
