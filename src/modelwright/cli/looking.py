"""Commands that look at a table or a run without training: audit, and those that belong to it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from modelwright.cli.options import console, list_of_names, missing_values_of, option_name, program, types_of
from modelwright.cli.place import home_and_store


def audit(
    data: Annotated[str | None, typer.Argument(help="File, folder, glob or URL of the rows.", metavar="DATA")] = None,
    target: Annotated[str | None, typer.Option("--target", "-t", help="Column to predict.")] = None,
    task: Annotated[str | None, typer.Option(help="binary, multiclass, regression or clustering.  [default: inferred]")] = None,
    time_column: Annotated[str | None, typer.Option("--time", metavar="COLUMN", help="When a row happened.")] = None,
    group: Annotated[str | None, typer.Option(metavar="COLUMN", help="Whose row it is: a patient, a shop.")] = None,
    exclude: Annotated[list[str] | None, typer.Option(metavar="COLUMNS", help="Columns to leave out; comma separated.")] = None,
    split: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column that says which rows are for evaluation, in a divided table.")
    ] = None,
    types: Annotated[list[str] | None, typer.Option("--type", metavar="COLUMN=TYPE", help="Correct an inferred type.")] = None,
    missing_values: Annotated[
        list[str] | None, typer.Option("--missing-value", metavar="[COLUMN=]VALUE", help='A cell value that means "missing".')
    ] = None,
    known: Annotated[
        list[str] | None, typer.Option(metavar="COLUMNS", help="Later dates that are known beforehand, such as a due date.")
    ] = None,
    query: Annotated[str | None, typer.Option(help="SQL, when the rows come from a database URL.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit code 3 if a critical finding is not waived.")] = False,
    fix: Annotated[bool, typer.Option("--fix", help="Write the mends into modelwright.toml.")] = False,
    costs: Annotated[bool, typer.Option("--costs/--no-costs", help="Measure what findings cost by quick refits.")] = True,
    everything: Annotated[bool, typer.Option("--all", help="Show remarks too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Look a table over for leaks and other trouble.

    Rows that training would seal are not looked at but for what crosses the split. What is not given here is taken
    from modelwright.toml in the working folder. Exit code 3 with --strict means: a critical finding stands.
    """
    from modelwright.cli.audited import STRICT_EXIT, audit_json, print_audit, write_mends
    from modelwright.errors import SpecError
    from modelwright.spec import FILE_NAME, resolve_spec
    from modelwright.training.auditing import audit_table

    overrides = {
        "data": data, "target": target, "task": task, "time": time_column, "group": group, "exclude": list_of_names(exclude),
        "types": types_of(types), "missing_values": missing_values_of(missing_values), "known": list_of_names(known),
        "query": query, "strict": strict or None,
    }  # fmt: skip
    file = Path(FILE_NAME)
    spec = resolve_spec(file if file.is_file() else None, overrides, naming=option_name)
    if spec.data is None:
        raise SpecError("There is no table to look at.", where="DATA", mend="Give one: modelwright audit rows.csv --target y.")
    record = audit_table(spec, split=split, costs=costs)
    written = write_mends(record, spec, file) if fix else []
    if as_json:
        import msgspec

        typer.echo(msgspec.json.encode({**audit_json(record), "written": written}).decode())
    else:
        print_audit(console(), record, everything=everything)
        if fix:
            lines = "".join(f"\n  {line}" for line in written)
            typer.echo(f"\nWrote into {file}:{lines}\nRun: {program()} train" if written else "\nNothing to write.")
    if spec.strict and record.critical:
        raise typer.Exit(STRICT_EXIT)


def card(
    run: Annotated[str, typer.Argument(help="Run folder, or the identifier or name of a run.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write; without one it is printed.")] = None,
    home: Annotated[str | None, typer.Option(help="Folder that holds the runs.  [default: .modelwright]")] = None,
) -> None:
    """Write the model card of a run as Markdown.

    It fills what a run can know of the REFORMS checklist and leaves the rest for people.
    """
    from modelwright.api import open_training
    from modelwright.errors import InvalidInputError
    from modelwright.reports.card import card as write_card
    from modelwright.spec import DEFAULT_HOME

    text = write_card(open_training(run, home=home or DEFAULT_HOME).record)
    if output is None:
        typer.echo(text, nl=False)
        return
    if output.is_dir() or not output.parent.is_dir():
        raise InvalidInputError("This is no file in an existing folder.", where=str(output), mend="Give one, such as CARD.md.")
    output.write_text(text, encoding="utf-8")
    typer.echo(f"Wrote {output}.")


def explain(
    model: Annotated[str, typer.Argument(help="Model folder, run folder, or the identifier or name of a run.")],
    data: Annotated[str, typer.Argument(help="File, folder, glob or URL of the rows.")],
    rows: Annotated[
        str | None, typer.Option(metavar="NUMBERS", help="Rows such as 0,5,10-12.  [default: the first ten]")
    ] = None,
    top: Annotated[int, typer.Option(help="Columns shown for each row.")] = 8,
    background: Annotated[
        str | None, typer.Option(metavar="DATA", help="Rows that stand for “not known”, for members without an exact form.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File for all contributions: .csv, .tsv, .parquet, .jsonl or .arrow.")
    ] = None,
    query: Annotated[str | None, typer.Option(help="SQL, when the rows come from a database URL.")] = None,
    home: Annotated[str | None, typer.Option(help="Folder that holds the runs.  [default: .modelwright]")] = None,
    features: Annotated[
        str | None, typer.Option(metavar="FILE.py", help="File of the function that derives columns, if it was moved.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Say what moved the prediction of single rows.

    Contributions of the columns add up to the prediction; for trees and linear models they are exact.
    """
    from modelwright.api import load
    from modelwright.artifacts.explain import explain as take_apart
    from modelwright.cli.explained import explanation_json, print_explanation, row_numbers
    from modelwright.cli.scored import check_output, write_table
    from modelwright.tables.read import read

    if output is not None:
        check_output(output)
    place, store = home_and_store(home)
    loaded = load(model, home=place, features=features, store=store)
    frame = loaded.rows(read(data, query=query).frame)
    numbers = row_numbers(rows, frame.height)
    chosen = frame[numbers]
    others = read(background).frame if background is not None else frame if frame.height > len(numbers) else None
    explanation = take_apart(loaded, chosen, background=others)
    if output is not None:
        import polars as pl

        table = explanation.frame()
        write_table(table.with_columns(pl.col("row").replace_strict(dict(enumerate(numbers)))), output)
    if as_json:
        import msgspec

        typer.echo(msgspec.json.encode(explanation_json(explanation, numbers)).decode())
    elif output is None:
        print_explanation(console(), explanation, chosen, numbers, top)
    else:
        typer.echo(f"{len(numbers):,} rows explained: {output}")


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(audit)
    app.command()(card)
    app.command()(explain)
