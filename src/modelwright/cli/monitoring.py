"""The command that checks what a model meets in production: monitor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from modelwright.monitoring.checked import Alarm, Checked
    from modelwright.monitoring.monitor import Monitored

#: Left with when --fail-on finds what it looks for.
ALARM_EXIT = 3


def monitor(
    model: Annotated[
        str, typer.Argument(help="churn@champion, churn/7, a model folder, a run, or NAME=one of these.", metavar="MODEL")
    ],
    data: Annotated[
        str | None, typer.Option(metavar="ROWS", help="A table to check.  [default: the log of the server]")
    ] = None,
    window: Annotated[
        str | None,
        typer.Option(metavar="LENGTH", help="Rows (1000) or time (1d) of a window.  [default: 1000; all of a table]"),
    ] = None,
    reference: Annotated[
        str | None, typer.Option(metavar="ROWS", help="Rows not trained on to compare with, if the bundle carries none.")
    ] = None,
    part: Annotated[str, typer.Option(metavar="PART", help="live, canary or shadow.")] = "live",
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the monitoring report.")] = None,
    fail_on: Annotated[
        str | None, typer.Option(metavar="STATE", help="Exit code 3 if the latest window is so: alarm or warning.")
    ] = None,
    query: Annotated[str | None, typer.Option(help="SQL, when the rows come from a database URL.")] = None,
    features: Annotated[
        str | None, typer.Option(metavar="FILE.py", help="File of the function that derives columns, if it was moved.")
    ] = None,
    home: Annotated[str | None, typer.Option(help="Folder that holds the runs.  [default: .modelwright]")] = None,
    store: Annotated[str | None, typer.Option(metavar="URL", help="Database of the store.  [default: SQLite in home]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each window.")] = False,
) -> None:
    """Check the rows that a model answers: quality, drift, service, and its score with and without labels.

    Drift of inputs alone is a warning: it explains. A fall of the score, broken data or drifting predictions are alarms.
    """
    from modelwright.api_monitoring import monitor as check
    from modelwright.cli.place import home_and_store
    from modelwright.errors import InvalidInputError

    if fail_on not in (None, "alarm", "warning"):
        raise InvalidInputError(f"{fail_on!r} is no state to fail on.", where="--fail-on", mend="Write alarm or warning.")
    if part not in ("live", "canary", "shadow"):
        raise InvalidInputError(f"{part!r} is no part of the log.", where="--part", mend="Write live, canary or shadow.")
    place, url = home_and_store(home, store)
    found = check(
        model, data, window=window, reference=reference, part=part, query=query, features=features, home=place, store=url
    )
    if html is not None:
        from modelwright.reports.monitoring_page import monitoring_page

        html.write_text(monitoring_page(found), encoding="utf-8")
    if as_json:
        import msgspec

        for each in found.windows:
            typer.echo(msgspec.json.encode(each).decode())
    else:
        typer.echo("\n".join(lines(found)))
        if html is not None:
            typer.echo(f"report: {html}")
    latest = found.latest
    if fail_on and latest is not None and latest.state in ("alarm", fail_on):
        raise typer.Exit(ALARM_EXIT)


def lines(found: Monitored) -> list[str]:
    """What is to be told of the latest window, and of those before in a line each."""
    latest = found.latest
    if latest is None:
        return [f"{found.model} {found.version}: no rows in the {found.source}."]
    told = [f"{found.model} {found.version}, {found.source}; compared with {found.judge.reference.made_of}."]
    told += [_line(each) for each in found.windows[-8:]]
    told += ["", f"{_when(latest)}: {latest.state.upper()}"]
    told += [_alarm("alarm", each) for each in latest.alarms if each.pages]
    told += [_alarm("explains", each) for each in latest.alarms if not each.pages]
    told += [_alarm("warning", each) for each in latest.warnings]
    if (real := latest.realised) is not None:
        told.append(
            f"  {real.metric} on {real.n_labels:,} labels: {real.value:.4g} ({real.low:.4g} to {real.high:.4g}), "
            f"at training {real.reference:.4g}"
        )
    if (guess := latest.estimated) is not None:
        told.append(
            f"  {guess.metric} estimated without labels ({guess.method}): {guess.value:.4g} ({guess.low:.4g} to "
            f"{guess.high:.4g}); it {guess.assumption}"
        )
    if (service := latest.service) is not None:
        failed = "" if service.error_rate is None else f", {service.error_rate:.2%} of the requests failed"
        times = f"median {service.p50_ms:.3g} ms, 99 % within {service.p99_ms:.3g} ms"
        told.append(f"  {service.n_answers:,} answers, {times}{failed}")
    return [*told, *(f"  {note}" for note in latest.notes)]


def _line(checked: Checked) -> str:
    count = f"{checked.n_rows:,} rows" + (f", {checked.n_labels:,} labels" if checked.n_labels else "")
    n = len(checked.pages)
    alarms = f", {n} alarm{'s' * (n != 1)}" if n else ""
    return f"  {_when(checked)}  {checked.state:<15} {count}{alarms}{'' if checked.complete else ', rows still come'}"


def _when(checked: Checked) -> str:
    if checked.start.isdigit():
        return f"rows {checked.start} to {checked.end}"
    return f"{checked.start[:16].replace('T', ' ')} to {checked.end[:16].replace('T', ' ')}"


def _alarm(word: str, alarm: Alarm) -> str:
    column = f" {alarm.column!r}" if alarm.column else ""
    return f"  {word}: {alarm.kind}{column}: {alarm.message}" + (f" {alarm.mend}" if alarm.mend else "")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(monitor)
