"""Logging what scikit-learn, LightGBM, XGBoost, CatBoost and torch do within a run, with one call."""

from __future__ import annotations


def autolog(enabled: bool = True) -> None:
    """Switch it on or off."""
    raise NotImplementedError
