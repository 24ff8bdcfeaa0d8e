"""Columns that hold different kinds of cells."""

from __future__ import annotations

import polars as pl

from modelwright.audit.context import Context
from modelwright.audit.finding import Finding
from modelwright.tables.cells import stripped, text_to_number, without_marks

#: A share of numbers between these bounds makes a text column a mixture.
_LEAST, _MOST = 0.05, 0.999


def check(context: Context) -> list[Finding]:
    """Text columns in which many cells are numbers, and columns with cells that cannot be read."""
    findings = [
        Finding(
            check="unreadable_cells",
            severity="warning",
            message=message,
            mend="Correct the cells, or set the column's type under types.",
        )
        for message in context.read[1]
    ]
    for column in context.present:
        if column.type != "category" or context.frame[column.name].dtype != pl.String:
            continue
        name = column.name
        cells = context.sampled.select(without_marks(stripped(pl.col(name)))).to_series().drop_nulls().alias("cell")
        if not len(cells):
            continue
        counts = cells.value_counts(name="n").with_columns(text_to_number(pl.col("cell")).is_not_null().alias("number"))
        numbers, others = counts.filter("number"), counts.filter(~pl.col("number"))
        share = int(numbers["n"].sum()) / len(cells)
        if numbers.height > 10 and _LEAST <= share <= _MOST:
            examples = others.sort("n", "cell", descending=[True, False])["cell"].head(3).to_list()
            findings.append(
                Finding(
                    check="mixed_types",
                    severity="info",
                    message=f"{name!r} is read as text with categories, but {100 * share:.0f} % of its cells are numbers; "
                    f"others are {', '.join(map(repr, examples))}.",
                    columns=(name,),
                    evidence={"share_numbers": round(share, 4), "examples": examples},
                    mend='If it measures something, list the others under missing_values and set its type to "number".',
                )
            )
    return findings
