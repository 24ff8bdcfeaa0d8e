"""What a stage of a release has seen: answers, failures, times, and the realised metric of both models on the same rows.

The metric compares the challenger with the old champion on rows that were served and labelled since the release began,
whoever answered them: both are asked anew. So a world that became harder is not held against the challenger.
"""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from modelwright.artifacts.bundle import load_bundle
from modelwright.errors import ModelwrightError
from modelwright.metrics import registry as metrics
from modelwright.metrics.superiority import superiority
from modelwright.monitoring.prediction_log import REDACTED, logged_rows
from modelwright.registry.names import CHAMPION
from modelwright.registry.registry import Registry
from modelwright.registry.releases import Release
from modelwright.retraining.rules import ReleaseRules
from modelwright.retraining.sequential import FEWEST_LABELS
from modelwright.store.database import Database
from modelwright.tables.cells import label_of
from modelwright.tables.read import read

if TYPE_CHECKING:
    from modelwright.artifacts.model import Model

#: What the champion of before answered.
_OLD = "home = :home AND model = :model AND version = :was AND part = 'live'"
_PARTS = {"shadow": "shadow", "canary": "canary", "watch": "live"}
#: Answers of the old champion that tell its times: so many at most, and fewer than the second say nothing.
_MOST_TIMES, _FEWEST_TIMES = 5_000, 100
#: Labelled rows that are compared, the earliest labels first; a difference that matters shows long before.
_MOST_LABELS = 20_000
#: Answers of the old champion after the swap, and none of the new one, from which servers are said to have refused it; they
#: look for changes once a second.
_REFUSED_AFTER = 50
_REFUSED_S = 30.0


class Figures(msgspec.Struct, frozen=True):
    """Figures of one stage.

    Parameters
    ----------
    champion : int
        Version that the alias points to.
    rows : int
        Rows that the challenger answered.
    answered, failed : int
        Its requests, and those among them that failed.
    timed, slow : int
        Its answers, and those that took longer than ``limit_ms``.
    limit_ms : float or None
        None where the old champion has too few answers to compare with.
    labels : int
        Labelled rows that both models were compared on.
    loss : float or None
        By how much the metric is worse than the old champion's; None where it cannot be told, as ``note`` says.
    p_worse, unit : float
        One-sided p-value of "not worse"; for one look.
    metric, note : str
    refused : bool
        Whether servers still answer with the old champion after the swap.
    """

    champion: int
    rows: int = 0
    answered: int = 0
    failed: int = 0
    timed: int = 0
    slow: int = 0
    limit_ms: float | None = None
    labels: int = 0
    loss: float | None = None
    p_worse: float = 1.0
    unit: float = 1.0
    metric: str = ""
    note: str = ""
    refused: bool = False

    def told(self) -> dict[str, Any]:
        """Plain values for the log."""
        return msgspec.structs.asdict(self)


def read_figures(database: Database, registry: Registry, release: Release, rules: ReleaseRules) -> Figures:
    """The figures of the stage that a release is at.

    Parameters
    ----------
    database : Database
        That of the servers.
    registry : Registry
    release : Release
    rules : ReleaseRules
    """
    import sqlalchemy as sa

    part = _PARTS[release.stage]
    about = {
        "home": database.home,
        "model": release.name,
        "version": str(release.number),
        "was": str(release.was),
        "part": part,
        "since": release.since,
    }

    def one(sql: str, **more: Any) -> list[Any]:
        return list(connection.execute(sa.text(sql), about | more))

    with database.reading() as connection:
        mine = "home = :home AND model = :model AND version = :version AND part = :part"
        rows = one(f"SELECT coalesce(sum(n_rows), 0) FROM predictions WHERE {mine} AND at >= :since")[0][0]
        minute = release.since[:16]
        counts = one(
            f"SELECT coalesce(sum(answered), 0), coalesce(sum(failed), 0) FROM served WHERE {mine} AND minute >= :m", m=minute
        )
        # Beside a shadow or canary the champion answers the same load; after the swap there are only its answers of before.
        side = "at < :since" if release.stage == "watch" else "at >= :since"
        before = one(f"SELECT latency_ms FROM predictions WHERE {_OLD} AND {side} ORDER BY at DESC LIMIT {_MOST_TIMES}")
        limit = None
        if len(before) >= _FEWEST_TIMES:
            limit = rules.max_latency_ratio * float(np.quantile([float(each[0]) for each in before], 0.99, method="higher"))
        timed = slow = 0
        if limit is not None:
            sums = "count(*), coalesce(sum(CASE WHEN latency_ms > :limit THEN 1 ELSE 0 END), 0)"
            timed, slow = one(f"SELECT {sums} FROM predictions WHERE {mine} AND at >= :since", limit=limit)[0]
        refused = release.stage == "watch" and not rows and _still_old(one, release)
        labelled = _labelled(one, release)
    champion = next((v.number for v in registry.versions(release.name) if CHAMPION in v.aliases), 0)
    loss = _compared(registry, release, labelled)
    return Figures(
        champion, int(rows), int(counts[0][0]), int(counts[0][1]), int(timed), int(slow), limit, refused=refused, **loss
    )


