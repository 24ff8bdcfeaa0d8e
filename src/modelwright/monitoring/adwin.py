"""ADWIN: notices that the mean of a stream has changed, and keeps the rows from which it holds.

The window of the latest values is summed up in buckets of 1, 2, 4, … values, at most ``max_buckets`` of a size, so memory
grows with the logarithm of its length. Every ``clock`` values each cut between buckets is tried: where the means of both
sides differ by more than chance allows, the older side goes.

References
----------
.. [1] Bifet and Gavaldà, Learning from time-changing data with adaptive windowing, SIAM SDM 2007, pp. 443-448.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

#: Sum and squared deviation from the mean of the values of one bucket.
_Bucket = tuple[float, float]


class Adwin:
    """Adaptive window over values of bounded range, such as losses between 0 and 1.

    Parameters
    ----------
    delta : float, default=0.002
        Bound on the chance of a false alarm at one look. Smaller values wait longer.
    clock : int, default=32
        Values between two looks.
    max_buckets : int, default=5
        Buckets of one size before two of them become one of the next size.
    min_window : int, default=5
        Values that both sides of a cut have at least.
    grace : int, default=10
        Values before the first look.

    Attributes
    ----------
    width : int
        Values in the window.
    n_seen : int
        Values so far.
    """

    def __init__(
        self, delta: float = 0.002, *, clock: int = 32, max_buckets: int = 5, min_window: int = 5, grace: int = 10
    ) -> None:
        self.delta = delta
        self.clock = clock
        self.max_buckets = max_buckets
        self.min_window = min_window
        self.grace = grace
        self.n_seen = 0
        self._changed = False
        self._empty()

    @property
    def mean(self) -> float:
        """Mean of the window; 0 while it is empty."""
        return self._total / self.width if self.width else 0.0

    @property
    def variance(self) -> float:
        """Variance of the window, with its own width below the line; 0 while it is empty."""
        return self._deviation / self.width if self.width else 0.0

    def update(self, value: float) -> bool:
        """Take in one value.

        Returns
        -------
        bool
            Whether the mean has changed. The next value then begins a new window.
        """
        if self._changed:
            self._empty()
        self.n_seen += 1
        self._tick += 1
        self._insert(float(value))
        if self._tick % self.clock == 0 and self.width > self.grace:
            while self._cut():
                self._changed = True
        return self._changed

    def changes(self, values: Iterable[float]) -> list[int]:
        """Numbers, within ``values``, of those at which a change was noticed."""
        return [number for number, value in enumerate(values) if self.update(value)]

    def _empty(self) -> None:
        # The oldest bucket of a size stands first; sizes double from row to row.
        self._rows: list[list[_Bucket]] = [[]]
        self.width, self._tick = 0, 0
        self._total, self._deviation = 0.0, 0.0
        self._changed = False

    def _insert(self, value: float) -> None:
        self._rows[0].append((value, 0.0))
        self.width += 1
        if self.width > 1:
            before = self.width - 1
            self._deviation += before * (value - self._total / before) ** 2 / self.width
        self._total += value
        for level, row in enumerate(self._rows):
            if len(row) <= self.max_buckets:
                break
            size = 2.0**level
            (total_a, deviation_a), (total_b, deviation_b) = row[0], row[1]
            apart = size * size * (total_a / size - total_b / size) ** 2 / (size + size)
            del row[:2]
            if level + 1 == len(self._rows):
                self._rows.append([])
            self._rows[level + 1].append((total_a + total_b, deviation_a + deviation_b + apart))

    def _cut(self) -> bool:
        """Drop the oldest bucket where some cut shows a change; whether one did."""
        old_n, old_total = 0.0, 0.0
        new_n, new_total = float(self.width), self._total
        for level in range(len(self._rows) - 1, -1, -1):
            row = self._rows[level]
            # The newest value alone is no side.
            for total, _ in row if level else row[:-1]:
                old_n, old_total = old_n + 2.0**level, old_total + total
                new_n, new_total = new_n - 2.0**level, new_total - total
                if min(old_n, new_n) >= self.min_window and self._differ(old_n, new_n, old_total / old_n - new_total / new_n):
                    self._drop_oldest()
                    return True
        return False

    def _differ(self, old_n: float, new_n: float, apart: float) -> bool:
        log = math.log(2 * math.log(self.width) / self.delta)
        rest = 1 / (old_n - self.min_window + 1) + 1 / (new_n - self.min_window + 1)
        return abs(apart) > math.sqrt(2 * rest * self.variance * log) + 2 / 3 * log * rest

    def _drop_oldest(self) -> None:
        size = 2 ** (len(self._rows) - 1)
        total, deviation = self._rows[-1].pop(0)
        self.width -= size
        self._total -= total
        apart = total / size - (self._total / self.width if self.width else 0.0)
        self._deviation -= deviation + size * self.width * apart**2 / (size + self.width)
        while len(self._rows) > 1 and not self._rows[-1]:
            self._rows.pop()
