"""The same row gets the same bits through every form, alone and among others, as in-process."""

from __future__ import annotations

import csv
import io
import struct
from typing import Any

import pytest

from modelwright.artifacts.model import Model

Rows = list[dict[str, Any]]


def _bits(shares: Any) -> bytes:
    return struct.pack(f"{len(shares)}d", *shares)


@pytest.fixture(scope="module")
def expected(model: Model, rows: Rows) -> list[bytes]:
    return [_bits(model.compile().predict_proba(row).tolist()) for row in rows]


def _columns(model: Model, rows: Rows) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in model.feature_names_in_.tolist()}


def _tensors(model: Model, rows: Rows) -> list[dict[str, Any]]:
    kinds = {"number": "FP64", "boolean": "BYTES"}
    made = []
    for name, cells in _columns(model, rows).items():
        datatype = kinds.get(model.schema[name].type, "BYTES")
        data = cells if datatype == "FP64" else [None if cell is None else str(cell) for cell in cells]
        made.append({"name": name, "shape": [len(rows)], "datatype": datatype, "data": data})
    return made


def _csv(rows: Rows) -> bytes:
    text = io.StringIO()
    lines = csv.DictWriter(text, list(rows[0]))
    lines.writeheader()
    lines.writerows(rows)
    return text.getvalue().encode()


def _invocation(server: Any, body: Any, **headers: str) -> list[bytes]:
    answer = server.ask("POST", "/invocations", body, **headers)
    assert answer.status == 200, answer.body
    return [_bits(row) for row in answer.json()["predictions"]]


PROBA = {"params": {"predict_method": "predict_proba"}}


def test_one_row_alone_and_many_together_equal_the_model_in_process(server: Any, rows: Rows, expected: list[bytes]) -> None:
    together = server.ask("POST", "/predict/churn", rows).json()["predictions"]
    assert [_bits(list(each["probabilities"].values())) for each in together] == expected
    for k in (0, 3, 4, 5, 39):
        alone = server.ask("POST", "/predict/churn", rows[k]).json()
        assert _bits(list(alone["probabilities"].values())) == expected[k]
        assert alone["prediction"] == together[k]["prediction"]


@pytest.mark.parametrize("n", [1, 7, 8, 9, 40])
def test_every_json_form_of_mlflow_gives_the_same_bits(
    server: Any, model: Model, rows: Rows, expected: list[bytes], n: int
) -> None:
    names, few = model.feature_names_in_.tolist(), rows[:n]
    listed = [[row[name] for name in names] for row in few]
    forms: list[tuple[str, Any]] = [
        ("dataframe_split", {"columns": names, "data": listed}),
        ("dataframe_records", few),
        ("instances", listed),
        ("instances", few),
        ("inputs", _columns(model, few)),
        ("inputs", listed),
        ("inputs", few),
    ]
    for name, form in forms:
        assert _invocation(server, {name: form} | PROBA) == expected[:n], name


def test_csv_gives_the_same_predictions(server: Any, model: Model, rows: Rows) -> None:
    answer = server.ask("POST", "/invocations", _csv(rows), Content_Type="text/csv")
    assert answer.json()["predictions"] == [model.predict_one(row) for row in rows]


def test_tensors_by_column_give_the_same_bits(server: Any, model: Model, rows: Rows, expected: list[bytes]) -> None:
    answer = server.ask("POST", "/v2/models/churn/infer", {"id": "mine", "inputs": _tensors(model, rows)}).json()
    assert answer["id"] == "mine"
    outputs = {each["name"]: each for each in answer["outputs"]}
    assert outputs["probabilities"]["shape"] == [40, 2]
    flat = outputs["probabilities"]["data"]
    assert [_bits(flat[2 * k : 2 * k + 2]) for k in range(40)] == expected


