"""The commands that speak to an MLflow tracking server: mirror, import-mlflow, and the mirror of a training."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from modelwright.mirroring.importing import Imported
    from modelwright.mirroring.mirror import Mirrored

#: The option whose value may be left out; then the environment says it.
_OPTIONAL = "--mlflow"
#: Options of run that have no value: before its target they are told from those that have one.
_FLAGS_OF_RUN = ("--autolog", "--quiet", "-q", "--json")
#: How the URI of a server begins. A table may have an address too; one that begins so is given before the option.
_SERVERS = ("http:", "https:", "sqlite:", "postgresql", "mysql", "mssql", "file:", "databricks", "$")

Home = Annotated[str | None, typer.Option(help="Folder that holds the runs.  [default: .modelwright]")]
Uri = Annotated[str | None, typer.Option("--to", metavar="URI", help="The tracking server.  [default: MLFLOW_TRACKING_URI]")]
Experiment = Annotated[
    str | None, typer.Option(metavar="NAME", help="Experiment there.  [default: MLFLOW_EXPERIMENT_NAME, else modelwright]")
]
OfRun = Annotated[
    str | None,
    typer.Option("--mlflow", metavar="[URI]", help="Mirror the run to this server too; alone: MLFLOW_TRACKING_URI."),
]


def mirror(
    runs: Annotated[list[str], typer.Argument(help="Run folders, or identifiers or names of runs.", metavar="RUN...")],
    to: Uri = None,
    experiment: Experiment = None,
    register: Annotated[str | None, typer.Option(metavar="NAME", help="Register the model under this name.")] = None,
    alias: Annotated[
        list[str] | None, typer.Option(metavar="ALIAS", help="Let it point to the registered version; may be repeated.")
    ] = None,
    because: Annotated[
        str, typer.Option(metavar="TEXT", help="Why the model is registered although its run names a barrier.")
    ] = "",
    home: Home = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON lines.")] = False,
) -> None:
    """Tell runs to an MLflow tracking server.

    With child runs for trials, curves, data, report, files and the model, which mlflow can serve. Doing it again repairs
    what is missing there and makes nothing twice.
    """
    from modelwright.cli.place import home_and_store
    from modelwright.errors import InvalidInputError
    from modelwright.mirroring.mirror import mirror_run
    from modelwright.mirroring.server import tracking_uri
    from modelwright.runs.entries import find_folder

    uri = tracking_uri(to)
    place, _ = home_and_store(home)
    if register is not None and len(runs) > 1:
        raise InvalidInputError("One run is registered at a time.", where="--register", mend="Name the run of the model alone.")
    for folder in [find_folder(run, place) for run in runs]:
        done = mirror_run(folder, uri, experiment=experiment, name=register, aliases=alias or (), because=because)
        _print(done, as_json)


def import_mlflow(
    uri: Annotated[str | None, typer.Argument(help="The tracking server.  [default: MLFLOW_TRACKING_URI]")] = None,
    experiment: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Experiment to bring in; may be repeated.  [default: all]")
    ] = None,
    artifacts: Annotated[bool, typer.Option("--artifacts/--no-artifacts", help="Whether files come along.")] = True,
    max_file: Annotated[str, typer.Option(metavar="SIZE", help="Larger files stay there.")] = "100MB",
    max_run: Annotated[str, typer.Option(metavar="SIZE", help="Files of one run in all.")] = "1GB",
    home: Home = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Bring the runs of an MLflow tracking server in.

    With params, tags, every step of every metric, and files. A run that is here already is not brought in again.
    """
    from modelwright.cli.place import home_and_store
    from modelwright.mirroring.importing import import_runs
    from modelwright.mirroring.server import tracking_uri
    from modelwright.spec_values import READERS

    place, _ = home_and_store(home)
    found = import_runs(
        tracking_uri(uri),
        place,
        experiments=experiment or (),
        max_file_bytes=int(READERS["max_size"](max_file)) if artifacts else 0,
        max_run_bytes=int(READERS["max_size"](max_run)) if artifacts else 0,
        tell=lambda sentence: typer.echo(sentence, err=True),
    )
    if as_json:
        import msgspec

        typer.echo(msgspec.json.encode({"type": "Imported", **msgspec.to_builtins(found)}).decode())
    else:
        typer.echo("\n".join(imported_lines(found)))


def prepared(given: str | None) -> str | None:
    """The server that a training is to be mirrored to, refused before any work is done; None where none is wanted."""
    if given is None:
        return None
    from modelwright.mirroring.server import require_mlflow, tracking_uri

    require_mlflow()
    return tracking_uri(given)


