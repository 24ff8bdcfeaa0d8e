"""The commands: a test that is really sent, and the list of what was told."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from modelwright.alerting.outbox import deliver_waiting, notify
from modelwright.alerting.rules import Event
from modelwright.alerting.rules_file import find_alert_rules
from modelwright.cli.main import main
from modelwright.spec import FILE_NAME
from modelwright.store.database import Database


def modelwright(*words: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as left:
        main(list(words))
    assert isinstance(left.value.code, int)
    return left.value.code, out.getvalue(), err.getvalue()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_test_is_sent_and_each_channel_says_what_came_of_it(folder: Path, call_server: Any) -> None:
    (folder / FILE_NAME).write_text(
        f'[[alert]]\nname = "hook"\nwebhook = "{call_server.url}/hook"\n\n[[alert]]\nname = "pager"\ncommand = ["false"]\n'
    )
    code, out, _ = modelwright("alert", "test")
    assert (code, out.splitlines()) == (
        1, ["hook: a webhook: delivered", "pager: the program false: FAILED. The program ended with exit code 1."],
    )  # fmt: skip
    assert json.loads(call_server.taken[0][2])["kind"] == "test"

    code, out, _ = modelwright("alert", "test", "hook", "--json")
    assert (code, [json.loads(line)["state"] for line in out.splitlines()]) == (0, ["delivered"])
    assert len(call_server.taken) == 2

    code, out, _ = modelwright("alerts")
    assert (code, out.count("delivered"), out.count("given up")) == (0, 2, 1)
    assert re.search(r"^    The program ended with exit code 1\.$", out, re.MULTILINE)


def test_what_waits_is_shown_with_its_reason_and_its_next_attempt(folder: Path, call_server: Any) -> None:
    assert modelwright("alerts")[1] == "Nobody has been told of anything yet.\n"
    call_server.code = 503
    (folder / FILE_NAME).write_text(f'[[alert]]\nwebhook = "{call_server.url}"\n')
    rules = find_alert_rules(folder / FILE_NAME)
    now = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)
    database = Database.of(folder / ".modelwright")
    notify(database, rules, Event("rollback", "churn", "churn/4 failed 3 % of its answers.", now.isoformat(), "e"), now=now)
    deliver_waiting(database, rules, now)
    assert modelwright("alerts")[1].splitlines() == [
        "2026-06-01 12:00 UTC  webhook, webhook: waiting, next attempt 2026-06-01 12:00 UTC",
        "    rollback of churn: churn/4 failed 3 % of its answers.",
        "    http://127.0.0.1 answered 503.",
    ]
    [line] = modelwright("alerts", "--json")[1].splitlines()
    assert json.loads(line)["event"]["message"] == "churn/4 failed 3 % of its answers."


def test_wrong_words_are_refused_with_a_mend(folder: Path) -> None:
    code, _, err = modelwright("alert", "test")
    assert (code, "There is no alert." in err, "log = true" in err) == (2, True, True)
    (folder / FILE_NAME).write_text('[[alert]]\nname = "pager"\nlog = true\n')
    code, _, err = modelwright("alert", "test", "pagr")
    assert (code, "Did you mean 'pager'?" in err) == (2, True)
