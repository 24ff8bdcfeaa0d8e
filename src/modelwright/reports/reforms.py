"""The REFORMS checklist [1]_, each item with what a run can say about it.

The items are named in our own short words under their numbers. What only people can answer is left to them, and
said so.

References
----------
.. [1] Kapoor et al., "REFORMS: Consensus-based Recommendations for Machine-learning-based Science",
   Science Advances 10 (2024), doi 10.1126/sciadv.adk3452.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from modelwright.reports.format import count, duration, estimated, metric_title, number, percent
from modelwright.reports.leaderboard import standing_sentence
from modelwright.reports.openings import look_of, opening_sentences
from modelwright.reports.trust import baselines, seed_sentence
from modelwright.training.record import RunRecord

#: What stands where only people know the answer.
FOR_PEOPLE = ""

#: Checks of the audit that look for columns which know the target.
_LEAKS = (
    "target_proxy", "copy_of_target", "pure_groups", "missingness_tells_target", "leading_column", "pair_tells_target",
    "group_statistic", "coming_rows", "time_travel", "not_yet_available", "key_order", "row_order",
)  # fmt: skip
#: Checks that look for rows which depend on each other across the split.
_CROSSING = (
    "duplicates_across_split", "near_duplicates_across_split", "group_overlap", "time_overlap", "undeclared_group",
    "undeclared_time", "train_evaluation_difference",
)  # fmt: skip


@dataclass(frozen=True)
class Item:
    """One item of the checklist; ``answer`` is empty where it is left to people."""

    number: str
    title: str
    answer: str


def reforms(record: RunRecord) -> list[Item]:
    """All 32 items in their order."""
    return [Item(number, title, answer(record)) for number, title, answer in _ITEMS]


def source_name(record: RunRecord) -> str:
    """Name of the file; the folders it lay in are nobody's business."""
    return record.source.replace("\\", "/").rpartition("/")[2] if "://" not in record.source else record.source


def _people(record: RunRecord) -> str:
    return FOR_PEOPLE


def _dataset(record: RunRecord) -> str:
    rows = f"{count(record.n_rows)} rows, {count(record.n_columns)} columns"
    return f"{source_name(record)}: {rows}; fingerprint of all cells {record.fingerprint}. A link or DOI is for people to add."


def _code(record: RunRecord) -> str:
    return f"modelwright {record.modelwright}; run {record.id}; versions of all libraries in environment.json."


def _infrastructure(record: RunRecord) -> str:
    facts = {key: value for key, value in record.environment.items() if key != "packages"}
    listed = "; ".join(f"{key} {value}" for key, value in facts.items() if not isinstance(value, (dict, list)))
    return f"{listed}; {duration(record.wall_s)} in all, at most {record.peak_memory_mb:,.0f} MB in one process."


def _readme(record: RunRecord) -> str:
    return (
        "The report of the run lists the commands that train again, predict and explain. A README of the study is for people."
    )


def _script(record: RunRecord) -> str:
    limits = (
        " It was searched against the clock, so on another machine the search may go another way." if record.budget_s else ""
    )
    return (
        "The command that trains again stands in the report; plan.json holds split rule, members, hyperparameters, iteration "
        f"counts and seeds, trials.parquet every candidate.{limits}"
    )


def _outcome(record: RunRecord) -> str:
    if record.target is None or record.summary is None:
        return FOR_PEOPLE
    what = "rows of each class" if record.plan.classes else "distribution"
    return f"{record.target!r} ({record.task}); {what} in training: {_target(record)}. Its definition is for people to give."


def _target(record: RunRecord) -> str:
    target = {} if record.summary is None else record.summary.target
    more = f" and {len(target) - 12} more" if len(target) > 12 else ""
    return ", ".join(f"{name} {number(value)}" for name, value in list(target.items())[:12]) + more


def _samples(record: RunRecord) -> str:
    text = f"{count(record.n_rows)} rows: {count(record.n_training)} for training and validation"
    if record.n_evaluation:
        text += f", {count(record.n_evaluation)} sealed for evaluation"
    left = record.n_rows - record.n_training - record.n_evaluation
    if left > 0 and record.plan.split_rule != "external":
        text += f", {count(left)} in neither (a reserve, a gap in time, or copies)"
    return (
        f"{text}. Rows of each class in training: {_target(record)}." if record.plan.classes and record.summary else f"{text}."
    )


