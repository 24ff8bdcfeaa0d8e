"""Structured logs: one JSON object a line, without values of requests, tokens, addresses or paths."""

from __future__ import annotations

import datetime as dt
import logging
import sys
from typing import IO, Any

import msgspec

_ENCODE = msgspec.json.Encoder().encode


class Log:
    """Writes lines of JSON.

    Parameters
    ----------
    stream : binary stream or None, default=None
        None is the process's standard error.
    requests : bool, default=True
        Whether each request gets a line.
    """

    def __init__(self, stream: IO[bytes] | None = None, *, requests: bool = True) -> None:
        self._stream = stream if stream is not None else sys.stderr.buffer
        self.requests = requests

    def write(self, event: str, **fields: Any) -> None:
        """Write one line; an absent field is left out."""
        at = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
        line = {"at": at, "event": event} | {name: value for name, value in fields.items() if value not in (None, "")}
        try:
            self._stream.write(_ENCODE(line) + b"\n")
            self._stream.flush()
        except (OSError, ValueError):
            self.requests = False  # nobody reads it any more; that must not stop the server


class ServerMessages(logging.Handler):
    """Takes the messages of uvicorn over into our log: that there was one, and how grave, but not what a client sent."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record's fixed text; what was filled into it stays out."""
        kind = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
        self._log.write("server", level=record.levelname.lower(), message=str(record.msg)[:200], error=kind)