def mirror_finished(
    folder: Path, uri: str | None, *, quiet: bool, as_json: bool, children: Iterable[Path] = (), aside: bool = False
) -> None:
    """Mirror a run that has just ended. Whatever happens there, the run is kept and its command has succeeded.

    Parameters
    ----------
    folder : Path
    uri : str or None
        None does nothing.
    quiet, as_json : bool
    children : iterable of Path, optional
        Folders of the trials of a search, which are runs of their own.
    aside : bool, default=False
        Say it on standard error, because standard output is a script's.
    """
    if uri is None:
        return
    import msgspec

    from modelwright.cli.failure import failure_lines, translated
    from modelwright.mirroring.mirror import mirror_run
    from modelwright.mirroring.server import shown_uri

    try:
        done = mirror_run(folder, uri)
        n_children = sum(mirror_run(child, uri).n_children + 1 for child in children)
    except Exception as error:
        first, *rest = failure_lines(translated(error))
        told = [first.replace("error:", "not mirrored:", 1), *rest, "  the run itself is kept, and complete"]
        typer.echo("\n".join([*told, f"  next: modelwright mirror {folder} --to {shown_uri(uri)}"]), err=True)
        return
    if as_json or not quiet:
        _print(msgspec.structs.replace(done, n_children=done.n_children + n_children), as_json, aside)


def with_optional_values(words: list[str]) -> list[str]:
    """The words of a command line, with an empty value after an option whose value was left out.

    Examples
    --------
    >>> with_optional_values(["train", "--mlflow", "a.csv"])
    ['train', '--mlflow', '', 'a.csv']
    >>> with_optional_values(["train", "--mlflow", "http://host:5000", "a.csv"])
    ['train', '--mlflow', 'http://host:5000', 'a.csv']
    >>> with_optional_values(["run", "--mlflow", "fit.py", "--mlflow"])
    ['run', '--mlflow', '', 'fit.py', '--mlflow']
    """
    if words[:1] not in (["train"], ["tune"], ["run"]):
        return words
    made: list[str] = []
    for position, word in enumerate(words[: _place_of_target(words) if words[0] == "run" else None]):
        made.append(word)
        following = words[position + 1] if position + 1 < len(words) else ""
        if word == _OPTIONAL and not following.startswith(_SERVERS):
            made.append("")
    return made + (words[_place_of_target(words) :] if words[0] == "run" else [])


def _place_of_target(words: list[str]) -> int:
    """Where the target of run stands; what follows belongs to the script."""
    place = 1
    while place < len(words) and words[place].startswith("-"):
        following = words[place + 1] if place + 1 < len(words) else ""
        alone = words[place] in _FLAGS_OF_RUN or "=" in words[place]
        alone = alone or (words[place] == _OPTIONAL and not following.startswith(_SERVERS))
        place += 1 if alone else 2
    return min(place, len(words))


def _print(done: Mirrored, as_json: bool, aside: bool = False) -> None:
    if as_json:
        import msgspec

        typer.echo(msgspec.json.encode({"type": "Mirrored", **msgspec.to_builtins(done)}).decode(), err=aside)
        return
    what = "mirrored" if done.new else "brought up to date" if done.changed else "was mirrored before, unchanged"
    children = f", {done.n_children} child runs" if done.n_children else ""
    typer.echo(f"{done.run}: {what} at {done.uri}, experiment {done.experiment}, run {done.mlflow_run}{children}", err=aside)
    if done.registered is not None:
        found = done.registered
        aliases = f", alias {', '.join(found.aliases)}" if found.aliases else ""
        typer.echo(f"  {'registered as' if found.new else 'is registered as'} {found.name} version {found.version}{aliases}")
        address = f"{found.name}@{found.aliases[0]}" if found.aliases else f"{found.name}/{found.version}"
        typer.echo(f"  next: mlflow models serve --env-manager local -m models:/{address}")


def imported_lines(found: Imported) -> list[str]:
    """What was brought in, for people."""
    lines = [f"{len(found.runs)} runs brought in from {found.uri}"]
    for number, why in (
        (found.n_known, "were here already"),
        (found.n_own, "are mirrors of runs that are here"),
        (found.n_running, "are still running; bring them in when they have ended"),
    ):
        lines += [f"  {number} {why}"] if number else []
    lines += [f"  {note}" for note in found.notes]
    return [*lines, "  next: modelwright runs"] if found.runs else lines


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(mirror)
    app.command(name="import-mlflow")(import_mlflow)
