"""Filters of runs: parsed into a tree of comparisons and applied to values; nothing of them is ever evaluated as code.

::

    either     := both { "or" both }
    both       := one { "and" one }
    one        := "not" one | "(" either ")" | comparison
    comparison := FIELD ("==" | "!=" | "<" | "<=" | ">" | ">=") VALUE       VALUE OP FIELD means the same turned round
                | FIELD ["not"] "in" "(" VALUE { "," VALUE } ")"            or in square brackets
                | FIELD ["not"] ("contains" | "like") TEXT                  like: % is any text, _ any one sign
                | FIELD "is" ["not"] "missing"
                | FIELD                                                     of type truth
    FIELD      := WORD { "." (WORD | TEXT) }
    VALUE      := TEXT | NUMBER | "true" | "false"

A field that a run does not have matches nothing but ``is missing``, neither as it stands nor under ``not``.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

from modelwright.errors import InvalidInputError
from modelwright.runs.entry import RunEntry
from modelwright.runs.fields import KNOWN_METRICS, Field, field_of, nearest_field

#: Longer filters are refused: nobody writes them, and nesting costs stack.
LONGEST = 4000
_DEEPEST = 50

#: True, False, or None where it cannot be told because a field is missing.
Test = Callable[[RunEntry], bool | None]
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_WORDS = ("and", "or", "not", "in", "is", "like", "contains", "missing", "true", "false")
_TOKEN = re.compile(
    r"""\s*(?:
    (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    |(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
    |(?P<word>[^\W\d][\w-]*)
    |(?P<sign>==|!=|<=|>=|<|>|\(|\)|\[|\]|,|\.)
    )""",
    re.VERBOSE,
)
_TYPE_WORDS = {"text": "text", "number": "a number", "truth": "true or false", "moment": "a date", "any": "any value"}


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    value: Any
    at: int


@dataclass(frozen=True)
class Filter:
    """A filter that was understood.

    ``fields`` are the names it reads; ``test`` is True, False, or None where a field is missing.
    """

    text: str
    fields: tuple[Field, ...]
    test: Test

    def matches(self, entry: RunEntry) -> bool:
        """Whether a run matches."""
        return self.test(entry) is True


def parse_filter(text: str, *, where: str = "--filter", metrics: frozenset[str] = frozenset(KNOWN_METRICS)) -> Filter:
    """Understand a filter.

    Parameters
    ----------
    text : str
        Such as ``metrics.roc_auc > 0.8 and tags.team == "x"``.
    where : str, default="--filter"
        Named in errors.
    metrics : frozenset of str
        Names that mean a metric without "metrics." before them.

    Returns
    -------
    Filter

    Raises
    ------
    InvalidInputError
        If it cannot be understood, names no field, or compares a field with a value of another type; the message names the
        position.

    Examples
    --------
    >>> entry = RunEntry("a", "a", "training", "finished", "2026-11-01T10:00:00+00:00", metrics={"roc_auc": 0.85})
    >>> parse_filter('roc_auc > 0.8 and not (state == "failed")').matches(entry)
    True
    """
    if len(text) > LONGEST:
        raise InvalidInputError(f"The filter has {len(text):,} signs.", where=where, mend=f"Write one of at most {LONGEST:,}.")
    parser = _Parser(text, where, metrics)
    test = parser.either(0)
    if parser.now.kind != "end":
        parser.refuse(f"{parser.now.text!r} was not expected here", "Join comparisons with and, or.")
    return Filter(text, tuple(parser.fields), test)


class _Parser:
    def __init__(self, text: str, where: str, metrics: frozenset[str]) -> None:
        self.text, self.where, self.metrics = text, where, metrics
        self.fields: list[Field] = []
        self.tokens = self._tokens()
        self.place = 0

    @property
    def now(self) -> _Token:
        return self.tokens[self.place]

    def refuse(self, what: str, mend: str, at: int | None = None) -> NoReturn:
        """Say what is wrong, with the place marked below the filter."""
        at = self.now.at if at is None else at
        shown = self.text if len(self.text) <= 100 else f"{self.text[max(0, at - 40) : at + 40]}"
        raise InvalidInputError(f"{what} (position {at + 1} of: {shown}).", where=self.where, mend=mend)

    def _tokens(self) -> list[_Token]:
        found, at = [], 0
        while self.text[at:].strip():
            match = _TOKEN.match(self.text, at)
            start = at + len(self.text[at:]) - len(self.text[at:].lstrip())
            if match is None or match.lastgroup is None:
                sign = self.text[start]
                self.tokens = []
                if sign in "\"'":
                    self.refuse("The text does not end", f"Close it with {sign}.", start)
                if sign == "=":
                    self.refuse("'=' is no comparison", "Write == for equal.", start)
                self.refuse(f"{sign!r} cannot be understood", _EXAMPLE, start)
            kind, words = match.lastgroup, match[match.lastgroup]
            value: Any = words
            if kind == "text":
                value = re.sub(r"\\(.)", r"\1", words[1:-1])
            elif kind == "number":
                value = float(words) if re.search(r"[.eE]", words) else int(words)
            elif kind == "word" and words.lower() in _WORDS:
                kind, value = (
                    ("truth", words.lower() == "true") if words.lower() in ("true", "false") else (words.lower(), words)
                )
            elif kind == "sign":
                kind = words
            found.append(_Token(kind, words, value, start))
            at = match.end()
        return [*found, _Token("end", "", None, len(self.text))]

    def _take(self, *kinds: str) -> _Token | None:
        token = self.now
        if token.kind in kinds:
            self.place += 1
            return token
        return None

    def either(self, depth: int) -> Test:
        if depth > _DEEPEST:
            self.refuse("The filter is nested too deeply", "Write it with fewer parentheses.")
        parts = [self.both(depth)]
        while self._take("or"):
            parts.append(self.both(depth))
        return parts[0] if len(parts) == 1 else lambda entry: _any([part(entry) for part in parts])

    def both(self, depth: int) -> Test:
        parts = [self.one(depth)]
        while self._take("and"):
            parts.append(self.one(depth))
        return parts[0] if len(parts) == 1 else lambda entry: _all([part(entry) for part in parts])

    def one(self, depth: int) -> Test:
        negations = 0
        while self._take("not"):
            negations += 1
        if self._take("("):
            test = self.either(depth + 1)
            if not self._take(")"):
                self.refuse("A closing parenthesis is missing", "Close it with ).")
        else:
            test = self.comparison()
        if negations % 2 == 0:
            return test
        return lambda entry: None if (found := test(entry)) is None else not found

    def comparison(self) -> Test:
        if self.now.kind in ("text", "number", "truth"):
            value, sign = self._take("text", "number", "truth"), self._take(*_COMPARISONS)
            assert value is not None
            if sign is None:
                self.refuse("A comparison begins with a field", _EXAMPLE, value.at)
            field = self.field()
            test = self._compared(field, _TURNED[sign.kind], value)
        else:
            field = self.field()
            test = self._of_field(field)
        if self.now.kind in _COMPARISONS:
            self.refuse("Comparisons cannot be chained", "Write a < x and x < b.")
        return test

    def _of_field(self, field: Field) -> Test:
        if sign := self._take(*_COMPARISONS):
            if self.now.kind == "word":
                self.refuse(f"{self.now.text!r} is no value", f'Write texts in quotes: "{self.now.text}".')
            return self._compared(field, sign.kind, self._value())
        if self._take("is"):
            wanted = self._take("not") is None
            if not self._take("missing"):
                self.refuse("After 'is' comes 'missing' or 'not missing'", "Write == to compare with a value.")
            return lambda entry: (field.read(entry) is None) is wanted
        negated = self._take("not") is not None
        if self._take("in"):
            test = self._among(field)
        elif word := self._take("contains", "like"):
            test = self._like(field, word)
        elif negated:
            self.refuse("After 'not' comes 'in', 'contains' or 'like' here", "Write not before the whole comparison.")
        elif field.type == "truth":
            return field.read
        else:
            self.refuse(f"{field.name} is compared with nothing", f"Write {field.name} {_example_of(field)}.")
        return (lambda entry: None if (found := test(entry)) is None else not found) if negated else test

    def field(self) -> Field:
        start = self.now
        word = self._take("word")
        if word is None:
            self.refuse("A field was expected" if start.kind != "end" else "The filter ends too early", _EXAMPLE)
        path = [word.text]
        while self._take("."):
            # After a point any word is a name, also those that mean something elsewhere.
            part = self.now
            if part.kind in ("end", "number", "sign") or part.kind in (*_COMPARISONS, "(", ")", "[", "]", ",", "."):
                self.refuse("A name was expected after the point", 'Odd names stand in quotes: tags."my team".')
            self.place += 1
            path.append(part.value if part.kind == "text" else part.text)
        field = field_of(tuple(path), self.metrics)
        if field is None:
            self.refuse(f"There is no field {'.'.join(path)!r}", nearest_field(tuple(path), self.metrics), word.at)
        self.fields.append(field)
        return field

    def _value(self) -> _Token:
        value = self._take("text", "number", "truth")
        if value is None:
            self.refuse("A value was expected", 'Write a number, a "text", true or false.')
        return value

    def _compared(self, field: Field, sign: str, value: _Token) -> Test:
        self._check_type(field, value)
        if value.kind == "truth" and sign not in ("==", "!="):
            self.refuse("True and false have no order", "Compare them with == or !=.", value.at)
        if field.type == "moment":
            return _moment_test(field, sign, self._moment(value))
        compare, wanted, kind = _COMPARISONS[sign], value.value, value.kind

        def test(entry: RunEntry) -> bool | None:
            found = field.read(entry)
            return compare(found, wanted) if found is not None and _kind(found) == kind else None

        return test

    def _among(self, field: Field) -> Test:
        opening = self._take("(", "[")
        if opening is None:
            self.refuse("After 'in' comes a list", f'Write {field.name} in ("a", "b").')
        values = [self._value()]
        while self._take(","):
            values.append(self._value())
        if not self._take(")" if opening.kind == "(" else "]"):
            self.refuse("The list does not end", "Close it as it was opened.")
        tests = [self._compared(field, "==", value) for value in values]
        return lambda entry: _any([test(entry) for test in tests])

    def _like(self, field: Field, word: _Token) -> Test:
        if field.type not in ("text", "any", "moment"):
            self.refuse(f"{field.name} is {_TYPE_WORDS[field.type]}, not text", "Compare it with ==, < and the like.", word.at)
        value = self._value()
        if value.kind != "text":
            self.refuse(f"After {word.kind!r} comes a text", f'Write {field.name} {word.kind} "…".', value.at)
        text = value.value.lower()
        if word.kind == "contains":
            return lambda entry: text in found.lower() if isinstance(found := field.read(entry), str) else None
        return lambda entry: _is_like(found.lower(), text) if isinstance(found := field.read(entry), str) else None

    def _check_type(self, field: Field, value: _Token) -> None:
        wanted = {"moment": "text", "any": value.kind}.get(field.type, field.type)
        if value.kind != wanted:
            given = _TYPE_WORDS[value.kind]
            mend = f"Write {field.name} {_example_of(field)}."
            self.refuse(f"{field.name} is {_TYPE_WORDS[field.type]}, but is compared with {given} {value.text}", mend, value.at)

    def _moment(self, value: _Token) -> tuple[datetime, datetime]:
        """First and last moment that the text means: a date is the whole day."""
        try:
            start = datetime.fromisoformat(value.value)
        except ValueError:
            self.refuse(f"{value.text} is no date", 'Write it as "2026-11-01" or "2026-11-01T10:00".', value.at)
        start = start if start.tzinfo else start.replace(tzinfo=UTC)
        try:
            whole_day = re.fullmatch(r"\d{4}-?\d{2}-?\d{2}", value.value) is not None
            return start, start + (timedelta(days=1) if whole_day else timedelta(0))
        except OverflowError:
            self.refuse(f"{value.text} lies beyond all dates", "Give one of this millennium.", value.at)


_EXAMPLE = 'Write a filter such as: metrics.roc_auc > 0.8 and tags.team == "x".'


def _example_of(field: Field) -> str:
    return {
        "number": "> 0.8", "truth": "== true", "moment": '> "2026-11-01"', "text": '== "text"', "any": '== "text"',
    }[field.type]  # fmt: skip


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "truth"
    return "number" if isinstance(value, (int, float)) else "text" if isinstance(value, str) else "other"


def _moment_test(field: Field, sign: str, span: tuple[datetime, datetime]) -> Test:
    """Before and after a day mean its first moment, as ISO texts compare; equal to a day is any moment of it."""
    start, end = span
    compare = _COMPARISONS[sign]

    def test(entry: RunEntry) -> bool | None:
        try:
            found = datetime.fromisoformat(field.read(entry) or "")
        except ValueError:
            return None
        found = found if found.tzinfo else found.replace(tzinfo=UTC)
        if sign in ("==", "!="):
            same = start <= found < end if end > start else found == start
            return same is (sign == "==")
        return compare(found, start)

    return test


def _is_like(text: str, pattern: str) -> bool:
    """SQL's like, by two pointers: a pattern of many % must not take exponential time."""
    i = j = 0
    star, mark = -1, 0
    while i < len(text):
        if j < len(pattern) and pattern[j] == "%":
            star, mark, j = j, i, j + 1
        elif j < len(pattern) and pattern[j] in ("_", text[i]):
            i, j = i + 1, j + 1
        elif star >= 0:
            mark += 1
            i, j = mark, star + 1
        else:
            return False
    return not pattern[j:].strip("%")


def _any(found: list[bool | None]) -> bool | None:
    return True if True in found else None if None in found else False


def _all(found: list[bool | None]) -> bool | None:
    return False if False in found else None if None in found else True
