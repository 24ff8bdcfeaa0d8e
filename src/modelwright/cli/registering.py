"""Commands of the registry: register, look, promote, roll back, and the log of decisions."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from modelwright.cli.listing import Home, Store
from modelwright.cli.options import console
from modelwright.cli.place import home_and_store
from modelwright.cli.watched import tell_unwatched

Why = Annotated[str, typer.Option(help="Reason, for the log of decisions.")]
Named = Annotated[str, typer.Argument(metavar="MODEL", help="Such as churn/7, churn@challenger or churn (its champion).")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
#: Exit code of `decisions --verify` where something is wrong.
_WRONG = 1


def register_model(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Run folder, identifier or name of a run, or folder of a model.")],
    name: Annotated[str, typer.Option(help="Name of the model.")],
    alias: Annotated[list[str] | None, typer.Option(help="Alias that points to the version; may be repeated.")] = None,
    tag: Annotated[list[str] | None, typer.Option(metavar="NAME=TEXT", help="Label the version; may be repeated.")] = None,
    force: Annotated[bool, typer.Option("--force", help="In spite of barriers; needs --why.")] = False,
    why: Why = "",
    as_json: AsJson = False,
    home: Home = None,
    store: Store = None,
) -> None:
    """Make the model of a run the next version of a named model.

    The bundle is copied and verified; the version never changes. A run with barriers (a critical finding, not better than
    the baseline) is refused.
    """
    from modelwright.cli.jobs_commands import tags_of
    from modelwright.registry.registry import Registry
    from modelwright.registry.source import source_of

    place, url = home_and_store(home, store)
    source = source_of(run, place)
    version = Registry(place, url).register(source, name, aliases=alias or (), tags=tags_of(tag), force=force, why=why)
    _tell(version, as_json, f"{version} is registered{_pointing(version)}: {version.folder}")
    tell_unwatched(place, url)


def models(
    name: Annotated[str | None, typer.Argument(metavar="MODEL", help="Show its versions.")] = None,
    as_json: AsJson = False,
    home: Home = None,
    store: Store = None,
) -> None:
    """List the registered models, or the versions of one."""
    from rich.table import Table

    from modelwright.errors import InvalidInputError
    from modelwright.registry.registry import Registry
    from modelwright.reports.format import moment

    place, url = home_and_store(home, store)
    registry = Registry(place, url)
    names = registry.models()
    if name is not None and name not in names:
        known = ", ".join(names) or "none yet; modelwright register makes one"
        raise InvalidInputError(f"There is no model {name!r}.", where=name, mend=f"Models: {known}.")
    shown = [version for each in ([name] if name else names) for version in registry.versions(each)[: None if name else 1]]
    if as_json:
        typer.echo(_json(shown))
        return
    if not shown:
        typer.echo("No model is registered. Register one: modelwright register RUN --name churn --alias champion")
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    titles = ("version", "aliases", "registered", "by", "run", "tags") if name else ("newest", "aliases", "registered", "by")
    for title in titles:
        table.add_column(title)
    for version in shown:
        aliases = registry_aliases(registry.versions(version.name)) if name is None else ", ".join(version.aliases)
        row = [str(version), aliases, moment(version.created), version.by]
        table.add_row(*row, *([version.run, _tags(version.tags)] if name else []))
    console().print(table)


def alias(
    model: Annotated[str, typer.Argument(metavar="MODEL@ALIAS", help="Such as churn@challenger.")],
    number: Annotated[int | None, typer.Argument(metavar="NUMBER", help="Version to point to.")] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Let it point to nothing.")] = False,
    why: Why = "",
    home: Home = None,
    store: Store = None,
) -> None:
    """Let an alias point to a version."""
    from modelwright.errors import InvalidInputError
    from modelwright.registry.names import read_reference
    from modelwright.registry.registry import Registry

    place, url = home_and_store(home, store)
    wanted = read_reference(model)
    if wanted.alias is None or "@" not in model:
        raise InvalidInputError(f"{model!r} names no alias.", where="MODEL@ALIAS", mend="Write it as churn@challenger.")
    registry = Registry(place, url)
    if remove == (number is not None):
        raise InvalidInputError("Give a version, or --remove.", where=model, mend=f"Write: modelwright alias {model} 3")
    if number is None:
        registry.remove_alias(wanted.name, wanted.alias, why=why)
        typer.echo(f"{model} points to nothing now.")
    else:
        version = registry.set_alias(wanted.name, wanted.alias, number, why=why)
        typer.echo(f"{model} points to {version}.")


def promote(
    model: Named,
    to: Annotated[str, typer.Option(help="Alias to move.")] = "champion",
    verdict: Annotated[
        int | None, typer.Option(metavar="NUMBER", help="Decision of modelwright gate that this rests on.")
    ] = None,
    why: Why = "",
    features: Annotated[
        str | None, typer.Option(metavar="FILE.py", help="File of the function that derives columns, if it was moved.")
    ] = None,
    as_json: AsJson = False,
    home: Home = None,
    store: Store = None,
) -> None:
    """Make a version the champion, in one step.

    Before that it is loaded and its golden rows are replayed in a process of its own; a version that answers otherwise than
    when it was written is refused, and the alias stays.
    """
    from modelwright.artifacts.probe import probe_bundle
    from modelwright.registry.registry import Registry

    place, url = home_and_store(home, store)
    registry = Registry(place, url)
    wanted = registry.resolve(model)
    evidence = None if verdict is None else registry.referred(verdict, wanted)
    probe_bundle(wanted.folder, features=features)
    version = registry.promote(wanted.name, wanted.number, alias=to, why=why, evidence=evidence)
    _tell(version, as_json, f"{version.name}@{to} points to {version}.")
    tell_unwatched(place, url)


def rollback(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Name of the model, or churn@alias.")],
    why: Why = "",
    as_json: AsJson = False,
    home: Home = None,
    store: Store = None,
) -> None:
    """Return the champion to the version before, in one step.

    Where a challenger is on its way as a shadow or canary, that release is what is taken back, and the champion stays.
    """
    from modelwright.errors import InvalidInputError
    from modelwright.registry.names import CHAMPION, read_reference
    from modelwright.registry.registry import Registry

    place, url = home_and_store(home, store)
    wanted = read_reference(model)
    if wanted.alias is None:
        mend = f"Write: modelwright promote {model}"
        raise InvalidInputError(f"{model!r} is a version, and an alias is rolled back.", where="MODEL", mend=mend)
    registry = Registry(place, url)
    release = registry.in_flight(wanted.name) if wanted.alias == CHAMPION else None
    version = registry.rollback(wanted.name, alias=wanted.alias, why=why)
    if release is not None and release.stage != "watch":
        said = f"The release of {release.name}/{release.number} has ended; {wanted} points to {version} as before."
    else:
        said = f"{wanted} points to {version} again."
    _tell(version, as_json, said)
    tell_unwatched(place, url)


def decisions(
    name: Annotated[str | None, typer.Argument(metavar="MODEL", help="Decisions on one model alone.")] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Look for lines that were changed; exit code 1 if one was.")] = False,
    as_json: AsJson = False,
    home: Home = None,
    store: Store = None,
) -> None:
    """Show who decided what and why; the log cannot be changed unnoticed."""
    from modelwright.registry.registry import Registry
    from modelwright.reports.format import moment

    place, url = home_and_store(home, store)
    registry = Registry(place, url)
    if verify:
        wrong = registry.verify()
        if as_json:
            typer.echo(_json({"decisions": registry.sequence(), "wrong": wrong}))
        else:
            for sentence in wrong:
                typer.echo(sentence, err=True)
            if not wrong:
                typer.echo(f"{registry.sequence()} decisions: every line is as it was written, every version as registered.")
        if wrong:
            raise typer.Exit(_WRONG)
        return
    found = registry.decisions(name)
    if as_json:
        typer.echo(_json(found))
        return
    for each in found:
        now = "nothing" if each.kind == "unalias" else each.number
        moved = f" {each.alias}: {each.was or 'nothing'} → {now}" if each.alias else ""
        why = f" – {each.why}" if each.why else ""
        typer.echo(f"{moment(each.at)}  {each.by_whom}  {each.kind} {each.name}/{each.number}{moved}{why}")
    if not found:
        typer.echo("Nothing has been decided yet.")


def registry_aliases(versions: Any) -> str:
    """Where the aliases of a model point: "champion 3, challenger 4"."""
    return ", ".join(f"{alias} {version.number}" for version in versions for alias in version.aliases)


def _pointing(version: Any) -> str:
    return f" as {', '.join('@' + alias for alias in version.aliases)}" if version.aliases else ""


def _tags(tags: dict[str, str]) -> str:
    return ", ".join(f"{name}={text}" for name, text in sorted(tags.items()))


def _tell(version: Any, as_json: bool, sentence: str) -> None:
    typer.echo(_json(version) if as_json else sentence)


def _json(value: Any) -> str:
    import msgspec

    return msgspec.json.encode(value, enc_hook=str).decode()


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(name="register")(register_model)
    for command in (models, alias, promote, rollback, decisions):
        app.command()(command)
