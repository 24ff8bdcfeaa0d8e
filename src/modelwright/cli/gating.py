"""The commands of the gate and of releases."""

from __future__ import annotations

from typing import Annotated

import typer

from modelwright.cli.listing import Home, Store
from modelwright.cli.place import home_and_store
from modelwright.cli.registering import AsJson
from modelwright.cli.watched import tell_unwatched

#: Exit code of a challenger that should not be promoted.
_NOT_PROMOTED = 3


def gate(
    challenger: Annotated[str, typer.Argument(metavar="CHALLENGER", help="Such as churn@challenger or churn/4.")],
    data: Annotated[str, typer.Option(help="Rows with their labels that follow the training of both.")],
    against: Annotated[
        str | None, typer.Option(metavar="CHAMPION", help="What it must beat.  [default: the champion of the model]")
    ] = None,
    query: Annotated[str | None, typer.Option(help="SQL or a table name, where DATA is a database.")] = None,
    metric: Annotated[str | None, typer.Option(help="What is compared.  [default: that of the challenger's training]")] = None,
    require: Annotated[str, typer.Option(help="better, or not worse.")] = "better",
    margin: Annotated[float, typer.Option(help="How much worse still counts as not worse.")] = 0.005,
    level: Annotated[float, typer.Option(help="Chance that an equal challenger passes, over all attempts.")] = 0.05,
    min_labels: Annotated[int, typer.Option(help="Labels below which nothing is decided.")] = 100,
    delay: Annotated[float, typer.Option(metavar="DAYS", help="Age below which labels are not mature.")] = 0.0,
    all_rows: Annotated[
        bool, typer.Option("--all-rows", help="You vouch that neither model was trained on any of the rows; needs --why.")
    ] = False,
    why: Annotated[str, typer.Option(help="Reason, for the log of decisions.")] = "",
    features: Annotated[
        str | None, typer.Option(metavar="FILE.py", help="File of the function that derives columns, if it was moved.")
    ] = None,
    as_json: AsJson = False,
    home: Home = None,
    store: Store = None,
) -> None:
    """Ask whether a challenger may replace the champion.

    The verdict is a line of the log of decisions; each attempt at one champion leaves less of the level to the next. Exit code
    0: promote it; 3: do not, for the reasons that are printed.
    """
    from modelwright.errors import InvalidInputError
    from modelwright.registry.names import CHAMPION, Reference
    from modelwright.registry.registry import Registry
    from modelwright.retraining.asking import ask, contender
    from modelwright.retraining.evaluated import from_table, utc_now
    from modelwright.retraining.rules import GateRules

    if require not in ("better", "not worse"):
        raise InvalidInputError(f"{require!r} is nothing to prove.", where="--require", mend='Write better or "not worse".')
    if all_rows and not why.strip():
        raise InvalidInputError("Why are all rows new to both?", where="--all-rows", mend="Say it with --why.")
    place, url = home_and_store(home, store)
    registry = Registry(place, url)
    new = registry.resolve(challenger)
    old = registry.resolve(against or Reference(new.name, alias=CHAMPION))
    if old.name != new.name or old.number == new.number:
        raise InvalidInputError(
            f"{new} cannot be held against {old}.", where="--against", mend="Give another version of the same model."
        )
    rules = GateRules(require=require, level=level, margin=margin, min_labels=min_labels)  # type: ignore[arg-type]
    found = from_table(
        contender(registry, old), contender(registry, new), data, query=query, metric=metric, label_delay_s=delay * 86400.0,
        now=utc_now(), vouched=why.strip() if all_rows else "", features=features,
    )  # fmt: skip
    verdict, decision = ask(registry, old, new, found, rules)
    if as_json:
        import msgspec

        told = msgspec.to_builtins(verdict) | {"decision": decision.count, "champion": str(old), "challenger": str(new)}
        typer.echo(msgspec.json.encode(told).decode())
    else:
        typer.echo(f"{new} against {old}: {verdict.answer}; {'promote it' if verdict.promote else 'do not promote it'}.")
        for reason in verdict.reasons:
            typer.echo(f"  {reason}")
        typer.echo(f"Decision {decision.count} of the log.")
        if verdict.promote:
            typer.echo(f"Promote it: modelwright promote {new} --verdict {decision.count}")
    if not verdict.promote:
        raise typer.Exit(_NOT_PROMOTED)


def release(
    name: Annotated[str, typer.Argument(metavar="MODEL", help="Name of a registered model.")],
    as_json: AsJson = False,
    home: Home = None,
    store: Store = None,
) -> None:
    """Show how far the newest release of a model is, and what its stage has seen.

    End one that is in flight with modelwright rollback.
    """
    import msgspec

    from modelwright.registry.registry import Registry
    from modelwright.retraining.figures import read_figures
    from modelwright.retraining.release import told
    from modelwright.retraining.rules import ReleaseRules

    place, url = home_and_store(home, store)
    registry = Registry(place, url)
    found = registry.releases(name)
    if not found:
        typer.echo("null" if as_json else f"Nothing of {name} has been released in steps yet.")
        return
    newest = found[0]
    rules = msgspec.json.decode(newest.rules, type=ReleaseRules)
    seen = read_figures(registry.database, registry, newest, rules) if newest.in_flight else None
    if as_json:
        figures = None if seen is None else seen.told()
        typer.echo(msgspec.json.encode(msgspec.to_builtins(newest) | {"rules": rules, "figures": figures}).decode())
        return
    typer.echo("\n".join(told(newest, rules, seen)))
    tell_unwatched(place, url)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(gate)
    app.command()(release)
