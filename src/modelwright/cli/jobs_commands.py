"""The command that runs the user's own code: run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelwright.cli.listing import Artifacts
from modelwright.cli.mirroring import OfRun, mirror_finished, prepared
from modelwright.cli.place import place_of

if TYPE_CHECKING:
    from modelwright.jobs.child import ChildResult

_INTERRUPTED = 130


def run(
    target: Annotated[str, typer.Argument(help="script.py, job.py:function or module:function.", metavar="TARGET")],
    arguments: Annotated[
        list[str] | None, typer.Argument(help="Its own arguments, as they are; --name value becomes a param.", metavar="ARGS")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the run.  [default: from the target]")] = None,
    tag: Annotated[list[str] | None, typer.Option(metavar="NAME=TEXT", help="A tag of the run.")] = None,
    note: Annotated[str, typer.Option(help="A note on the run.")] = "",
    seed: Annotated[int | None, typer.Option(help="Seed random, NumPy, torch and hashes.")] = None,
    autolog: Annotated[bool, typer.Option("--autolog", help="Log what the libraries fit.")] = False,
    max_time: Annotated[str | None, typer.Option(metavar="TIME", help="End it after this time, such as 2h.")] = None,
    home: Annotated[str | None, typer.Option(help="Folder that holds the runs.  [default: .modelwright]")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Keep its output off the terminal.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON to stderr.")] = False,
    artifacts: Artifacts = None,
    mlflow: OfRun = None,
) -> None:
    """Run your own script or function as a run.

    Options of this command stand before TARGET; what follows belongs to the script. Its output is shown and kept, its exit
    code passed on.
    """
    from modelwright.jobs.child import run_command
    from modelwright.provenance.labels import Labels
    from modelwright.spec_values import parse_budget

    server = prepared(mlflow)
    result = run_command(
        target,
        arguments or [],
        name=name,
        labels=Labels(tags=tags_of(tag), note=note),
        home=Path(home) if home is not None else None,
        seed=seed,
        timeout_s=None if max_time is None else parse_budget(max_time),
        autolog=autolog,
        quiet=quiet,
    )
    publish(result.folder, artifacts)
    if as_json:
        import msgspec

        typer.echo(msgspec.json.encode(result, enc_hook=str).decode(), err=True)
    elif not quiet:
        typer.echo("\n".join(result_lines(result)), err=True)
    mirror_finished(result.folder, server, quiet=quiet, as_json=as_json, aside=True)
    raise typer.Exit(exit_code_of(result))


def publish(folder: Path, artifacts: str | None) -> None:
    """Publish the run of a job or a search, where artifacts are given here or in modelwright.toml for its home."""
    home = folder.parent.parent
    url = artifacts or place_of(str(home)).artifacts
    if url is not None:
        from modelwright.runs.entries import entry_of
        from modelwright.runs.remote import publish_finished, waiting

        # The trials of a search are runs too; the search itself is published when they are there.
        for run in waiting(home, url) if entry_of(folder).kind == "tuning" else []:
            if entry_of(home / "runs" / run).parent == folder.name:
                publish_finished(home, url, run)
        publish_finished(home, url, folder.name)


def tags_of(values: list[str] | None) -> dict[str, str]:
    """Tags from texts such as "team=risk"."""
    from modelwright.errors import SpecError

    tags = {}
    for value in values or []:
        name, equals, text = value.partition("=")
        if not (equals and name.strip()):
            raise SpecError(f"{value!r} is not NAME=TEXT.", where="--tag", mend="Write team=risk.")
        tags[name.strip()] = text
    return tags


def result_lines(result: ChildResult) -> list[str]:
    """What became of the run, for people."""
    lines = [f"run {result.run}: {result.state}, {result.wall_s:.1f} s"]
    lines += [f"  {name} {value:.6g}" for name, value in result.metrics.items()]
    lines += [f"  {result.error}"] if result.error else []
    return [*lines, f"  {result.folder}"]


def exit_code_of(result: ChildResult) -> int:
    """That of the script where it had one."""
    if result.exit_code is not None:
        return result.exit_code
    return _INTERRUPTED if result.state == "interrupted" else 1


def register(app: typer.Typer) -> None:
    """Add the commands."""
    # What follows the target is the script's own, options included.
    app.command(context_settings={"allow_interspersed_args": False, "ignore_unknown_options": False})(run)
