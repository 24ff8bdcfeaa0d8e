"""The REFORMS checklist [1]_, each item with what a run can say about it.

The items are named in our own short words under their numbers. What only people can answer is left to them, and
said so.

References
----------
.. [1] Kapoor et al., "REFORMS: Consensus-based Recommendations for Machine-learning-based Science",
   Science Advances 10 (2024), doi 10.1126/sciadv.adk3452.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from modelwright.reports.format import count, duration, metric_title, number, percent
from modelwright.training.record import RunRecord

#: What stands where only people know the answer.
FOR_PEOPLE = ""


@dataclass(frozen=True)
class Item:
    """One item of the checklist; ``answer`` is empty where it is left to people."""

    number: str
    title: str
    answer: str


def reforms(record: RunRecord) -> list[Item]:
    """All 32 items in their order."""
    return [Item(number, title, answer(record)) for number, title, answer in _ITEMS]


def _people(record: RunRecord) -> str:
    return FOR_PEOPLE


def _dataset(record: RunRecord) -> str:
    rows = f"{count(record.n_rows)} rows, {count(record.n_columns)} columns"
    return f"{record.source}: {rows}; fingerprint of all cells {record.fingerprint}."


def _code(record: RunRecord) -> str:
    return f"modelwright {record.modelwright}; run {record.id}; versions of all libraries in environment.json."


def _infrastructure(record: RunRecord) -> str:
    facts = {key: value for key, value in record.environment.items() if key != "packages"}
    listed = "; ".join(f"{key} {value}" for key, value in facts.items() if not isinstance(value, (dict, list)))
    return f"{listed}; {duration(record.wall_s)} in all, at most {record.peak_memory_mb:,.0f} MB in one process."


def _readme(record: RunRecord) -> str:
    return "The run folder holds the report, the plan (plan.json) and this card."


def _script(record: RunRecord) -> str:
    return "plan.json lists every candidate, hyperparameter, iteration count and seed that was used."


def _outcome(record: RunRecord) -> str:
    if record.target is None or record.summary is None:
        return FOR_PEOPLE
    listed = ", ".join(f"{name} {number(value)}" for name, value in list(record.summary.target.items())[:12])
    what = "rows of each class" if record.plan.classes else "distribution"
    return f"{record.target!r} ({record.task}); {what} in training: {listed}."


def _samples(record: RunRecord) -> str:
    return (
        f"{count(record.n_rows)} labelled rows: {count(record.n_training)} for training and validation, "
        f"{count(record.n_evaluation)} sealed for evaluation."
    )


def _missing(record: RunRecord) -> str:
    if record.summary is None:
        return FOR_PEOPLE
    if not record.summary.missing:
        return "No feature has missing cells."
    noun = "column has" if record.summary.n_columns_with_missing == 1 else "columns have"
    worst = ", ".join(f"{name} {percent(share)}" for name, share in list(record.summary.missing.items())[:6])
    text = f"{record.summary.n_columns_with_missing} {noun} missing cells, most of all {worst}."
    if record.summary.missing_by_class:
        by_class = ", ".join(f"{name} {percent(share)}" for name, share in list(record.summary.missing_by_class.items())[:12])
        text += f" Share of missing cells by class: {by_class}."
    return text


def _exclusions(record: RunRecord) -> str:
    excluded = [column.name for column in record.plan.schema.columns if column.role == "ignored"]
    rows = [note for note in record.notes if "left out" in note]
    columns = f"Columns left out: {', '.join(excluded)}." if excluded else "No column was excluded by hand."
    return " ".join([*rows, columns])


def _corrupt(record: RunRecord) -> str:
    found = [f.message for f in record.findings if f.check in ("sentinel_value", "missing_mark", "mixed_types", "date_order")]
    return " ".join(found[:5]) or "No impossible values, filler numbers or mixed columns were found by the audit."


def _transformations(record: RunRecord) -> str:
    kinds: dict[str, int] = {}
    for column in record.plan.schema.features:
        kinds[column.type] = kinds.get(column.type, 0) + 1
    listed = ", ".join(f"{n} {kind}" for kind, n in kinds.items())
    return f"Columns are read by type ({listed}) and encoded by rules learned on training rows only (model/encoders)."


def _models(record: RunRecord) -> str:
    tried = sorted({trial.algorithm for trial in record.trials})
    return f"{len(record.trials)} candidates of {', '.join(tried)}; all in trials.parquet."


def _choice_of_types(record: RunRecord) -> str:
    return "A portfolio of linear models, tree ensembles and others that suit the task, compared on the same validation rows."


def _evaluation(record: RunRecord) -> str:
    return (
        f"{record.plan.split_sentence} Within the training rows, {record.plan.n_folds} validation folds follow the same rule."
    )


def _selection(record: RunRecord) -> str:
    return (
        f"By {metric_title(record.metric)} on validation folds; members and weights by greedy selection on out-of-fold "
        "predictions. The evaluation rows took no part."
    )


def _hyperparameters(record: RunRecord) -> str:
    members = [f"{m.algorithm} (weight {m.weight:.2f}, {m.n_iterations or '–'} iterations)" for m in record.plan.members]
    return f"{'; '.join(members)}; all settings in plan.json."


def _baselines(record: RunRecord) -> str:
    if record.evaluation is None or record.evaluation.comparison is None:
        return FOR_PEOPLE
    comparisons = record.evaluation.comparisons or [record.evaluation.comparison]
    return " ".join(comparison.sentence for comparison in comparisons)


def _separation(record: RunRecord) -> str:
    if record.plan.split_rule == "none":
        return FOR_PEOPLE
    return (
        "Evaluation rows are written to a vault before types, encodings or models are learned; the steps that train are "
        "handed training rows only."
    )


def _dependencies(record: RunRecord) -> str:
    return record.plan.split_sentence


def _legitimacy(record: RunRecord) -> str:
    critical = [f for f in record.findings if f.severity == "critical"]
    if not critical:
        return "The audit found no column that gives the target away; whether each is known in time is for people to confirm."
    waived = [f"{f.name} waived by {f.waiver.by} ({f.waiver.reason})" for f in critical if f.waiver]
    bare = [f.name for f in critical if f.waiver is None]
    return "; ".join([*waived, *(f"{name}: critical, not resolved" for name in bare)]) + "."


def _metrics(record: RunRecord) -> str:
    if record.evaluation is None:
        return FOR_PEOPLE
    names = dict.fromkeys([record.evaluation.metric, *record.evaluation.others])
    return f"{', '.join(metric_title(name) for name in names)}; the first was chosen before training."


def _uncertainty(record: RunRecord) -> str:
    if record.evaluation is None:
        return FOR_PEOPLE
    score = record.evaluation.score
    return f"{metric_title(record.metric)} {number(score.value)}, 95 % interval {number(score.low)} to {number(score.high)}."


def _tests(record: RunRecord) -> str:
    if record.evaluation is None or record.evaluation.comparison is None:
        return FOR_PEOPLE
    return "A paired test on the same evaluation rows; rows of one group or of neighbouring times count as one unit."


def _contexts(record: RunRecord) -> str:
    if record.evaluation is None or not record.evaluation.slices:
        return FOR_PEOPLE
    found = [" and ".join(s.conditions) for s in record.evaluation.slices if s.confirmed]
    return f"Clearly worse where {'; where '.join(found[:5])}." if found else FOR_PEOPLE


_ITEMS: tuple[tuple[str, str, Callable[[RunRecord], str]], ...] = (
    ("1a", "Population that the claim is about", _people),
    ("1b", "Why this population", _people),
    ("1c", "Why machine learning", _people),
    ("2a", "Dataset, uniquely identified", _dataset),
    ("2b", "Code, uniquely identified", _code),
    ("2c", "Computing infrastructure", _infrastructure),
    ("2d", "Instructions", _readme),
    ("2e", "Reproduction", _script),
    ("3a", "Sources of the data, time and labelling", _people),
    ("3b", "Sampling frame", _people),
    ("3c", "Why the data suit the task", _people),
    ("3d", "Outcome and its distribution", _outcome),
    ("3e", "Number of samples", _samples),
    ("3f", "Missing data", _missing),
    ("3g", "Representativeness", _people),
    ("4a", "Samples and columns excluded", _exclusions),
    ("4b", "Impossible or corrupt values", _corrupt),
    ("4c", "Transformations", _transformations),
    ("5a", "Models trained", _models),
    ("5b", "Why these types of model", _choice_of_types),
    ("5c", "Method of evaluation", _evaluation),
    ("5d", "Method of selection", _selection),
    ("5e", "Hyperparameters of the final model", _hyperparameters),
    ("5f", "Baselines", _baselines),
    ("6a", "Separation of training and evaluation", _separation),
    ("6b", "Dependencies and duplicates across the split", _dependencies),
    ("6c", "Legitimacy of the features", _legitimacy),
    ("7a", "Metrics", _metrics),
    ("7b", "Uncertainty", _uncertainty),
    ("7c", "Statistical tests", _tests),
    ("8a", "External validity", _people),
    ("8b", "Where it is not expected to hold", _contexts),
)
