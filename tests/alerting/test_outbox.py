"""What is told, how often, and what becomes of a message whose channel is down: in both kinds of store."""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time
from typing import Any

import pytest

from modelwright.alerting.channels import Command, Email, Log, Slack, Webhook
from modelwright.alerting.outbox import PAUSES_S, deliver_waiting, last_alerts, notify, send_test
from modelwright.alerting.rules import KINDS, QUIET, AlertRule, Event, events_of
from modelwright.monitoring.checked import Alarm, Checked
from modelwright.store.database import Database

NOW = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)


def event(number: int, kind: Any = "performance", model: str = "churn") -> Event:
    return Event(kind, model, f"Message {number}.", NOW.isoformat(), f"e{number}")


@pytest.fixture
def database(store_url: str) -> Database:
    return Database(store_url)


@pytest.fixture
def sqlite(tmp_path: Any) -> Database:
    return Database(f"sqlite:///{tmp_path / 'store.db'}")


def test_a_message_is_kept_then_delivered_once(database: Database, call_server: Any) -> None:
    rules = [AlertRule("hook", (Webhook(call_server.url),))]
    [waiting] = notify(database, rules, event(1), now=NOW)
    assert call_server.taken == []
    assert notify(database, rules, event(1), now=NOW + 90 * MINUTE) == []  # a step that is repeated

    [done] = deliver_waiting(database, rules, NOW)
    assert (done.id, done.state, done.attempts, done.last_error) == (waiting, "delivered", 1, "")
    assert deliver_waiting(database, rules, NOW + 600 * MINUTE) == []
    assert [headers["X-Modelwright-Delivery"] for _, headers, _ in call_server.taken] == [waiting]
    [kept] = last_alerts(database)
    assert kept == done
    assert kept.delivered_at == NOW.isoformat(timespec="microseconds")


def test_an_event_is_known_for_good_and_messages_for_a_while(sqlite: Database) -> None:
    rules = [AlertRule("log", (Log(),))]
    notify(sqlite, rules, event(1), now=NOW)
    deliver_waiting(sqlite, rules, NOW)
    later = NOW + dt.timedelta(days=400)
    assert notify(sqlite, rules, event(1), now=later) == []
    assert last_alerts(sqlite) == []
    assert len(notify(sqlite, rules, event(2), now=later)) == 1


