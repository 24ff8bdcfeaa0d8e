"""The model card of a run: Markdown with the metadata block that model hubs read.

Layout after Mitchell et al., "Model Cards for Model Reporting", FAT* 2019, and the annotated model card of the
Hugging Face Hub. Looks, leak findings, the split and the baseline test have sections of their own.
"""

from __future__ import annotations

import json
from typing import Any

from modelwright.audit.finding import Finding
from modelwright.metrics.estimate import Interval
from modelwright.reports.decisions import calibration_sentence, interval_sentence, threshold_sentences
from modelwright.reports.format import (
    count,
    duration,
    estimated,
    estimated_share,
    metric_title,
    number,
    p_value,
    percent,
    ranged,
)
from modelwright.reports.leaderboard import standing_sentence
from modelwright.reports.openings import is_shown_instead, opening_sentences
from modelwright.reports.reforms import reforms, source_name
from modelwright.reports.reliability import worst_name
from modelwright.reports.trust import baselines, beaten, expectation, seed_sentence
from modelwright.training.record import RunRecord

_PIPELINES = {
    "binary": "tabular-classification",
    "multiclass": "tabular-classification",
    "regression": "tabular-regression",
    "clustering": "other",
}
_LEFT = "*For you to write.*"
_MOST_IMPORTANT = 10
_VERDICTS = {"better": "beaten", "worse": "better than the model", "unclear": "not shown to be beaten"}


