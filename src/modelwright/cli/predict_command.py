"""The command that scores many rows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from modelwright.cli.listing import Artifacts
from modelwright.cli.options import list_of_names
from modelwright.cli.place import home_and_store, home_with


def predict(
    model: Annotated[
        str, typer.Argument(help="churn@champion, churn/7, a model or run folder, or the identifier or name of a run.")
    ],
    data: Annotated[str, typer.Argument(help="File, folder, glob, URL or database of the rows to score.")],
    output: Annotated[
        str, typer.Option("--output", "-o", help="File to write (.csv, .tsv, .parquet, .jsonl or .arrow), or a database URL.")
    ],
    query: Annotated[str | None, typer.Option(help="SQL, when the rows come from a database URL.")] = None,
    table: Annotated[str | None, typer.Option(help="Table to write, where the output is a database.")] = None,
    if_exists: Annotated[
        str, typer.Option(metavar="fail|replace|append", help="What happens to a table that is there.")
    ] = "fail",
    keep: Annotated[
        list[str] | None, typer.Option(metavar="COLUMNS", help="Columns of DATA before the predictions; comma separated.")
    ] = None,
    home: Annotated[str | None, typer.Option(help="Folder that holds the runs.  [default: .modelwright]")] = None,
    interval: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="Add intervals (or sets of classes) that hold this share of rows, such as 0.9."),
    ] = None,
    features: Annotated[
        str | None, typer.Option(metavar="FILE.py", help="File of the function that derives columns, if it was moved.")
    ] = None,
    on_bad_row: Annotated[
        str, typer.Option(metavar="fail|skip", help="What happens to a row with a cell of the wrong type.")
    ] = "fail",
    bad_rows: Annotated[
        Path | None, typer.Option(help="File for rows set aside by skip.  [default: OUT with the ending .bad.csv]")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing.")] = False,
    artifacts: Artifacts = None,
) -> None:
    """Score new rows with a trained model.

    The file gets a row for each row of DATA in the same order, with the columns "prediction" and, for classes,
    "proba_<class>". With --interval it also gets "low" and "high" or, for classes, "set". With --on-bad-row skip it
    also gets "row", the number of the row in DATA from 0. Tables larger than memory are read and written in parts.
    """
    from modelwright.cli.scored import check_output, output_of

    if on_bad_row not in ("fail", "skip"):
        from modelwright.errors import InvalidInputError

        raise InvalidInputError(f"{on_bad_row!r} is neither fail nor skip.", where="--on-bad-row", mend="Give one of them.")
    place = output_of(output, table, if_exists)
    aside = bad_rows or (place.with_name(f"{place.stem}.bad.csv") if isinstance(place, Path) else Path(f"{table}.bad.csv"))
    if on_bad_row == "skip":
        check_output(aside)
    from modelwright.api import load
    from modelwright.cli.predicting import predict_into

    _, store = home_and_store(home)
    loaded = load(model, home=home_with([model], home, artifacts), features=features, store=store)
    done = predict_into(
        loaded, data, place, query=query, coverage=interval, keep=list_of_names(keep) or (),
        aside=aside if on_bad_row == "skip" else None, quiet=quiet,
    )  # fmt: skip
    if not quiet:
        typer.echo(f"{done.n_scored:,} rows scored: {place} ({', '.join(done.columns)})")
        if done.n_bad:
            typer.echo(f"{done.n_bad:,} bad rows set aside with their reasons: {aside}")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(predict)