def _missing(record: RunRecord) -> str:
    if record.summary is None:
        return FOR_PEOPLE
    if not record.summary.missing:
        return "No feature has missing cells in the training rows."
    noun = "column has" if record.summary.n_columns_with_missing == 1 else "columns have"
    worst = ", ".join(f"{name} {percent(share)}" for name, share in list(record.summary.missing.items())[:6])
    text = f"{record.summary.n_columns_with_missing} {noun} missing cells in the training rows, most of all {worst}."
    if record.summary.missing_by_class:
        by_class = ", ".join(f"{name} {percent(share)}" for name, share in list(record.summary.missing_by_class.items())[:12])
        text += f" Share of missing cells by class: {by_class}."
    return text


def _exclusions(record: RunRecord) -> str:
    rows = [note for note in record.notes if "left out" in note]
    ignored = [c for c in record.plan.schema.columns if c.role in ("ignored", "id")]
    listed = "; ".join(f"{c.name} ({c.reason})" if c.reason else c.name for c in ignored[:12])
    more = f" and {len(ignored) - 12} more" if len(ignored) > 12 else ""
    columns = f"Columns not learned from: {listed}{more}." if ignored else "No column was left out."
    return " ".join([*(rows or ["No row was left out for its values."]), columns])


def _corrupt(record: RunRecord) -> str:
    checks = ("sentinel_value", "missing_mark", "mixed_types", "date_order", "unreadable_cells")
    found = [f.message for f in record.findings if f.check in checks]
    text = " ".join(found[:5]) or "The audit found no filler numbers, mixed columns, unreadable cells or dates out of order."
    return f"{text} Such cells are reported, and read as missing where the spec says so; no row is dropped for them."


def _transformations(record: RunRecord) -> str:
    kinds: dict[str, int] = {}
    for column in record.plan.schema.features:
        kinds[column.type] = kinds.get(column.type, 0) + 1
    listed = ", ".join(f"{n} {kind}" for kind, n in kinds.items())
    return f"Columns are read by type ({listed}) and encoded by rules learned on training rows only (model/encoders)."


def _models(record: RunRecord) -> str:
    tried = sorted({trial.algorithm for trial in record.trials})
    return f"{len(record.trials)} candidates of {', '.join(tried)}; all with hyperparameters and scores in trials.parquet."


def _choice_of_types(record: RunRecord) -> str:
    asked = record.spec.get("algorithms")
    if asked:
        return f"As asked for: {', '.join(map(str, asked))}; why these, is for people to say."
    return "The tool's portfolio for this task and size of table, compared on the same rows; why it suits is for people to say."


def _evaluation(record: RunRecord) -> str:
    folds = record.plan.n_folds
    inner = f"{folds} validation folds follow" if folds > 1 else "one validation part follows"
    return f"{record.plan.split_sentence} Within the training rows, {inner} the same rule."


def _selection(record: RunRecord) -> str:
    how = "the best is taken" if record.task == "clustering" else "members and weights by greedy selection on their predictions"
    said = [f"By {metric_title(record.metric)} on validation rows; {how}.", standing_sentence(record)]
    if record.evaluation is not None:
        said.append("The evaluation rows took no part.")
        if record.evaluation.opened > 1:
            n = record.evaluation.opened - 1
            before = "once" if n == 1 else f"{n} times"
            said.append(f"They had been opened {before} before; what was learned then may have guided people.")
    return " ".join(text for text in said if text)


def _hyperparameters(record: RunRecord) -> str:
    stages = Counter(trial.stage for trial in record.trials if not trial.baseline)
    tried = ", ".join(f"{n} {stage}" for stage, n in stages.items() if stage)
    members = [f"{m.algorithm} (weight {m.weight:.2f}, {m.n_iterations or '–'} iterations)" for m in record.plan.members]
    delivered = f"Delivered: {'; '.join(members)}"
    return f"Stages that candidates reached: {tried}. {delivered}; all settings in plan.json, all trials in trials.parquet."


def _baselines(record: RunRecord) -> str:
    if record.evaluation is None or not baselines(record.evaluation):
        return FOR_PEOPLE
    return " ".join(comparison.sentence for comparison in baselines(record.evaluation))


def _separation(record: RunRecord) -> str:
    if record.plan.split_rule == "none":
        return FOR_PEOPLE
    return (
        "Evaluation rows are written to a file of their own before types, encodings or models are learned, and the steps that "
        "train are handed training rows only. The task and the list of classes are read from the whole target column; the "
        "audit compares features of both parts, never evaluation targets."
    )


def _dependencies(record: RunRecord) -> str:
    crossing = [f.message for f in record.findings if f.check in _CROSSING]
    found = " ".join(crossing[:4]) or "The audit found no rows, groups or times that cross the split."
    return f"{record.plan.split_sentence} {found} Relations that the table does not show are for people to rule out."


