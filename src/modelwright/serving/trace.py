"""Ids of requests, and the W3C trace context that they pass on."""

from __future__ import annotations

import os
import re
import time

_PARENT = re.compile(rb"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})")
_GIVEN = re.compile(rb"[A-Za-z0-9._-]{1,64}")


def given_id(header: bytes | None) -> str | None:
    """The client's ``X-Request-Id`` if there is a plain one.

    Parameters
    ----------
    header : bytes or None
    """
    return header.decode() if header is not None and _GIVEN.fullmatch(header) else None


def new_id() -> str:
    """28 signs that sort by time: milliseconds since 1970, then 64 random bits."""
    return f"{time.time_ns() // 1_000_000:012x}{os.urandom(8).hex()}"


def trace_of(traceparent: bytes | None) -> tuple[str, str] | None:
    """Trace id, and the ``traceparent`` of our own span within it; None without a valid one.

    Parameters
    ----------
    traceparent : bytes or None
        The header as it came.

    Examples
    --------
    >>> trace_of(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")[0]
    '4bf92f3577b34da6a3ce929d0e0e4736'
    >>> trace_of(b"00-zero-zero-01") is None
    True
    """
    match = _PARENT.fullmatch(traceparent) if traceparent else None
    if match is None:
        return None
    trace = match[1].decode()
    return trace, f"00-{trace}-{os.urandom(8).hex()}-{match[2].decode()}"
