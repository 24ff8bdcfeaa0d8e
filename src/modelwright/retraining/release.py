"""A release: from a verdict to a champion that is kept, or to the old one again.

::

    mode   swap                               watch -> kept | rolled back
           shadow    shadow ----------------> watch
           canary    shadow -> canary ------> watch            (no shadow where shadow_rows is 0)

A shadow answers live rows unseen, a canary a share of the entities; a stage that went wrong, or saw too few rows in its time,
stops the release, and the champion stays. Then the alias moves, and the new champion is watched: failed answers, slow
answers, or a realised metric that is worse than the old champion's on the same rows bring the old one back.

`next_move` is a function of values. `step` reads the figures, decides, and changes stage and alias in one transaction that
begins by asking whether the stage is still the one that was decided on: it may be called as often as one likes, by several
at once, and after a kill anywhere.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec

from modelwright.errors import InvalidInputError
from modelwright.registry.names import CHAMPION, Reference
from modelwright.registry.registry import Registry
from modelwright.registry.releases import Release, Stage
from modelwright.retraining.figures import Figures, read_figures
from modelwright.retraining.rules import ReleaseRules
from modelwright.retraining.sequential import level_at, share_exceeded
from modelwright.store.database import Database

#: Share of the old champion's answers that are slower than its 99th percentile.
_SLOW = 0.01


class Move(msgspec.Struct, frozen=True):
    """What happens to a release: its next stage, why, and whether the alias moves with it."""

    stage: Stage
    why: str
    alias: int | None = None


def next_move(release: Release, rules: ReleaseRules, seen: Figures, elapsed_s: float) -> Move | None:
    """What follows from the figures of a stage; None where it goes on.

    Parameters
    ----------
    release : Release
    rules : ReleaseRules
    seen : Figures
        Of this stage alone.
    elapsed_s : float
        Seconds since it began.
    """
    watching = release.stage == "watch"
    if seen.champion != (release.number if watching else release.was):
        return Move("stopped", f"The champion is {seen.champion}, which somebody decided meanwhile.")
    alarm = alarm_of(release, rules, seen)
    if alarm:
        return Move("rolled back", alarm, release.was) if watching else Move("stopped", alarm)
    if watching:
        if elapsed_s < rules.watch_s:
            return None
        told = f"{seen.rows:,} rows answered and {seen.labels:,} labels seen" if seen.rows else "nobody asked it"
        return Move("kept", f"Watched for {rules.watch_s:g} s without an alarm: {told}.")
    wanted = rules.shadow_rows if release.stage == "shadow" else rules.canary_rows
    if seen.rows >= wanted:
        told = f"The {release.stage} answered {seen.rows:,} rows without an alarm."
        if release.stage == "shadow" and rules.mode == "canary":
            return Move("canary", told)
        return Move("watch", told, release.number)
    if elapsed_s >= rules.max_stage_s:
        return Move("stopped", f"The {release.stage} answered {seen.rows:,} of {wanted:,} rows in {rules.max_stage_s:g} s.")
    return None


def alarm_of(release: Release, rules: ReleaseRules, seen: Figures) -> str:
    """What is wrong with the challenger, beyond chance however often one looks; empty if nothing is.

    Parameters
    ----------
    release : Release
    rules : ReleaseRules
    seen : Figures
    """
    if seen.refused:
        return f"The servers go on with {release.name}/{release.was}: they refused to load {release.name}/{release.number}."
    if share_exceeded(seen.failed, seen.answered, rules.max_error_rate):
        return f"{seen.failed:,} of {seen.answered:,} answers failed; {rules.max_error_rate:.2%} are allowed."
    if seen.limit_ms is not None and share_exceeded(seen.slow, seen.timed, _SLOW):
        return (
            f"{seen.slow:,} of {seen.timed:,} answers took longer than {seen.limit_ms:.3g} ms, "
            f"{rules.max_latency_ratio:g} times the 99th percentile of {release.name}/{release.was}."
        )
    if seen.loss is not None and seen.loss > rules.max_loss * seen.unit and seen.p_worse <= level_at(seen.labels):
        allowed = rules.max_loss * seen.unit
        return f"{seen.metric} is worse by {seen.loss:.3g} on {seen.labels:,} labelled rows; {allowed:.3g} is allowed."
    return ""


def first_stage(rules: ReleaseRules) -> Stage:
    """Where a release begins.

    Parameters
    ----------
    rules : ReleaseRules
    """
    if rules.mode == "swap":
        return "watch"
    return "canary" if rules.mode == "canary" and rules.shadow_rows == 0 else "shadow"


def begin(
    registry: Registry,
    name: str,
    number: int,
    rules: ReleaseRules,
    *,
    now: dt.datetime,
    key: str,
    verdict: int = 0,
    why: str = "",
) -> Release:
    """Begin to release a version of a model.

    Parameters
    ----------
    registry : Registry
    name : str
    number : int
        The challenger.
    rules : ReleaseRules
    now : datetime
    key : str
        Names the release: who asks again with it gets the one that is there.
    verdict : int, default=0
        Decision that it rests on.
    why : str

    Raises
    ------
    InvalidInputError
        If another release of the model is in flight, the version is the champion already, or there is no champion.
    """
    stage, at = first_stage(rules), _text(now)
    with registry.deciding() as log:
        held = log.rows.releases.one(key)
        if held is not None:
            return held
        other = log.rows.releases.in_flight(name)
        if other is not None:
            raise InvalidInputError(
                f"{name}/{other.number} is being released ({other.stage}).",
                where=name,
                mend=f"modelwright rollback {name} ends that.",
            )
        was = log.rows.version(Reference(name, alias=CHAMPION)).number
        version = log.rows.version(Reference(name, number=number))
        if was == number:
            raise InvalidInputError(f"{version} is the champion already.", where=name, mend="Release another version.")
        told = msgspec.json.encode(rules).decode()
        release = Release(key, name, was, number, stage, at, at, rules.canary_share, told, verdict, why, {})
        log.rows.releases.insert(release)
        evidence: dict[str, Any] = {"release": key, "stage": stage, "mode": rules.mode, "verdict": verdict}
        if stage == "watch":
            log.promote(version, CHAMPION, why=why, evidence=evidence)
        else:
            log.add("release", name, number, was=was, why=why, evidence=evidence)
        return release


def step(database: Database, registry: Registry, release_id: str, now: dt.datetime) -> Stage:
    """Bring a release forward by one stage, if the figures say so.

    Parameters
    ----------
    database : Database
        That of the servers.
    registry : Registry
    release_id : str
    now : datetime

    Returns
    -------
    str
        The stage that it is at now.

    Raises
    ------
    InvalidInputError
        If there is no such release.
    """
    release = find(registry, release_id)
    if not release.in_flight:
        return release.stage
    rules = msgspec.json.decode(release.rules, type=ReleaseRules)
    seen = read_figures(database, registry, release, rules)
    # A clock that was set back must not make a stage older than it is, nor negative.
    elapsed = max((now - dt.datetime.fromisoformat(release.since)).total_seconds(), 0.0)
    move = next_move(release, rules, seen, elapsed)
    return release.stage if move is None else _moved(registry, release, move, seen, now).stage


def find(registry: Registry, release_id: str) -> Release:
    """The release of an identifier.

    Parameters
    ----------
    registry : Registry
    release_id : str

    Raises
    ------
    InvalidInputError
        If there is none.
    """
    found = registry.release(release_id)
    if found is None:
        raise InvalidInputError(f"There is no release {release_id!r}.", where="release", mend="Begin one with release.begin.")
    return found


def told(release: Release, rules: ReleaseRules, seen: Figures | None) -> list[str]:
    """Where a release is, in sentences.

    Parameters
    ----------
    release : Release
    rules : ReleaseRules
    seen : Figures or None
        Of the stage that it is at; None where it has ended.
    """
    lines = [
        f"{release.name}/{release.number} after {release.name}/{release.was}: {release.stage} since {release.since[:19]} UTC."
    ]
    if release.why:
        lines.append(release.why)
    if seen is None:
        return lines
    if release.stage == "watch":
        lines.append(f"It is kept after {rules.watch_s:g} s without an alarm.")
    else:
        wanted = rules.shadow_rows if release.stage == "shadow" else rules.canary_rows
        lines.append(f"{seen.rows:,} of {wanted:,} rows answered; it stops after {rules.max_stage_s:g} s.")
    lines.append(f"Failed: {seen.failed:,} of {seen.answered:,} requests; {rules.max_error_rate:.2%} are allowed.")
    if seen.limit_ms is None:
        lines.append("Times: not enough answers of the champion to compare with.")
    else:
        lines.append(f"Slower than {seen.limit_ms:.3g} ms: {seen.slow:,} of {seen.timed:,} answers.")
    if seen.loss is None:
        lines.append(f"Realised metric: {seen.labels:,} labels; {seen.note}.")
    else:
        allowed = rules.max_loss * seen.unit
        lines.append(f"Realised {seen.metric}: worse by {seen.loss:+.3g} on {seen.labels:,} labels; {allowed:.3g} is allowed.")
    return lines


def _moved(registry: Registry, decided_on: Release, move: Move, seen: Figures, now: dt.datetime) -> Release:
    """Stage, alias and log in one transaction; nothing where another was quicker."""
    with registry.deciding() as log:
        held = log.rows.releases.one(decided_on.id)
        assert held is not None
        if (held.stage, held.since) != (decided_on.stage, decided_on.since):
            return held
        if log.rows.pointed(held.name, CHAMPION) != seen.champion:
            return held  # somebody moved the alias since: the next step sees it
        evidence = {**held.evidence, held.stage: seen.told()}
        release = msgspec.structs.replace(held, stage=move.stage, since=_text(now), why=move.why, evidence=evidence)
        log.rows.releases.update(release)
        told = {"release": held.id, "stage": move.stage, "from": held.stage, "verdict": held.verdict, "figures": seen.told()}
        if move.alias is None:
            log.add("release", held.name, held.number, was=held.was, why=move.why, evidence=told)
        else:
            version = log.rows.version(Reference(held.name, number=move.alias))
            if move.stage == "rolled back":
                log.move("rollback", version, CHAMPION, why=move.why, evidence=told)
            else:
                log.promote(version, CHAMPION, why=move.why, evidence=told)
        return release


def _text(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).isoformat(timespec="microseconds")
