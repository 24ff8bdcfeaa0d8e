"""The commands of the registry, and references wherever a model is named."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import polars as pl
import pytest

from modelwright.cli.main import main


def modelwright(*words: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as left:
        main(list(words))
    assert isinstance(left.value.code, int)
    return left.value.code, out.getvalue(), err.getvalue()


def test_a_model_goes_its_way_on_the_command_line(home: Path, tmp_path: Path) -> None:
    place = ("--home", str(home))
    assert modelwright("models", *place)[1].startswith("No model is registered. Register one:")
    code, out, _ = modelwright("register", "one", "--name", "churn", "--alias", "champion", "--tag", "team=risk", *place)
    assert (code, "churn/1 is registered as @champion" in out) == (0, True)
    assert modelwright("register", "two", "--name", "churn", *place)[0] == 0
    assert modelwright("alias", "churn@challenger", "2", *place)[1] == "churn@challenger points to churn/2.\n"
    assert "champion 1" in modelwright("models", *place)[1]
    listed = json.loads(modelwright("models", "churn", "--json", *place)[1])
    assert [(v["number"], v["aliases"], v["tags"]) for v in listed] == [
        (2, ["challenger"], {}),
        (1, ["champion"], {"team": "risk"}),
    ]
    assert "team=risk" in modelwright("models", "churn", *place)[1]

    assert modelwright("promote", "churn@challenger", "--why", "better", *place)[1] == "churn@champion points to churn/2.\n"
    rows = tmp_path / "rows.csv"
    pl.DataFrame({"x": [0.5, -1.0], "z": [1.0, 2.0], "city": ["Ulm", "Bonn"]}).write_csv(rows)
    scored = {}
    for model in ("churn", "churn@champion", "churn/2", "two", "churn/1"):
        code, _, err = modelwright("predict", model, str(rows), "-o", str(tmp_path / "out.csv"), "-q", *place)
        assert (code, err) == (0, "")
        scored[model] = (tmp_path / "out.csv").read_text()
    assert scored["churn"] == scored["churn@champion"] == scored["churn/2"] == scored["two"] != scored["churn/1"]

    assert modelwright("rollback", "churn", "--why", "alarm", *place)[1] == "churn@champion points to churn/1 again.\n"
    log = modelwright("decisions", "churn", *place)[1]
    assert "rollback churn/1 champion: 2 → 1 – alarm" in log
    assert modelwright("decisions", "--verify", *place)[:2] == (
        0, "7 decisions: every line is as it was written, every version as registered.\n",
    )  # fmt: skip
    version = home / "models" / "churn" / "2"
    version.rename(version.with_name("gone"))
    code, _, err = modelwright("decisions", "--verify", *place)
    assert (code, err) == (1, "The folder of churn/2 is gone.\n")
    assert "(needed by model churn, version 1)" in modelwright("delete", "one", "--yes", *place)[1]


def test_wrong_words_are_refused_with_a_mend(home: Path) -> None:
    place = ("--home", str(home))
    modelwright("register", "one", "--name", "churn", *place)
    for words, said in (
        (("register", "three", "--name", "noise"), "The model should not be registered"),
        (("register", "one", "--name", "a b"), "'a b' is no name"),
        (("alias", "churn", "1"), "names no alias"),
        (("alias", "churn@x"), "Give a version, or --remove"),
        (("promote", "churn/9"), "There is no version churn/9"),
        (("rollback", "churn/1"), "an alias is rolled back"),
        (("rollback", "churn"), "There is no version churn@champion"),
        (("models", "x"), "There is no model 'x'"),
    ):
        code, _, err = modelwright(*words, *place)
        assert (code, said in err) == (2, True), (words, err)
