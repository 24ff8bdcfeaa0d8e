"""One request on its way through the server, and what is noted of it for log and metrics."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from modelwright.serving.limits import Limits
from modelwright.serving.problems import Problem
from modelwright.serving.tokens import Principal
from modelwright.serving.trace import given_id, new_id, trace_of

Receive = Callable[[], Awaitable[dict[str, Any]]]


class ClientGoneError(Exception):
    """The client has hung up; there is nobody to answer."""


class Exchange:
    """A request: its headers, who asks, and what became of it.

    Parameters
    ----------
    scope : dict
        As ASGI has it.
    receive : callable
    """

    __slots__ = (
        "_receive", "answer", "headers", "id", "method", "model", "part", "path", "principal", "route", "rows", "scope",
        "started", "status", "trace", "version",
    )  # fmt: skip

    def __init__(self, scope: dict[str, Any], receive: Receive) -> None:
        self.scope, self._receive = scope, receive
        self.started = time.perf_counter()
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        #: Names the answer. The id of the request is the client's, if it gave one, and that need not be unique.
        self.answer = new_id()
        self.id = given_id(self.headers.get(b"x-request-id")) or self.answer
        self.trace = trace_of(self.headers.get(b"traceparent"))
        self.principal: Principal | None = None
        self.route, self.model, self.version, self.part = "", "", "", ""
        self.rows = 0
        self.status = 0

    async def body(self, limits: Limits) -> bytes:
        """The whole body.

        Raises
        ------
        Problem
            If it is too large, too slow, or compressed.
        """
        if self.headers.get(b"content-encoding", b"identity").lower() != b"identity":
            raise Problem(415, "compressed", "A compressed body is not read; send it plain.")
        stated = self.headers.get(b"content-length", b"0")
        if stated.isdigit() and int(stated[:20]) > limits.body_bytes:
            raise _too_large(limits)
        parts: list[bytes] = []
        size, more = 0, True
        try:
            async with asyncio.timeout(limits.read_s):
                while more:
                    message = await self._receive()
                    if message["type"] == "http.disconnect":
                        raise ClientGoneError
                    part = message.get("body", b"")
                    size += len(part)
                    if size > limits.body_bytes:
                        raise _too_large(limits)
                    parts.append(part)
                    more = message.get("more_body", False)
        except TimeoutError:
            raise Problem(
                408, "too_slow", f"The body did not arrive within {limits.read_s:g} s.", headers={"connection": "close"}
            ) from None
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def media_type(self) -> bytes:
        """The media type of the body, in lower case and without parameters."""
        return self.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()

    def require_json(self) -> None:
        """Refuse a body that is not declared as JSON in UTF-8."""
        if self.media_type() != b"application/json":
            raise Problem(415, "wrong_media_type", "Send the header Content-Type: application/json.")
        charset = self.headers[b"content-type"].lower().partition(b"charset=")[2].strip(b' "')
        if charset not in (b"", b"utf-8", b"utf8", b"us-ascii"):
            raise Problem(415, "wrong_charset", "JSON is sent in UTF-8.")


def _too_large(limits: Limits) -> Problem:
    return Problem(413, "too_large", f"A body has {limits.body_bytes:,} bytes at most.")
