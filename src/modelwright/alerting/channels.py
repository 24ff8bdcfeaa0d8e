"""The ways to tell somebody: the log, e-mail, a chat, a signed webhook, a command. Each sends one message or raises.

Nothing follows a redirect, nothing runs a shell, and every way ends in time. Secrets stand in the file as ``${NAME}`` or
``${file:/path}`` and are read when a message is sent.
"""

from __future__ import annotations

import logging
import os
import signal
import smtplib
import ssl
import subprocess
import time
from email.message import EmailMessage
from email.utils import formatdate
from typing import TYPE_CHECKING, Literal

import msgspec

from modelwright.alerting.posting import TIMEOUT_S, post
from modelwright.alerting.signature import SIGNATURE, TIMESTAMP, signature_of
from modelwright.errors import StorageError
from modelwright.provenance.secrets import expanded, redacted, remember

if TYPE_CHECKING:
    from modelwright.alerting.rules import Message

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
log = logging.getLogger("modelwright.alerts")


class Log(msgspec.Struct, frozen=True, tag="log"):
    """A line of the log ``modelwright.alerts``."""

    def send(self, message: Message) -> None:
        """Write the line."""
        log.warning("%s", " ".join(message.text.split()))

    def __str__(self) -> str:
        return "the log"


class Email(msgspec.Struct, frozen=True, tag="email"):
    """An e-mail by SMTP.

    Parameters
    ----------
    to : tuple of str
    server : str
        Host, or host:port; the port is 587, with ``tls`` 465, without encryption 25.
    sender : str
    user, password : str or None
        The password is only sent encrypted.
    encryption : {"starttls", "tls", "none"}, default="starttls"
    """

    to: tuple[str, ...]
    server: str
    sender: str
    user: str | None = None
    password: str | None = None
    encryption: Literal["starttls", "tls", "none"] = "starttls"

    def send(self, message: Message) -> None:
        """Hand the message to the server."""
        mail = EmailMessage()
        mail["Subject"] = " ".join(message.title.split())
        mail["From"], mail["To"] = self.sender, ", ".join(self.to)
        mail["Date"] = formatdate(time.time(), usegmt=True)
        # The same at every attempt: an inbox shows a message once that was sent twice.
        mail["Message-ID"] = f"<{message.id}@modelwright.invalid>"
        mail.set_content(message.text + "\n")
        host, _, port = self.server.rpartition(":") if self.server.rpartition(":")[2].isdigit() else (self.server, "", "")
        host = host.strip("[]")
        context = None if self.encryption == "none" else ssl.create_default_context()
        smtp: smtplib.SMTP
        if self.encryption == "tls":
            smtp = smtplib.SMTP_SSL(host, int(port or 465), timeout=TIMEOUT_S, context=context)
        else:
            smtp = smtplib.SMTP(host, int(port or (25 if context is None else 587)), timeout=TIMEOUT_S)
        with smtp:
            if self.encryption == "starttls":
                smtp.starttls(context=context)
            if self.user is not None:
                smtp.login(expanded(self.user, where="user"), _secret(self.password or "", "password"))
            refused = smtp.send_message(mail)
            if refused:
                raise StorageError(f"The server refused {len(refused)} of {len(self.to)} addresses.")

    def __str__(self) -> str:
        return f"e-mail to {', '.join(self.to)}"


class Slack(msgspec.Struct, frozen=True, tag="slack"):
    """A message to a chat that takes ``{"text": …}``, as Slack, Mattermost and Rocket.Chat do; the address is the secret."""

    url: str

    def send(self, message: Message) -> None:
        """Post the text."""
        url = _secret(self.url, "slack")
        post(url, msgspec.json.encode({"text": f"*{message.title}*\n{message.text}"}), {})

    def __str__(self) -> str:
        return "a chat"


class Webhook(msgspec.Struct, frozen=True, tag="webhook"):
    """A call with the event as JSON, signed where there is a secret; `signature` says how it is verified."""

    url: str
    secret: str | None = None

    def send(self, message: Message) -> None:
        """Post the event."""
        body = json_of(message)
        headers = {"X-Modelwright-Delivery": message.id}
        if self.secret is not None:
            headers[TIMESTAMP] = str(int(time.time()))
            headers[SIGNATURE] = signature_of(_secret(self.secret, "secret"), headers[TIMESTAMP], body)
        post(expanded(self.url, where="webhook"), body, headers)

    def __str__(self) -> str:
        return "a webhook"


class Command(msgspec.Struct, frozen=True, tag="command"):
    """A program that reads the event as JSON from its standard input; no shell is involved."""

    argv: tuple[str, ...]
    timeout_s: float = 30.0

    def send(self, message: Message) -> None:
        """Run the program; what is not exit code 0 is a failure."""
        child = subprocess.Popen(
            self.argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
        )
        try:
            _, said = child.communicate(json_of(message), timeout=self.timeout_s)
        except subprocess.TimeoutExpired:
            # Its children too: they would hold the pipe open.
            os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
            raise StorageError(f"The program did not end within {self.timeout_s:g} seconds and was killed.") from None
        if child.returncode:
            last = said.decode(errors="replace").strip().splitlines()[-1:]
            raise StorageError(
                f"The program ended with exit code {child.returncode}." + "".join(f" It said: {x}" for x in last)
            )

    def __str__(self) -> str:
        return f"the program {self.argv[0]}"


Channel = Log | Email | Slack | Webhook | Command


def name_of(channel: Channel) -> str:
    """The key under which a channel stands in its section, and in the outbox."""
    return str(type(channel).__struct_config__.tag)


def json_of(message: Message) -> bytes:
    """A message for programs."""
    return msgspec.json.encode({"id": message.id, "alert": message.rule, "count": message.count, **_plain(message)})


def may_send_password(server: str, encryption: str) -> bool:
    """Whether a password would travel encrypted, or not leave the machine."""
    host = server.rpartition(":")[0] if server.rpartition(":")[2].isdigit() else server
    return encryption != "none" or host.strip("[]") in _LOOPBACK


def _secret(text: str, where: str) -> str:
    """What a reference stands for, never to be written from now on; the text itself where it is no reference."""
    value = expanded(text, where=where)
    remember(value)
    return value


def _plain(message: Message) -> dict[str, object]:
    return {key: value for key, value in msgspec.structs.asdict(message.event).items() if key != "id"} | {
        "event": message.event.id
    }


def words_of(error: BaseException) -> str:
    """Why a message was not delivered, without secrets and in one line."""
    said = str(error) or type(error).__name__
    if isinstance(error, smtplib.SMTPResponseException):
        answer = error.smtp_error.decode(errors="replace") if isinstance(error.smtp_error, bytes) else str(error.smtp_error)
        said = f"The server answered {error.smtp_code}: {answer}"
    elif isinstance(error, FileNotFoundError):
        said = f"There is no program {error.filename!r}."
    return redacted(" ".join(said.split()))[:300]
