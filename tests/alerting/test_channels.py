"""Each channel against a real server or program: what arrives, and what is said when nothing does."""

from __future__ import annotations

import email
import email.policy
import json
import logging
import socket
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from modelwright.alerting.channels import Channel, Command, Email, Log, Slack, Webhook, words_of
from modelwright.alerting.rules import Event, Message
from modelwright.alerting.signature import SIGNATURE, TIMESTAMP, is_signed, signature_of

EVENT = Event(
    "performance", "churn", "ROC AUC fell from 0.84 to 0.71 (0.68 to 0.74).", "2026-06-01T00:00:00+00:00", "w1", "churn/3",
    "Look at Contract first.", {"columns": ["Contract – Änderung"]},
)  # fmt: skip
MESSAGE = Message("0123456789abcdef", "on call", EVENT, 3)


def failure(channel: Channel) -> str:
    with pytest.raises(Exception) as caught:  # noqa: PT011
        channel.send(MESSAGE)
    return words_of(caught.value)


def test_mail_travels_encrypted_with_the_password_by_reference(
    mail_server: Any, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setenv("SMTP_PASSWORD", "geheim-7x")
    Email(("ann@example.org", "bo@example.org"), mail_server.address, "mw@example.org", "ann", "${SMTP_PASSWORD}").send(MESSAGE)

    [(encrypted, who, recipients, text)] = mail_server.taken
    assert (encrypted, who, len(recipients)) == (True, "ann:geheim-7x", 2)
    mail = email.message_from_string(text, policy=email.policy.default)
    assert mail["Subject"] == "modelwright: performance of churn"
    assert mail["Message-ID"] == "<0123456789abcdef@modelwright.invalid>"
    assert mail.get_content().replace("\r\n", "\n").splitlines() == [
        "churn, version churn/3: ROC AUC fell from 0.84 to 0.71 (0.68 to 0.74).",
        "Look at Contract first.",
        "It is the last of 3 such events.",
        "2026-06-01T00:00:00+00:00 (alert 'on call')",
    ]


def test_mail_by_tls_and_plain(
    encrypted_mail_server: Any, plain_mail_server: Any, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    Email(("ann@example.org",), encrypted_mail_server.address, "mw@example.org", encryption="tls").send(MESSAGE)
    Email(("ann@example.org",), plain_mail_server.address, "mw@example.org", encryption="none").send(MESSAGE)
    assert [taken[0] for taken in encrypted_mail_server.taken + plain_mail_server.taken] == [True, False]


def test_a_mail_server_that_is_not_trusted_gets_nothing(mail_server: Any) -> None:
    said = failure(Email(("ann@example.org",), mail_server.address, "mw@example.org"))
    assert "certificate verify failed" in said.lower()
    assert mail_server.taken == []


def test_a_mail_server_without_encryption_gets_no_password(plain_mail_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTP_PASSWORD", "geheim-7x")
    said = failure(Email(("ann@example.org",), plain_mail_server.address, "mw@example.org", "ann", "${SMTP_PASSWORD}"))
    assert "STARTTLS" in said
    assert plain_mail_server.taken == []


def test_what_a_mail_server_says_is_told_without_the_password(
    mail_server: Any, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setenv("SMTP_PASSWORD", "falsches-Wort-9z")
    said = failure(Email(("ann@example.org",), mail_server.address, "mw@example.org", "ann", "${SMTP_PASSWORD}"))
    assert said == "The server answered 535: no, ann:*** is nobody"


def test_a_webhook_is_signed_and_its_receiver_can_tell(call_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_SECRET", "vom-Haken")
    Webhook(f"{call_server.url}/hook?team=risk", "${HOOK_SECRET}").send(MESSAGE)

    [(path, headers, body)] = call_server.taken
    assert path == "/hook?team=risk"
    assert headers["X-Modelwright-Delivery"] == MESSAGE.id
    assert json.loads(body) == {
        "id": MESSAGE.id, "alert": "on call", "count": 3, "kind": "performance", "model": "churn", "message": EVENT.message,
        "at": EVENT.at, "event": "w1", "version": "churn/3", "mend": EVENT.mend, "details": EVENT.details,
    }  # fmt: skip
    assert abs(int(headers[TIMESTAMP]) - time.time()) < 60
    assert is_signed("vom-Haken", headers[TIMESTAMP], body, headers[SIGNATURE], time.time())


def test_a_signature_fits_one_body_one_secret_and_a_few_minutes() -> None:
    signature = signature_of("vom-Haken", "1700000000", b"{}")
    now = 1_700_000_000.0
    assert is_signed("vom-Haken", "1700000000", b"{}", signature, now + 299)
    assert is_signed("vom-Haken", "1700000000", b"{}", f"v1=00, {signature}", now)
    assert not is_signed("vom-Haken", "1700000000", b"{}", signature, now + 301)
    assert not is_signed("vom-Haken", "1700000000", b"{ }", signature, now)
    assert not is_signed("vom-Harken", "1700000000", b"{}", signature, now)
    assert not is_signed("", "1700000000", b"{}", signature_of("", "1700000000", b"{}"), now)
    for timestamp in ("", "soon", "-1700000000", "1e9", "１７０００００００００"):
        assert not is_signed("vom-Haken", timestamp, b"{}", signature, now)
    assert not is_signed("vom-Haken", "1700000000", b"{}", "v1=Ä", now)


def test_a_chat_gets_a_text_and_its_address_is_told_to_nobody(call_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_URL", f"{call_server.url}/services/T0/B0/geheimer-Pfad")
    Slack("${SLACK_URL}").send(MESSAGE)
    [(_, headers, body)] = call_server.taken
    assert headers["Content-Type"] == "application/json"
    assert json.loads(body)["text"].startswith("*modelwright: performance of churn*\nchurn, version churn/3: ROC AUC fell")

    call_server.code = 404
    assert failure(Slack("${SLACK_URL}")) == "http://127.0.0.1 answered 404."


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(call_server: Any, code: int) -> None:
    call_server.code = code
    assert failure(Webhook(f"{call_server.url}/hook")) == f"http://127.0.0.1 answered {code}. Redirects are not followed."
    assert [path for path, *_ in call_server.taken] == ["/hook"]


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/", "/etc/passwd", "http://", "data:,x"]
)
def test_only_http_is_spoken(url: str) -> None:
    assert failure(Webhook(url)) == "The address is not one of http:// or https://."


def test_https_is_spoken_with_those_who_are_trusted(
    https_server: Any, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "certificate verify failed" in failure(Webhook(https_server.url))
    assert https_server.taken == []
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    Webhook(https_server.url).send(MESSAGE)
    assert len(https_server.taken) == 1


def test_a_user_in_an_address_is_refused_without_repeating_it() -> None:
    said = failure(Webhook("https://ann:geheim-7x@127.0.0.1/"))
    assert "holds a user" in said
    assert "geheim" not in said


def test_a_server_that_is_away_or_silent_is_a_failure_in_time(call_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert "cannot be reached" in failure(Webhook(f"http://127.0.0.1:{port}"))
    monkeypatch.setattr("modelwright.alerting.posting.TIMEOUT_S", 0.2)
    call_server.wait_s = 1.0
    begun = time.monotonic()
    assert "timed out" in failure(Webhook(call_server.url))
    assert time.monotonic() - begun < 0.9


def test_a_program_reads_the_event_and_no_shell_reads_its_arguments(tmp_path: Path) -> None:
    out = tmp_path / "$(touch oops); out"
    code = "import sys, pathlib; pathlib.Path(sys.argv[1]).write_text(sys.stdin.read())"
    Command((sys.executable, "-c", code, str(out))).send(MESSAGE)
    assert json.loads(out.read_text())["message"] == EVENT.message
    assert [file.name for file in tmp_path.iterdir()] == [out.name]


def test_a_program_that_fails_or_is_not_there_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAGER_TOKEN", "geheimes-Wort-8")
    code = "import os, sys; sys.exit('no pager for ' + os.environ['PAGER_TOKEN'])"
    assert failure(Command((sys.executable, "-c", code))) == (
        "The program ended with exit code 1. It said: no pager for ***"
    )  # fmt: skip
    assert failure(Command(("no-such-program",))) == "There is no program 'no-such-program'."


def test_a_program_that_does_not_end_is_killed_with_its_children(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, time, pathlib\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "pathlib.Path(sys.argv[1]).write_text(str(child.pid))\n"
        "time.sleep(60)"
    )
    pid = tmp_path / "pid"
    begun = time.monotonic()
    said = failure(Command((sys.executable, "-c", code, str(pid)), timeout_s=1.0))
    assert said == "The program did not end within 1 seconds and was killed."
    assert time.monotonic() - begun < 10
    status = Path(f"/proc/{pid.read_text()}/stat")
    deadline = time.monotonic() + 5
    while status.exists() and status.read_text().split()[2] != "Z" and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not status.exists() or status.read_text().split()[2] == "Z"


def test_the_log_has_one_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "modelwright.alerts"):
        Log().send(MESSAGE)
    assert [record.getMessage() for record in caplog.records] == [" ".join(MESSAGE.text.split())]
