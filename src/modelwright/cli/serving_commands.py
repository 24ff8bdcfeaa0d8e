"""The commands of the server: serve, token."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from modelwright.serving.ahead import Ahead
    from modelwright.serving.settings import Settings
    from modelwright.serving.tokens import TokenLine


def serve(
    models: Annotated[
        list[str],
        typer.Argument(help="churn@champion, churn/7, a model folder, a run, or NAME=one of these.", metavar="MODEL…"),
    ],
    host: Annotated[str, typer.Option(help="Address to bind; one that others can reach needs a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", "-p", help="0 takes any free one.")] = 8000,
    workers: Annotated[int, typer.Option(help="Processes that answer.")] = 1,
    auth: Annotated[
        bool, typer.Option("--auth/--no-auth", help="Whether a token is needed; --no-auth on loopback only.")
    ] = True,
    token_file: Annotated[Path | None, typer.Option(metavar="FILE", help="Further tokens, one a line.")] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A further name that clients call this server by.")
    ] = None,
    shadow: Annotated[
        list[str] | None, typer.Option(metavar="MODEL", help="Answers the same rows unseen, for the log: churn@challenger.")
    ] = None,
    canary: Annotated[
        list[str] | None, typer.Option(metavar="MODEL:SHARE", help="Answers a share of entities: churn@challenger:10%.")
    ] = None,
    log_predictions: Annotated[
        bool, typer.Option("--log-predictions/--no-log-predictions", help="Keep rows and answers in the store.")
    ] = True,
    sample: Annotated[float, typer.Option(metavar="SHARE", help="Share of answers that are kept.")] = 1.0,
    redact: Annotated[list[str] | None, typer.Option(metavar="COLUMN", help="Column whose values are not kept.")] = None,
    when_full: Annotated[
        str, typer.Option(metavar="POLICY", help="drop-and-count or block: when the log has no room.")
    ] = "drop-and-count",
    queue: Annotated[int, typer.Option(metavar="ROWS", help="Rows that may wait for the log.")] = 20_000,
    log_requests: Annotated[
        bool, typer.Option("--log-requests/--no-log-requests", help="Write a line of JSON for each request.")
    ] = True,
    max_body: Annotated[int, typer.Option(metavar="BYTES", help="Largest body of a request.")] = 16 * 1024 * 1024,
    max_rows: Annotated[int, typer.Option(metavar="ROWS", help="Most rows of a request.")] = 10_000,
    drain: Annotated[float, typer.Option(metavar="SECONDS", help="Time to go on after a signal, while not ready.")] = 0.0,
    features: Annotated[
        str | None, typer.Option(metavar="FILE.py", help="File of the function that derives columns, if it was moved.")
    ] = None,
    home: Annotated[str | None, typer.Option(help="Folder that holds the runs.  [default: .modelwright]")] = None,
    store: Annotated[str | None, typer.Option(metavar="URL", help="Database of the store.  [default: SQLite in home]")] = None,
) -> None:
    """Answer predictions over HTTP.

    An alias is watched: when it moves, the new version is loaded, verified, and takes over between two requests. The first
    start prints a token; MODELWRIGHT_SERVE_TOKEN or --token-file give further ones.
    """
    from modelwright.cli.place import home_and_store, home_with
    from modelwright.cli.watched import tell_unwatched
    from modelwright.errors import InvalidInputError
    from modelwright.serving.limits import Limits
    from modelwright.serving.settings import Settings

    if when_full not in ("drop-and-count", "block"):
        raise InvalidInputError(f"{when_full!r} is no policy.", where="--when-full", mend="Write drop-and-count or block.")
    place, url = home_and_store(home, store)
    home_with([each.partition("=")[2] or each for each in models], home, None)
    tell_unwatched(place, url)
    settings = Settings(
        models=tuple(models), shadows=tuple(shadow or ()), canaries=tuple(canary or ()), home=str(place), store=url,
        features=features, host=host, port=port, workers=workers, auth=auth, hosts=tuple(allow_host or ()),
        log_predictions=log_predictions, sample=sample, redact=tuple(redact or ()), policy=when_full,  # type: ignore[arg-type]
        capacity=queue, log_requests=log_requests, drain_s=drain, limits=Limits(body_bytes=max_body, rows=max_rows),
    )  # fmt: skip
    _serve(settings, token_file)


def _serve(settings: Settings, token_file: Path | None) -> None:
    from modelwright.serving.ahead import tried_ahead

    with tried_ahead(settings) as ahead:
        _serve_with(settings, token_file, ahead)


def _serve_with(settings: Settings, token_file: Path | None, ahead: Ahead) -> None:
    from modelwright.serving.server import bound_socket, given_tokens, run_server
    from modelwright.serving.settings import check_settings
    from modelwright.serving.tokens import SCOPES, TokenStore
    from modelwright.store.database import Database

    given = given_tokens(token_file)
    tokens = TokenStore(Database.of(Path(settings.home), settings.store))
    has_token = bool(given) or (settings.auth and bool(tokens.active()))
    check_settings(settings, has_token=has_token)
    listening = bound_socket(settings.host, settings.port)
    if settings.auth and not has_token:
        _, secret = tokens.create("first", SCOPES)
        typer.echo(f"The token of this server, shown this once: {secret}", err=True)
    bound = listening.getsockname()
    where = f"[{bound[0]}]:{bound[1]}" if ":" in bound[0] else f"{bound[0]}:{bound[1]}"
    typer.echo(f"Serving at http://{where}/ (Ctrl-C ends)", err=True)
    if settings.workers > 1:
        from modelwright.serving.workers import run_workers

        run_workers(settings, listening, given)
    else:
        run_server(settings, listening, given, ahead=ahead)


def token(
    action: Annotated[str, typer.Argument(help="new, list or revoke.", metavar="ACTION")],
    name: Annotated[str | None, typer.Argument(help="Name of a new token, or the id of the one to revoke.")] = None,
    scope: Annotated[
        list[str] | None, typer.Option(metavar="SCOPE", help="predict, label, read, retrain or admin.  [default: predict]")
    ] = None,
    home: Annotated[str | None, typer.Option(help="Folder that holds the runs.  [default: .modelwright]")] = None,
    store: Annotated[str | None, typer.Option(metavar="URL", help="Database of the store.  [default: SQLite in home]")] = None,
) -> None:
    """Make, list and revoke the tokens of the server.

    A name has two active tokens at most: make the second, hand it out, then revoke the first. The token itself is shown once
    and kept as a hash only. Running servers follow within seconds.
    """
    from modelwright.cli.place import home_and_store
    from modelwright.errors import InvalidInputError
    from modelwright.serving.tokens import TokenStore
    from modelwright.store.database import Database

    place, url = home_and_store(home, store)
    tokens = TokenStore(Database.of(place, url))
    if action == "new":
        if name is None:
            raise InvalidInputError("The token has no name.", where="NAME", mend="Write: modelwright token new shop")
        line, secret = tokens.create(name, scope or ["predict"])
        typer.echo(f"{line.id}  {line.name}  {' '.join(line.scopes)}", err=True)
        typer.echo(secret)
    elif action == "list":
        for line in tokens.lines():
            typer.echo(_shown(line))
    elif action == "revoke":
        if name is None:
            raise InvalidInputError("Which token?", where="ID", mend="See modelwright token list.")
        line = tokens.revoke(name)
        typer.echo(f"{line.id}  {line.name}  revoked")
    else:
        raise InvalidInputError(f"{action!r} is nothing to do with tokens.", where="ACTION", mend="Write new, list or revoke.")


def _shown(line: TokenLine) -> str:
    state = f"revoked {line.revoked[:19]}Z" if line.revoked else "active"
    return f"{line.id}  {line.name}  {' '.join(line.scopes)}  {line.created[:19]}Z  {state}"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(serve)
    app.command()(token)
