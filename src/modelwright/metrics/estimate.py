"""An estimate with its interval, as records and reports hold it."""

from __future__ import annotations

import msgspec


class Interval(msgspec.Struct, frozen=True):
    """An estimate with its 95 % interval, unless the field that holds it says another level."""

    value: float
    low: float
    high: float
