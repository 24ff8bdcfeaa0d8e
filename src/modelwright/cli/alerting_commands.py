"""Commands about alerts: alert test, alerts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from modelwright.cli.listing import Home, Store

if TYPE_CHECKING:
    from modelwright.alerting.outbox import Alert
    from modelwright.alerting.rules import AlertRule

app = typer.Typer(help="Who is told: send a test.", no_args_is_help=True, rich_markup_mode=None)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
#: Exit code where a test was not delivered.
_FAILED = 1


@app.callback()
def _group() -> None:
    """Who is told: send a test."""


@app.command(name="test")
def send(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Only this alert.  [default: every one]")] = None,
    as_json: AsJson = False,
    home: Home = None,
    store: Store = None,
) -> None:
    """Send a test through every channel of modelwright.toml, and say what came of each.

    Exit code 1 if one of them was not delivered.
    """
    from datetime import UTC, datetime

    from modelwright.alerting.outbox import send_test
    from modelwright.cli.place import home_and_store
    from modelwright.store.database import Database, key_of

    rules = _rules(name)
    place, url = home_and_store(home, store)
    done = send_test(Database.of(place, url), rules, datetime.now(UTC), home=key_of(place, url))
    if as_json:
        _print_json(done)
    else:
        shown = {(rule.name, type(channel).__struct_config__.tag): channel for rule in rules for channel in rule.channels}
        for alert in done:
            came = "delivered" if alert.state == "delivered" else f"FAILED. {alert.last_error}"
            typer.echo(f"{alert.rule}: {shown[alert.rule, alert.channel]}: {came}")
    if any(alert.state != "delivered" for alert in done):
        raise typer.Exit(_FAILED)


def alerts(
    limit: Annotated[int, typer.Option(help="Messages to show.", min=1)] = 20,
    as_json: AsJson = False,
    home: Home = None,
    store: Store = None,
) -> None:
    """Show the last messages, and whether they were delivered."""
    from modelwright.alerting.outbox import last_alerts
    from modelwright.cli.place import home_and_store
    from modelwright.store.database import Database, key_of

    place, url = home_and_store(home, store)
    found = last_alerts(Database.of(place, url), home=key_of(place, url), limit=limit)
    if as_json:
        _print_json(found)
        return
    for alert in found:
        typer.echo("\n".join(_lines(alert)))
    if not found:
        typer.echo("Nobody has been told of anything yet.")


def _lines(alert: Alert) -> list[str]:
    """An alert for people: what, and what became of it."""
    from modelwright.reports.format import moment

    state = alert.state
    if state == "delivered" and alert.delivered_at is not None:
        state = f"delivered {moment(alert.delivered_at)}"
    elif state == "waiting":
        state = f"waiting, next attempt {moment(alert.next_at)}"
    tries = f", {alert.attempts} attempt{'' if alert.attempts == 1 else 's'}" if alert.attempts != 1 else ""
    more = f" (the last of {alert.n_events})" if alert.n_events > 1 else ""
    who = f" of {alert.model}" if alert.model else ""
    lines = [
        f"{moment(alert.at)}  {alert.rule}, {alert.channel}: {state}{tries}",
        f"    {alert.kind}{who}{more}: {alert.event.message}",
    ]
    return [*lines, f"    {alert.last_error}"] if alert.last_error else lines


def _rules(name: str | None) -> list[AlertRule]:
    from pathlib import Path

    from modelwright.alerting.rules_file import find_alert_rules
    from modelwright.errors import SpecError
    from modelwright.spec import FILE_NAME
    from modelwright.spec_values import nearest

    file = Path(FILE_NAME)
    rules = find_alert_rules(file) if file.is_file() else ()
    if not rules:
        raise SpecError("There is no alert.", where=FILE_NAME, mend="Write [[alert]] and log = true, or another channel.")
    chosen = [rule for rule in rules if name in (None, rule.name)]
    if not chosen:
        raise SpecError(f"There is no alert {name!r}.", where="NAME", mend=nearest(str(name), [rule.name for rule in rules]))
    return chosen


def _print_json(found: list[Alert]) -> None:
    import msgspec

    for alert in found:
        typer.echo(msgspec.json.encode(alert).decode())


def register(app_of_all: typer.Typer) -> None:
    """Add the commands."""
    app_of_all.add_typer(app, name="alert")
    app_of_all.command()(alerts)
