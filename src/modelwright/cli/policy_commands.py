"""The command about policies: policy check."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from modelwright.cli.listing import Home, Store

if TYPE_CHECKING:
    from modelwright.retraining.policy_check import PolicyCheck

app = typer.Typer(help="When a model is trained again.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _group() -> None:
    """When a model is trained again."""


@app.command()
def check(
    data: Annotated[
        str | None, typer.Option(metavar="ROWS", help="History to replay it on.  [default: windows kept by monitoring]")
    ] = None,
    time: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="When a row of it happened.  [default: as modelwright.toml says]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
    home: Home = None,
    store: Store = None,
) -> None:
    """Say in sentences what the policy of modelwright.toml does and when next, and when it would have trained.

    Nothing is changed. In the replay each retraining counts as done at once and its challenger as promoted.
    """
    from datetime import UTC, datetime
    from pathlib import Path

    from modelwright.alerting.rules_file import find_alert_rules
    from modelwright.cli.place import home_and_store
    from modelwright.errors import SpecError
    from modelwright.retraining.policy_check import check_policy
    from modelwright.retraining.policy_file import find_policy
    from modelwright.spec import FILE_NAME, resolve_spec

    file = Path(FILE_NAME)
    spec = resolve_spec(file, {}) if file.is_file() else None
    policy = find_policy(file, spec) if spec is not None else None
    if policy is None or spec is None:
        mend = "Write [policy] into it; nothing below it is needed."
        raise SpecError("There is no policy.", where=FILE_NAME, mend=mend)
    place, url = home_and_store(home, store)
    now = datetime.now(UTC)
    alerts = bool(find_alert_rules(file))
    found = check_policy(policy, spec, place, url, now, data=data, time=time, alerts=alerts)
    if as_json:
        import msgspec

        typer.echo(msgspec.json.encode(found).decode())
        return
    typer.echo("\n".join(lines(found)))


def lines(found: PolicyCheck) -> list[str]:
    """A checked policy for people."""
    from modelwright.retraining.explained import simulated_sentences
    from modelwright.retraining.rules import Trigger

    told = [*found.retraining]
    if found.next_slots_told:
        told.append(f"Next slots: {'; '.join(found.next_slots_told)}.")
    told += ["", *found.gate, "", *found.release, ""]
    if isinstance(found.now, Trigger):
        told.append(f"At this moment it would train: {found.now.reason}")
    else:
        told.append(f"At this moment it does not train. {found.now.reason}")
    told += [f"It is watched by {scheduler}." for scheduler in found.watched_by]
    told.append("")
    told += [found.simulated_on] if found.simulated is None else simulated_sentences(found.simulated, found.simulated_on)
    return [*told, *([""] if found.warnings else []), *(f"warning: {warning}" for warning in found.warnings)]


def register(app_of_all: typer.Typer) -> None:
    """Add the group."""
    app_of_all.add_typer(app, name="policy")
