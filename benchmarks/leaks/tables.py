"""Tables of the benchmark: a folder with a manifest, and the built-in sets of scikit-learn for the quick form.

Columns that the manifest leaves out because they hold the outcome are dropped; row identifiers stay, as they do in the
tables people bring, and are named in ``reviewed.json``. Rows without a target are dropped, moments kept as text are
read as moments, and of more rows than ``max_rows`` a part is drawn that keeps the file's order (whole entities where
there is a group and no time).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from leaks.case import factor

#: Detectors may be developed on these: numbers may be set by them, and their natural columns are reviewed.
DEVELOPMENT = (
    *("telco_churn", "credit_default", "hotel_bookings", "thyroid_sick", "electricity_nsw"),
    *("airline_tweets", "diabetes_readmission", "soybean_disease", "letter_recognition", "leaf_species"),
    *("ames_house_prices", "bike_sharing_hourly", "communities_crime", "diamonds", "kc_house_prices", "loan_interest_rate"),
)
#: Left alone until a claim is checked.
HELD_OUT = (
    *("bank_marketing", "car_crash_survival", "car_insurance_fraud", "mammography", "give_me_some_credit"),
    *("product_backorders", "work_disability_outcome", "kddcup99_10pct", "iris", "adult_income"),
    *("movielens_100k_small", "us_births_daily", "protein_casp", "beijing_air_quality", "imdb_movies", "wine_quality"),
)
#: Built-in sets of the quick form, and their tasks.
QUICK = {"breast_cancer": "binary", "wine": "multiclass", "diabetes": "regression"}
BUILT_IN = {**QUICK, "iris_built_in": "multiclass", "digits": "multiclass"}

_IDENTIFIER = re.compile(r"identifier|counter|row position|patient id", re.IGNORECASE)
_TIME_FORMATS = {"date": "%Y%m%dT%H%M%S", "tweet_created": "%Y-%m-%d %H:%M:%S %z", "OccurDate": "%Y-%m-%d"}


@dataclass(frozen=True)
class Table:
    """A clean table and its roles."""

    name: str
    frame: pl.DataFrame
    target: str
    task: str
    roles: dict[str, str | None]


def names_of(words: str) -> list[str]:
    """Names of tables: "development", "held_out", "quick", or names parted by commas."""
    sets = {"development": DEVELOPMENT, "held_out": HELD_OUT, "quick": tuple(QUICK)}
    return list(dict.fromkeys(name for word in words.split(",") for name in sets.get(word, (word,))))


def load(name: str, data: Path | None, max_rows: int) -> Table:
    """A table by name; ``data`` is the folder with ``manifest.json``."""
    if name in BUILT_IN:
        return _built_in(name)
    if data is None:
        raise SystemExit(f"{name}: give the folder of the tables with --data")
    manifest = json.loads((data / "manifest.json").read_text())
    entries = manifest if isinstance(manifest, list) else manifest.get("datasets") or manifest["tables"]
    [entry] = [e for e in entries if e["name"] == name]
    path = data / entry["file"]
    frame = pl.read_csv(path, infer_schema_length=None) if path.suffix == ".csv" else pl.read_parquet(path)
    roles = {"time": entry["time_column"], "group": entry["group_column"]}
    left = [
        c["column"] for c in entry["drop_columns"] if not _IDENTIFIER.search(c["reason"]) and c["column"] not in roles.values()
    ]
    frame = frame.drop(left)
    target = entry["target"]
    frame = frame.filter(pl.col(target).is_not_null())
    if roles["time"] is not None:
        frame = _with_moments(frame, roles["time"])
    return Table(name, _part(frame, roles, max_rows), target, entry["task"], roles)


def _with_moments(frame: pl.DataFrame, time: str) -> pl.DataFrame:
    if frame.schema[time] == pl.String:
        read = pl.col(time).str.to_datetime(_TIME_FORMATS[time], strict=False, time_unit="us")
        frame = frame.with_columns(read.dt.replace_time_zone(None) if "%z" in _TIME_FORMATS[time] else read)
    return frame.filter(pl.col(time).is_not_null())


def _part(frame: pl.DataFrame, roles: dict[str, str | None], max_rows: int) -> pl.DataFrame:
    if frame.height <= max_rows:
        return frame
    rng = np.random.default_rng(0)
    if roles["group"] is not None and roles["time"] is None:
        units = factor(frame[roles["group"]])
        order = rng.permutation(units.max() + 1)
        # At least five entities, so that some can be evaluated; an entity too large is cut below.
        take = max(5, int(np.searchsorted(np.cumsum(np.bincount(units)[order]), max_rows)))
        frame = frame.filter(pl.Series(np.isin(units, order[:take])))
    rows = np.sort(rng.permutation(frame.height)[:max_rows])
    return frame[rows.tolist()]


def _built_in(name: str) -> Table:
    from sklearn import datasets

    loaded = getattr(datasets, f"load_{name.removesuffix('_built_in')}")()
    names = [str(n) for n in loaded.feature_names]
    frame = pl.DataFrame({n: np.ascontiguousarray(loaded.data[:, i]) for i, n in enumerate(names)})
    return Table(name, frame.with_columns(target=pl.Series(loaded.target)), "target", BUILT_IN[name], _no_roles())


def _no_roles() -> dict[str, str | None]:
    return {"time": None, "group": None}
