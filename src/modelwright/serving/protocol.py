"""uvicorn's reader of HTTP/1.1 with limits that an application cannot hold: size and time of headers, idle connections."""

from __future__ import annotations

from typing import Any

from modelwright.serving.limits import Limits
from modelwright.serving.problems import Problem
from modelwright.serving.trace import new_id


def limited_protocol(limits: Limits) -> type:
    """The class of the protocol for uvicorn.

    Parameters
    ----------
    limits : Limits
    """
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    most = limits.header_bytes + limits.url_bytes + 4096

    class LimitedProtocol(HttpToolsProtocol):  # type: ignore[misc, unused-ignore]
        _in_head = True
        _head_bytes = 0
        _timer: Any = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            if len(self.connections) > limits.connections:
                self._end(Problem(429, "too_many_connections", "Too many connections are open."))
                return
            self._timer = self.loop.call_later(limits.idle_s, self._too_slow)

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self.transport.is_closing():
                return
            super().data_received(data)
            if self._in_head and self._head_bytes is not None and not self.transport.is_closing():
                self._head_bytes += len(data)
                if self._head_bytes > most:
                    self._end(Problem(431, "headers_too_large", f"Headers have {limits.header_bytes:,} bytes at most."))
                elif self._timer is None or self._head_bytes == len(data):
                    self._stop()
                    self._timer = self.loop.call_later(limits.read_s, self._too_slow)

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._in_head, self._head_bytes = True, 0

        def on_headers_complete(self) -> None:
            self._in_head = False
            self._stop()
            super().on_headers_complete()

        def on_message_complete(self) -> None:
            self._stop()
            super().on_message_complete()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if self.cycle is not None and self.cycle.more_body and not self.transport.is_closing():
                # Refused before it was whole: what still comes is thrown away for a while, so that the client reads why.
                self._stop()
                self._timer = self.loop.call_later(limits.read_s, self.transport.close)

        def send_400_response(self, msg: str) -> None:
            self._end(Problem(400, "not_http", "The request is no HTTP/1.1."))

        def _too_slow(self) -> None:
            self._timer = None
            if self.cycle is None or self.cycle.response_complete:
                self.transport.close() if self._head_bytes == 0 else self._end(
                    Problem(408, "too_slow", "The headers did not arrive in time.")
                )

        def _stop(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _end(self, problem: Problem) -> None:
            """Answer and close, where no application is asked."""
            self._stop()
            if self.transport.is_closing():
                return
            if self.cycle is None or self.cycle.response_complete:  # never into the middle of another answer
                body = problem.body(new_id())
                head = (
                    f"HTTP/1.1 {problem.status} \r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
                    "x-content-type-options: nosniff\r\ncache-control: no-store\r\nconnection: close\r\n\r\n"
                )
                self.transport.write(head.encode() + body)
            self.transport.close()

    return LimitedProtocol
