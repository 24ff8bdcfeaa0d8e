"""How a server was asked to run; checked once, then handed to every worker."""

from __future__ import annotations

import ipaddress

import msgspec

from modelwright.errors import InvalidInputError
from modelwright.monitoring.prediction_log import Policy
from modelwright.serving.limits import Limits


class Settings(msgspec.Struct, frozen=True):
    """Everything about a server but the models in memory.

    Attributes
    ----------
    models : tuple of str
        What to serve; the first one answers ``/invocations``.
    shadows, canaries : tuple of str
        ``churn@challenger``, and ``churn@challenger:10%``; each for the served model of the same name.
    home, store, features : str or None
    host, port : str and int
    workers : int
        Processes.
    auth : bool
        Whether a token is needed.
    hosts : tuple of str
        Further names that the Host header may have.
    log_predictions : bool
    sample : float
        Share of answers that are logged.
    redact : tuple of str
        Columns whose values are not logged.
    policy : {"drop-and-count", "block"}
    capacity : int
        Rows that may wait for the log.
    log_requests : bool
        Whether each request gets a line in the server's log.
    drain_s, grace_s : float
        Seconds that an ending server still takes requests, and seconds for those under way.
    watch_s : float
        Seconds between looks at aliases and tokens.
    limits : Limits
    """

    models: tuple[str, ...]
    shadows: tuple[str, ...] = ()
    canaries: tuple[str, ...] = ()
    home: str = ".modelwright"
    store: str | None = None
    features: str | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    auth: bool = True
    hosts: tuple[str, ...] = ()
    log_predictions: bool = True
    sample: float = 1.0
    redact: tuple[str, ...] = ()
    policy: Policy = "drop-and-count"
    capacity: int = 20_000
    log_requests: bool = True
    drain_s: float = 0.0
    grace_s: float = 30.0
    watch_s: float = 1.0
    limits: Limits = Limits()

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def check_settings(settings: Settings, *, has_token: bool) -> None:
    """Refuse settings that cannot work, or would open the server to everybody.

    Parameters
    ----------
    settings : Settings
    has_token : bool
        Whether an active token exists or was given.

    Raises
    ------
    InvalidInputError
    """
    if not settings.auth and not settings.loopback:
        raise InvalidInputError(
            f"The address {settings.host} can be reached from outside, and no token would be needed.",
            where="--no-auth",
            mend="Leave --no-auth out, or bind 127.0.0.1.",
        )
    if settings.auth and not settings.loopback and not has_token:
        raise InvalidInputError(
            f"The address {settings.host} can be reached from outside, and there is no token yet.",
            where="--host",
            mend="Make one first: modelwright token new NAME --scope predict",
        )
    for name, low, value, high in (
        ("--port", 0, settings.port, 65_535), ("--workers", 1, settings.workers, 256), ("--sample", 0, settings.sample, 1),
        ("--queue", 1, settings.capacity, 10**9),
    ):  # fmt: skip
        if not low <= value <= high:
            raise InvalidInputError(f"{value!r} is out of range.", where=name, mend=f"Give {low} to {high:,}.")
    if not settings.models:
        raise InvalidInputError(
            "There is nothing to serve.", where="MODEL", mend="Name a model: modelwright serve churn@champion"
        )
