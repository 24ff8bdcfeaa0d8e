"""Answers: status, body, and the headers that every answer has."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

Send = Callable[[dict[str, Any]], Awaitable[None]]

JSON = b"application/json"
_PAGE = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; "
    b"base-uri 'none'; frame-ancestors 'none'"
)
_COMMON = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]
_API = [*_COMMON, (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")]
_HTML = [*_COMMON, (b"content-security-policy", _PAGE)]


@dataclass
class Reply:
    """What is sent back.

    Attributes
    ----------
    body : bytes
    status : int
    content_type : bytes
    headers : list of (bytes, bytes)
        Beside those of every answer.
    """

    body: bytes
    status: int = 200
    content_type: bytes = JSON
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)

    async def send(self, send: Send, request_id: str) -> None:
        """Send it."""
        page = self.content_type.startswith(b"text/html")
        headers = [
            (b"content-type", self.content_type),
            (b"content-length", str(len(self.body)).encode()),
            (b"x-request-id", request_id.encode()),
            *(_HTML if page else _API),
            *self.headers,
        ]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})
