"""The model of a run as MLflow keeps models: our folder unchanged, beside it an ``MLmodel`` with signature and example.

A signature is what MLflow refuses rows by, before the model sees them, and it is stricter than the model: it takes no whole
number where it expects a decimal one, and no missing value among whole numbers. So a column has a type of its own only where
that loses nothing; the others are "any", and the model checks them itself.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from modelwright.artifacts.bundle import load_bundle
from modelwright.artifacts.manifest import Manifest
from modelwright.artifacts.model import Model
from modelwright.features.columns import CategoryColumn
from modelwright.features.encoder import EncoderState
from modelwright.tables.dates import written
from modelwright.tables.schema import Column

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.models import ModelSignature

#: Not that of this package: who only serves the model needs nothing of mirroring.
LOADER = "modelwright.artifacts.pyfunc"


def save_as_pyfunc(run: Path, to: Path) -> None:
    """Write the model of a run as MLflow keeps models.

    Parameters
    ----------
    run : Path
        Run folder of a training.
    to : Path
        Must not exist.

    Raises
    ------
    BundleError
        If the model was changed since it was packaged.
    """
    from mlflow.pyfunc import save_model

    bundle = run / "model"
    model = load_bundle(bundle)
    manifest = msgspec.json.decode((bundle / "manifest.json").read_bytes(), type=Manifest)
    save_model(
        path=str(to),
        loader_module=LOADER,
        data_path=str(bundle),
        signature=signature_of(model),
        input_example=example_of(model, bundle),
        pip_requirements=[
            f"modelwright[mlflow]=={manifest.modelwright}",
            *(
                f"{name}=={version}"
                for name, version in sorted(manifest.libraries.items())
                if name not in ("modelwright", "python")
            ),
        ],
        metadata={"modelwright": {"run": model.run, "task": model.task, "target": model.target, "metric": model.metric}},
    )


def signature_of(model: Model) -> ModelSignature:
    """Names and types of the columns that go in and come out.

    Parameters
    ----------
    model : Model
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import AnyType

    types: dict[str, Any] = {"double": DataType.double, "string": DataType.string, "any": AnyType()}  # type: ignore[no-untyped-call]
    inputs: list[Any] = [ColSpec(types[kind_of(model.schema[name])], name) for name in model.feature_names_in_.tolist()]
    if model.task in ("binary", "multiclass"):
        labels = model.classes_.tolist()
        kinds = {bool: DataType.boolean, int: DataType.long, float: DataType.double}
        outputs: list[Any] = [ColSpec(kinds.get(type(labels[0]), DataType.string), "prediction")]
        outputs += [ColSpec(DataType.double, f"proba_{label}") for label in labels]
    else:
        outputs = [ColSpec(DataType.double if model.task == "regression" else DataType.long, "prediction")]
    return ModelSignature(Schema(inputs), Schema(outputs))


def kind_of(column: Column) -> str:
    """How a column stands in the signature: "double", "string" or "any".

    Examples
    --------
    >>> kind_of(Column("income", "number", "feature", physical="Float64"))
    'double'
    >>> kind_of(Column("children", "number", "feature", physical="Int64"))
    'any'
    """
    if column.type == "number" and column.physical.startswith("Float"):
        return "double"
    if column.type in ("category", "text") and column.physical.startswith("String"):
        return "string"
    return "any"


def example_of(model: Model, bundle: Path) -> pd.DataFrame:
    """One made-up row: levels that the model knows, and plain numbers.

    No row of the table that was learned from is sent anywhere.

    Parameters
    ----------
    model : Model
    bundle : Path
        Its folder.
    """
    import pandas as pd

    levels: dict[str, str] = {}
    for path in sorted((bundle / "encoders").glob("*/encoder.json")):
        columns = msgspec.json.decode(path.read_bytes(), type=EncoderState).columns
        levels |= {each.source: each.levels[0] for each in columns if isinstance(each, CategoryColumn) and each.levels}
    names = model.feature_names_in_.tolist()
    return pd.DataFrame({name: [_example(model.schema[name], levels.get(name))] for name in names})


def _example(column: Column, level: str | None) -> Any:
    if column.type == "number":
        return 1.0 if column.physical.startswith("Float") else "1" if column.physical.startswith("String") else 1
    if column.type == "boolean":
        return column.true_values[0] if column.true_values else True
    if column.type == "datetime":
        return written(datetime(2026, 1, 1), column.formats[0]) if column.formats else "2026-01-01T00:00:00"
    # A level is text; a category of another type was written as such, and its cells are sent as they were.
    if level is not None and column.physical.startswith(("Int", "UInt")):
        return int(level)
    return level if level is not None else "text"
