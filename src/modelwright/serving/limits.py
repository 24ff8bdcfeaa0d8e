"""How much one request may ask for."""

from __future__ import annotations

import msgspec


class Limits(msgspec.Struct, frozen=True):
    """Limits of the server; every one is answered with a 4xx of its own.

    Attributes
    ----------
    body_bytes : int
        Counted while reading, whatever Content-Length says: 413.
    rows, labels : int
        Rows of one request, labels of one request: 413.
    text_chars : int
        Length of one cell of text, of a name or an id: 400.
    extra_columns : int
        Columns beyond those of the model: 400.
    header_bytes, url_bytes : int
        431 and 414.
    read_s, idle_s, total_s : float
        Seconds for a body (and headers) to arrive, between requests of a connection, and for the answer: 408, closed, 504.
    active, waiting : int
        Requests being predicted for each processor, and requests that may wait for that: 429.
    connections : int
        Open connections of one process; further ones get 429 and are closed.
    """

    body_bytes: int = 16 * 1024 * 1024
    rows: int = 10_000
    labels: int = 10_000
    text_chars: int = 64 * 1024
    extra_columns: int = 16
    header_bytes: int = 16 * 1024
    url_bytes: int = 4 * 1024
    read_s: float = 10.0
    idle_s: float = 30.0
    total_s: float = 30.0
    active: int = 4
    waiting: int = 256
    connections: int = 1024
