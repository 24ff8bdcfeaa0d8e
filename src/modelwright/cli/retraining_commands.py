"""The commands of the loop: retrain, approve, worker, status."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from modelwright.cli.options import program
from modelwright.cli.watched import tell_unwatched

if TYPE_CHECKING:
    from modelwright.retraining.requests import Retraining
    from modelwright.retraining.status import Status
    from modelwright.retraining.steps import Room

Home = Annotated[str | None, typer.Option(help="Folder that holds the runs.  [default: .modelwright]")]
Store = Annotated[str | None, typer.Option(metavar="URL", help="Database of the store.  [default: SQLite in home]")]
Artifacts = Annotated[str | None, typer.Option(metavar="URL", help="Where finished runs are published too.")]
#: Seconds between looks at a retraining that is waited for.
_LOOK_S = 0.3
#: Exit code where something asks for a person.
ATTENTION = 3


def retrain(
    model: Annotated[str, typer.Argument(help="Name of a registered model that has a champion.")],
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end, and say how it went.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Train also on the very rows that the champion learned from.")] = False,
    why: Annotated[str, typer.Option(help="A sentence for the log.")] = "",
    stop: Annotated[bool, typer.Option("--stop", help="Close the one that is under way instead, at its next step.")] = False,
    key: Annotated[str | None, typer.Option(help="Asked again with the same key, nothing new happens.")] = None,
    home: Home = None,
    store: Store = None,
) -> None:
    """Ask for a retraining by hand.

    A worker does it (modelwright worker, or modelwright up). With --wait and no worker there, it is done here.
    """
    from modelwright.cli.place import place_of
    from modelwright.provenance.command import user
    from modelwright.retraining.by_hand import ask_by_hand
    from modelwright.retraining.steps import Room

    room = Room(*place_of(home, store))
    if stop:
        _stop(room, model, why or "closed by hand")
        return
    asked = ask_by_hand(room, model, why=why, key=key, by_whom=user(), force=force)
    one = asked.retraining
    if not asked.new:
        typer.echo(
            f"{one.id} is the one: asked for at {one.at[:19]} ({one.trigger.cause}), {one.outcome or one.state}.", err=True
        )
    else:
        typer.echo(one.id)
    tell_unwatched(room.home, room.store)
    if wait:
        _wait(room, one.id)
    elif not _worker_lives(room):
        typer.echo(f"No worker runs, so nobody does it yet. Start one: {program()} worker (or {program()} up)", err=True)


def _stop(room: Room, model: str, why: str) -> None:
    from modelwright.errors import InvalidInputError
    from modelwright.retraining.requests import Retrainings

    retrainings = Retrainings(room.home, room.store)
    found = next((each for each in retrainings.open() if each.model == model), None)
    if found is None:
        raise InvalidInputError(f"{model} is not being retrained.", where=model, mend=f"See {program()} status.")
    retrainings.end(found.id, "stopped", why)
    typer.echo(f"{found.id} is closed.")


def approve(
    model: Annotated[str, typer.Argument(help="Name of the model whose challenger waits.")],
    reject: Annotated[bool, typer.Option("--reject", help="Do not release it.")] = False,
    by: Annotated[str | None, typer.Option(help="Who decides.  [default: the user]")] = None,
    home: Home = None,
    store: Store = None,
) -> None:
    """Let a challenger that waits for a person go live, or not."""
    from modelwright.cli.place import place_of
    from modelwright.provenance.command import user
    from modelwright.retraining.requests import Retrainings

    place = place_of(home, store)
    done = Retrainings(place.home, place.store).approve(model, approve=not reject, by_whom=by or user())
    tell_unwatched(place.home, place.store)
    typer.echo(f"{model}/{done.version} {'is not released' if reject else 'is approved'}.")


def worker(
    at_once: Annotated[int, typer.Option(help="Steps that compute side by side, of different models.", min=1, max=64)] = 2,
    trains: Annotated[
        str, typer.Option(help="Training for other machines too (all), nothing but that (only), or never (none).")
    ] = "all",
    home: Home = None,
    store: Store = None,
    artifacts: Artifacts = None,
) -> None:
    """Do retrainings that were asked for, until a signal comes.

    It may be killed at any moment: the next one goes on at the step that was reached. With a Postgres store and an address of
    artifacts, workers on other machines share the trainings out among them.
    """
    from modelwright.cli.place import place_of
    from modelwright.errors import InvalidInputError
    from modelwright.retraining.steps import Room
    from modelwright.retraining.worker import run_worker
    from modelwright.serving.logs import Log

    if trains not in ("all", "only", "none"):
        raise InvalidInputError(f"{trains!r} is no choice.", where="--trains", mend="Write all, only or none.")
    room = Room(*place_of(home, store, artifacts))
    tell_unwatched(room.home, room.store)
    run_worker(room, Log(), at_once=at_once, trains=trains)  # type: ignore[arg-type]


def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
    home: Home = None,
    store: Store = None,
) -> None:
    """Say what is running, what is under way at which step, and what was decided last.

    Exit code 3 if something asks for a person: work without a worker, a policy that no scheduler watches, an approval, a
    failed retraining.
    """
    from modelwright.cli.place import place_of
    from modelwright.retraining.status import status_of
    from modelwright.retraining.steps import Room

    found = status_of(Room(*place_of(home, store)))
    if as_json:
        import msgspec

        typer.echo(msgspec.json.encode({name: getattr(found, name) for name in found._fields}).decode())
    else:
        typer.echo("\n".join(_status_lines(found)))
    if found.attention:
        raise typer.Exit(ATTENTION)


def up(
    models: Annotated[
        list[str] | None,
        typer.Argument(help="What to serve.  [default: the champion of every registered model]", metavar="[MODEL]…"),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to bind; one that others can reach needs a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", "-p", help="Of the server.")] = 8000,
    workers: Annotated[int, typer.Option(help="Processes that answer.")] = 1,
    auth: Annotated[
        bool, typer.Option("--auth/--no-auth", help="Whether a token is needed; --no-auth on loopback only.")
    ] = True,
    home: Home = None,
    store: Store = None,
    artifacts: Artifacts = None,
) -> None:
    """Serve, watch, schedule and retrain, all in one process group, until a signal comes.

    A member that dies is started again. A larger team runs the members apart: modelwright serve, worker and schedule.
    """
    from modelwright.cli.place import place_of
    from modelwright.errors import InvalidInputError
    from modelwright.retraining.by_hand import policy_here
    from modelwright.retraining.steps import Room
    from modelwright.retraining.up import Member, run_together
    from modelwright.serving.logs import Log

    room = Room(*place_of(home, store, artifacts))
    served = models or [f"{name}@champion" for name in room.registry().models() if _has_champion(room, name)]
    if not served:
        raise InvalidInputError(
            "There is no champion to serve.", where=str(room.home), mend="Promote a version: modelwright promote NAME/1"
        )
    # As they were given: what modelwright.toml says the members read themselves, so no password of it is a word of theirs.
    place = [word for name, value in (("--home", home), ("--store", store)) if value for word in (name, value)]
    serving = ["serve", *served, "--host", host, "--port", str(port), "--workers", str(workers), *place]
    work = ["worker", *place, *(["--artifacts", artifacts] if artifacts else [])]
    members = [
        Member("server", tuple(serving if auth else [*serving, "--no-auth"])),
        Member("worker", tuple(work)),
    ]
    if policy_here() is not None:
        members.append(Member("scheduler", ("schedule", *place)))
    else:
        typer.echo("modelwright.toml has no section [policy] here, so nothing is scheduled; retraining is by hand.", err=True)
    run_together(members, Log())


def _has_champion(room: Room, name: str) -> bool:
    return any("champion" in version.aliases for version in room.registry().versions(name))


def _status_lines(found: Status) -> list[str]:
    running = [line for line, lives in found.processes if lives]
    lines = [f"running    {one.kind}, {one.host}, process {one.pid}, since {one.started[:19]} ({one.told})" for one in running]
    lines = lines or ["running    nothing"]
    lines += [f"policy     {found.policy}"] if found.policy else []
    for model in found.models:
        challenger = f", challenger {model.challenger}" if model.challenger else ""
        last = f"; last retraining {model.last.ended[:16]}: {model.last.outcome}" if model.last and model.last.ended else ""
        lines.append(f"model      {model.name}: champion {model.champion or 'none'}{challenger}{last}")
    for one in found.open:
        step = f"{one.step} since {one.since[:19]}" if one.step else f"queued since {one.at[:19]}"
        lines.append(f"under way  {one.id}: {step} ({one.trigger.cause}: {one.trigger.reason})")
    for decision in found.decisions:
        why = f": {decision.why}" if decision.why else ""
        alias = f" @{decision.alias}" if decision.alias else ""
        lines.append(f"decided    {decision.at[:19]}  {decision.kind} {decision.name}/{decision.number}{alias}{why}")
    return lines + [f"attention  {sentence}" for sentence in found.attention]


def schedule(
    check: Annotated[float, typer.Option(metavar="SECONDS", help="Time between checks of windows.")] = 60.0,
    home: Home = None,
    store: Store = None,
) -> None:
    """Watch the policy of modelwright.toml: check windows, and ask for a retraining when one is due.

    Several may run: each slot and each alarm asks once.
    """
    from modelwright.cli.place import place_of
    from modelwright.retraining.scheduler import run_scheduler
    from modelwright.retraining.steps import Room
    from modelwright.serving.logs import Log

    run_scheduler(Room(*place_of(home, store)), Log(), check_s=check)


def _wait(room: Room, retraining: str) -> None:
    """Follow a retraining to its end; without a worker it is done here."""
    import threading

    from modelwright.retraining.requests import Retrainings
    from modelwright.retraining.worker import Worker
    from modelwright.serving.logs import Log

    retrainings = Retrainings(room.home, room.store)
    own = None if _worker_lives(room) else Worker(room, Log())
    ending = threading.Event()
    if own is not None:
        threading.Thread(target=own.run, args=(ending,), daemon=True).start()
    step = ""
    try:
        while (now := retrainings.get(retraining)).ended is None:
            if now.step != step:
                step = now.step
                waits = f"  waits for: {program()} approve {now.model}" if now.state == "waiting" else ""
                typer.echo(f"{now.since[11:19]}  {step}{waits}")
            time.sleep(_LOOK_S)
    finally:
        ending.set()
        if own is not None:
            own.presence.end()
    typer.echo(_ended(now))
    if now.outcome == "failed":
        raise typer.Exit(1)


def _ended(one: Retraining) -> str:
    version = f" ({one.model}/{one.version})" if one.version else ""
    return f"{one.outcome}{version}: {one.told}"


def _worker_lives(room: Room) -> bool:
    from modelwright.retraining.processes import Processes
    from modelwright.retraining.requests import Retrainings
    from modelwright.retraining.worker import LEASE_S

    retrainings = Retrainings(room.home, room.store)
    processes = Processes(retrainings.database, retrainings.home)
    return any(processes.lives(line, LEASE_S) for line in processes.lines() if line.kind == "worker")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(retrain)
    app.command()(approve)
    app.command()(worker)
    app.command()(schedule)
    app.command()(status)
    app.command()(up)
