"""Mends written into an existing modelwright.toml."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelwright.errors import SpecError
from modelwright.spec import Spec, resolve_spec
from modelwright.spec_file import merge
from modelwright.spec_template import write_template

_FILE = """# ours
data = "a.csv"  # the table
exclude = [
    "id",
]

[types]
zip = "category"
"""


def _write(folder: Path, text: str) -> Path:
    file = folder / "modelwright.toml"
    file.write_text(text)
    return file


def test_comments_and_other_keys_stay(tmp_path: Path) -> None:
    file = _write(tmp_path, _FILE)
    written = merge(file, exclude=["outcome"], values={"group": "patient"}, missing_values={"age": [-999.0]})
    assert written == ['exclude = ["id", "outcome"]', 'group = "patient"', '"age" = [-999.0]']
    spec = resolve_spec(file, {})
    assert spec.exclude == ("id", "outcome")
    assert spec.group == "patient"
    assert spec.types == {"zip": "category"}
    assert spec.missing_values == {"age": (-999.0,)}
    assert "# ours" in file.read_text()
    assert "# the table" in file.read_text()


def test_what_stands_already_is_not_written_again(tmp_path: Path) -> None:
    file = _write(tmp_path, _FILE)
    assert merge(file, exclude=["id"]) == []
    assert file.read_text() == _FILE


def test_a_template_takes_the_mend_in_place_of_its_commented_line(tmp_path: Path) -> None:
    file = tmp_path / "modelwright.toml"
    write_template(file, Spec(data="a.csv", target="y"))
    merge(file, exclude=['odd "name"', "b"], values={"time": "when"})
    spec = resolve_spec(file, {})
    assert spec.exclude == ('odd "name"', "b")
    assert spec.time == "when"
    assert file.read_text().count("exclude = ") == 1


def test_a_contradiction_is_refused_and_the_file_is_left(tmp_path: Path) -> None:
    file = _write(tmp_path, 'data = "a.csv"\ngroup = "shop"\n')
    with pytest.raises(SpecError, match="shop"):
        merge(file, values={"group": "patient"}, exclude=["x"])
    assert file.read_text() == 'data = "a.csv"\ngroup = "shop"\n'


def test_a_file_that_cannot_be_changed_safely_is_left(tmp_path: Path) -> None:
    text = 'name = """\nexclude = 1\n"""\n'
    file = _write(tmp_path, text)
    with pytest.raises(SpecError, match="by hand"):
        merge(file, exclude=["x"])
    assert file.read_text() == text
