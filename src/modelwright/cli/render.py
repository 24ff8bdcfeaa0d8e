"""A finished run as text: functions of the run record and its folder."""

from __future__ import annotations

import shlex
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from modelwright.audit.finding import Finding
from modelwright.metrics.estimate import Interval
from modelwright.reports.commands import audit_command
from modelwright.reports.decisions import interval_sentence, threshold_sentences
from modelwright.reports.format import NOTHING, count, duration, metric_title, number, shortened
from modelwright.reports.leaderboard import Line, front_sentence, leaderboard
from modelwright.reports.openings import is_shown_instead, opening_sentences, opening_words
from modelwright.reports.trust import baselines, not_beaten, seed_sentence
from modelwright.spec import DEFAULT_HOME
from modelwright.training.front import DELIVERED, on_front
from modelwright.training.record import Evaluation, RunRecord

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table


_SEVERITIES = {"critical": "bold red", "warning": "yellow", "info": "dim"}
_MOST_FINDINGS = 8


def leaderboard_table(record: RunRecord) -> Table:
    """The delivered model, the best trial of each algorithm, and the members; the report ranks every trial."""
    from rich.table import Table
    from rich.text import Text

    weights = record.plan.weights
    board = leaderboard(record)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1))
    cost = ("one row", "rows/s") if board.measured else ("predict/row",)
    for column in ("", "algorithm", metric_title(record.metric), "fit", *cost, "size", "weight"):
        table.add_column(column, justify="left" if column == "algorithm" else "right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for line in [*([board.delivered] if board.delivered else []), *_shown_lines(record)]:
        remark = "baseline" if line.baseline else "one fold only" if line.rank == NOTHING else "tied" if line.tied else ""
        remark = ", ".join(filter(None, ("front" if line.front else "", remark)))
        weight = weights.get(line.number)
        table.add_row(
            line.rank,
            Text(line.algorithm, style="bold" if weight or not line.rank else ""),
            line.score,
            line.fit,
            *((line.row, line.batch) if board.measured else (line.predict,)),
            line.size,
            f"{weight:.2f}" if weight else "",
            Text(remark, style="dim"),
        )
    return table


def _shown_lines(record: RunRecord) -> list[Line]:
    members = {member.trial for member in record.plan.members}
    seen: set[str] = set()
    shown = []
    for line in leaderboard(record).lines:
        if line.algorithm not in seen or line.number in members:
            shown.append(line)
        seen.add(line.algorithm)
    return shown


def leaderboard_remarks(record: RunRecord) -> list[str]:
    """What the table leaves out: what "tied" means, further trials, and algorithms that failed or are not installed, once."""
    board = leaderboard(record)
    shown = _shown_lines(record)
    hidden = len(board.lines) - len(shown)
    remarks = [f"{hidden} more trial{'' if hidden == 1 else 's'} in the report."] if hidden else []
    if any(line.tied for line in shown):
        remarks.insert(0, "tied: the distance to the first may be chance.")
    if board.delivered is not None and any(line.front for line in [board.delivered, *shown]):
        remarks.insert(0, "front: no other model is better, faster and smaller at once.")
    if said := front_sentence(record):
        remarks.insert(0, said)
    return remarks + _failures(board.failures)


def _failures(lines: list[Line]) -> list[str]:
    """One sentence a reason: it often holds for many configurations of several algorithms."""
    found: dict[tuple[str, str], Counter[str]] = {}
    for line in lines:
        state = "not tried" if line.state == "unavailable" else line.state
        found.setdefault((state, line.error.splitlines()[0]), Counter())[line.algorithm] += 1
    return [
        f"{', '.join(name if n == 1 else f'{name} ({n} configurations)' for name, n in names.items())} {state}: {reason}"
        for (state, reason), names in found.items()
    ]


def interval_text(interval: Interval) -> str:
    """An estimate with its interval.

    Examples
    --------
    >>> interval_text(Interval(0.8471, 0.8262, 0.868))
    '0.8471 (95 % interval 0.8262 to 0.8680)'
    """
    return f"{number(interval.value)} (95 % interval {number(interval.low)} to {number(interval.high)})"


def score_sentences(record: RunRecord) -> list[str]:
    """The sealed score and how it compares with the baseline; without one, why there is none."""
    title = metric_title(record.metric)
    if record.evaluation is None:
        why = {
            "none": "all rows were used for training, as asked (evaluation none)",
        }.get(record.plan.split_rule, "no row was sealed")
        sentences = [f"There is no sealed score: {why}."]
        if record.validation_score is not None:
            sentences.append(
                f"The validation score is {title} {number(record.validation_score)}; "
                "the models were chosen by it, so expect a little worse on new rows."
            )
        return sentences
    evaluation = record.evaluation
    whose = f" of run {evaluation.look.best_run}" if is_shown_instead(record) and evaluation.look is not None else ""
    score = f"{title} {interval_text(evaluation.score)}{whose} on {count(evaluation.n_rows)} sealed rows"
    sentences = [f"{score}, {opening_words(record)}.", *opening_sentences(record)[1:]]
    if evaluation.comparison is not None and evaluation.comparison.better:
        sentences.append(evaluation.comparison.sentence)
    others = [
        f"{metric_title(name)} {number(value.value)}" for name, value in evaluation.others.items() if name != record.metric
    ]
    if others:
        sentences.append("Also: " + ", ".join(others) + ".")
    return sentences + _asked_for(record, evaluation)


def _asked_for(record: RunRecord, evaluation: Evaluation) -> list[str]:
    """What costs, a floor, repeats and intervals came to."""
    said = []
    if evaluation.threshold is not None and (evaluation.threshold.cost is not None or evaluation.threshold.floor):
        positive = str(record.plan.classes[1]) if len(record.plan.classes) > 1 else "1"
        said.append(" ".join(threshold_sentences(evaluation.threshold, shortened(positive, 30))))
    if evaluation.conformal is not None and record.task == "regression":
        said.append(interval_sentence(evaluation.conformal))
    if evaluation.repeats is not None:
        said.append(seed_sentence(evaluation))
    return said


def finding_lines(record: RunRecord, most: int = _MOST_FINDINGS) -> list[tuple[str, str]]:
    """(severity, text) of the findings, critical ones first, at most ``most`` of them and a line about the rest."""
    order = list(_SEVERITIES)
    findings = sorted(record.findings, key=lambda finding: order.index(finding.severity))
    lines: list[tuple[str, str]] = []
    for finding in findings:
        if finding.severity != "info" and len(lines) < most:
            lines.append((finding.severity, _finding_text(finding)))
    if rest := len(findings) - len(lines):
        lines.append(
            ("info", f"{rest} more in the report." if lines else f"{rest} remark{'' if rest == 1 else 's'}, in the report.")
        )
    return lines


def _finding_text(finding: Finding) -> str:
    """What was found, what it costs, and what mends it or who accepted it."""
    parts = [finding.message, finding.cost.sentence if finding.cost is not None else "", finding.mend]
    if finding.waiver is not None:
        parts[-1] = f"Waived by {finding.waiver.by} on {finding.waiver.at[:10]}: {finding.waiver.reason}"
    return " ".join(part for part in parts if part).strip()


def next_commands(record: RunRecord, folder: Path, *, program: str = "modelwright") -> list[tuple[str, str]]:
    """Three or four (command, meaning) pairs that work as they stand; what mends a critical finding comes first."""
    run = shlex.quote(folder.name if _is_in_home(folder) else str(shown_path(folder)))
    source = record.source if record.source and Path(record.source).is_file() else "new.csv"
    data = shlex.quote(source)
    mend = []
    if any(f.bars_promotion and f.fix for f in record.findings) and (command := audit_command(record)):
        mend.append((command.replace("modelwright", program, 1), "write the mends into modelwright.toml; then train again"))
    found = [*mend, (f"{program} predict {run} {data} -o scored.csv", "score rows with this model")]
    if record.target is not None:
        found.append((f"{program} explain {run} {data}", "say what moved the predictions of single rows"))
    found.append((f"{program} card {run} -o CARD.md", "write the model card"))
    return found if mend else [*found, (f"{program} show {run}", "see this summary again")]


def _is_in_home(folder: Path) -> bool:
    """Whether the run is found by its name alone from the working folder."""
    return folder.resolve().parent == (Path(DEFAULT_HOME) / "runs").resolve()


def shown_path(path: Path) -> Path:
    """The path as seen from the working folder, where it lies below it."""
    try:
        return path.resolve().relative_to(Path.cwd())
    except ValueError:
        return path


def run_summary(record: RunRecord, folder: Path, *, program: str = "modelwright") -> list[RenderableType]:
    """What is printed at the end of a training, and by ``modelwright show``."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    def heading(text: str) -> Text:
        return Text(f"\n{text}", style="bold cyan")

    def indented(*parts: RenderableType) -> list[RenderableType]:
        return [Padding(part, (0, 0, 0, 2), expand=False) for part in parts]

    what = f"predicts {record.target} ({record.task})" if record.target else "finds clusters"
    rows = f"{count(record.n_rows)} rows, {count(record.n_columns)} columns"
    spent = duration(record.wall_s) + (f" of {duration(record.budget_s)}" if record.budget_s is not None else "")
    out: list[RenderableType] = [
        heading(f"Run {record.id}"),
        *indented(Text(f"{what} from {rows}; {len(record.trials)} trials in {spent}.")),
    ]
    if record.plan.split_sentence:
        out += indented(Text(record.plan.split_sentence))
    if record.interrupted:
        out += indented(Text("The search was stopped early; the model is the best of what was done.", style="yellow"))
    findings = finding_lines(record)
    critical = [line for line in findings if line[0] == "critical"]
    if critical:
        out.append(Text("\nCritical", style="bold red"))
        out += indented(*(Text(text) for _, text in critical))
    if sentence := not_beaten(record):
        out += [Text(""), *indented(Text(sentence, style="bold yellow"))]
    if record.barriers:
        why = "Until that is settled, the model" if critical or sentence else f"{' '.join(record.barriers)} The model"
        out += indented(Text(f"{why} is not to be registered or promoted.", style="dim"))
    out.append(heading("Leaderboard, on validation rows"))
    out += indented(leaderboard_table(record), *(Text(remark, style="dim") for remark in leaderboard_remarks(record)))
    out.append(heading("Score"))
    first, *rest = score_sentences(record)
    out += indented(Text(first, style="bold green" if record.evaluation else "yellow"), *map(Text, rest))
    if others := [line for line in findings if line[0] != "critical"]:
        out.append(heading("Findings"))
        table = Table.grid(padding=(0, 2))
        for severity, text in others:
            table.add_row(Text(severity, style=_SEVERITIES[severity]), Text(text))
        out += indented(table)
    out.append(heading("Where it is"))
    places = Table.grid(padding=(0, 2))
    for name, place in (("report", folder / "report.html"), ("model", folder / "model")):
        places.add_row(name, Text(str(shown_path(place)), overflow="fold"))
    out += indented(places)
    out.append(heading("Next"))
    for command, meaning in next_commands(record, folder, program=program):
        out += indented(Text(command, style="bold", overflow="fold"), Text(f"  {meaning}", style="dim"))
    return out


def print_summary(console: Console, record: RunRecord, folder: Path, *, program: str = "modelwright") -> None:
    """Print `run_summary`."""
    parts = run_summary(record, folder, program=program)
    if console.is_terminal:
        for part in parts:
            console.print(part, highlight=False)
        return
    # Rich fills lines with blanks; in a file or a pipe they only disturb.
    with console.capture() as capture:
        for part in parts:
            console.print(part, highlight=False)
    console.file.write("\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n")


def quiet_lines(record: RunRecord, folder: Path) -> list[str]:
    """The result alone, a line each: critical findings, a baseline that is not beaten, score, comparison, places."""
    lines = [f"critical: {text}" for severity, text in finding_lines(record) if severity == "critical"]
    lines += [sentence] if (sentence := not_beaten(record)) else []
    lines.append(score_sentences(record)[0])
    if record.evaluation is None:
        lines += score_sentences(record)[1:]
    elif record.evaluation.comparison is not None and record.evaluation.comparison.better:
        lines.append(record.evaluation.comparison.sentence)
    return [*lines, f"report: {shown_path(folder / 'report.html')}", f"model: {shown_path(folder / 'model')}"]


def result_json(record: RunRecord, folder: Path) -> dict[str, Any]:
    """The result for machines; the run record itself stands in ``run.json`` of the folder."""
    evaluation = None
    if record.evaluation is not None:
        evaluation = msgspec.to_builtins(msgspec.structs.replace(record.evaluation, plots={}))
    return {
        "type": "Result",
        "run": record.id,
        "folder": str(folder.resolve()),
        "report": str((folder / "report.html").resolve()),
        "model": str((folder / "model").resolve()),
        "task": record.task,
        "target": record.target,
        "metric": record.metric,
        "greater_is_better": record.greater_is_better,
        "validation_score": record.validation_score,
        "barriers": record.barriers,
        "evaluation": evaluation,
        "look": None if evaluation is None else evaluation["look"],
        "comparisons": [] if record.evaluation is None else msgspec.to_builtins(baselines(record.evaluation)),
        "standings": msgspec.to_builtins(record.standings),
        "leaderboard": _rows(record),
        "findings": [{"name": finding.name, **msgspec.to_builtins(finding)} for finding in record.findings],
        "notes": record.notes,
        "wall_s": record.wall_s,
        "budget_s": record.budget_s,
        "interrupted": record.interrupted,
    }


def _rows(record: RunRecord) -> list[dict[str, Any]]:
    """The leaderboard for machines: the delivered model first, where it was measured; "front" is the Pareto front."""
    board, front = leaderboard(record), on_front(record)
    trials = {trial.number: trial for trial in record.trials}
    rows: list[dict[str, Any]] = []
    delivered = None if record.figures is None else record.figures.delivered
    if delivered is not None:
        measured = delivered.measured
        rows.append(
            {
                "trial": None,
                "algorithm": "delivered model",
                "state": "complete",
                "stage": "delivered",
                "score": delivered.score,
                "interval": msgspec.to_builtins(delivered.interval),
                "fit_s": delivered.fit_s,
                "single_row_s": measured.single_row_s,
                "single_row_p95_s": measured.single_row_p95_s,
                "batch_rows_per_s": measured.batch_rows_per_s,
                "size_bytes": measured.size_bytes,
                "peak_memory_mb": delivered.peak_memory_mb,
                "front": DELIVERED in front,
                "baseline": False,
                "error": "",
            }
        )
    for trial in (trials[line.number] for line in [*board.lines, *board.failures]):
        found = None if record.figures is None else record.figures.of(trial.number)
        rows.append(
            {
                "trial": trial.number,
                "algorithm": trial.algorithm,
                "state": trial.state,
                "stage": trial.stage,
                "score": trial.score,
                "interval": None if found is None else msgspec.to_builtins(found.interval),
                "fit_s": trial.fit_s,
                "predict_us_per_row": trial.predict_us_per_row,
                "single_row_s": None if found is None else found.single_row_s,
                "batch_rows_per_s": None if found is None else found.batch_rows_per_s,
                "size_bytes": trial.size_bytes if found is None or found.size_bytes is None else found.size_bytes,
                "peak_memory_mb": trial.peak_memory_mb,
                "front": trial.number in front,
                "baseline": trial.baseline,
                "error": trial.error,
            }
        )
    return rows
