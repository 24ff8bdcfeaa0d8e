"""Commands about where everything is kept: store show, push and move."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelwright.cli.listing import Artifacts, Home, Store
from modelwright.cli.place import LOCAL, place_of

if TYPE_CHECKING:
    from modelwright.runs.moving import Moved
    from modelwright.runs.storage import StorageShown

app = typer.Typer(help="Where runs and the database are: look, publish, move.", no_args_is_help=True, rich_markup_mode=None)
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print the result alone.")]


@app.command()
def show(
    verify: Annotated[bool, typer.Option("--verify", help="Read every published file and compare its digest.")] = False,
    as_json: AsJson = False,
    home: Home = None,
    store: Store = None,
    artifacts: Artifacts = None,
) -> None:
    """Say what is where: database, run folders and published runs, with sizes, counts and versions.

    Exit code 1 if something cannot be read or differs.
    """
    from modelwright.runs.storage import storage

    place = place_of(home, store, artifacts)
    found = storage(place.home, place.store, place.artifacts, verify=verify, tell=_progress(quiet=as_json))
    if as_json:
        import msgspec

        typer.echo(msgspec.json.encode({"type": "Storage", **msgspec.to_builtins(found)}).decode())
    else:
        typer.echo("\n".join(storage_lines(found)))
    if found.troubles:
        raise typer.Exit(1)


@app.command()
def push(
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="RUN", help="Identifiers or names.  [default: all not yet published]")
    ] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Read every file back and compare its digest.")] = False,
    home: Home = None,
    artifacts: Artifacts = None,
    quiet: Quiet = False,
) -> None:
    """Publish runs of this home at the address of the artifacts, each completely or not at all."""
    from modelwright.errors import InvalidInputError
    from modelwright.runs import remote
    from modelwright.runs.entries import find_folder
    from modelwright.store.published import Published

    place = place_of(home, None, artifacts)
    if place.artifacts is None:
        raise InvalidInputError("It is not said where to.", where="--artifacts", mend="Give --artifacts URL.")
    Published(place.home, place.artifacts).check()
    names = [_of_home(find_folder(run, place.home), place.home) for run in runs or []]
    for run in names if runs else remote.waiting(place.home, place.artifacts):
        remote.push(place.home, place.artifacts, run, verify=verify)
        names = names if runs else [*names, run]
        if not quiet:
            typer.echo(f"published: {run}")
    if not names and not quiet:
        typer.echo("Every finished run is published.")


@app.command()
def move(
    url: Annotated[
        str | None, typer.Argument(metavar="URL", help=f"Database to move to; “{LOCAL}” is SQLite in the home.")
    ] = None,
    artifacts: Annotated[
        str | None, typer.Option(metavar="URL", help=f"Move the run folders here; “{LOCAL}” brings them to the home.")
    ] = None,
    from_store: Annotated[
        str | None, typer.Option("--from-store", metavar="URL", help="Database now.  [default: as modelwright.toml says]")
    ] = None,
    from_artifacts: Annotated[
        str | None, typer.Option("--from-artifacts", metavar="URL", help="Where runs are published now.")
    ] = None,
    cancel: Annotated[
        bool, typer.Option("--cancel", help="Give up a move that was killed; the store can be written again.")
    ] = False,
    home: Home = None,
    quiet: Quiet = False,
) -> None:
    """Move the database and the run folders, with everything in them, and verify every row and every file.

    Whatever is killed goes on with the same command. The source stays as it is, with a note where it went; nobody writes
    to it any more. Without --artifacts the run folders stay where they are.
    """
    from datetime import UTC, datetime

    from modelwright.errors import ModelwrightError
    from modelwright.runs.moving import move as move_all
    from modelwright.store.database import Database
    from modelwright.store.moving import cancel as cancel_move

    place = place_of(home, from_store, from_artifacts)
    if cancel:
        note = cancel_move(Database.of(place.home, place.store))
        typer.echo("No move was under way." if note is None else f"The move to {note.place} is given up.")
        return
    try:
        moved = move_all(
            place.home,
            place.store,
            place.artifacts,
            to_store=url,
            to_artifacts=artifacts,
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            tell=_progress(quiet=quiet),
        )
    except ModelwrightError as error:
        error.add_note("The source is as it was; when the cause is mended, give the same command again.")
        raise
    typer.echo("\n".join(moved_lines(moved, url, artifacts)))


def storage_lines(found: StorageShown) -> list[str]:
    """What is where, for people."""
    lines = []
    if found.database is not None:
        of = found.database
        lines.append(f"database   {of.place}")
        lines.append(f"           {of.kind}, schema version {of.version}, {_size(of.n_bytes)}")
        lines += [f"           {name:<12} {n:>9,} rows" for name, n in of.tables.items()]
        words = {"moving": "being moved to", "moved": "moved to", "arrived": "came from"}
        lines += [f"           {words[note.state]} {note.place} on {note.at[:10]}" for note in of.notes]
    else:
        lines.append("database   none yet")
    home = found.home
    lines += [f"home       {home.place}", f"           {_number(home.n_runs, 'run')}, {_size(home.n_bytes)}"]
    if home.unfinished:
        lines.append(f"           {home.unfinished} unfinished, {_size(home.unfinished_bytes)}")
    if home.trash_bytes:
        lines.append(f"           left of deletions: {_size(home.trash_bytes)}")
    if home.moved is not None:
        went = " and ".join(filter(None, [home.moved.store and f"database to {home.moved.store}",
                                          home.moved.artifacts and f"runs to {home.moved.artifacts}"]))  # fmt: skip
        lines.append(f"           moved on {home.moved.at[:10]}: {went}")
    if found.artifacts is not None:
        there = found.artifacts
        lines.append(f"artifacts  {there.place}")
        lines.append(
            f"           {_number(there.n_runs, 'run')}, {_number(there.n_files, 'file')}, {_size(there.n_bytes)};"
            f" {there.n_here} of them in this home"
        )
        lines += [f"           {n:,} published by version {version}" for version, n in sorted(there.versions.items())]
        if there.verified is not None:
            lines.append(f"           {there.verified} of {_number(there.n_runs, 'run')} verified, every file")
        for word, names in (("not published", there.waiting), ("published once, gone", there.gone),
                            ("unfinished uploads", there.leftovers)):  # fmt: skip
            if names:
                lines.append(f"           {word}: {', '.join(names[:3])}{f' and {len(names) - 3} more' if names[3:] else ''}")
    lines.append(f"program    modelwright {found.modelwright}, schema version {found.schema_version}")
    return lines + [f"trouble: {trouble}" for trouble in found.troubles]


def moved_lines(moved: Moved, url: str | None, artifacts: str | None) -> list[str]:
    """What came of a move, for people, with what to write into the settings."""
    lines = []
    if artifacts is not None:
        n_files = _number(moved.n_files, "file")
        lines.append(f"{_number(len(moved.runs), 'run')} moved: {n_files}, {_size(moved.n_bytes)}, every digest equal.")
    if moved.database is not None:
        n_rows = sum(table.n_rows for table in moved.database.tables)
        tables = ", ".join(f"{table.table} {table.n_rows:,}" for table in moved.database.tables if table.n_rows)
        word = "had been moved before" if moved.database.already else "moved, every one equal"
        lines.append(f"{_number(n_rows, 'row')} {word}" + (f": {tables}." if tables else "."))
        if moved.database.stayed:
            lines.append(f"Tables of other programs stayed: {', '.join(moved.database.stayed)}.")
        if moved.database.aside:
            lines.append(f"An earlier state of this database lies in {moved.database.aside}; it can be removed.")
    if moved.stayed:
        lines.append(f"Unfinished runs stayed in the home: {', '.join(moved.stayed)}. Resume them with --store.")
    from modelwright.masking import masked
    from modelwright.spec import FILE_NAME

    wanted = [(key, value) for key, value in (("store", url), ("artifacts", artifacts)) if value is not None]
    settings = [f'  {key} = "{masked(value)}"' for key, value in wanted if value != LOCAL]
    gone = [key for key, value in wanted if value == LOCAL]
    if settings:
        hint = " (the password as ${NAME})" if any("***" in line for line in settings) else ""
        lines += [f"Write into {FILE_NAME}{hint}:", *settings]
    if gone:
        lines.append(f"Remove from {FILE_NAME}: {', '.join(gone)}.")
    return lines


def _of_home(folder: Any, home: Any) -> str:
    from modelwright.errors import InvalidInputError

    if folder.resolve().parent != (home / "runs").resolve():
        raise InvalidInputError("The run is not of this home.", where=str(folder), mend="Give its home with --home.")
    name: str = folder.name
    return name


def _progress(*, quiet: bool) -> Any:
    """Tells what is being done on stderr, where somebody watches it."""
    import sys

    if quiet or not sys.stderr.isatty():
        return lambda _: None
    return lambda text: typer.echo(text, err=True)


def _number(n: int, noun: str) -> str:
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def _size(n_bytes: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= size:
            return f"{n_bytes / size:.1f} {unit}"
    return f"{n_bytes} bytes"


def register(parent: typer.Typer) -> None:
    """Add the group."""
    parent.add_typer(app, name="store")
