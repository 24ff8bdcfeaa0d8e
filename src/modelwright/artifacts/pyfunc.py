"""A bundle as MLflow reads one: a folder with ``MLmodel`` whose loader is this module.

The folder is written without MLflow. Whoever loads it there (``mlflow.pyfunc.load_model``, ``mlflow models serve``) needs
this package installed; the bundle inside is verified and its golden rows are replayed before the first answer.
"""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from modelwright.artifacts.bundle import load_bundle, read_description, read_schema
from modelwright.artifacts.container import copy_bundle, extras_of, locked_requirements
from modelwright.artifacts.drafted import drafted
from modelwright.artifacts.golden import check_golden, read_golden
from modelwright.artifacts.manifest import verify_bundle
from modelwright.artifacts.model import Model
from modelwright.errors import BundleError, InvalidInputError
from modelwright.tables.schema import Column

if TYPE_CHECKING:
    import pandas as pd


class PyFunc:
    """What ``mlflow.pyfunc.load_model`` wraps.

    Parameters
    ----------
    model : Model
    """

    def __init__(self, model: Model) -> None:
        self.model = model

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Predictions for rows, in their order.

        Parameters
        ----------
        model_input : pandas.DataFrame or table
        params : dict, optional
            None are known; MLflow hands them over.

        Returns
        -------
        pandas.DataFrame
            ``prediction``, and for classes one ``proba_<class>`` column each: the columns of ``modelwright predict``.

        Raises
        ------
        SchemaError
            If a column is missing or holds values of another type.
        """
        import pandas as pd

        return pd.DataFrame(answers(self.model, model_input))


def answers(model: Model, rows: Any) -> dict[str, np.ndarray]:
    """The columns that the model answers with."""
    if model.task in ("regression", "clustering"):
        return {"prediction": model.predict(rows)}
    proba = model.predict_proba(rows)
    names = model.classes_.tolist()
    return {"prediction": model.label(proba)} | {f"proba_{name}": proba[:, k] for k, name in enumerate(names)}


def _load_pyfunc(path: str) -> PyFunc:
    """Called by MLflow with the place of the bundle."""
    model = load_bundle(Path(path))
    check_golden(model, Path(path))
    return PyFunc(model)


def write_pyfunc(folder: Path, output: Path, *, rows: Any = None) -> int:
    """Write a folder that MLflow loads; it appears whole, and only if it answers the golden rows to the bit.

    Parameters
    ----------
    folder : Path
        A bundle.
    output : Path
        Must not exist.
    rows : table, optional
        Rows to compare on besides the golden ones.

    Returns
    -------
    int
        Rows that were compared.

    Raises
    ------
    BundleError
        If the bundle is damaged, has no golden rows, needs a function that is not inside, or answers otherwise.
    InvalidInputError
        If the folder exists.
    StorageError
        If it cannot be written.
    """
    if output.exists():
        raise InvalidInputError("There is such a folder already.", where=str(output), mend="Give another name, or remove it.")
    manifest = verify_bundle(folder)
    described, schema, golden = read_description(folder), read_schema(folder), read_golden(folder)
    if golden is None or not golden.rows:
        raise BundleError("There are no golden rows to compare with.", where=str(folder), mend="Train again.")
    extras = extras_of(member.algorithm for member in described.members)[1:]
    with drafted(output, "folder") as draft:
        draft.mkdir()
        copy_bundle(folder, draft / "bundle", manifest)
        loaded = _load_pyfunc(str(draft / "bundle"))
        expected = golden.labels or [raw[0] for raw in golden.raw]
        same = answers(loaded.model, golden.rows)["prediction"].tolist() == expected
        if rows is not None:
            ours, theirs = answers(load_bundle(folder), rows), answers(loaded.model, rows)
            same = same and all(np.array_equal(ours[name], theirs[name]) for name in ours)
        if not same:
            raise BundleError("The exported model answers otherwise than the model.", where=str(folder), mend="Report it.")
        names = set(loaded.model.feature_names_in_.tolist())
        columns = [column for column in schema.columns if column.name in names]
        (draft / "MLmodel").write_text(_mlmodel(columns, manifest.modelwright), encoding="utf-8")
        lines = [f"{name}=={version}" for name, version in locked_requirements(extras).items()]
        (draft / "requirements.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (draft / "python_env.yaml").write_text(
            f"python: {platform.python_version()}\nbuild_dependencies: [pip]\ndependencies:\n- -r requirements.txt\n",
            encoding="utf-8",
        )
    return len(golden.rows) + (0 if rows is None else len(rows))


def _mlmodel(columns: list[Column], version: str) -> str:
    """The description that MLflow reads. Every JSON text is YAML too, so nothing needs quoting of its own.

    The signature names the columns and lets any cell through to the model, which reads and refuses cells itself: MLflow
    would refuse whole numbers in a column of fractions, missing truth values, and categories that are numbers. What the
    columns are stands in the metadata.
    """
    inputs = [{"type": "any", "name": column.name, "required": False} for column in columns]
    described = {
        "flavors": {
            "python_function": {
                "loader_module": __name__,
                "data": "bundle",
                "python_version": platform.python_version(),
                "env": {"virtualenv": "python_env.yaml"},
            },
            "modelwright": {"version": version, "data": "bundle"},
        },
        "metadata": {"columns": {column.name: column.type for column in columns}},
        "signature": {"inputs": json.dumps(inputs)},
    }
    return json.dumps(described, indent=2, ensure_ascii=True) + "\n"