def test_metadata_names_every_column_and_its_logical_type(server: Any, model: Model) -> None:
    told = server.ask("GET", "/v2/models/churn").json()
    assert [each["name"] for each in told["inputs"]] == model.feature_names_in_.tolist()
    assert {each["parameters"]["logical_type"] for each in told["inputs"]} >= {"number", "category"}
    assert [(each["name"], each["datatype"]) for each in told["outputs"]] == [
        ("prediction", "BYTES"),
        ("probabilities", "FP64"),
    ]
    assert told["platform"] == "modelwright"
    version = told["versions"][0]
    assert server.ask("GET", f"/v2/models/churn/versions/{version}/ready").json() == {"name": "churn", "ready": True}


def test_health_version_and_server_metadata_answer(server: Any) -> None:
    assert server.ask("GET", "/v2/health/live", token="").json() == {"live": True}
    assert server.ask("GET", "/v2/health/ready").json()["ready"] is True
    assert set(server.ask("GET", "/v2").json()) == {"name", "version", "extensions"}
    assert server.ask("GET", "/ping").body == b"\n"
    assert server.ask("GET", "/version").body.decode()[0].isdigit()


def test_the_trace_of_a_request_is_passed_on(server: Any, rows: Rows) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    answer = server.ask("POST", "/predict/churn", rows[0], traceparent=f"00-{trace}-00f067aa0ba902b7-01", X_Request_Id="mine-1")
    assert answer.headers["traceparent"].startswith(f"00-{trace}-")
    assert "00f067aa0ba902b7" not in answer.headers["traceparent"]
    assert answer.json()["request_id"] == "mine-1"


SECRET = "geheim-4711"
WRONG: dict[str, tuple[str, Any, int, dict[str, Any]]] = {
    "a column is missing": ("/predict/churn", lambda row: without(row, "tenure"), 400, {"column": "tenure", "row": 0}),
    "words among numbers": (
        "/predict/churn", lambda row: [row, row | {"tenure": SECRET}], 400,
        {"column": "tenure", "row": 1, "expected": "number", "code": "wrong_type"},
    ),
    "a list as a cell": ("/predict/churn", lambda row: row | {"tenure": [SECRET]}, 400, {"code": "wrong_shape"}),
    "a whole number beyond all floats": (
        "/predict/churn", lambda row: row | {"tenure": int("9" * 400)}, 400, {"column": "tenure", "row": 0},
    ),
    "the same as a label": (
        "/predict/churn", lambda row: [row | {"Contract": int("9" * 400)}] * 20, 400, {"column": "Contract", "row": 0},
    ),
    "no rows": ("/predict/churn", lambda row: [], 400, {"code": "no_rows"}),
    "an unknown model": ("/predict/other", lambda row: row, 404, {"code": "not_found"}),
    "two forms at once": ("/invocations", lambda row: {"instances": [], "inputs": {}}, 400, {"code": "wrong_form"}),
    "an unknown datatype": (
        "/v2/models/churn/infer",
        lambda row: {"inputs": [{"name": "tenure", "shape": [1], "datatype": SECRET, "data": [1]}]},
        400, {"code": "wrong_datatype"},
    ),
    "another shape than is stated": (
        "/v2/models/churn/infer",
        lambda row: {"inputs": [{"name": "tenure", "shape": [2], "datatype": "FP64", "data": [1]}]},
        400, {"code": "wrong_shape"},
    ),
    "too many columns": (
        "/predict/churn", lambda row: row | {f"{SECRET}{k}": 1 for k in range(40)},
        400, {"code": "too_many_columns", "row": 0},
    ),
    "too many rows": ("/predict/churn", lambda row: [{}] * 10_001, 413, {"code": "too_many_rows"}),
}  # fmt: skip


def without(row: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != name}


