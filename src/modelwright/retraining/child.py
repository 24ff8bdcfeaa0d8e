"""The process in which a step computes: told on its standard input what to do, it leaves a file."""

from __future__ import annotations

import datetime as dt
import re
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from modelwright.errors import ModelwrightError
from modelwright.retraining.children import Failure, Result, Work, ends_with_parent, folder_of, write_result

if TYPE_CHECKING:
    from modelwright.spec import Spec


def take_rows(work: Work) -> dict[str, Any]:
    """Write down the rows to learn from."""
    from modelwright.registry.names import CHAMPION
    from modelwright.registry.registry import Registry
    from modelwright.retraining.asked import asked_of_work
    from modelwright.retraining.judging import learned_until
    from modelwright.retraining.requests import Retrainings
    from modelwright.retraining.snapshot import Stretch, share, take_snapshot

    asked, home = asked_of_work(work), Path(work.home)
    registry, retrainings = Registry(home, work.store), Retrainings(home, work.store)
    span = asked.policy.train_on
    stretch = Stretch(
        span.seconds, span.rows, span.since, asked.policy.label_delay_s, asked.policy.gate.min_labels,
        learned_until=learned_until(registry.resolve(f"{work.model}@{CHAMPION}"), retrainings),
    )  # fmt: skip
    taken = take_snapshot(asked.spec, registry.database, work.model, home, stretch, dt.datetime.now(dt.UTC))
    shared = share(Path(taken.path), work.artifacts) if work.artifacts is not None else taken.path
    # What was asked is kept with the rows: later steps go by it, whatever becomes of the file meanwhile.
    asked_for = {"spec": asked.spec.to_dict(), "policy": msgspec.to_builtins(asked.policy)}
    return {**msgspec.to_builtins(taken), "shared": shared, **asked_for}


def audit_rows(work: Work) -> dict[str, Any]:
    """Look the rows over before time is spent on them."""
    from modelwright.retraining.asked import training_spec
    from modelwright.training.auditing import audit_table

    record = audit_table(training_spec(work), costs=False)
    return {"n_findings": len(record.findings), "critical": [f"{each.name}: {each.message}" for each in record.critical]}


def train_model(work: Work) -> dict[str, Any]:
    """Train, or go on with a training that was killed, or find it finished."""
    from modelwright.retraining.asked import training_spec

    return _trained(work, training_spec(work))


def collect_rows(work: Work) -> dict[str, Any]:
    """Write down all labelled rows for the model that goes live."""
    from modelwright.retraining import refitting

    return refitting.collect_rows(work)


def refit_model(work: Work) -> dict[str, Any]:
    """Train what passed the gate once more, on all labelled rows."""
    from modelwright.retraining.refitting import objection, refit_spec

    made = _trained(work, refit_spec(work))
    return {**made, "objection": objection(work, Path(work.home) / "runs" / made["run"] / "model")}


def _trained(work: Work, spec: Spec) -> dict[str, Any]:
    from modelwright.reports.report import render
    from modelwright.runs.index import RunIndex
    from modelwright.runs.listing import enter
    from modelwright.runs.remote import publish_finished
    from modelwright.store.unfinished import unfinished
    from modelwright.training.flow import resume, train

    home = Path(work.home)
    own = re.compile(re.escape(str(spec.name)) + r"-\d{8}-\d{6}(-\d+)?")
    started, stop = time.monotonic(), threading.Event()
    finished = [path for path in sorted((home / "runs").glob(f"{spec.name}-*")) if own.fullmatch(path.name)]
    begun = [each for each in unfinished(home) if own.fullmatch(each.run)]
    if finished:
        folder = finished[0]
    elif begun:
        _, folder = resume(
            begun[0].run, home, started=started, emit=_ignore, stop=stop, render=render, data=spec.data,
            store=work.store,
        )  # fmt: skip
    else:
        _, folder = train(spec, started=started, emit=_ignore, stop=stop, render=render)
    enter(folder, RunIndex.of(home, work.store))
    publish_finished(home, work.artifacts, folder.name)
    return {"run": folder.name, "resumed": bool(begun)}


def watch_windows(work: Work) -> dict[str, Any]:
    """Check the windows of the log, and, where the policy wants to know, what table there is now."""
    from modelwright.monitoring.monitor import monitor_log, watch
    from modelwright.retraining.asked import asked_of_work
    from modelwright.store.database import Database
    from modelwright.tables.fingerprint import fingerprint
    from modelwright.tables.read import read

    asked = asked_of_work(work)
    window = asked.policy.window
    watched = watch(f"{work.model}@champion", home=Path(work.home), store=work.store)
    span = f"{window.seconds:.0f}s" if window.seconds is not None else str(window.rows or 1000)
    found = monitor_log(watched, Database.of(Path(work.home), work.store), window=span)
    data = fingerprint(read(asked.spec.data, query=asked.spec.query).frame) if asked.policy.new_data else None
    return {"fresh": found.fresh, "state": found.latest.state if found.latest is not None else "", "data": data}


def judge_models(work: Work) -> dict[str, Any]:
    """Ask the gate."""
    from modelwright.retraining.judging import judge_challenger

    return judge_challenger(work)


STEPS: dict[str, Callable[[Work], dict[str, Any]]] = {
    "snapshot": take_rows,
    "audit": audit_rows,
    "train": train_model,
    "judge": judge_models,
    "collect": collect_rows,
    "refit": refit_model,
    "watch": watch_windows,
}


def _ignore(event: Any) -> None:
    """Nobody watches."""


def main() -> None:
    """Do one step."""
    work = msgspec.json.decode(sys.stdin.buffer.readline(), type=Work)
    ends_with_parent()
    folder = folder_of(Path(work.home), work.retraining)
    try:
        result = Result(made=STEPS[work.step](work))
    except ModelwrightError as error:
        result = Result(failure=Failure(type(error).__name__, error.what, error.where, error.mend))
    except MemoryError:
        result = Result(failure=Failure("MemoryError", "The memory did not suffice.", work.step, "Train on fewer rows."))
    write_result(folder, work.step, result)


if __name__ == "__main__":
    main()
