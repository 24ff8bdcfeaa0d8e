"""What waits to be told: kept in the store, sent from there, tried again until it is delivered or given up.

`notify` only writes, so that a step of a workflow may repeat it; `deliver_waiting` sends, and may be called by any number of
processes: each message is taken by one of them. A message may arrive twice if a process is killed between sending and
noting it; its identifier is then the same. No channel that is down, slow or wrong raises anything here.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from modelwright.alerting.channels import Channel, Command, name_of, words_of
from modelwright.alerting.rules import AlertRule, Event, Message, delivery_id
from modelwright.provenance.secrets import redacted_value
from modelwright.store.database import Database

if TYPE_CHECKING:
    import sqlalchemy as sa

#: Seconds until the next attempt, by the number of those made; after the last of them a message is given up.
PAUSES_S = (30.0, 120.0, 480.0, 1920.0, 7680.0, 30720.0)
#: Seconds that one message may take in all.
LIMIT_S = 60.0
KEPT = dt.timedelta(days=90)
_BATCH = 16
_MOST = 20 * _BATCH
_GONE = "The rule or its channel is no longer in modelwright.toml."


class Alert(msgspec.Struct, frozen=True):
    """One message to one channel, as the store has it.

    ``state`` is "waiting", "delivered" or "given up"; ``next_at`` is when it is tried next, or was tried last.
    """

    id: str
    rule: str
    channel: str
    kind: str
    model: str
    at: str
    n_events: int
    event: Event
    state: str
    attempts: int
    next_at: str
    delivered_at: str | None
    last_error: str


_COLUMNS = Alert.__struct_fields__


def notify(
    database: Database, rules: Iterable[AlertRule], event: Event, *, now: dt.datetime | None = None, home: str = ""
) -> list[str]:
    """Keep an event, and a message to every channel of every rule that it fulfils.

    Parameters
    ----------
    database : Database
    rules : iterable of AlertRule
    event : Event
        Told again it changes nothing.
    now : datetime, optional
    home : str, default=""
        Which home, where several share the database.

    Returns
    -------
    list of str
        Identifiers of the messages that now wait.
    """
    moment = now or dt.datetime.now(dt.UTC)
    event = redacted_value(event)
    wanted = [rule for rule in rules if rule.wants(event)]
    if not wanted:
        return []
    made: list[str] = []
    with database.writing() as connection:
        if connection.dialect.name == "postgresql":
            # Two events at once must not both be the one before the last.
            connection.exec_driver_sql("LOCK TABLE alert_events IN SHARE ROW EXCLUSIVE MODE")
        for rule in wanted:
            n_events = _counted(connection, rule, event, moment, home)
            if n_events:
                made += [_put(connection, rule, channel, event, n_events, moment, home) for channel in rule.channels]
        # Events stay for good: an old window that is looked at again must be known.
        _run(connection, "DELETE FROM alerts WHERE at < :old AND state <> 'waiting'", old=_iso(moment - KEPT))
    return made


def deliver_waiting(
    database: Database, rules: Sequence[AlertRule], now: dt.datetime, *, home: str = "", limit_s: float = LIMIT_S
) -> list[Alert]:
    """Send every message whose time has come.

    Parameters
    ----------
    database : Database
    rules : sequence of AlertRule
        As the file has them now; messages of rules that are gone are given up.
    now : datetime
    home : str, default=""
    limit_s : float, default=60.0
        Seconds that one message may take in all.

    Returns
    -------
    list of Alert
        What was tried, as it then stands in the store.
    """
    channels = {(rule.name, name_of(channel)): channel for rule in rules for channel in rule.channels}
    tried: list[Alert] = []
    while len(tried) < _MOST and (taken := _take(database, now, home)):
        known = {alert.id: channels.get((alert.rule, alert.channel)) for alert in taken}
        said = _sent([(alert, known[alert.id]) for alert in taken], limit_s)
        done = [_outcome(alert, said[alert.id], now, gone=known[alert.id] is None) for alert in taken]
        _note(database, done)
        tried += done
    return tried


def send_test(
    database: Database, rules: Iterable[AlertRule], now: dt.datetime, *, home: str = "", limit_s: float = LIMIT_S
) -> list[Alert]:
    """Send a test through every channel of the rules, once, and keep what came of it."""
    pairs = []
    for rule in rules:
        event = Event("test", rule.model or "", "This is a test; nothing happened.", _iso(now, "seconds"), f"test-{_iso(now)}")
        for channel in rule.channels:
            name = name_of(channel)
            identity = delivery_id(home, rule.name, name, event)
            moment = _iso(now)
            pairs.append(
                (
                    Alert(identity, rule.name, name, "test", event.model, moment, 1, event, "waiting", 1, moment, None, ""),
                    channel,
                )
            )
    said = _sent(pairs, limit_s)
    done = [_outcome(alert, said[alert.id], now, gone=bool(said[alert.id])) for alert, _ in pairs]
    with database.writing() as connection:
        for alert in done:
            _insert(connection, alert, home)
    return done


def last_alerts(database: Database, *, home: str = "", limit: int = 50) -> list[Alert]:
    """The newest messages, the newest first."""
    with database.reading() as connection:
        sql = f"SELECT {', '.join(_COLUMNS)} FROM alerts WHERE home = :home ORDER BY at DESC, id LIMIT :n"
        return [_alert(row) for row in _run(connection, sql, home=home, n=limit)]


def _counted(connection: sa.Connection, rule: AlertRule, event: Event, now: dt.datetime, home: str) -> int:
    """Enter an event; how many events an alert now speaks of, 0 where nobody is to be told."""
    about = {"home": home, "rule": rule.name, "kind": event.kind, "model": event.model}
    entered = _run(
        connection,
        "INSERT INTO alert_events (home, rule, kind, model, event, at, told)"
        " VALUES (:home, :rule, :kind, :model, :event, :at, 0) ON CONFLICT DO NOTHING",
        **about, event=event.id, at=_iso(now),
    )  # fmt: skip
    if not entered.rowcount:
        return 0
    of = "WHERE home = :home AND rule = :rule AND kind = :kind AND model = :model"
    untold = f"SELECT count(*) FROM alert_events {of} AND told = 0"
    since = _iso(now - dt.timedelta(seconds=rule.period_s))
    if int(_run(connection, f"{untold} AND at > :since", **about, since=since).scalar() or 0) < rule.count:
        return 0
    last = _run(connection, f"SELECT max(at) FROM alerts {of}", **about).scalar()
    if last is not None and last > _iso(now - dt.timedelta(seconds=rule.cool_down_s)):
        return 0
    n_events = int(_run(connection, untold, **about).scalar() or 0)
    _run(connection, f"UPDATE alert_events SET told = 1 {of}", **about)
    return n_events


def _put(
    connection: sa.Connection, rule: AlertRule, channel: Channel, event: Event, n_events: int, now: dt.datetime, home: str
) -> str:
    name, moment = name_of(channel), _iso(now)
    identity = delivery_id(home, rule.name, name, event)
    alert = Alert(
        identity, rule.name, name, event.kind, event.model, moment, n_events, event, "waiting", 0, moment, None, ""
    )  # fmt: skip
    _insert(connection, alert, home)
    return identity


def _insert(connection: sa.Connection, alert: Alert, home: str) -> None:
    places = ", ".join(f":{column}" for column in _COLUMNS)
    values = {**msgspec.structs.asdict(alert), "event": msgspec.json.encode(alert.event).decode(), "home": home}
    _run(
        connection,
        f"INSERT INTO alerts (home, {', '.join(_COLUMNS)}) VALUES (:home, {places}) ON CONFLICT DO NOTHING",
        **values,
    )


def _take(database: Database, now: dt.datetime, home: str) -> list[Alert]:
    """Messages whose time has come, each for this process alone.

    Their next attempt is entered before this one is made: if the process is killed, another makes it.
    """
    moment = _iso(now)
    taken = []
    with database.writing() as connection:
        sql = (
            f"SELECT {', '.join(_COLUMNS)} FROM alerts WHERE home = :home AND state = 'waiting' AND next_at <= :now"
            " ORDER BY next_at, id LIMIT :n"
        )
        for row in _run(connection, sql, home=home, now=moment, n=_BATCH).fetchall():
            alert = _alert(row)
            pause = dt.timedelta(seconds=PAUSES_S[min(alert.attempts, len(PAUSES_S) - 1)] + LIMIT_S)
            mine = msgspec.structs.replace(alert, attempts=alert.attempts + 1, next_at=_iso(now + pause))
            got = _run(
                connection,
                "UPDATE alerts SET attempts = :attempts, next_at = :next_at WHERE id = :id AND attempts = :before",
                attempts=mine.attempts, next_at=mine.next_at, id=alert.id, before=alert.attempts,
            )  # fmt: skip
            if got.rowcount:
                taken.append(mine)
    return taken


def _sent(pairs: Sequence[tuple[Alert, Channel | None]], limit_s: float) -> Mapping[str, str]:
    """Why each message was not delivered, empty where it was. All are sent at once: one that hangs holds up no other."""
    said: dict[str, str] = {}

    def send(alert: Alert, channel: Channel) -> None:
        try:
            channel.send(Message(alert.id, alert.rule, alert.event, alert.n_events))
            said[alert.id] = ""
        except Exception as error:  # whatever a channel does, it is its failure and not that of who tells
            said[alert.id] = words_of(error)

    threads = []
    for alert, channel in pairs:
        if channel is None:
            said[alert.id] = _GONE
            continue
        thread = threading.Thread(target=send, args=(alert, channel), name=f"alert {alert.id}", daemon=True)
        thread.start()
        threads.append((alert, thread, max(limit_s, channel.timeout_s + 5 if isinstance(channel, Command) else 0.0)))
    begun = dt.datetime.now(dt.UTC).timestamp()
    for alert, thread, limit in threads:
        thread.join(max(begun + limit - dt.datetime.now(dt.UTC).timestamp(), 0.0))
        said.setdefault(alert.id, f"It was not sent within {limit:g} seconds.")
    return dict(said)


def _outcome(alert: Alert, said: str, now: dt.datetime, *, gone: bool) -> Alert:
    if not said:
        return msgspec.structs.replace(alert, state="delivered", delivered_at=_iso(now), last_error="")
    over = gone or alert.attempts > len(PAUSES_S)
    pause = dt.timedelta(seconds=PAUSES_S[min(alert.attempts, len(PAUSES_S)) - 1])
    return msgspec.structs.replace(
        alert, state="given up" if over else "waiting", next_at=_iso(now if over else now + pause), last_error=said
    )


def _note(database: Database, done: Sequence[Alert]) -> None:
    with database.writing() as connection:
        for alert in done:
            _run(
                connection,
                "UPDATE alerts SET state = :state, next_at = :next_at, delivered_at = :delivered_at, last_error = :last_error"
                " WHERE id = :id AND attempts = :attempts",
                state=alert.state, next_at=alert.next_at, delivered_at=alert.delivered_at, last_error=alert.last_error,
                id=alert.id, attempts=alert.attempts,
            )  # fmt: skip


def _alert(row: Any) -> Alert:
    held = dict(zip(_COLUMNS, row, strict=True))
    return Alert(**{**held, "event": msgspec.json.decode(held["event"], type=Event)})


def _run(connection: sa.Connection, sql: str, **values: Any) -> sa.CursorResult[Any]:
    import sqlalchemy as sa

    return connection.execute(sa.text(sql), values)


def _iso(moment: dt.datetime, timespec: str = "microseconds") -> str:
    return moment.astimezone(dt.UTC).isoformat(timespec=timespec)