@pytest.mark.parametrize("what", WRONG)
def test_a_refusal_names_column_row_and_type_and_never_a_value(server: Any, rows: Rows, what: str) -> None:
    path, body, status, told = WRONG[what]
    answer = server.ask("POST", path, body(rows[0]))
    assert answer.status == status
    said = answer.json()
    assert said.items() >= told.items()
    assert isinstance(said["error"], str)
    assert said["request_id"] == answer.headers["x-request-id"]
    assert SECRET.encode() not in answer.body
    assert SECRET not in server.log.read_text()


BODIES: dict[str, tuple[bytes, str, int]] = {
    "nothing": (b"", "application/json", 400),
    "half a document": (b'{"tenure": ', "application/json", 400),
    "NaN": (b'{"tenure": NaN}', "application/json", 400),
    "a number beyond floats": (b'{"tenure": 1e999}', "application/json", 400),
    "wrong UTF-8": (b'{"tenure": "\xff"}', "application/json", 400),
    "depth without end": (b"[" * 100_000, "application/json", 400),
    "a key twice": (b'{"tenure": 1, "tenure": 2}', "application/json", 400),
    "no media type": (b"{}", "", 415),
    "a form": (b"a=1", "application/x-www-form-urlencoded", 415),
    "another charset": (b"{}", "application/json; charset=utf-16", 415),
    "broken CSV": (b'a,b\n"1,2\n', "text/csv", 400),
}


@pytest.mark.parametrize("what", BODIES)
def test_a_body_that_cannot_be_read_is_the_fault_of_the_client(server: Any, what: str) -> None:
    body, media, status = BODIES[what]
    path = "/invocations" if media == "text/csv" else "/predict/churn"
    assert server.ask("POST", path, body, Content_Type=media).status == status


TWICE: dict[str, tuple[str, bytes]] = {
    "rows of a list": ("/predict/churn", b'[{"tenure": 1}, {"tenure": 1, "tenure": 2}]'),
    "the keys of the body": ("/predict/churn", b'{"rows": [{"tenure": 1}], "rows": [{"tenure": 2}]}'),
    "with a space before the colon": ("/predict/churn", b'[{"tenure" : 1, "tenure" : 2}]'),
    "colons in a text besides": ("/predict/churn", b'[{"gender": "a:b", "tenure": 1, "tenure": 2}]'),
    "instances": ("/invocations", b'{"instances": [{"tenure": 1, "tenure": 2}]}'),
    "instances with empty params": ("/invocations", b'{"instances": [{"tenure": 1, "tenure": 2}], "params": {}}'),
    "params": ("/invocations", b'{"instances": [{}], "params": {"predict_method": "x", "predict_method": "predict"}}'),
    "a tensor's data": (
        "/v2/models/churn/infer",
        b'{"inputs": [{"name": "tenure", "shape": [1], "datatype": "FP64", "data": [1], "data": [2]}]}',
    ),
    "parameters of a tensor": (
        "/v2/models/churn/infer",
        b'{"inputs": [{"name": "tenure", "shape": [1], "datatype": "FP64", "data": [1], "parameters": {"a": 1, "a": 2}}]}',
    ),
    "inputs": ("/v2/models/churn/infer", b'{"inputs": [], "id": "a", "inputs": [{"name": "tenure", "shape": [1], '
               b'"datatype": "FP64", "data": [1]}]}'),
}  # fmt: skip


@pytest.mark.parametrize("what", TWICE)
def test_what_is_written_twice_is_refused_in_every_form(server: Any, what: str) -> None:
    path, body = TWICE[what]
    answer = server.ask("POST", path, body)
    assert (answer.status, answer.json()["code"]) == (400, "repeated_key")


def test_a_compressed_body_is_refused_and_a_huge_one_too(server: Any) -> None:
    assert server.ask("POST", "/predict/churn", b"{}", Content_Encoding="gzip").status == 415
    answer = server.ask("POST", "/predict/churn", b" " * (16 * 1024 * 1024 + 1))
    assert (answer.status, answer.json()["code"]) == (413, "too_large")