def card(record: RunRecord) -> str:
    """Write the model card.

    Parameters
    ----------
    record : RunRecord
        The run; nothing else is read, and the same record gives the same text.

    Returns
    -------
    str
        Markdown.
    """
    parts = [
        _metadata(record),
        f"# {_escaped(record.name)}",
        _summary(record),
        *_section("Model details", _details(record)),
        *_section("Uses", ["**Intended use.** " + _LEFT, "**Out of scope.** " + _LEFT]),
        *_section("Training data", _data(record)),
        *_section("Findings of the audit", _findings(record)),
        *_section("Evaluation", _evaluation(record)),
        *_section("Probabilities, threshold and intervals", _decisions(record)),
        *_section("Where it is weak", _weak(record)),
        *_section("How to use it", _use(record)),
        *_section("REFORMS checklist", _reforms(record)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _section(title: str, lines: list[str]) -> list[str]:
    return [f"## {title}", *lines] if lines else []


def _metadata(record: RunRecord) -> str:
    """YAML; every JSON value is one, so texts are written as JSON."""
    pipeline = _PIPELINES[record.task]
    lines = [
        "---",
        "library_name: modelwright",
        f"pipeline_tag: {pipeline}",
        f"tags: {json.dumps(['tabular', record.task, 'modelwright'])}",
        f"metrics: {json.dumps([record.metric])}",
    ]
    # A score that belongs to another run must not be listed as this model's.
    if record.evaluation is not None and not is_shown_instead(record):
        values: dict[str, Interval] = {record.evaluation.metric: record.evaluation.score, **record.evaluation.others}
        lines += [
            "model-index:",
            f"- name: {json.dumps(record.name)}",
            "  results:",
            f"  - task: {json.dumps({'type': pipeline})}",
            f"    dataset: {json.dumps({'name': source_name(record), 'type': 'tabular', 'revision': record.fingerprint})}",
            "    metrics:",
            *(
                f"    - {json.dumps({'type': name, 'value': round(v.value, 6), 'name': f'{metric_title(name)}, sealed rows'})}"
                for name, v in values.items()
            ),
        ]
    return "\n".join([*lines, "---"])


def _summary(record: RunRecord) -> str:
    what = f"Predicts **{_escaped(record.target)}** ({record.task})" if record.target else "Groups rows into clusters"
    text = f"{what} from {len(record.plan.schema.features)} columns. Trained on {record.created[:10]} in run `{record.id}`."
    if record.barriers:
        listed = "".join(f"\n> - {_escaped(barrier)}" for barrier in record.barriers)
        text += f"\n\n> **Not to be put into use as it is:**{listed}"
    return text


def _details(record: RunRecord) -> list[str]:
    rows = [(m.algorithm, f"{m.weight:.2f}", str(m.n_iterations or "–"), count(m.n_rows)) for m in record.plan.members]
    facts = [
        f"- Chosen by {metric_title(record.metric)} from {len(record.trials)} candidates in {duration(record.wall_s)}.",
        f"- modelwright {record.modelwright}, seed {record.plan.seed}, one thread a fit.",
    ]
    if standing := standing_sentence(record):
        facts.append(f"- {_escaped(standing)}")
    return [_table(("Algorithm", "Weight", "Iterations", "Rows"), rows), "\n".join(facts)]


def _data(record: RunRecord) -> list[str]:
    lines = [
        f"{_escaped(source_name(record))}: {count(record.n_rows)} rows, {count(record.n_columns)} columns.",
        _escaped(record.plan.split_sentence),
    ]
    if record.summary is not None and record.summary.target:
        title = "Class" if record.plan.classes else "Target"
        rows = [(name, number(value)) for name, value in list(record.summary.target.items())[:20]]
        lines.append(_table((title, "Training rows" if record.plan.classes else "Value"), rows))
    columns = [(c.name, c.type, c.role) for c in record.plan.schema.columns]
    lines.append(_folded(f"All {len(columns)} columns", _table(("Column", "Type", "Role"), columns)))
    return lines


def _findings(record: RunRecord) -> list[str]:
    listed = [f for f in record.findings if f.severity != "info" or f.waiver]
    if not listed:
        return ["Nothing of weight was found in the training rows."]
    return ["\n".join(f"- **{f.severity}** {_escaped(f.message)}{_beside(f)}" for f in listed)]


def _beside(finding: Finding) -> str:
    parts = []
    if finding.cost:
        parts.append(f" {_escaped(finding.cost.sentence)}")
    if finding.waiver:
        w = finding.waiver
        parts.append(f" *Waived by {_escaped(w.by)} on {w.at[:10]}: {_escaped(w.reason)}*")
    return "".join(parts)


def _evaluation(record: RunRecord) -> list[str]:
    evaluation = record.evaluation
    if evaluation is None:
        return ["There is no sealed score."]
    said = opening_sentences(record)
    if evaluation.look is not None:
        said.append(f"Evaluation rows {evaluation.look.vault[:16]}, line {evaluation.look.hash[:16]} of their ledger.")
    lines = [
        f"**{_escaped(expectation(record))}**",
        f"On {count(evaluation.n_rows)} sealed rows that no step of training was handed. {_escaped(' '.join(said))}",
    ]
    if not is_shown_instead(record):
        values = {evaluation.metric: evaluation.score, **evaluation.others}
        rows = [(metric_title(name), number(v.value), ranged(v)) for name, v in values.items()]
        lines.append(_table(("Metric", "Value", "95 % interval"), rows))
    if found := baselines(evaluation):
        compared = [
            (c.baseline, estimated(c.baseline_score), estimated(c.difference), p_value(c.p_value), _VERDICTS[beaten(c)])
            for c in found
        ]
        lines.append(_table(("Baseline", metric_title(record.metric), "Model better by", "p", "Verdict"), compared))
    if spread := seed_sentence(evaluation):
        lines.append(_escaped(spread))
    return lines


def _decisions(record: RunRecord) -> list[str]:
    """Calibration, threshold and prediction intervals, a line each."""
    evaluation = record.evaluation
    if evaluation is None:
        return []
    lines = []
    if (calibration := evaluation.calibration) is not None:
        slope = (
            ""
            if calibration.slope is None
            else f" Slope {estimated(calibration.slope)}; Brier score {number(calibration.brier)}."
        )
        method = (
            "No map was applied" if calibration.method == "none" else f"Calibrated by {calibration.method} on validation rows"
        )
        lines.append(f"- {_escaped(f'{calibration_sentence(calibration)}{slope} {method}.')}")
    if (threshold := evaluation.threshold) is not None:
        positive = str(record.plan.classes[1]) if len(record.plan.classes) > 1 else "1"
        rates = f"Precision {estimated_share(threshold.precision)}, recall {estimated_share(threshold.recall)}."
        lines.append(f"- {_escaped(' '.join([*threshold_sentences(threshold, positive), rates]))}")
    if (conformal := evaluation.conformal) is not None:
        size = (
            f"mean width {number(conformal.size)}"
            if conformal.kind == "interval"
            else f"{conformal.size:.2f} classes on average"
        )
        worst = "".join(f" Least: {worst_name(w.kind, w.name)}, {estimated_share(w.coverage)}." for w in conformal.worst[:3])
        lines.append(f"- {_escaped(f'{interval_sentence(conformal)} {size[:1].upper()}{size[1:]}.{worst}')}")
    return ["\n".join(lines)] if lines else []


def _weak(record: RunRecord) -> list[str]:
    lines: list[str] = []
    evaluation = record.evaluation
    if evaluation is not None and evaluation.slices:
        slices = [
            (
                " and ".join(s.conditions),
                count(s.n_sealed),
                "–" if s.excess is None else f"{s.excess:.2f} ×",
                "yes" if s.confirmed else "not shown",
            )
            for s in evaluation.slices
        ]
        lines.append(_table(("Rows where", "Sealed rows", "Loss against the rest", "Confirmed"), slices))
    for each in evaluation.groupwise if evaluation is not None else []:
        metric = evaluation.metric if evaluation is not None else ""
        rows = [(g.group, count(g.n_rows), _interval(g.metrics.get(metric))) for g in each.groups]
        lines.append(_table((each.column, "Sealed rows", metric_title(metric)), rows))
    if record.importance:
        shares = [(name, percent(share)) for name, share in record.importance[:_MOST_IMPORTANT]]
        lines.append(_table(("Column", "Share of importance"), shares))
    return lines


def _interval(interval: Interval | None) -> str:
    if interval is None:
        return "unknown: too few rows"
    return estimated(interval)


def _use(record: RunRecord) -> list[str]:
    call = "predict" if record.task in ("regression", "clustering") else "predict_proba"
    code = f'import modelwright\n\nmodel = modelwright.load("{record.id}")\nmodel.{call}(rows)'
    return [f"```python\n{code}\n```"]


def _reforms(record: RunRecord) -> list[str]:
    items = reforms(record)
    filled = sum(bool(item.answer) for item in items)
    rows = [(item.number, item.title, _escaped(item.answer) if item.answer else _LEFT) for item in items]
    head = (
        f"{filled} of {len(items)} items are filled from the record of the run. Items after Kapoor et al., "
        "Science Advances 10 (2024), doi 10.1126/sciadv.adk3452."
    )
    return [head, _table(("Item", "Question", "Answer"), rows, escape=False)]


def _table(head: tuple[str, ...], rows: list[Any], *, escape: bool = True) -> str:
    def line(cells: tuple[str, ...]) -> str:
        return "| " + " | ".join(_escaped(cell) if escape else cell for cell in cells) + " |"

    return "\n".join([line(head), "|" + "---|" * len(head), *(line(row) for row in rows)])


def _folded(title: str, text: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{text}\n\n</details>"


def _escaped(text: str) -> str:
    """Text from a table must not become markup of the card."""
    clean = " ".join(str(text).split())
    for character in "\\`*_[]<>|#":
        clean = clean.replace(character, f"\\{character}" if character not in "<>" else {"<": "&lt;", ">": "&gt;"}[character])
    return clean
