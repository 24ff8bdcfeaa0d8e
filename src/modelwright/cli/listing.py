"""Commands over all runs of a home: list, label, delete."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelwright.cli.place import home_with, place_of

if TYPE_CHECKING:
    from modelwright.runs.entry import RunEntry

Home = Annotated[str | None, typer.Option(help="Folder that holds the runs.  [default: .modelwright]")]
Store = Annotated[str | None, typer.Option(metavar="URL", help="Database of the index.  [default: SQLite in home]")]
Artifacts = Annotated[
    str | None, typer.Option(metavar="URL", help="Where runs are published.  [default: as modelwright.toml says]")
]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="Run folder, or the identifier or name of a run.")]

#: Runs shown where nothing else is said; the rest is counted.
SHOWN = 30


def runs(
    filter_: Annotated[
        str | None,
        typer.Option("--filter", "-f", metavar="TEXT", help="Such as 'metrics.roc_auc > 0.8 and tags.team == \"x\"'."),
    ] = None,
    sort: Annotated[
        str | None, typer.Option(metavar="KEY", help="Field to sort by; -KEY puts the largest first.  [default: -created]")
    ] = None,
    limit: Annotated[int, typer.Option(help="Runs to show; 0 for all.")] = SHOWN,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the runs as a page with parallel coordinates.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all fields as JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print all fields as CSV.")] = False,
    home: Home = None,
    store: Store = None,
    artifacts: Artifacts = None,
) -> None:
    """List the runs, newest first.

    A filter compares fields with ==, !=, <, <=, >, >=, in, contains, like and "is missing", joined by and, or, not. Fields:
    id, name, kind, state, created, wall_s, user, task, target, metric, score, validation, better, seed, data, source, commit,
    dirty, note, and metrics.NAME, params.NAME, tags.NAME, findings.NAME.
    """
    from modelwright.cli.listed import csv_text, list_json, list_lines, remarks
    from modelwright.runs.listing import list_runs
    from modelwright.runs.moving import read_note
    from modelwright.runs.table import RunList, chosen

    place, store, artifacts = place_of(home, store, artifacts)
    listing = list_runs(place, store, artifacts=artifacts)
    if artifacts is None and (went := read_note(place)) is not None and went.artifacts:
        typer.echo(f"note: The runs of this home were moved to {went.artifacts} on {went.at[:10]}; give --artifacts.", err=True)
    found = chosen(listing.entries, filter_, sort)
    shown = found[:limit] if limit > 0 else found
    for note in [*listing.notes, *remarks(listing.entries, filter_)]:
        typer.echo(f"note: {note}", err=True)
    if html is not None:
        from modelwright.cli.comparing import write_page
        from modelwright.reports.runs_page import render_runs

        write_page(html, render_runs(found, filter_ or "", str(place)))
    if as_json:
        typer.echo(list_json(shown, len(found)))
    elif as_csv:
        # All of them, unless a number was asked for: whoever takes a table away wants the whole.
        typer.echo(csv_text(RunList(found if limit == SHOWN else shown)), nl=False)
    elif html is None:
        typer.echo("\n".join(list_lines(shown, len(found), len(listing.entries), filter_, sort, place)))


def tag(
    run: RunName,
    tags: Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Tags to set.")] = None,
    note: Annotated[str | None, typer.Option(help="Replace the note; an empty one removes it.")] = None,
    remove: Annotated[list[str] | None, typer.Option(metavar="KEY", help="Tag to take away.")] = None,
    home: Home = None,
    store: Store = None,
    artifacts: Artifacts = None,
) -> None:
    """Set tags and the note of a run; without any, show them."""
    from modelwright.errors import InvalidInputError, StorageError
    from modelwright.runs.entries import find_folder
    from modelwright.runs.index import RunIndex
    from modelwright.runs.labels import read_labels, relabel
    from modelwright.runs.listing import enter

    place, store, artifacts = place_of(home, store, artifacts)
    given = {}
    for each in tags or []:
        key, equals, value = each.partition("=")
        if not (equals and key.strip()):
            raise InvalidInputError(f"{each!r} is not KEY=VALUE.", where="KEY=VALUE", mend="Write it as team=x.")
        given[key.strip()] = value.strip()
    home_with([run], home, artifacts)
    folder = find_folder(run, place)
    if not given and note is None and not remove:
        labels = read_labels(folder)
    else:
        labels = relabel(folder, given, note, remove or [])
        if folder.resolve().parent == (place / "runs").resolve():
            try:
                enter(folder, RunIndex.of(place, store))
            except StorageError as error:
                typer.echo(f"note: The run was labelled; the index will follow with the next list. {error.what}", err=True)
            if artifacts is not None:
                from modelwright.runs.remote import push

                push(place, artifacts, folder.name)
    typer.echo("\n".join([folder.name, *(f"  {k} = {v}" for k, v in sorted(labels.tags.items()))]))
    if labels.note:
        typer.echo(f"  {labels.note}")


def delete(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="RUN", help="Identifiers of runs; a name means its latest run.")
    ] = None,
    older_than: Annotated[str | None, typer.Option(metavar="TIME", help="All runs older than this, such as 30d.")] = None,
    filter_: Annotated[str | None, typer.Option("--filter", "-f", metavar="TEXT", help="All runs that match.")] = None,
    keep_best: Annotated[int, typer.Option(metavar="N", help="Keep the N best of each table, target and metric.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    home: Home = None,
    store: Store = None,
    artifacts: Artifacts = None,
) -> None:
    """Delete runs: those named, and with --older-than or --filter those that match both.

    What the registry needs stays, and what somebody works on; it is said what went, what stayed, and why.
    """
    import sys
    from datetime import UTC, datetime

    from modelwright.errors import InvalidInputError
    from modelwright.runs.index import RunIndex
    from modelwright.runs.listing import list_runs
    from modelwright.runs.removal import delete_runs
    from modelwright.runs.removal import older_than as older
    from modelwright.runs.table import chosen

    place, store, artifacts = place_of(home, store, artifacts)
    if not names and older_than is None and filter_ is None:
        raise InvalidInputError("No run is named.", where="RUN", mend="Name runs, or give --older-than 30d or --filter.")
    everything = list_runs(place, store, artifacts=artifacts).entries
    asked = _named(names or [], everything, place)
    if older_than is not None or filter_ is not None:
        matching = chosen(everything, filter_)
        if older_than is not None:
            matching = older(matching, _age(older_than), datetime.now(UTC))
        asked += [entry for entry in matching if entry not in asked]
    index = RunIndex.of(place, store, of_all_homes=artifacts is not None)
    if not asked:
        typer.echo("Nothing to delete.")
        return
    planned = delete_runs(place, index, asked, everything, keep_best=keep_best, dry_run=True)
    if dry_run or not planned.gone:
        _tell(planned.gone, planned.stayed, "would be deleted")
        return
    if not yes:
        _tell(planned.gone, planned.stayed, "to be deleted")
        if not sys.stdin.isatty():
            raise InvalidInputError(
                "Nothing was deleted.", where="delete", mend="Say --yes to delete these without a question."
            )
        if not typer.confirm(f"Delete {len(planned.gone)} of {len(everything)} runs for good?"):
            typer.echo("Nothing was deleted.")
            return
    done = delete_runs(place, index, asked, everything, keep_best=keep_best)
    if artifacts is not None:
        from modelwright.store.published import Published

        published = Published(place, artifacts)
        for gone in done.gone:
            published.remove(gone)
    _tell(done.gone, done.stayed, "deleted")


def _named(names: list[str], entries: list[RunEntry], home: Path) -> list[RunEntry]:
    from modelwright.errors import InvalidInputError
    from modelwright.runs.entries import find_folder

    by_id = {entry.id: entry for entry in entries}
    found = []
    for name in names:
        entry = by_id.get(name)
        if entry is None:
            folder = find_folder(name, home)
            entry = by_id.get(folder.name) if folder.resolve().parent == (home / "runs").resolve() else None
        if entry is None:
            raise InvalidInputError(
                f"{name!r} is no run of this home.", where=str(home / "runs"), mend="Give its home with --home."
            )
        if entry not in found:
            found.append(entry)
    return found


def _age(text: str) -> float:
    """Seconds of a text such as 30d."""
    import re

    from modelwright.errors import InvalidInputError

    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|m|min|h|d|w)\s*", text)
    if match is None:
        raise InvalidInputError(f"{text!r} is no length of time.", where="--older-than", mend="Write 12h, 30d or 8w.")
    return float(match[1]) * {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}[match[2]]


def _tell(gone: list[str], stayed: list[tuple[str, str]], word: str) -> None:
    lines = [f"{word}: {run}" for run in gone] + [f"stays: {run} ({why})" for run, why in stayed]
    typer.echo("\n".join(lines))


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(runs)
    app.command()(tag)
    app.command()(delete)