def _still_old(one: Any, release: Release) -> bool:
    """Whether servers answer with the old champion although they had time to load the new one."""
    import datetime as dt

    later = dt.datetime.fromisoformat(release.since) + dt.timedelta(seconds=_REFUSED_S)
    found = one(
        f"SELECT count(*) FROM predictions WHERE {_OLD} AND at >= :later",
        later=later.isoformat(timespec="microseconds"),
    )
    return int(found[0][0]) >= _REFUSED_AFTER


class LabelledRow(msgspec.Struct, frozen=True):
    """A row that was answered, its label, and when it was asked."""

    row: dict[str, Any]
    label: Any
    at: str


def _labelled(one: Any, release: Release) -> list[LabelledRow]:
    """Rows that were served, live or by a canary, and labelled since the release began, in the order of their labels."""
    latest: dict[str, Any] = {}
    for prediction, value in one(
        "SELECT prediction, value FROM labels WHERE home = :home AND model = :model AND received >= :begun"
        " ORDER BY received, prediction, revision",
        begun=release.begun,
    ):
        latest[str(prediction)] = value  # a correction replaces the label, and keeps its place
    wanted = list(latest)[:_MOST_LABELS]
    if not wanted:
        return []
    answers = sorted({each.rpartition("-")[0] for each in wanted})
    held: dict[str, tuple[list[dict[str, Any]], str]] = {}
    for start in range(0, len(answers), 500):
        ids = {f"i{k}": each for k, each in enumerate(answers[start : start + 500])}
        places = ", ".join(f":{name}" for name in ids)
        for name, features, at in one(
            f"SELECT id, features, at FROM predictions WHERE id IN ({places}) AND at >= :begun AND model = :model",
            begun=release.begun, **ids,
        ):  # fmt: skip
            held[name] = (logged_rows(bytes(features)), at)
    found = []
    for each in wanted:
        answer, _, number = each.rpartition("-")
        if answer in held and number.isdigit() and int(number) < len(held[answer][0]):
            rows, at = held[answer]
            found.append(LabelledRow(rows[int(number)], msgspec.json.decode(latest[each]), at))
    return found


def _compared(registry: Registry, release: Release, labelled: list[LabelledRow]) -> dict[str, Any]:
    """How much worse the challenger's metric is on labelled rows, with its chance."""
    if len(labelled) < FEWEST_LABELS:
        return {"labels": len(labelled), "note": f"fewer than {FEWEST_LABELS} labels"}
    try:
        old, new = (_model(registry.resolve(f"{release.name}/{number}").folder) for number in (release.was, release.number))
    except ModelwrightError as error:
        return {"labels": len(labelled), "note": f"the rows cannot be answered again: {error.what}"}
    return compared(old, new, labelled)


def compared(old: Model, new: Model, labelled: list[LabelledRow]) -> dict[str, Any]:
    """How much worse the metric of one model is than that of another on labelled rows, with its chance; or a note why not.

    Parameters
    ----------
    old, new : Model
    labelled : list of LabelledRow
    """
    if not labelled:
        return {"labels": 0, "note": "no labels"}
    names = {*old.feature_names_in_.tolist(), *new.feature_names_in_.tolist()}
    if any(each.row.get(name) == REDACTED for each in labelled for name in names):
        return {"labels": len(labelled), "note": "columns that the models read are not kept in the log"}
    try:
        frame = read([each.row for each in labelled]).frame
        predictions = [model.raw(frame) for model in (old, new)]
    except ModelwrightError as error:
        return {"labels": len(labelled), "note": f"the rows cannot be answered again: {error.what}"}
    if old.task == "regression":
        y, usable = _numbers([each.label for each in labelled])
    else:
        numbers = {label_of(value): number for number, value in enumerate(old.classes_.tolist())}
        y = np.array([numbers.get(label_of(each.label), -1) for each in labelled])
        usable = y >= 0
    metric = metrics.get(new.metric or old.metric, old.task)
    when = np.arange(len(y), dtype=np.float64)[usable]
    found = superiority(
        metric, y[usable], predictions[0][usable], predictions[1][usable], margin=0.01, when=when,
        thresholds=(old.threshold, new.threshold),
    )  # fmt: skip
    told: dict[str, Any] = {"labels": int(usable.sum()), "metric": metric.title}
    if not math.isfinite(found.deviation):
        return told | {"note": found.test}
    return told | {"loss": -found.gain, "unit": found.unit, "p_worse": found.p_worse}


def _numbers(labels: list[Any]) -> tuple[np.ndarray, np.ndarray]:
    y = np.array([float(each) if isinstance(each, int | float) and not isinstance(each, bool) else math.nan for each in labels])
    return y, np.isfinite(y)


@lru_cache(maxsize=4)
def _model(folder: Path) -> Model:
    """A registered version, whose folder never changes."""
    return load_bundle(folder)
