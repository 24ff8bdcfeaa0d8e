"""Commands for pipelines and for trouble: gates on a run, and whether everything is there and whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelwright.cli.listing import Artifacts, Home, RunName, Store
from modelwright.cli.place import home_and_store, home_with

if TYPE_CHECKING:
    from modelwright.runs.filter import Filter

FailIf = Annotated[
    list[str] | None,
    typer.Option(metavar="CONDITION", help="Exit code 4 if it holds or cannot be told, such as 'roc_auc < 0.8'; repeatable."),
]
Summary = Annotated[
    str | None, typer.Option(metavar="FILE.md", help="Append a summary in Markdown; “github” means $GITHUB_STEP_SUMMARY.")
]
JUnit = Annotated[Path | None, typer.Option(metavar="FILE.xml", help="Write gates, findings and baseline test as JUnit XML.")]


def check(
    run: RunName,
    fail_if: FailIf = None,
    summary: Summary = None,
    junit: JUnit = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the gates as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only gates that fail.")] = False,
    home: Home = None,
    artifacts: Artifacts = None,
) -> None:
    """Hold a run against gates, and tell a pipeline about it.

    Conditions are those of "modelwright runs --filter", such as "better == false" or "findings.critical > 0". Exit code 4 if
    a gate fails; a condition that cannot be told fails too.
    """
    from modelwright.runs.entries import find_folder

    conditions = prepared(fail_if, summary, junit)
    folder = find_folder(run, home_with([run], home, artifacts))
    judge(folder, conditions, summary, junit, quiet=quiet, as_json=as_json)


def prepared(fail_if: Sequence[str] | None, summary: str | None, junit: Path | None) -> list[Filter]:
    """Conditions that were understood, and places that can be written: what is wrong is said before anything costs time."""
    import os

    from modelwright.errors import InvalidInputError
    from modelwright.runs.gates import parse_gates

    if summary == "github" and not os.environ.get("GITHUB_STEP_SUMMARY"):
        raise InvalidInputError("GITHUB_STEP_SUMMARY is not set.", where="--summary", mend="Give a file outside of GitHub.")
    for option, path in (("--summary", Path(summary) if summary and summary != "github" else None), ("--junit", junit)):
        if path is not None and (path.is_dir() or not path.parent.is_dir()):
            raise InvalidInputError(f"{str(path)!r} is no file in an existing folder.", where=option, mend="Give another one.")
    return parse_gates(fail_if or [])


def judge(
    folder: Path,
    conditions: Sequence[Filter],
    summary: str | None,
    junit: Path | None,
    *,
    quiet: bool = False,
    as_json: bool = False,
) -> None:
    """Apply gates to a run, write what was asked for, and leave with exit code 4 if a gate fails."""
    if not conditions and summary is None and junit is None:
        return
    import os

    from modelwright.reports.ci import cases
    from modelwright.reports.ci import junit as junit_text
    from modelwright.reports.ci import summary as summary_text
    from modelwright.runs.entries import entry_of
    from modelwright.runs.gates import GATE_EXIT, apply_gates
    from modelwright.runs.run import Run

    entry = entry_of(folder)
    record = Run(folder).record if entry.kind == "training" else None
    gates = apply_gates(conditions, entry)
    if summary is not None:
        path = Path(os.environ["GITHUB_STEP_SUMMARY"] if summary == "github" else summary)
        with path.open("a", encoding="utf-8") as file:
            file.write(summary_text(entry, record, gates, str(folder)))
    if junit is not None:
        junit.write_text(junit_text(entry, cases(entry, record, gates)), encoding="utf-8")
    if as_json:
        import msgspec

        typer.echo(msgspec.json.encode({"type": "Gates", "run": entry.id, "gates": gates}).decode())
    else:
        for gate in gates:
            if gate.failed or not quiet:
                typer.echo(f"{'fails' if gate.failed else 'passes'}: {gate.condition} ({gate.sentence})")
    if any(gate.failed for gate in gates):
        raise typer.Exit(GATE_EXIT)


def doctor(
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Make the index anew from the run folders.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what is wrong as JSON.")] = False,
    home: Home = None,
    store: Store = None,
) -> None:
    """Look over the store, the ledger's chains, every run folder and the index.

    Says what is wrong and what mends it. Exit code 1 if something is wrong.
    """
    from modelwright.errors import InvalidInputError
    from modelwright.runs.doctor import examine

    place, store = home_and_store(home, store)
    if not place.is_dir():
        raise InvalidInputError("There is no such folder.", where=str(place), mend="Give the folder that holds the runs.")
    examined = examine(place, store, rebuild=rebuild)
    if as_json:
        import msgspec

        typer.echo(msgspec.json.encode({"type": "Doctor", **msgspec.to_builtins(examined)}).decode())
    else:
        lines = [f"{t.part}: {t.what}\n  where: {t.where}\n  mend: {t.mend}" for t in examined.troubles]
        noun = "trouble" if len(examined.troubles) == 1 else "troubles"
        counts = f"{_number(examined.n_runs, 'run')} and {_number(examined.n_vaults, 'vault')}"
        lines.append(f"{counts} looked at, {len(examined.troubles)} {noun}.")
        if examined.rebuilt is not None:
            lines.append(f"The index was made anew: {_number(examined.rebuilt, 'run')}.")
        typer.echo("\n".join(lines))
    if examined.troubles:
        raise typer.Exit(1)


def _number(n: int, noun: str) -> str:
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(check)
    app.command()(doctor)
