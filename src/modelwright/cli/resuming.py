"""The command that goes on with a killed run."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from modelwright.cli.failure import interrupts_told
from modelwright.cli.options import console, program


def resume(
    run: Annotated[str | None, typer.Argument(help="Identifier of the run.  [default: the only one]")] = None,
    home: Annotated[str | None, typer.Option(help="Folder that holds the runs.  [default: .modelwright]")] = None,
    data: Annotated[str | None, typer.Option(help="The rows, where they are no longer where the run read them.")] = None,
    store: Annotated[str | None, typer.Option(metavar="URL", help="Database of the ledger, if its URL has a password.")] = None,
    listed: Annotated[bool, typer.Option("--list", help="List the unfinished runs, and change nothing.")] = False,
    artifacts: Annotated[
        str | None, typer.Option(metavar="URL", help="Where to publish it, if its URL has a password.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the result alone.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print events and result as JSON lines.")] = False,
) -> None:
    """Go on with a training or a search (tune) that was killed or that failed.

    Finished trials are kept, and none is done twice. Without a name the only such run is taken; if there are several
    they are named.
    """
    started = time.monotonic()
    from modelwright.spec import DEFAULT_HOME

    place = Path(home or DEFAULT_HOME)
    if listed:
        _print_unfinished(place, as_json=as_json)
        return
    if run is not None and _is_search(place, run):
        _go_on_searching(place, run, data=data, store=store, quiet=quiet, as_json=as_json)
        return
    from modelwright.api import resume as go_on
    from modelwright.cli.progress import choose_progress

    with interrupts_told(), choose_progress(quiet=quiet, as_json=as_json, budget_s=None) as progress:
        finished = go_on(run, home=place, data=data, store=store, artifacts=artifacts, on_event=progress, started=started)
    _print_result(finished.record, finished.folder, quiet=quiet, as_json=as_json)


def _is_search(home: Path, run: str) -> bool:
    """Whether it is a run of ``modelwright tune``; an identifier that is a path is none."""
    from modelwright.runs.folder import JOB

    path = home / "runs" / run / JOB
    if Path(run).name != run or not path.is_file():
        return False
    from modelwright.jobs.folder import read_record

    return read_record(path.parent).kind == "tuning"


def _go_on_searching(home: Path, run: str, *, data: str | None, store: str | None, quiet: bool, as_json: bool) -> None:
    from modelwright.api_tuning import tune
    from modelwright.cli.progress import choose_progress
    from modelwright.cli.tuning_command import print_tuning
    from modelwright.errors import SpecError

    for name, value in (("data", data), ("store", store)):
        if value is not None:
            mend = f"Leave it out. For other limits: {program()} tune --resume {run} --trials N."
            raise SpecError(f"{run} is a search, and has none to replace.", where=f"--{name}", mend=mend)
    with choose_progress(quiet=quiet, as_json=as_json, budget_s=None) as progress:
        found = tune(home=home, resume=run, on_event=progress)
    print_tuning(found, quiet=quiet, as_json=as_json)


def _print_unfinished(home: Path, *, as_json: bool) -> None:
    from modelwright.store.folders import unfinished

    found = unfinished(home)
    if as_json:
        import json

        for each in found:
            line = {"run": each.run, "created": each.created, "running": each.alive, "finished_trials": each.n_trials}
            typer.echo(json.dumps(line))
        return
    for each in found:
        state = "somebody works on it" if each.alive else f"go on with: {program()} resume {each.run}"
        typer.echo(f"{each.run}  {each.n_trials} finished trials, {state}")
    if not found:
        typer.echo(f"No run is unfinished in {home}.")


def _print_result(record: Any, folder: Path, *, quiet: bool, as_json: bool) -> None:
    from modelwright.cli.render import print_summary, quiet_lines, result_json

    if as_json:
        import msgspec

        typer.echo(msgspec.json.encode(result_json(record, folder)).decode())
    elif quiet:
        typer.echo("\n".join(quiet_lines(record, folder)))
    else:
        print_summary(console(), record, folder, program=program())


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(resume)
