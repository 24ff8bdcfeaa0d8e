"""The gate's question about one retraining: which rows are new to both models, and what the gate says of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import polars as pl

from modelwright.monitoring.kept import latest_windows
from modelwright.registry.names import CHAMPION
from modelwright.registry.registry import Registry
from modelwright.registry.rows import Version
from modelwright.retraining.asked import RETRAINING, policy_of_work
from modelwright.retraining.asking import ask, contender
from modelwright.retraining.evaluated import from_log, utc_now
from modelwright.retraining.refitting import REFIT
from modelwright.retraining.requests import Retrainings

if TYPE_CHECKING:
    from modelwright.retraining.children import Work


def judge_challenger(work: Work) -> dict[str, Any]:
    """Ask the gate about the challenger, on logged rows that came after what both models learned from.

    Parameters
    ----------
    work : Work
    """
    home, policy = Path(work.home), policy_of_work(work)
    registry = Registry(home, work.store)
    champion = registry.resolve(f"{work.model}@{CHAMPION}")
    challenger = registry.resolve(f"{work.model}/{work.given['register']['version']}")
    before = learned_until(champion, Retrainings(home, work.store))
    after = work.given["snapshot"]["until"] or before
    named = work.given["snapshot"]["spec"]["features"]
    features = named.rpartition(":")[0] if isinstance(named, str) else None
    models = contender(registry, champion), contender(registry, challenger)
    found = from_log(
        registry.database, work.model, *models, label_delay_s=policy.label_delay_s, now=utc_now(),
        created=(before, max(before, after)), features=features, older=_older(work.given["snapshot"].get("older") or ""),
    )  # fmt: skip
    windows = latest_windows(registry.database, work.model, version=str(champion.number), n=1)
    verdict, decision = ask(
        registry, champion, challenger, found, policy.gate, trigger=work.trigger, key=f"{work.retraining} verdict",
        alarms=[alarm.message for window in windows for alarm in window.of("quality")],
    )  # fmt: skip
    return {**msgspec.to_builtins(verdict), "decision": decision.count, "champion": champion.number}


def _older(path: str) -> pl.DataFrame | None:
    """Rows that the policy left out as old; a sweep may have taken them before a late second judgement."""
    return pl.read_parquet(path) if path and Path(path).is_file() else None


def learned_until(version: Version, retrainings: Retrainings) -> str:
    """The moment after which no logged row was among those that a version learned from.

    Of a version that a retraining made it is that of its latest logged row, of others the moment of their registration.

    Parameters
    ----------
    version : Version
    retrainings : Retrainings
    """
    for tag, step in ((REFIT, "collect"), (RETRAINING, "snapshot")):
        if tag in version.tags:
            made = {line.step: line.made or {} for line in retrainings.steps(version.tags[tag])}.get(step, {})
            return str(made.get("until") or version.created)
    return version.created
