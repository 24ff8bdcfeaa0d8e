"""The steps of a retraining: what each one does with what the ones before it made.

Each may be done again, by whoever takes over: what computes finds its own result, what changes the registry names its
decision by the retraining, so that it is taken once. A step answers a dict of plain values; with "stop" in it the retraining
ends there, with that outcome and the sentence "told". What reads models is imported by the step that does, so that a worker
is ready at once.
"""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from modelwright.registry.names import CHAMPION
from modelwright.registry.registry import CHALLENGER, Registry
from modelwright.registry.releases import IN_FLIGHT
from modelwright.retraining.children import StepError, Work, compute
from modelwright.retraining.requests import Retraining, Retrainings
from modelwright.retraining.rules import ReleaseRules
from modelwright.runs.remote import bring

Made = dict[str, Any]
#: Seconds between looks whether a person has decided.
_LOOK_S = 1.0
#: Seconds between looks at a release, at most.
_LONGEST_LOOK_S = 15.0


@dataclass(frozen=True)
class Room:
    """Where a worker works: folder of the runs, URLs of the store and of the artifacts."""

    home: Path
    store: str | None
    artifacts: str | None

    def registry(self) -> Registry:
        """The models of the home."""
        return Registry(self.home, self.store)


def work_of(room: Room, asked: Retraining, step: str, given: dict[str, Made]) -> Work:
    """What the child of a step is told."""
    options = {**given, "options": asked.options}
    return Work(step, asked.id, asked.model, asked.trigger, str(room.home.absolute()), room.store, room.artifacts, options)


def snapshot(room: Room, asked: Retraining, given: dict[str, Made]) -> Made:
    """Write down the rows to learn from; the same ones that the champion learned from teach nothing new."""
    made = compute(work_of(room, asked, "snapshot", given))
    champion = room.registry().resolve(f"{asked.model}@{CHAMPION}")
    if champion.data == made["fingerprint"] and not asked.options.get("force"):
        told = f"{champion} learned from these very rows ({made['n_rows']:,}); no other model would come of them."
        return stop(made, "unchanged", told)
    return made


def audit(room: Room, asked: Retraining, given: dict[str, Made]) -> Made:
    """Look the rows over: a target that leaked, or one class, ends it here."""
    made = compute(work_of(room, asked, "audit", given))
    if made["critical"]:
        told = f"The audit found: {'; '.join(made['critical'])}. Mend the rows, or waive it with a reason."
        return stop(made, "refused", told)
    return made


def train(room: Room, asked: Retraining, given: dict[str, Made]) -> Made:
    """Train; finished trials of a killed training stay."""
    return compute(work_of(room, asked, "train", given))


def register(room: Room, asked: Retraining, given: dict[str, Made]) -> Made:
    """Make the model a version, called the challenger; what it must beat is the champion, and a barrier is only told."""
    from modelwright.registry.source import source_of

    run = given["train"]["run"]
    bring([run], room.home, room.artifacts)
    source = source_of(room.home / "runs" / run, room.home)
    champion = room.registry().resolve(f"{asked.model}@{CHAMPION}")
    version = room.registry().register(
        source, asked.model, tags={"retraining": asked.id, "cause": asked.trigger.cause}, force=True,
        why=f"{asked.trigger.reason} (to be judged against {champion})",
    )  # fmt: skip
    made = {"version": version.number, "champion": champion.number}
    if version.number == champion.number:
        return stop(made, "unchanged", f"What was trained is {champion} itself, byte by byte.")
    if CHALLENGER not in version.aliases:
        room.registry().set_alias(asked.model, CHALLENGER, version.number, why=f"retraining {asked.id}")
    return made


def recall(room: Room, asked: Retraining, given: dict[str, Made]) -> Made:
    """What the retraining made whose challenger is to be judged again."""
    retrainings = Retrainings(room.home, room.store)
    held = {line.step: line.made or {} for line in retrainings.steps(asked.options["origin"])}
    wanted = {name: held[name] for name in ("snapshot", "register") if name in held}
    if len(wanted) < 2:
        return stop({}, "failed", f"What {asked.options['origin']} made is gone; train anew.")
    return {"steps": wanted, "version": wanted["register"]["version"]}


def judge(room: Room, asked: Retraining, given: dict[str, Made]) -> Made:
    """Ask the gate; a challenger that may yet pass keeps its name, and is judged again when labels have come."""
    number = given["register"]["version"]
    if room.registry().resolve(f"{asked.model}@{CHAMPION}").number == number:
        return stop({}, "stopped", f"{asked.model}/{number} was made champion meanwhile.")
    made = compute(work_of(room, asked, "judge", given))
    if made["promote"]:
        return made
    open_yet = made["answer"] == "undecided" or (made["answer"] == "not worse" and made["labels_needed"] is not None)
    outcome = "undecided" if open_yet else "refused" if made["answer"] == "refused" else "rejected"
    if not open_yet:
        unname(room, asked, number, f"{outcome} by the gate")
    return stop(made, outcome, " ".join(made["reasons"]))


