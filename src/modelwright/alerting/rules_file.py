"""Reading the sections ``[[alert]]`` of ``modelwright.toml``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelwright.alerting.channels import Command, Email, Log, Slack, Webhook, may_send_password, name_of
from modelwright.alerting.rules import KINDS, AlertRule
from modelwright.errors import SpecError
from modelwright.masking import REFERENCE
from modelwright.spec import read_toml
from modelwright.spec_sections import Read, choice, choices, flag, length, read_fields, text, whole

SECTION = "alert"


def find_alert_rules(file: Path) -> tuple[AlertRule, ...]:
    """The rules of a ``modelwright.toml``, in their order; none if it has no section ``[[alert]]``.

    Raises
    ------
    SpecError
        If one of them is wrong.
    """
    sections = read_toml(file).get(SECTION)
    return () if sections is None else alert_rules_of(sections, where=f"{file.name}, [[{SECTION}]]")


def alert_rules_of(sections: Any, *, where: str = "alert") -> tuple[AlertRule, ...]:
    """Read rules from plain values, as they stand in the file.

    Parameters
    ----------
    sections : list of mapping
    where : str
        What errors call the place.

    Examples
    --------
    >>> [rule] = alert_rules_of([{"log": True, "on": ["rollback", "failed"], "cool_down": "4h"}])
    >>> rule.name, rule.on, rule.cool_down_s, str(rule.channels[0])
    ('log', ('rollback', 'failed'), 14400.0, 'the log')
    """
    if not isinstance(sections, list):
        raise SpecError(f"{sections!r} is not a list of alerts.", where=where, mend="Write [[alert]], with two brackets.")
    rules: list[AlertRule] = []
    for number, section in enumerate(sections, 1):
        place = f"{where} number {number}"
        rule = _rule(section, place)
        if rule.name in (other.name for other in rules):
            raise SpecError(f"Two alerts are called {rule.name!r}.", where=place, mend="Give one of them another name.")
        rules.append(rule)
    return tuple(rules)


def _rule(section: Any, where: str) -> AlertRule:
    """A rule; the keys of its channels stand beside its own."""
    if not isinstance(section, Mapping):
        raise SpecError(f"{section!r} is not a table of keys.", where=where, mend="Write each key in a line of its own.")
    channels = [_CHANNELS[key](value, f"{where}, key {key!r}") for key, value in section.items() if key in _CHANNELS]
    channels = [channel for channel in channels if channel is not None]
    values = read_fields(AlertRule, {k: value for k, value in section.items() if k not in _CHANNELS}, _READERS, where)
    if not channels:
        mend = f"Give one of {', '.join(_CHANNELS)}; log = true is the simplest."
        raise SpecError("It is not said how to tell.", where=where, mend=mend)
    name = values.pop("name", "-".join(name_of(channel) for channel in channels))
    return AlertRule(name, tuple(channels), **values)


def _log(value: Any, where: str) -> Log | None:
    return Log() if flag(value, where) else None


def _email(value: Any, where: str) -> Email:
    values = read_fields(Email, _renamed(value), _EMAIL, where)
    for key, name in (("to", "to"), ("server", "server"), ("sender", "from")):
        if key not in values:
            mend = 'Write email = { to = ["ann@example.org"], from = "mw@example.org", server = "smtp.example.org" }.'
            raise SpecError(f"An e-mail needs {name!r}.", where=where, mend=mend)
    mail = Email(**values)
    if (mail.user is None) != (mail.password is None):
        raise SpecError("User and password belong together.", where=where, mend="Give both, or neither.")
    if mail.password is not None and not may_send_password(mail.server, mail.encryption):
        raise SpecError("The password would travel unencrypted.", where=where, mend='Leave encryption at "starttls", or "tls".')
    return mail


def _renamed(value: Any) -> Any:
    """The sender is called "from" in the file, which no field of Python can be."""
    if not isinstance(value, Mapping) or "sender" in value:
        return value
    return {"sender" if key == "from" else key: each for key, each in value.items()}


def _addresses(value: Any, where: str) -> tuple[str, ...]:
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not listed or not all(isinstance(each, str) and _is_address(each) for each in listed):
        raise SpecError(f"{value!r} is not a list of addresses.", where=where, mend='Write it as ["ann@example.org"].')
    return tuple(each.strip() for each in listed)


def _is_address(value: str) -> bool:
    local, at, host = value.strip().rpartition("@")
    return bool(local and at and host) and not any(sign in value.strip() for sign in " \t\r\n,;<>")


def _sender(value: Any, where: str) -> str:
    return _addresses([value] if isinstance(value, str) else value, where)[0]


def _secret(value: Any, where: str) -> str:
    """A reference; a secret in the file itself would be in every copy and commit of it."""
    given = text(value, where)
    if not REFERENCE.search(given):
        raise SpecError(
            "A secret stands in the file itself.",
            where=where,
            mend='Keep it outside and refer to it: "${SMTP_PASSWORD}" is a variable, "${file:/run/secrets/smtp}" a file.',
        )
    return given


def _url(value: Any, where: str) -> str:
    given = text(value, where)
    if not given.startswith(("http://", "https://", "${")):
        raise SpecError("The address is not one of http:// or https://.", where=where, mend="Give all of it.")
    return given


def _slack(value: Any, where: str) -> Slack:
    return Slack(_secret(value, where))


def _webhook(value: Any, where: str) -> Webhook:
    values = read_fields(Webhook, {"url": value} if isinstance(value, str) else value, _WEBHOOK, where)
    if "url" not in values:
        mend = 'Write webhook = { url = "https://…", secret = "${HOOK_SECRET}" }.'
        raise SpecError("A webhook needs its address.", where=where, mend=mend)
    return Webhook(**values)


def _command(value: Any, where: str) -> Command:
    values = read_fields(Command, value if isinstance(value, Mapping) else {"argv": value}, _COMMAND, where)
    return Command(**{"argv": _argv(values.pop("argv", None), where), **values})


def _argv(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not value or not all(isinstance(each, str) and each for each in value):
        mend = 'Write the program and each argument by itself: ["notify-send", "modelwright"]. No shell reads it.'
        raise SpecError(f"{value!r} is not a list of a program and its arguments.", where=where, mend=mend)
    return tuple(value)


_EMAIL: dict[str, Read] = {
    "to": _addresses,
    "server": text,
    "sender": _sender,
    "user": text,
    "password": _secret,
    "encryption": choice(("starttls", "tls", "none")),
}
_WEBHOOK: dict[str, Read] = {"url": _url, "secret": _secret}
_COMMAND: dict[str, Read] = {"argv": _argv, "timeout_s": length(least=0.1)}
#: Keys of a section that name a channel.
_CHANNELS: dict[str, Read] = {"log": _log, "email": _email, "slack": _slack, "webhook": _webhook, "command": _command}
_READERS: dict[str, Read] = {
    "name": text,
    "on": choices(KINDS, "event"),
    "model": text,
    "count": whole(1),
    "period_s": length(least=1.0),
    "cool_down_s": length(),
}
