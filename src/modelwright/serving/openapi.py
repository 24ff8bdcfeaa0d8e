"""The OpenAPI document, made from what is served: a schema of rows for each model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelwright.serving.deployments import Deployment
from modelwright.serving.v2 import DATATYPES
from modelwright.tables.cells import FALSE_WORDS, TRUE_WORDS
from modelwright.tables.schema import Column
from modelwright.version import __version__

if TYPE_CHECKING:
    from modelwright.serving.service import Service

_SCALAR: dict[str, Any] = {"type": ["string", "number", "boolean", "null"]}
_PROBLEM: dict[str, Any] = {
    "type": "object",
    "required": ["error", "code", "request_id"],
    "properties": {
        "error": {"type": "string"}, "code": {"type": "string"}, "request_id": {"type": "string"},
        "row": {"type": "integer"}, "column": {"type": "string"}, "expected": {"type": "string"},
    },
}  # fmt: skip


def document(service: Service) -> dict[str, Any]:
    """The document.

    Parameters
    ----------
    service : Service
    """
    paths: dict[str, Any] = {
        "/v2/health/live": _get("Whether the process answers; needs no token", _object(live=_BOOLEAN), security=[]),
        "/v2/health/ready": _get("Whether requests are welcome", _object(ready=_BOOLEAN)),
        "/v2": _get("Name, version and extensions of the server", _object(name=_TEXT, version=_TEXT, extensions=_TEXTS)),
        "/version": _get("Version of modelwright", _TEXT, media="text/plain"),
        "/ping": _get("Whether requests are welcome, as MLflow asks", _TEXT, media="text/plain"),
        "/health": _get("Whether requests are welcome, as MLflow asks", _TEXT, media="text/plain"),
        "/metrics": _get("Counts and times for Prometheus", _TEXT, media="text/plain"),
    }
    schemas: dict[str, Any] = {"Problem": _PROBLEM, "Infer": _infer_schema(service), "Inferred": _INFERRED}
    for name, one in service.deployments.items():
        schemas[f"{name}.Row"] = _row_schema(one, service)
        schemas[f"{name}.Answer"] = _answer_schema(one)
        schemas[f"{name}.Label"] = _label_schema(one)
        paths |= _model_paths(name, one, service)
    paths["/invocations"] = _invocations(service)
    return {
        "openapi": "3.1.0",
        "info": {"title": "modelwright", "version": __version__, "description": _ABOUT},
        "security": [{"token": []}] if service.auth else [],
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }


_ABOUT = (
    "A cell may be any spelling that the model's own reading understands: numbers also as text, truth also as 0 and 1, dates "
    "in ISO 8601 or as in training. null is a missing value. Errors name column, row (from 0) and expected type, never a value."
)
_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}
_BOOLEAN = {"type": "boolean"}
_INFERRED: dict[str, Any] = {
    "type": "object",
    "required": ["model_name", "model_version", "id", "outputs"],
    "properties": {"model_name": _TEXT, "model_version": _TEXT, "id": _TEXT, "outputs": {"type": "array"}},
}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


def _get(summary: str, schema: Any, *, media: str = "application/json", security: Any = None) -> dict[str, Any]:
    told = {"summary": summary, "responses": _responses(schema, media)}
    return {"get": told if security is None else told | {"security": security}}


def _responses(schema: Any, media: str = "application/json") -> dict[str, Any]:
    problem = {"application/json": {"schema": _ref("Problem")}}
    return {
        "200": {"description": "Done", "content": {media: {"schema": schema}}},
        "default": {"description": "Refused", "content": problem},
    }


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _post(summary: str, schema: Any, answer: Any) -> dict[str, Any]:
    return {
        "post": {
            "summary": summary,
            "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
            "responses": _responses(answer),
        }
    }


def _model_paths(name: str, one: Deployment, service: Service) -> dict[str, Any]:
    row, rows = (
        _ref(f"{name}.Row"),
        {"type": "array", "items": _ref(f"{name}.Row"), "minItems": 1, "maxItems": service.limits.rows},
    )
    whose = {"type": "string", "minLength": 1, "maxLength": 200}
    wrapped = {
        "type": "object", "required": ["rows"], "additionalProperties": False,
        "properties": {"rows": rows, "ids": {"type": ["array", "null"], "minItems": 1, "items": whose}},
        "description": "ids has one text for each row.",
    }  # fmt: skip
    answer = _ref(f"{name}.Answer")
    head = {"model": _TEXT, "version": _TEXT, "request_id": _TEXT}
    many = _object(**head, predictions={"type": "array", "items": answer})
    label = _ref(f"{name}.Label")
    labels = {"type": "array", "items": label, "minItems": 1}
    metadata = _object(name=_TEXT, versions=_TEXTS, platform=_TEXT, inputs={"type": "array"}, outputs={"type": "array"})
    ready = _object(name=_TEXT, ready=_BOOLEAN)
    accepted = _object(accepted={"type": "integer"}, refused={"type": "array"}, request_id=_TEXT)
    v2 = f"/v2/models/{name}"
    return {
        f"/predict/{name}": _post("Predict rows", {"anyOf": [row, rows, wrapped]}, {"anyOf": [answer, many]}),
        f"/labels/{name}": _post("Tell what turned out", {"anyOf": [label, labels]}, accepted),
        v2: _get("Metadata of the model", metadata),
        f"{v2}/ready": _get("Whether the model can be asked", ready),
        f"{v2}/infer": _post("Predict tensors (Open Inference Protocol)", _ref("Infer"), _ref("Inferred")),
        f"{v2}/versions/{one.live.version}": _get("Metadata of this version", metadata),
        f"{v2}/versions/{one.live.version}/ready": _get("Whether this version can be asked", ready),
        f"{v2}/versions/{one.live.version}/infer": _post("Predict tensors with this version", _ref("Infer"), _ref("Inferred")),
    }  # fmt: skip


def _row_schema(one: Deployment, service: Service) -> dict[str, Any]:
    scorer = one.live.scorer
    columns = [*scorer.columns, *scorer.optional]
    return {
        "type": "object",
        "required": scorer.names,
        "properties": {column.name: _cell(column, service) for column in columns},
        "additionalProperties": _SCALAR,
        "maxProperties": len(scorer.names) + service.limits.extra_columns,
    }


def _cell(column: Column, service: Service) -> dict[str, Any]:
    """What a cell may be; spellings that only training data of this column taught are left out where they are many."""
    if column.type == "number":
        taught = column.decimal != "." or column.thousands or column.missing_values
        text = _TEXT if taught else {"type": "string", "pattern": _NUMBER}
        return {"anyOf": [_FINITE, {"type": ["boolean", "null"]}, text]}
    if column.type == "boolean":
        words = ["", *column.true_values, *column.false_values, *TRUE_WORDS, *FALSE_WORDS]
        numbers = [{"enum": [0]}, _FINITE | {"minimum": 1}]
        return {"anyOf": [{"type": ["boolean", "null"]}, *numbers, {"enum": list(dict.fromkeys(words))}]}
    if column.type == "datetime":
        return {"anyOf": [{"type": "null"}, {"type": "string", "format": "date-time"}, {"const": ""}]}
    return {"anyOf": [_FINITE, {"type": ["boolean", "null"]}, {"type": "string", "maxLength": service.limits.text_chars}]}


#: JSON has numbers beyond doubles; they are refused.
_FINITE = {"type": "number", "format": "double"}
_NUMBER = r"^ *([+-]?[0-9]{1,15}(\.[0-9]{1,15})?)? *$"


def _answer_schema(one: Deployment) -> dict[str, Any]:
    scorer = one.live.scorer
    properties: dict[str, Any] = {"id": _TEXT, "prediction": _SCALAR}
    if scorer.classes:
        shares = {name: {"type": "number", "minimum": 0, "maximum": 1} for name in scorer.class_names}
        properties["probabilities"] = _object(**{}) | {"required": scorer.class_names, "properties": shares}
    return _object(**properties)


def _label_schema(one: Deployment) -> dict[str, Any]:
    scorer = one.live.scorer
    return {
        "type": "object", "required": ["id", "label"], "additionalProperties": False,
        "properties": {
            "id": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,100}$"},
            "label": {"enum": scorer.classes} if scorer.classes else {"type": "number"},
            "at": {
                "type": ["string", "null"], "format": "date-time", "maxLength": 40,
                "description": "When it turned out; not in the future.",
            },
        },
    }  # fmt: skip


def _infer_schema(service: Service) -> dict[str, Any]:
    # That there are as many data as the shape says, JSON Schema has no words for.
    cells = {"type": "array", "items": {"anyOf": [_SCALAR, {"type": "array", "items": _SCALAR}]}, "minItems": 1}
    sizes = {"type": "integer", "minimum": 1}
    tensor = {
        "type": "object", "required": ["name", "shape", "datatype", "data"], "additionalProperties": False,
        "properties": {
            "name": _TEXT, "shape": {"type": "array", "items": sizes, "minItems": 1, "maxItems": 2},
            "datatype": {"enum": list(DATATYPES)}, "data": cells, "parameters": {"type": ["object", "null"]},
        },
    }  # fmt: skip
    return {
        "type": "object", "required": ["inputs"], "additionalProperties": False,
        "properties": {
            "id": {"type": ["string", "null"], "maxLength": 200}, "parameters": {"type": ["object", "null"]},
            "inputs": {"type": "array", "items": tensor, "minItems": 1},
            "outputs": {"type": ["array", "null"], "items": _object(name=_TEXT)},
        },
    }  # fmt: skip


def _invocations(service: Service) -> dict[str, Any]:
    row = _ref(f"{service.first.target.name}.Row")
    names = service.first.live.scorer.names
    cells = [_cell(column, service) for column in service.first.live.scorer.columns]
    line = {"type": "array", "prefixItems": cells, "items": False, "minItems": len(names), "maxItems": len(names)}
    split = _object(columns={"const": names}, data={"type": "array", "items": line, "minItems": 1})
    split |= {"additionalProperties": False}
    forms = {
        "dataframe_split": split,
        "dataframe_records": {"type": "array", "items": row, "minItems": 1},
        "instances": {"type": "array", "items": row, "minItems": 1},
        "inputs": {"type": "array", "items": row, "minItems": 1},
    }
    schema = {"anyOf": [_object(**{name: form}) | {"additionalProperties": False} for name, form in forms.items()]}
    return _post("Predict in one of MLflow's forms; also text/csv", schema, _object(predictions={"type": "array"}))
