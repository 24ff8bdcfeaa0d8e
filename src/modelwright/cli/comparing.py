"""Commands that lay runs side by side, and find the report of one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from modelwright.cli.listing import Artifacts, Home, RunName, Store
from modelwright.cli.place import home_and_store, home_with


def compare(
    names: Annotated[list[str], typer.Argument(metavar="RUN RUN…", help="Runs by folder, identifier or name.")],
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the comparison as a page.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    home: Home = None,
    artifacts: Artifacts = None,
) -> None:
    """Say what differs between runs: what was asked, data, columns, hyperparameters, versions, and scores.

    Runs on the same sealed rows are held against each other by a paired test, without opening the rows again. Runs that
    differ in nothing but the seed are averaged, with their spread.
    """
    from modelwright.cli.compared import comparison_json, comparison_lines
    from modelwright.runs.compare import compare_runs
    from modelwright.runs.entries import entry_of, find_folder

    place = home_with(names, home, artifacts)
    folders = [find_folder(name, place) for name in names]
    entries = [entry_of(folder) for folder in folders]
    compared = compare_runs(folders, entries)
    if html is not None:
        from modelwright.reports.compare_page import render_comparison
        from modelwright.runs.curves import curves_of

        curves = [curves_of(folder, entry) for folder, entry in zip(folders, entries, strict=True)]
        write_page(html, render_comparison(compared, curves))
    if as_json:
        typer.echo(comparison_json(compared))
    elif html is None:
        typer.echo("\n".join(comparison_lines(compared)))


def report(
    run: RunName,
    open_report: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    home: Home = None,
    store: Store = None,
    artifacts: Artifacts = None,
) -> None:
    """Print where the report of a run lies; of a job or a tuning it is written first."""
    from modelwright.errors import InvalidInputError
    from modelwright.jobs.tuning.result import search_of
    from modelwright.runs.entries import entry_of, find_folder
    from modelwright.runs.folder import RECORD

    place, store = home_with([run], home, artifacts), home_and_store(home, store)[1]
    folder = find_folder(run, place)
    path = folder / "report.html"
    if (found := search_of(folder)) is not None:
        from modelwright.reports.tuning_page import render

        write_page(path, render(found), quiet=True)
    elif not (folder / RECORD).is_file():
        from modelwright.reports.job_page import render_job
        from modelwright.runs.curves import curves_of
        from modelwright.runs.listing import list_runs

        entry = entry_of(folder)
        children = [each for each in list_runs(place, store).entries if each.parent == entry.id]
        write_page(path, render_job(entry, curves_of(folder, entry), children, str(folder)), quiet=True)
    if not path.is_file():
        raise InvalidInputError("The run has no report.", where=str(path), mend="Copy the run folder again.")
    typer.echo(str(path))
    if open_report:
        import webbrowser

        webbrowser.open(path.resolve().as_uri())


def write_page(path: Path, page: str, *, quiet: bool = False) -> None:
    """Write a page beside its place and rename it in."""
    import os
    import uuid

    from modelwright.errors import InvalidInputError

    if path.is_dir() or not path.parent.is_dir():
        raise InvalidInputError("This is no file in an existing folder.", where=str(path), mend="Give one, such as runs.html.")
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        beside.write_text(page, encoding="utf-8")
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
    if not quiet:
        typer.echo(f"Wrote {path}.", err=True)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(compare)
    app.command()(report)
