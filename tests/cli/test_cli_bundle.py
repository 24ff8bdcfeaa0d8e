"""Models are looked into, moved and signed from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

import modelwright
from modelwright.cli.main import main

TELCO = Path(__file__).parents[2] / "examples" / "data" / "telco_churn.csv"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    rows = pl.read_csv(TELCO, infer_schema_length=None).head(400)
    modelwright.train(rows, target="Churn", trials=1, algorithms=["lightgbm"], home=home, name="churn")
    return home


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def test_inspect_tells_what_is_inside(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "inspect", "churn", "--home", str(home))
    assert code == 0
    for word in ("Churn (binary)", "lightgbm 1.00", "golden rows  20", "signed by", "tenure", "digest"):
        assert word in out
    code, out, _ = run(capsys, "inspect", "churn", "--home", str(home), "--json")
    found = json.loads(out)
    assert {each["name"]: each["type"] for each in found["columns"]}["tenure"] == "number"
    assert found["needs"][0]["name"] == "lightgbm"
    assert found["needs"][0]["here"] == f"lightgbm {found['needs'][0]['written_by']}"
    assert found["lineage"]["data"]


def test_inspect_loads_no_model_and_no_library_of_one(home: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys; from modelwright.cli.main import main\n"
        f"try: main(['inspect', 'churn', '--home', {str(home)!r}])\n"
        "except SystemExit: print([name for name in ('lightgbm', 'sklearn', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_model_is_signed_exported_imported_and_verified(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(capsys, "bundle", "keygen", "key")[0] == 0
    code, out, _ = run(capsys, "bundle", "sign", "churn", "--key", "key", "--home", str(home))
    assert (code, "signed by" in out) == (0, True)
    code, out, _ = run(capsys, "bundle", "export", "churn", "-o", "churn.tar.gz", "--home", str(home))
    assert (code, "churn.tar.gz" in out) == (0, True)
    code, out, _ = run(capsys, "bundle", "import", "churn.tar.gz", "--trusted-key", "key.pub")
    assert (code, "verified, loaded and replayed" in out) == (0, True)
    code, out, _ = run(capsys, "bundle", "verify", "churn", "--trusted-key", "key.pub")
    assert (code, "20 golden rows give the stored bits" in out) == (0, True)
    (tmp_path / "churn" / "model.json").write_text("{}")
    code, out, err = run(capsys, "bundle", "verify", "churn")
    assert (code, out) == (2, "")
    assert "differs from the manifest" in err
    assert "mend" in err


def test_wrong_input_ends_with_two_and_the_mend(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "no.tar.gz").write_bytes(b"hello")
    for words in (
        ("inspect", str(tmp_path)),
        ("bundle", "import", str(tmp_path / "no.tar.gz"), "-o", str(tmp_path / "out")),
        ("bundle", "import", str(tmp_path / "none.tar.gz"), "-o", str(tmp_path / "out")),
        ("bundle", "import", str(tmp_path / "no.tar.gz"), "--max-size", "much"),
        ("bundle", "keygen", str(tmp_path / "none" / "key")),
    ):
        code, _, err = run(capsys, *words)
        assert code == 2, words
        assert "  mend: " in err, words
    assert sorted(path.name for path in tmp_path.iterdir()) == ["no.tar.gz"]


def test_a_model_is_exported_after_a_comparison_or_refused(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxruntime")
    words = ("export", "churn", "--home", str(home), "--data", str(TELCO))
    code, out, _ = run(capsys, *words, "--to", "onnx", "-o", str(tmp_path / "churn.onnx"))
    assert (code, "7,063 rows compared" in out, (tmp_path / "churn.onnx").is_file()) == (0, True, True)
    code, out, _ = run(capsys, *words, "--to", "mlflow", "-o", str(tmp_path / "churn"))
    assert (code, "7,063 rows give the same bits" in out, (tmp_path / "churn" / "MLmodel").is_file()) == (0, True, True)
    code, _, err = run(capsys, *words, "--to", "pickle", "-o", str(tmp_path / "churn.pkl"))
    assert (code, "Choose onnx or mlflow" in err) == (2, True)


def test_a_container_is_written_with_the_texts_asked_for(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("container", "churn", "--home", str(home), "-o", str(tmp_path / "image"), "--name", "churn", "--systemd")
    code, out, _ = run(capsys, *words, "--kubernetes", "shop/churn:7")
    assert (code, "docker build" in out) == (0, True)
    written = {path.name for path in (tmp_path / "image").iterdir()}
    assert written == {
        *("Dockerfile", "requirements.txt", ".dockerignore", "bundle"),
        *("kubernetes.yaml", "modelwright-churn.service"),
    }
    code, _, err = run(capsys, *words)
    assert (code, "such a folder already" in err) == (2, True)


def test_a_registered_model_is_meant_by_its_alias_everywhere_but_where_it_would_be_changed(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ("--home", str(home))
    registered = run(capsys, "register", "churn", "--name", "shop", "--alias", "champion", "--force", "--why", "a test", *place)
    assert registered[0] == 0
    assert "predicts" in run(capsys, "inspect", "shop@champion", *place)[1]
    assert run(capsys, "container", "shop/1", "-o", str(tmp_path / "image"), *place)[0] == 0
    assert run(capsys, "bundle", "export", "shop@champion", "-o", str(tmp_path / "m.tar.gz"), *place)[0] == 0
    code, _, err = run(capsys, "inspect", "shop@nobody", *place)
    assert (code, "There is no version shop@nobody" in err) == (2, True)
    code, _, err = run(capsys, "bundle", "sign", "shop@champion", "--key", str(tmp_path / "k"), *place)
    assert (code, "There is no run" in err) == (2, True)
