"""The outer layer that every request passes: sizes, Host, who asks, Origin; then the routes; then log and metrics.

Denies by default: a request without a valid token gets 401 before anything is looked up, so that the answer says nothing
about what exists here.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import time
from collections.abc import Awaitable, Callable
from typing import Any

from modelwright.serving.exchange import ClientGoneError, Exchange, Receive
from modelwright.serving.problems import Problem
from modelwright.serving.replies import Reply, Send
from modelwright.serving.service import Service
from modelwright.serving.sessions import session_of
from modelwright.serving.tokens import ANYBODY, Principal

App = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]

#: The only address that needs no token.
LIVENESS = "/v2/health/live"
_SAFE = ("GET", "HEAD")
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


class Gateway:
    """An ASGI application around the routes.

    Parameters
    ----------
    routes : ASGI application
    service : Service
    """

    def __init__(self, routes: App, service: Service) -> None:
        self._routes, self._service = routes, service

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
                return
            await self._routes(scope, receive, send)
            return
        exchange = Exchange(scope, receive)
        scope["exchange"] = exchange
        started = False

        async def sending(message: dict[str, Any]) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                exchange.status = message["status"]
                if exchange.trace is not None:
                    message["headers"].append((b"traceparent", exchange.trace[1].encode()))
            await send(message)

        failure = None
        try:
            try:
                self._admit(exchange)
                await self._routes(scope, receive, sending)
            except Problem as problem:
                await self._refuse(problem, exchange, sending)
            except ClientGoneError:
                exchange.status = 499
            except TimeoutError:
                limit = self._service.limits.total_s
                await self._refuse(Problem(504, "too_slow", f"No answer within {limit:g} s."), exchange, sending)
            except Exception as error:  # a fault of ours: told without details, logged by its kind and place
                failure = error
                if not started:
                    await self._refuse(Problem(500, "internal", "The server failed; see its log."), exchange, sending)
        except (OSError, asyncio.CancelledError):
            exchange.status = exchange.status or 499
            raise
        finally:
            self._note(exchange, failure)

    def _admit(self, exchange: Exchange) -> None:
        """Let a request in and say who asks, or raise `Problem`."""
        limits, headers = self._service.limits, exchange.headers
        raw = exchange.scope.get("raw_path", b"")
        if len(raw) + len(exchange.scope["query_string"]) > limits.url_bytes:
            raise Problem(414, "url_too_long", f"An address has {limits.url_bytes:,} bytes at most.")
        if sum(len(name) + len(value) for name, value in exchange.scope["headers"]) > limits.header_bytes:
            raise Problem(431, "headers_too_large", f"Headers have {limits.header_bytes:,} bytes at most.")
        if not self._host_allowed(headers.get(b"host", b"")):
            raise Problem(400, "wrong_host", "The Host header names no host that this server answers for.")
        if exchange.path == LIVENESS and exchange.method in _SAFE:
            exchange.principal = ANYBODY
            return
        exchange.principal = self._principal(exchange)
        if exchange.method not in _SAFE and not self._same_origin(headers):
            raise Problem(403, "wrong_origin", "Requests from pages of other sites are refused.")

    def _principal(self, exchange: Exchange) -> Principal:
        service, headers = self._service, exchange.headers
        if not service.auth:
            return ANYBODY
        kind, _, secret = headers.get(b"authorization", b"").partition(b" ")
        if kind.lower() == b"bearer":
            principal = service.keyring.principal(secret.strip())
        elif exchange.path == "/login" and exchange.method == "POST":
            return Principal("", "", frozenset(("login",)))  # the endpoint itself answers 401 without a valid token
        else:
            session = session_of(service.keyring, headers.get(b"cookie"))
            principal = session[0] if session else None
            if session and exchange.method not in _SAFE:
                word = headers.get(b"x-csrf-token", b"")
                if not hmac.compare_digest(session[1].encode(), word):
                    raise Problem(403, "no_csrf_token", "A write with a cookie needs the page's X-CSRF-Token.")
        if principal is None:
            raise Problem(
                401, "no_token", "Send the header Authorization: Bearer TOKEN.",
                headers={"www-authenticate": 'Bearer realm="modelwright"'},
            )  # fmt: skip
        return principal

    def _host_allowed(self, host: bytes) -> bool:
        """Whether the name in the Host header is ours. An address in digits can be no rebound name."""
        name = _without_port(host)
        if name in self._service.hosts or name in _LOOPBACK_NAMES:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or not self._service.loopback

    def _same_origin(self, headers: dict[bytes, bytes]) -> bool:
        origin = headers.get(b"origin")
        if origin is None:
            return headers.get(b"sec-fetch-site", b"none") in (b"none", b"same-origin")
        return origin.partition(b"://")[2] == headers.get(b"host", b"")

    async def _refuse(self, problem: Problem, exchange: Exchange, send: Send) -> None:
        headers = [(name.encode(), value.encode()) for name, value in problem.headers.items()]
        wants_page = exchange.method == "GET" and b"text/html" in exchange.headers.get(b"accept", b"")
        if problem.status == 401 and wants_page:
            from modelwright.serving.pages import login_page

            await Reply(login_page(), 401, b"text/html; charset=utf-8", headers).send(send, exchange.id)
            return
        await Reply(problem.body(exchange.id), problem.status, headers=headers).send(send, exchange.id)

    def _note(self, exchange: Exchange, failure: Exception | None) -> None:
        seconds = time.perf_counter() - exchange.started
        route = exchange.route or "none"
        method = exchange.method if exchange.method in _KNOWN_METHODS else "other"
        self._service.metrics.answered(route, method, exchange.status, seconds)
        # What a client did wrong is no failure of the version, and a client that left asked for nothing.
        if exchange.part and self._service.prediction_log is not None and not 400 <= exchange.status < 500:
            failed = failure is not None or exchange.status >= 500
            self._service.prediction_log.tally(exchange.model, exchange.version, exchange.part, failed=failed)
        log = self._service.log
        if failure is not None:
            log.write(
                "failure", request=exchange.id, route=route, error=type(failure).__name__, place=_place(failure),
                trace=exchange.trace[0] if exchange.trace else None,
            )  # fmt: skip
        if log.requests:
            log.write(
                "request", request=exchange.id, method=method, route=route, status=exchange.status,
                ms=round(seconds * 1000, 3), model=exchange.model, version=exchange.version, part=exchange.part,
                rows=exchange.rows or None, by=exchange.principal.name if exchange.principal else None,
                trace=exchange.trace[0] if exchange.trace else None,
            )  # fmt: skip


_KNOWN_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")


def _without_port(host: bytes) -> str:
    text = host.decode("latin-1").lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.rpartition(":")[0] if text.count(":") == 1 else text


def _place(error: BaseException) -> str:
    """Module and line where an error was raised; no values, no folders."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return ""
    return f"{trace.tb_frame.f_globals.get('__name__', '?')}:{trace.tb_lineno}"
