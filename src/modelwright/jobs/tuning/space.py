"""What values parameters may take, and the points that they span."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import msgspec


class Choice(msgspec.Struct, frozen=True, tag="choice"):
    """Any of the listed values; a single one is fixed."""

    values: tuple[Any, ...]

    @property
    def size(self) -> int:
        return len(self.values)

    def value(self, index: int) -> Any:
        """The value at a place, from 0 to ``size`` - 1."""
        return self.values[index]

    def draw(self, share: float) -> Any:
        """The value at a share in [0, 1) of the range."""
        return self.values[int(share * len(self.values))]

    def holds(self, value: Any) -> bool:
        return any(point_key({"": each}) == point_key({"": value}) for each in self.values)


class Float(msgspec.Struct, frozen=True, tag="float"):
    """A number from ``low`` to ``high``: on a logarithmic scale, or in steps from ``low`` upwards."""

    low: float
    high: float
    log: bool = False
    step: float | None = None

    @property
    def size(self) -> int | None:
        """How many values there are; None where they cannot be counted."""
        return None if self.step is None else math.floor((self.high - self.low) / self.step + 1e-9) + 1

    def value(self, index: int) -> float:
        """The value at a place, from 0 to ``size`` - 1."""
        assert self.step is not None
        # Fifteen digits: 0.1 + 2 * 0.1 shall read 0.3.
        return min(self.high, max(self.low, float(f"{self.low + index * self.step:.15g}")))

    def index(self, value: float) -> int:
        """The place nearest to a value."""
        assert self.step is not None
        return round((value - self.low) / self.step)

    def draw(self, share: float) -> float:
        if self.size is not None:
            return self.value(int(share * self.size))
        if self.log:
            drawn = math.exp(math.log(self.low) + share * (math.log(self.high) - math.log(self.low)))
        else:
            drawn = self.low + share * (self.high - self.low)
        return min(self.high, max(self.low, drawn))

    def holds(self, value: Any) -> bool:
        if not isinstance(value, float) or not self.low <= value <= self.high:
            return False
        return self.step is None or self.value(self.index(value)) == value


class Int(msgspec.Struct, frozen=True, tag="int"):
    """A whole number from ``low`` to ``high``, both included: on a logarithmic scale, or in steps from ``low`` upwards."""

    low: int
    high: int
    log: bool = False
    step: int = 1

    @property
    def size(self) -> int:
        return (self.high - self.low) // self.step + 1

    def value(self, index: int) -> int:
        return self.low + index * self.step

    def draw(self, share: float) -> int:
        if not self.log:
            return self.value(int(share * self.size))
        # From half below the first to half above the last number, so that the ends are not drawn too seldom.
        low, high = math.log(self.low - 0.5), math.log(self.high + 0.5)
        return min(self.high, max(self.low, round(math.exp(low + share * (high - low)))))

    def holds(self, value: Any) -> bool:
        return type(value) is int and self.low <= value <= self.high and (value - self.low) % self.step == 0


Values = Choice | Float | Int
Point = dict[str, Any]


class Space(msgspec.Struct, frozen=True, dict=True):
    """Parameters with their values; or ``points`` listed one by one, over which the parameters lay fixed values."""

    parameters: dict[str, Values]
    points: list[Point] | None = None

    @cached_property
    def fixed(self) -> Point:
        """Parameters that have one value only."""
        return {name: values.value(0) for name, values in self.parameters.items() if values.size == 1}

    @cached_property
    def open(self) -> dict[str, Values]:
        """Parameters that vary."""
        return {name: values for name, values in self.parameters.items() if values.size != 1}

    @cached_property
    def size(self) -> int | None:
        """How many points there are; None where they cannot be counted."""
        if self.points is not None:
            return len(self.points)
        sizes = [values.size for values in self.open.values()]
        return None if any(size is None for size in sizes) else math.prod(size for size in sizes if size is not None)

    def cell(self, index: int) -> Point:
        """The point at a place from 0 to ``size`` - 1, the last parameter changing fastest."""
        if self.points is not None:
            return self.points[index] | self.fixed
        found: Point = {}
        for name, values in reversed(self.open.items()):
            assert values.size is not None
            index, place = divmod(index, values.size)
            found[name] = values.value(place)
        return self.ordered(found)

    def cells(self) -> Iterator[Point]:
        """Every point of a space that can be counted."""
        assert self.size is not None
        return (self.cell(index) for index in range(self.size))

    def ordered(self, drawn: Mapping[str, Any]) -> Point:
        """Drawn values with the fixed ones, in the order of the parameters."""
        return {name: drawn[name] if name in drawn else self.fixed[name] for name in self.parameters}

    def holds(self, point: Mapping[str, Any]) -> bool:
        """Whether this is a point of the space."""
        if self.points is not None:
            return point_key(point) in {point_key(each | self.fixed) for each in self.points}
        return set(point) == set(self.parameters) and all(self.parameters[name].holds(value) for name, value in point.items())

    def without(self, name: str) -> Space:
        """The space of the other parameters."""
        return Space({key: values for key, values in self.parameters.items() if key != name}, self.points)


def point_key(point: Mapping[str, Any]) -> str:
    """A text that two points share exactly if they are the same; 1, 1.0, true and "1" differ.

    Examples
    --------
    >>> point_key({"b": 1, "a": 1.0}) == point_key({"a": 1.0, "b": 1})
    True
    >>> point_key({"a": 1}) == point_key({"a": True})
    False
    """
    return msgspec.json.encode(dict(point), order="deterministic").decode()
