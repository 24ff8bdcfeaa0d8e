"""Windows of `drift.py` judged by evidently or NannyML, in an environment of its own; a line of JSON for each check.

usage: PYTHON_OF_THE_PEER drift_peers.py {evidently,nannyml} FOLDER

FOLDER has reference.csv and windows 0.csv, 1.csv, …, as `drift.py --parts peers` writes them. Each line has the names
of columns that the peer flags by its defaults, whether it says that the data set drifted, and the seconds it took.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any


def evidently(reference: Any, window: Any) -> tuple[list[str], bool]:
    """The preset, with its defaults."""
    from evidently import Report
    from evidently.presets import DataDriftPreset

    found = Report([DataDriftPreset()]).run(window, reference).dict()
    columns, dataset = [], False
    for each in found["metrics"]:
        config = each.get("config", {})
        if "column" in config:
            value, threshold, by_p = float(each["value"]), float(config["threshold"]), "p_value" in config["method"]
            if value < threshold if by_p else value >= threshold:
                columns.append(config["column"])
        elif isinstance(each["value"], dict) and "share" in each["value"]:
            dataset = float(each["value"]["share"]) >= float(config.get("drift_share", 0.5))
    return columns, dataset


def nannyml(reference: Any, window: Any) -> tuple[list[str], bool]:
    """Univariate drift with its defaults."""
    import nannyml as nml

    names = list(reference.columns)
    calculator = nml.UnivariateDriftCalculator(column_names=names, chunk_size=len(window))
    found = calculator.fit(reference).calculate(window).to_df()
    flagged = [
        name
        for name in names
        if any(bool(found[key].iloc[-1]) for key in found.columns if key[0] == name and key[-1] == "alert")
    ]
    return flagged, bool(flagged)


def main() -> None:
    """Judge all windows of a folder."""
    import pandas

    peer, folder = {"evidently": evidently, "nannyml": nannyml}[sys.argv[1]], Path(sys.argv[2])
    reference = pandas.read_csv(folder / "reference.csv")
    for path in sorted(folder.glob("[0-9]*.csv"), key=lambda path: int(path.stem)):
        window = pandas.read_csv(path)
        begun = time.perf_counter()
        columns, dataset = peer(reference, window)
        line = {"window": int(path.stem), "columns": columns, "dataset": dataset, "seconds": time.perf_counter() - begun}
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
