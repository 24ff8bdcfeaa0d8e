"""One address: which methods it has, which scopes open it, and what answers. Denies where no scope is named."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from modelwright.serving.exchange import Exchange, Receive
from modelwright.serving.problems import Problem
from modelwright.serving.replies import Reply, Send
from modelwright.serving.service import Service

Handler = Callable[[Exchange, Service], Awaitable[Reply]]


class Endpoint:
    """An ASGI application for one address.

    Parameters
    ----------
    path : str
        Template of the address, for log and metrics.
    method : str
    handler : callable
    scopes : tuple of str
        Any one of them suffices; nobody gets in without one.
    service : Service
    """

    def __init__(self, path: str, method: str, handler: Handler, scopes: tuple[str, ...], service: Service) -> None:
        self.path, self.methods = path, ("GET", "HEAD") if method == "GET" else (method,)
        self._handler, self._scopes, self._service = handler, frozenset(scopes), service

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request that was let in."""
        exchange: Exchange = scope["exchange"]
        exchange.route = self.path
        exchange.scope = scope
        if exchange.principal is None or not exchange.principal.scopes & self._scopes:
            raise Problem(403, "wrong_scope", "This token may not do that.")
        if exchange.method not in self.methods:
            raise Problem(
                405, "wrong_method", f"This address takes {' and '.join(self.methods)}.",
                headers={"allow": ", ".join(self.methods)},
            )  # fmt: skip
        async with asyncio.timeout(self._service.limits.total_s):
            reply = await self._handler(exchange, self._service)
        await reply.send(send, exchange.id)


async def not_found(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """What answers at all other addresses."""
    if scope["type"] == "http":
        raise Problem(404, "not_found", "There is nothing at this address.")