def approve(room: Room, asked: Retraining, given: dict[str, Made]) -> Made:
    """Wait for a person, where the policy wants one."""
    if not wants_approval(given):
        return {"approved": True, "by": ""}
    retrainings = Retrainings(room.home, room.store)
    now = retrainings.wait(asked.id)
    while not now.approval:
        if now.ended is not None:
            return stop({}, now.outcome, now.told)
        time.sleep(_LOOK_S)
        now = retrainings.get(asked.id)
    if now.approval == "yes":
        return {"approved": True, "by": now.approved_by}
    number = given["register"]["version"]
    unname(room, asked, number, f"declined by {now.approved_by}")
    return stop(
        {"approved": False, "by": now.approved_by}, "declined", f"{now.approved_by} did not approve {asked.model}/{number}."
    )


def wants_approval(given: dict[str, Made]) -> bool:
    """Whether the policy wants a person to decide."""
    return bool(given["snapshot"]["policy"]["gate"]["approval"])


def collect(room: Room, asked: Retraining, given: dict[str, Made]) -> Made:
    """Write down all labelled rows, those of the gate included, for the model that goes live."""
    if not given["snapshot"]["policy"].get("refit"):
        return {}
    try:
        return compute(work_of(room, asked, "collect", given))
    except StepError as error:
        return {"objection": error.failure.told}


def refit(room: Room, asked: Retraining, given: dict[str, Made]) -> Made:
    """Train what passed once more on them, as a version of its own; where that fails, the one that was judged goes live."""
    from modelwright.registry.source import source_of
    from modelwright.retraining.refitting import REFIT, origin_of

    judged = given["register"]["version"]
    if "path" not in given["collect"]:
        return {"version": judged, "objection": given["collect"].get("objection", "")}
    try:
        made = compute(work_of(room, asked, "refit", given))
    except StepError as error:
        return {"version": judged, "objection": error.failure.told}
    if made["objection"]:
        return {**made, "version": judged}
    registry = room.registry()
    version = registry.register(
        source_of(room.home / "runs" / made["run"], room.home), asked.model,
        tags={"retraining": origin_of(asked.id, asked.options), "cause": asked.trigger.cause, REFIT: asked.id}, force=True,
        why=f"{asked.model}/{judged} passed the gate and was trained once more on {given['collect']['n_rows']:,} rows",
    )  # fmt: skip
    if CHALLENGER not in version.aliases:
        registry.set_alias(asked.model, CHALLENGER, version.number, why=f"retraining {asked.id}")
    return {**made, "version": version.number}


def release(room: Room, asked: Retraining, given: dict[str, Made]) -> Made:
    """Bring the challenger through its stages, and watch it as champion, until it is kept or the old one is back."""
    from modelwright.retraining.release import begin, find, step

    number, verdict, registry = given["refit"]["version"], given["judge"], room.registry()
    rules = msgspec.convert(given["snapshot"]["policy"]["release"], ReleaseRules)
    by = f" Approved by {given['approve']['by']}." if given["approve"]["by"] else ""
    under_way = begin(
        registry, asked.model, number, rules, now=dt.datetime.now(dt.UTC), key=f"{asked.id} release",
        verdict=verdict["decision"], why=f"{verdict['reasons'][0]}{by}",
    )  # fmt: skip
    pause_s = min(max(rules.watch_s / 20, _LOOK_S), _LONGEST_LOOK_S)
    while (stage := step(registry.database, registry, under_way.id, dt.datetime.now(dt.UTC))) in IN_FLIGHT:
        time.sleep(pause_s)
    ended = find(registry, under_way.id)
    if stage == "stopped":
        unname(room, asked, number, f"its release stopped: {ended.why}")
    outcome = {"kept": "promoted", "rolled back": "rolled back"}.get(stage, "rejected")
    return stop({"stage": stage}, outcome, f"{ended.why} {verdict['reasons'][0]}")


def unname(room: Room, asked: Retraining, number: int, why: str) -> None:
    """Take the name of a challenger from a version that did not make it, if it still has it."""
    registry = room.registry()
    if any(CHALLENGER in each.aliases for each in registry.versions(asked.model) if each.number == number):
        registry.remove_alias(asked.model, CHALLENGER, why=why)


def stop(made: Made, outcome: str, told: str) -> Made:
    """What a step made, and that the retraining ends with it."""
    return {**made, "stop": outcome, "told": told}
