"""How MLflow loads a model of ours: the `loader_module` that an ``MLmodel`` file names. Nothing is pickled.

Loading checks every file of the model against its manifest, as `modelwright.load` does.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwright.artifacts.bundle import load_bundle

if TYPE_CHECKING:
    import pandas as pd

    from modelwright.artifacts.model import Model


class PyfuncModel:
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
        return predictions(self.model, model_input)


def predictions(model: Model, rows: Any) -> pd.DataFrame:
    """The columns that the model answers with."""
    import pandas as pd

    if model.task in ("regression", "clustering"):
        return pd.DataFrame({"prediction": model.predict(rows)})
    proba = model.predict_proba(rows)
    columns = {"prediction": model.label(proba).tolist()}
    columns |= {f"proba_{name}": proba[:, k] for k, name in enumerate(model.classes_.tolist())}
    return pd.DataFrame(columns)


def _load_pyfunc(data_path: str) -> PyfuncModel:
    """Called by MLflow with the folder of our model."""
    return PyfuncModel(load_bundle(Path(data_path)))