def test_a_channel_that_is_down_is_tried_later_and_later_and_holds_up_no_other(
    database: Database, call_server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    rules = [AlertRule("both", (Log(), Webhook(call_server.url)))]
    call_server.code = 503
    notify(database, rules, event(1), now=NOW)
    with caplog.at_level(logging.WARNING, "modelwright.alerts"):
        first = {alert.channel: alert for alert in deliver_waiting(database, rules, NOW)}
    assert first["log"].state == "delivered"
    assert (first["webhook"].state, first["webhook"].last_error) == ("waiting", "http://127.0.0.1 answered 503.")
    assert len(caplog.records) == 1

    now = NOW
    for number, pause in enumerate(PAUSES_S, 1):
        assert deliver_waiting(database, rules, now + dt.timedelta(seconds=pause - 1)) == []
        now += dt.timedelta(seconds=pause)
        [tried] = deliver_waiting(database, rules, now)
        assert tried.attempts == number + 1
    assert tried.state == "given up"
    assert deliver_waiting(database, rules, now + dt.timedelta(days=9)) == []
    assert len(call_server.taken) == len(PAUSES_S) + 1
    assert len({headers["X-Modelwright-Delivery"] for _, headers, _ in call_server.taken}) == 1


def test_when_the_channel_is_back_the_message_arrives(
    database: Database, mail_server: Any, monkeypatch: Any, certificate: Any
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    rules = [AlertRule("mail", (Email(("ann@example.org",), mail_server.address, "mw@example.org"),))]
    mail_server.refusals.append("451 later, please")
    notify(database, rules, event(1), now=NOW)
    [tried] = deliver_waiting(database, rules, NOW)
    assert (tried.state, tried.last_error) == ("waiting", "The server answered 451: later, please")
    [done] = deliver_waiting(database, rules, NOW + MINUTE)
    assert (done.state, done.last_error, done.attempts) == ("delivered", "", 2)
    assert len(mail_server.taken) == 1


def test_a_process_killed_while_sending_leaves_the_message_to_another(database: Database, call_server: Any) -> None:
    rules = [AlertRule("hook", (Webhook(call_server.url),))]
    notify(database, rules, event(1), now=NOW)

    class Killed(BaseException):
        pass

    def killed(*_: Any) -> Any:
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("modelwright.alerting.outbox._sent", killed)
        with pytest.raises(Killed):
            deliver_waiting(database, rules, NOW)
    assert [alert.state for alert in last_alerts(database)] == ["waiting"]
    assert deliver_waiting(database, rules, NOW) == []
    [done] = deliver_waiting(database, rules, NOW + 3 * MINUTE)
    assert done.state == "delivered"


def test_many_who_deliver_at_once_send_each_message_once(database: Database, call_server: Any) -> None:
    rules = [AlertRule("hook", (Webhook(call_server.url),), cool_down_s=0.0)]
    for number in range(40):
        notify(database, rules, event(number), now=NOW + number * MINUTE)
    threads = [
        threading.Thread(target=deliver_waiting, args=(Database(database.url), rules, NOW + 60 * MINUTE)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(call_server.taken) == len({headers["X-Modelwright-Delivery"] for _, headers, _ in call_server.taken}) == 40
    assert {alert.state for alert in last_alerts(database)} == {"delivered"}


def test_many_who_notify_at_once_alert_once(database: Database) -> None:
    rules = [AlertRule("log", (Log(),), count=8)]
    threads = [
        threading.Thread(target=notify, args=(Database(database.url), rules, event(number)), kwargs={"now": NOW})
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [alert.n_events for alert in last_alerts(database)] == [8]


def test_a_count_within_a_period_and_a_rest_afterwards(database: Database) -> None:
    rules = [AlertRule("log", (Log(),), count=2, period_s=600.0, cool_down_s=3600.0)]
    told = [
        bool(notify(database, rules, event(minute), now=NOW + minute * MINUTE))
        for minute in (0, 11, 20, 25, 30, 79, 81, 100, 101)
    ]
    #  0 alone; 11 too late for it; 20 with 11; 25 and 30 rest; 79 rests; 81: with 79; 100 alone; 101 rests
    assert told == [False, False, True, False, False, False, True, False, False]
    assert [alert.n_events for alert in last_alerts(database)][::-1] == [3, 4]


def test_counts_and_rests_are_of_each_kind_and_model_by_themselves(sqlite: Database) -> None:
    rules = [AlertRule("log", (Log(),))]
    assert notify(sqlite, rules, event(1), now=NOW)
    assert not notify(sqlite, rules, event(2), now=NOW + MINUTE)
    assert notify(sqlite, rules, event(3, "rollback"), now=NOW + MINUTE)
    assert notify(sqlite, rules, event(4, model="other"), now=NOW + MINUTE)
    assert notify(sqlite, rules, event(1), now=NOW + MINUTE, home="another home")
    assert len(last_alerts(sqlite)) == 3


def test_a_rule_hears_of_its_kinds_and_its_model_only(sqlite: Database) -> None:
    rules = [AlertRule("mine", (Log(),), on=("rollback",), model="churn"), AlertRule("all", (Log(),))]
    for number, kind in enumerate(KINDS):
        notify(sqlite, rules, event(number, kind), now=NOW)
        notify(sqlite, rules, event(number, kind, "other"), now=NOW)
    heard = {(alert.rule, alert.kind, alert.model) for alert in last_alerts(sqlite)}
    assert heard == {("mine", "rollback", "churn")} | {
        ("all", kind, model) for kind in KINDS if kind not in QUIET for model in ("churn", "other")
    }


def test_no_secret_is_written(sqlite: Database, call_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_URL", f"{call_server.url}/geheimer-Pfad-1")
    monkeypatch.setenv("API_TOKEN", "geheimes-Wort-2")
    rules = [AlertRule("chat", (Slack("${HOOK_URL}"), Webhook("${HOOK_URL}", "${API_TOKEN}"), Command(("false", "x"))))]
    call_server.code = 500
    secret = Event(
        "failed", "churn", "The store said geheimes-Wort-2.", NOW.isoformat(), "e", details={"url": "https://a:bcdef@c/"}
    )
    notify(sqlite, rules, secret, now=NOW)
    deliver_waiting(sqlite, rules, NOW)
    assert [alert.last_error for alert in last_alerts(sqlite)]
    assert sqlite.file is not None
    stored = b"".join(file.read_bytes() for file in sqlite.file.parent.iterdir())
    assert b"The store said ***." in stored
    for word in (b"geheim", b"bcdef"):
        assert word not in stored


def test_a_channel_that_hangs_ends_in_time_and_the_others_are_sent(sqlite: Database, call_server: Any) -> None:
    call_server.wait_s = 2.0
    rules = [AlertRule("both", (Webhook(call_server.url), Log()))]
    notify(sqlite, rules, event(1), now=NOW)
    begun = time.monotonic()
    done = {alert.channel: alert for alert in deliver_waiting(sqlite, rules, NOW, limit_s=0.5)}
    assert time.monotonic() - begun < 1.9
    assert done["log"].state == "delivered"
    assert (done["webhook"].state, done["webhook"].last_error) == ("waiting", "It was not sent within 0.5 seconds.")


def test_messages_of_a_rule_that_is_gone_are_given_up(sqlite: Database) -> None:
    notify(sqlite, [AlertRule("old", (Log(),))], event(1), now=NOW)
    [alert] = deliver_waiting(sqlite, [AlertRule("new", (Log(),))], NOW)
    assert alert.state == "given up"
    assert "no longer in modelwright.toml" in alert.last_error


def test_a_test_is_sent_at_once_and_kept_with_what_came_of_it(database: Database, call_server: Any) -> None:
    rules = [AlertRule("hook", (Webhook(call_server.url), Command(("false",))), on=("rollback",), count=9)]
    done = {alert.channel: alert for alert in send_test(database, rules, NOW)}
    assert (done["webhook"].state, done["webhook"].kind) == ("delivered", "test")
    assert done["command"].state == "given up"
    assert "exit code 1" in done["command"].last_error
    assert len(call_server.taken) == 1
    assert sorted(last_alerts(database), key=lambda alert: alert.channel) == [done["command"], done["webhook"]]
    assert deliver_waiting(database, rules, NOW + 600 * MINUTE) == []


def test_a_window_tells_each_kind_of_alarm_once() -> None:
    alarms = (
        Alarm("performance", "", "ROC AUC fell to 0.71.", 0.13, mend="Train again."),
        *(Alarm("drift", f"c{number}", "Median 1 → 2.", 0.3) for number in range(7)),
    )
    window = Checked("churn", "churn/3", "2026-06-01T00:00:00+00:00", "2026-06-02T00:00:00+00:00", 1000, 300, "alarm", alarms)
    performance, drift = events_of(window)
    assert (performance.kind, performance.message, performance.mend) == ("performance", "ROC AUC fell to 0.71.", "Train again.")
    assert drift.message.startswith("c0: Median 1 → 2. c1: ")
    assert drift.message.endswith(" And 2 more.")
    assert drift.details["columns"] == [f"c{number}" for number in range(7)]
    assert events_of(window) == [performance, drift]
    assert performance.id != drift.id
