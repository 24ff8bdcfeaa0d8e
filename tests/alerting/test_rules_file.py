"""What may stand in [[alert]], and what is said of what may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelwright.alerting.channels import Command, Email, Log, Slack, Webhook
from modelwright.alerting.rules import AlertRule
from modelwright.alerting.rules_file import alert_rules_of, find_alert_rules
from modelwright.errors import SpecError
from modelwright.spec import FILE_NAME, Spec, resolve_spec


def test_every_channel_and_key_is_read(tmp_path: Path) -> None:
    file = tmp_path / FILE_NAME
    file.write_text(
        """
[[alert]]
name = "on call"
on = ["performance", "rollback"]
model = "churn"
count = 2
period = "1h"
cool_down = "4h"
log = true
slack = "${SLACK_URL}"
webhook = { url = "https://example.org/hook", secret = "${file:/run/secrets/hook}" }
command = ["notify-send", "modelwright"]
[alert.email]
to = ["ann@example.org", "bo@example.org"]
from = "mw@example.org"
server = "smtp.example.org:465"
user = "mw"
password = "${SMTP_PASSWORD}"
encryption = "tls"

[[alert]]
email = { to = "ann@example.org", from = "mw@example.org", server = "smtp.example.org" }

[[alert]]
webhook = "https://example.org/hook"
command = { argv = ["page"], timeout = "5s" }
"""
    )
    first, second, third = find_alert_rules(file)
    channels = {
        Log(), Slack("${SLACK_URL}"), Webhook("https://example.org/hook", "${file:/run/secrets/hook}"),
        Command(("notify-send", "modelwright")),
        Email(("ann@example.org", "bo@example.org"), "smtp.example.org:465", "mw@example.org", "mw", "${SMTP_PASSWORD}", "tls"),
    }  # fmt: skip
    assert set(first.channels) == channels
    assert first == AlertRule("on call", first.channels, ("performance", "rollback"), "churn", 2, 3600.0, 14400.0)
    assert second == AlertRule("email", (Email(("ann@example.org",), "smtp.example.org", "mw@example.org"),))
    assert third == AlertRule("webhook-command", (Webhook("https://example.org/hook"), Command(("page",), 5.0)))
    assert resolve_spec(file, {}) == Spec()


def test_a_file_without_alerts_has_none(tmp_path: Path) -> None:
    file = tmp_path / FILE_NAME
    file.write_text('data = "a.csv"\n')
    assert find_alert_rules(file) == ()


@pytest.mark.parametrize(
    ("sections", "place", "says"),
    [
        ({"log": True}, "alert", "with two brackets"),
        ([{}], "alert number 1", "log = true is the simplest"),
        ([{"log": False}], "alert number 1", "not said how to tell"),
        ([{"log": True}, {"log": True}], "alert number 2", "Two alerts are called 'log'"),
        ([{"log": True, "cooldown": "1h"}], "alert number 1", "Did you mean 'cool_down'"),
        ([{"log": True, "on": ["rolback"]}], "alert number 1, key 'on'", "Did you mean 'rollback'"),
        ([{"log": True, "count": 0}], "alert number 1, key 'count'", "from 1 on"),
        ([{"slack": "https://hooks.example.org/services/T0/B0/x"}], "alert number 1, key 'slack'", "${file:"),
        ([{"webhook": {"secret": "${S}"}}], "alert number 1, key 'webhook'", "needs its address"),
        ([{"webhook": {"url": "ftp://x", "secret": "${S}"}}], "alert number 1, key 'webhook', key 'url'", "http://"),
        ([{"webhook": {"url": "https://x", "secret": "geheim"}}], "alert number 1, key 'webhook', key 'secret'", "${file:"),
        ([{"command": "rm -rf /"}], "alert number 1, key 'command', key 'argv'", "No shell reads it"),
        ([{"command": {"timeout": "5s"}}], "alert number 1, key 'command'", "No shell reads it"),
        ([{"email": {"to": ["ann"]}}], "alert number 1, key 'email', key 'to'", "ann@example.org"),
        ([{"email": {"to": ["a@b\nBcc: c@d"]}}], "alert number 1, key 'email', key 'to'", "not a list of addresses"),
        ([{"email": {"to": ["a@b"], "from": "c@d"}}], "alert number 1, key 'email'", "needs 'server'"),
        (
            [{"email": {"to": ["a@b"], "from": "c@d", "server": "x", "user": "u"}}],
            "alert number 1, key 'email'",
            "belong together",
        ),
        (
            [{"email": {"to": "a@b", "from": "c@d", "server": "x", "user": "u", "password": "${P}", "encryption": "none"}}],
            "alert number 1, key 'email'",
            "unencrypted",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_place_and_the_mend(sections: object, place: str, says: str) -> None:
    with pytest.raises(SpecError) as caught:
        alert_rules_of(sections)
    assert caught.value.where == place
    assert says in str(caught.value)
    assert "services/T0" not in str(caught.value)
    assert "geheim" not in str(caught.value)