def _legitimacy(record: RunRecord) -> str:
    said = []
    critical = [f for f in record.findings if f.severity == "critical"]
    suspects = [f for f in record.findings if f.severity == "warning" and f.check in _LEAKS]
    for finding in critical:
        settled = f"waived by {finding.waiver.by}: {finding.waiver.reason}" if finding.waiver else "critical, NOT resolved"
        said.append(f"{finding.name} ({settled}).")
    if suspects:
        said.append(f"To be looked at: {', '.join(f.name for f in suspects[:8])}.")
    if not said:
        said.append("None of these was found.")
    return (
        "Checked on the training rows: columns that tell the target nearly alone, copies and other forms of it, two columns "
        "that give it together, missing cells, keys and row order that go with it, statistics of it by group, values of "
        f"coming rows, and moments after it. {' '.join(said)} Not checked, for a table does not tell: what a column means, and "
        "whether its value is known when a prediction is made; that is for people to confirm for each feature."
    )


def _metrics(record: RunRecord) -> str:
    names = [record.metric]
    if record.evaluation is not None:
        names = list(dict.fromkeys([record.evaluation.metric, *record.evaluation.others]))
    chosen = "as asked for" if record.spec.get("metric") else "the tool's default for the task"
    listed = ", ".join(metric_title(name) for name in names)
    return f"{listed}. The first selected the model: {chosen}; whether it suits is for people to say."


def _uncertainty(record: RunRecord) -> str:
    evaluation, look = record.evaluation, look_of(record)
    if evaluation is None:
        return FOR_PEOPLE
    whose = f" (of run {look.best_run}, not of this model)" if look is not None and not look.reveals else ""
    said = [
        f"{metric_title(record.metric)} {estimated(evaluation.score)}{whose}, 95 % interval.",
        "Intervals rest on the influence of each row on the metric (DeLong for ROC AUC, Wilson for shares); rows of one "
        "declared group, or of neighbouring declared times, count as dependent.",
        *opening_sentences(record),
    ]
    if evaluation.repeats is not None:
        said.append(seed_sentence(evaluation))
    return " ".join(said)


def _tests(record: RunRecord) -> str:
    if record.evaluation is None or not baselines(record.evaluation):
        return FOR_PEOPLE
    text = (
        "Two-sided paired test of the difference on the same evaluation rows, at 5 % (less from the second opening on); rows "
        "of one declared group, or of neighbouring declared times, are not taken for independent. The strongest baseline on "
        "validation rows decides."
    )
    if record.standings is not None:
        text += " Candidates are compared with the best of them by the largest of all differences, corrected for their number."
    return text


def _external(record: RunRecord) -> str:
    if record.plan.split_rule != "external" or record.evaluation is None:
        return FOR_PEOPLE
    return f"Evaluated on a table of its own, {count(record.evaluation.n_rows)} rows. Where it comes from is for people to say."


def _contexts(record: RunRecord) -> str:
    if record.evaluation is None or not record.evaluation.slices:
        return FOR_PEOPLE
    found = [" and ".join(s.conditions) for s in record.evaluation.slices if s.confirmed]
    return f"Clearly worse on sealed rows where {'; where '.join(found[:5])}." if found else FOR_PEOPLE


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
    ("3d", "Outcome, its definition and distribution", _outcome),
    ("3e", "Number of samples, and of each outcome", _samples),
    ("3f", "Missing data", _missing),
    ("3g", "Representativeness", _people),
    ("4a", "Samples and columns excluded", _exclusions),
    ("4b", "Impossible or corrupt values", _corrupt),
    ("4c", "Transformations", _transformations),
    ("5a", "Models trained", _models),
    ("5b", "Why these types of model", _choice_of_types),
    ("5c", "Method of evaluation", _evaluation),
    ("5d", "Method of selection", _selection),
    ("5e", "Tuning of hyperparameters", _hyperparameters),
    ("5f", "Baselines", _baselines),
    ("6a", "Separation of training and evaluation", _separation),
    ("6b", "Dependencies and duplicates across the split", _dependencies),
    ("6c", "Legitimacy of each feature", _legitimacy),
    ("7a", "Metrics, and why the one that selects", _metrics),
    ("7b", "Uncertainty", _uncertainty),
    ("7c", "Statistical tests", _tests),
    ("8a", "External validity", _external),
    ("8b", "Where it is not expected to hold", _contexts),
)
