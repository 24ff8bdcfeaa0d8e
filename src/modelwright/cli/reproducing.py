"""The command that does a run again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from modelwright.cli.listing import Artifacts
from modelwright.cli.place import home_with

if TYPE_CHECKING:
    from modelwright.runs.reproducing.values import Reproduction


def reproduce(
    run: Annotated[str, typer.Argument(help="Run folder, or the identifier or name of a run.")],
    data: Annotated[str | None, typer.Option(help="The rows, where they are no longer where the run read them.")] = None,
    environment: Annotated[
        bool, typer.Option("--environment", help="Rebuild Python and packages of the run first; may take minutes.")
    ] = False,
    home: Annotated[str | None, typer.Option(help="Folder that holds the runs.  [default: .modelwright]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    artifacts: Artifacts = None,
) -> None:
    """Do a run again by its plan, and say step by step whether it comes out equal.

    On a difference the first culprit is named: a changed cell, another package, threads, machine, Python, code. Exit
    code 1 says that something differs. No look at the sealed rows is taken.
    """
    from modelwright.runs.reproducing.environment import reproduce_in_environment
    from modelwright.runs.reproducing.flow import reproduce as again
    from modelwright.store.folders import find_run

    place = home_with([run], home, artifacts)
    folder = find_run(run, place)
    if environment:
        found = reproduce_in_environment(folder, data, home=place, tell=lambda sentence: typer.echo(sentence, err=True))
    else:
        found = again(folder, data)
    if as_json:
        import msgspec

        plain = msgspec.to_builtins(found) | {"type": "Reproduction", "equal": found.equal, "culprit": found.culprit}
        typer.echo(msgspec.json.encode(plain).decode())
    else:
        typer.echo("\n".join(lines(found)))
    if not found.equal:
        raise typer.Exit(1)


def lines(found: Reproduction) -> list[str]:
    """What came out, a line a step, then the first culprit and what else is different here."""
    width = max(len(step.name) for step in found.steps)
    shown = [*found.notes]
    for step in found.steps:
        shown.append(f"{step.name:<{width}}  {step.state}" + (f": {step.detail}" if step.detail else ""))
    if found.suspects:
        first, *others = found.suspects
        shown.append(f"first culprit: {first}")
        shown += [f"also different: {other}" for other in others]
        if found.packages:
            shown.append("to rule the packages out, reproduce with --environment")
    elif found.packages:
        names = ", ".join(f"{name} {now} (then {before})" for name, (before, now) in list(found.packages.items())[:8])
        shown.append(
            f"equal although packages have other versions here: {names}" if found.equal else f"other versions: {names}"
        )
    shown.append(f"{found.run}: {'equal' if found.equal else 'not equal'}")
    return shown


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(reproduce)
