"""Changing keys of an existing ``modelwright.toml`` without losing its comments."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from modelwright.errors import SpecError


def merge(
    file: Path,
    *,
    exclude: Sequence[str] = (),
    values: Mapping[str, str] | None = None,
    missing_values: Mapping[str, Sequence[str | float]] | None = None,
) -> list[str]:
    """Add to what a file asks for.

    Parameters
    ----------
    file : Path
        An existing ``modelwright.toml``.
    exclude : sequence of str
        Columns that join those excluded already.
    values : mapping of str to str, optional
        Keys to set, such as ``{"group": "patient"}``.
    missing_values : mapping of str to sequence, optional
        Cell values that mean "missing", by column.

    Returns
    -------
    list of str
        The lines that were written; empty if the file asked for all of it already.

    Raises
    ------
    SpecError
        If the file cannot be read, or a change would contradict what stands in it. The file is then as it was.
    """
    text = file.read_text(encoding="utf-8")
    before = _parsed(text, file)
    written: list[str] = []
    new = [name for name in exclude if name not in before.get("exclude", [])]
    if new:
        text, line = _with_key(text, "exclude", [*before.get("exclude", []), *new])
        written.append(line)
    for key, value in (values or {}).items():
        if before.get(key) == value:
            continue
        if key in before:
            raise SpecError(
                f"{key} is {before[key]!r}, the mend would make it {value!r}.",
                where=str(file),
                mend="Decide between the two by hand.",
            )
        text, line = _with_key(text, key, value)
        written.append(line)
    present = before.get("missing_values", {})
    if missing_values and not isinstance(present, dict):
        raise SpecError(
            "missing_values holds for all columns already.", where=str(file), mend="Write it by column, then mend again."
        )
    for column, cells in (missing_values or {}).items():
        if column in present:
            continue
        line = f"{json.dumps(column, ensure_ascii=False)} = {json.dumps(list(cells), ensure_ascii=False)}"
        text = _in_table(text, "missing_values", line)
        written.append(line)
    if written:
        _check(text, file, before)
        file.write_text(text, encoding="utf-8")
    return written


def _parsed(text: str, file: Path) -> dict[str, Any]:
    try:
        return dict(msgspec.toml.decode(text.encode(), type=dict[str, Any]))
    except (msgspec.DecodeError, ValueError) as error:
        raise SpecError(f"This is not valid TOML: {error}.", where=str(file), mend="Mend the file first.") from error


def _check(text: str, file: Path, before: Mapping[str, Any]) -> None:
    """A file written in an unusual way must not be spoilt: what stood in it must still stand."""
    try:
        after = dict(msgspec.toml.decode(text.encode(), type=dict[str, Any]))
    except (msgspec.DecodeError, ValueError):
        after = {}
    if any(after.get(key) != value for key, value in before.items() if key not in ("exclude", "missing_values")):
        raise SpecError(
            "The file is written in a way that cannot be changed safely.",
            where=str(file),
            mend="Write the mend into it by hand.",
        )


def _with_key(text: str, key: str, value: Any) -> tuple[str, str]:
    """The text with a key set above its first table, in place of a live or a commented line of that key."""
    line = f"{key} = {json.dumps(value, ensure_ascii=False)}"
    first_table = re.search(r"^\s*\[", text, flags=re.MULTILINE)
    head, tail = (text, "") if first_table is None else (text[: first_table.start()], text[first_table.start() :])
    live = re.search(rf"^{key}\s*=\s*(\[[^\]]*\]|[^\n]*)", head, flags=re.MULTILINE)
    commented = re.search(rf"^#\s*{key}\s*=[^\n]*", head, flags=re.MULTILINE)
    found = live or commented
    if found is not None:
        return head[: found.start()] + line + head[found.end() :] + tail, line
    return f"{head.rstrip()}\n{line}\n\n{tail}" if head.strip() else f"{line}\n\n{tail}", line


def _in_table(text: str, table: str, line: str) -> str:
    header = re.search(rf"^\[{table}\][^\n]*\n?", text, flags=re.MULTILINE)
    if header is None:
        return f"{text.rstrip()}\n\n[{table}]\n{line}\n"
    start = text[: header.end()]
    return f"{start if start.endswith(chr(10)) else start + chr(10)}{line}\n{text[header.end() :]}"
