"""A run for a pipeline: a summary in Markdown for a pull request, and JUnit's XML with a case for each thing that was held.

Both are functions of the entry, the record (of a training) and the gates; nothing is read or written here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from xml.sax.saxutils import escape, quoteattr

from modelwright.reports.format import duration, metric_title, number
from modelwright.runs.entry import RunEntry
from modelwright.runs.gates import Gate
from modelwright.training.record import RunRecord

Outcome = Literal["passed", "failed", "skipped"]
#: Findings listed in a summary; the report has them all.
MAX_FINDINGS = 8
#: XML cannot hold other control characters at all.
_UNWRITABLE = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Case:
    """One thing that was held: a gate, a finding of the audit, or the test against the baseline."""

    kind: str
    name: str
    outcome: Outcome
    message: str = ""


def cases(entry: RunEntry, record: RunRecord | None, gates: Sequence[Gate]) -> list[Case]:
    """What was held of a run.

    Parameters
    ----------
    entry : RunEntry
    record : RunRecord or None
        Of a training.
    gates : sequence of Gate

    Returns
    -------
    list of Case
        A critical finding that nobody waived fails, a waived one is skipped, others pass with their words. The test against
        the baseline is skipped where no sealed score exists.
    """
    found = [Case("gate", gate.condition, "failed" if gate.failed else "passed", gate.sentence) for gate in gates]
    if entry.state in ("failed", "killed"):
        found.append(Case("run", "run ended well", "failed", entry.error or entry.state))
    if record is None:
        return found
    for finding in record.findings:
        outcome: Outcome = "failed" if finding.bars_promotion else "skipped" if finding.waiver else "passed"
        reason = f" Waived by {finding.waiver.by}: {finding.waiver.reason}" if finding.waiver else ""
        message = " ".join(filter(None, [f"{finding.severity}: {finding.message}", finding.mend])) + reason
        found.append(Case("finding", finding.name, outcome, message))
    if record.target is not None:
        found.append(_baseline(entry, record))
    return found


def _baseline(entry: RunEntry, record: RunRecord) -> Case:
    comparison = None if record.evaluation is None else record.evaluation.comparison
    name = "better than the baseline"
    if entry.better is None:
        return Case("baseline", name, "skipped", "No sealed score exists.")
    words = comparison.sentence if comparison is not None else "At the level that is left after earlier looks."
    return Case("baseline", name, "passed" if entry.better else "failed", words)


def junit(entry: RunEntry, held: Sequence[Case]) -> str:
    """JUnit's XML.

    Parameters
    ----------
    entry : RunEntry
    held : sequence of Case
    """
    failed, skipped = (sum(case.outcome == outcome for case in held) for outcome in ("failed", "skipped"))
    seconds = f"{entry.wall_s or 0.0:.3f}"
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<testsuites tests="{len(held)}" failures="{failed}" skipped="{skipped}" time="{seconds}">',
        f'<testsuite name={_quoted(f"modelwright {entry.id}")} tests="{len(held)}" failures="{failed}" errors="0" '
        f'skipped="{skipped}" time="{seconds}" timestamp={_quoted(entry.created[:19])}>',
    ]
    for case in held:
        head = f'<testcase classname={_quoted(f"modelwright.{case.kind}")} name={_quoted(case.name)} time="0"'
        words = _clean(case.message)
        if case.outcome == "failed":
            lines.append(f"{head}><failure message={_quoted(case.message)}>{escape(words)}</failure></testcase>")
        elif case.outcome == "skipped":
            lines.append(f"{head}><skipped message={_quoted(case.message)}/></testcase>")
        else:
            lines.append(f"{head}><system-out>{escape(words)}</system-out></testcase>" if words else f"{head}/>")
    return "\n".join([*lines, "</testsuite>", "</testsuites>", ""])


def summary(entry: RunEntry, record: RunRecord | None, gates: Sequence[Gate], place: str) -> str:
    """A summary in Markdown, as GitHub and GitLab render it.

    Parameters
    ----------
    entry : RunEntry
    record : RunRecord or None
        Of a training.
    gates : sequence of Gate
    place : str
        Where the run lies.
    """
    failed = [gate for gate in gates if gate.failed]
    verdict = "" if not gates else ": " + (f"{len(failed)} of {len(gates)} gates failed" if failed else "all gates hold")
    lines = [f"## Run {_plain(entry.id)}{verdict}", ""]
    if gates:
        lines += ["| gate | | values |", "|---|---|---|"]
        lines += [f"| {_code(g.condition)} | {'❌ fails' if g.failed else '✅ holds'} | {_cell(g.sentence)} |" for g in gates]
        lines.append("")
    lines += _scores(entry)
    if record is not None:
        evaluation = record.evaluation
        if evaluation is not None and evaluation.comparison is not None:
            lines += [_plain(evaluation.comparison.sentence), ""]
        if entry.withheld:
            lines += [f"The score is withheld: {_plain(entry.withheld)}.", ""]
        lines += _findings(record)
    took = [f"took {duration(entry.wall_s)}"] if entry.wall_s is not None else []
    about = [*([f"{entry.task} of `{_ticks(entry.target)}`"] if entry.target else []), *took]
    code = [f"commit `{entry.commit[:12]}`{' with uncommitted changes' if entry.dirty else ''}"] if entry.commit else []
    lines.append(_plain_line([*about, *code, f"in `{_ticks(place)}`"]))
    return "\n".join(lines) + "\n"


def _scores(entry: RunEntry) -> list[str]:
    rows = []
    for name in [*([entry.metric] if entry.metric in entry.metrics else []), *(n for n in entry.metrics if n != entry.metric)]:
        ends = entry.intervals.get(name)
        shown = f"{number(ends[0])} to {number(ends[1])}" if ends else ""
        mark = "**" if name == entry.metric else ""
        rows.append(f"| {mark}{_cell(metric_title(name))}{mark} | {mark}{number(entry.metrics[name])}{mark} | {shown} |")
    if entry.validation is not None:
        rows.append(f"| on validation rows | {number(entry.validation)} | |")
    head = "| metric | sealed | 95 % interval |" if entry.kind == "training" else "| metric | value | |"
    return [head, "|---|---|---|", *rows, ""] if rows else []


def _findings(record: RunRecord) -> list[str]:
    order = ("critical", "warning")
    told = sorted((f for f in record.findings if f.severity in order), key=lambda f: order.index(f.severity))
    lines = []
    for finding in told[:MAX_FINDINGS]:
        waived = f" (waived by {finding.waiver.by}: {finding.waiver.reason})" if finding.waiver else ""
        lines.append(f"- **{finding.severity}** {_plain(finding.message)} {_plain(finding.mend)}{_plain(waived)}".rstrip())
    if len(told) > MAX_FINDINGS:
        lines.append(f"- {len(told) - MAX_FINDINGS} more in the report")
    return [*lines, ""] if lines else []


def _plain(text: str) -> str:
    """Text in which nothing is markup: names of columns and runs come from anywhere."""
    return re.sub(r"([\\`*_{}\[\]<>#|~@!])", r"\\\1", " ".join(_clean(text).split()))


def _cell(text: str) -> str:
    return _plain(text)


def _ticks(text: str) -> str:
    return " ".join(_clean(text).replace("`", "'").split())


def _code(text: str) -> str:
    # Inside a table a bar ends the cell even within code.
    return f"`{_ticks(text)}`".replace("|", "\\|")


def _plain_line(parts: Sequence[str]) -> str:
    line = ", ".join(parts)
    return line[:1].upper() + line[1:] + "."


def _clean(text: str) -> str:
    return _UNWRITABLE.sub("\ufffd", text)


def _quoted(text: str) -> str:
    return quoteattr(_clean(text))
