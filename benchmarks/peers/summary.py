"""What the results say: scores, win rates, ranks, time, latency, memory, as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import numpy as np

from peers.scores import DECIDES

Row = dict[str, Any]
#: (table, seed) -> system -> row
Board = dict[tuple[str, int], dict[str, Row]]
#: Scores nearer than this, relative to the other's, are ties.
TIE = 1e-3
RESAMPLES = 10_000


def board(rows: Sequence[Row], systems: Sequence[str], budget_s: float) -> Board:
    """Rows of the systems at one budget, by table and seed."""
    out: Board = {}
    for row in rows:
        if row["system"] in systems and row["budget_s"] == budget_s:
            out.setdefault((row["table"], row["seed"]), {})[row["system"]] = row
    return dict(sorted(out.items()))


def deciding(row: Row) -> float | None:
    """The figure that decides, turned so that less is better; None for a failure."""
    name, greater = DECIDES[row["task"]]
    value = row.get(name)
    return None if value is None else -value if greater else value


def result(ours: Row, other: Row) -> float:
    """1 for a win of the first, 0.5 for a tie, 0 for a loss; a failure loses, two failures tie."""
    a, b = deciding(ours), deciding(other)
    if a is None or b is None:
        return 0.5 if a is b else 0.0 if a is None else 1.0
    if abs(a - b) <= TIE * abs(b):
        return 0.5
    return 1.0 if a < b else 0.0


def win_rate(games: Board, ours: str, other: str, seed: int = 0) -> tuple[float, float, float, int] | None:
    """Win rate, its 95 % interval by a bootstrap over tables, and the number of tables; None without a common table.

    Seeds of a table are averaged first, since they share the table.
    """
    by_table: dict[str, list[float]] = {}
    for (table, _), row in games.items():
        if ours in row and other in row:
            by_table.setdefault(table, []).append(result(row[ours], row[other]))
    if not by_table:
        return None
    points = np.array([np.mean(each) for each in by_table.values()])
    picks = np.random.default_rng(seed).integers(len(points), size=(RESAMPLES, len(points)))
    low, high = np.quantile(points[picks].mean(axis=1), [0.025, 0.975])
    return float(points.mean()), float(low), float(high), len(points)


def mean_ranks(games: Board, systems: Sequence[str]) -> tuple[dict[str, float], int]:
    """Mean rank over the tables (and seeds) that every system was run on, ties shared as in the win rate; and their number."""
    full = [row for row in games.values() if all(name in row for name in systems)]
    ranks = {
        name: float(np.mean([1 + sum(1 - result(row[name], row[other]) for other in systems if other != name) for row in full]))
        for name in systems
        if full
    }
    return ranks, len(full)


def markdown(rows: Sequence[Row], systems: Sequence[str], budget_s: float, ours: str = "ours") -> str:
    """All tables of one budget.

    Parameters
    ----------
    rows : sequence of dict
        Lines of the results.
    systems : sequence of str
        Columns, in this order; a system without a line at this budget is left out.
    budget_s : float
    ours : str, default="ours"
        The system that the others are compared with.

    Returns
    -------
    str
    """
    games = board(rows, systems, budget_s)
    systems = [name for name in systems if any(name in row for row in games.values())]
    if not games:
        return f"No results at {budget_s:g} s."
    parts = [f"### {budget_s:g} s, {len(games)} tables", _scores(games, systems)]
    parts += [_standing(games, systems, ours), _costs(games, systems, budget_s, ours)]
    failures = [
        f"- {name} on {t}: {row['error']}" for (t, _), by in games.items() for name, row in by.items() if "error" in row
    ]
    return "\n\n".join([*parts, *(["Failures:\n" + "\n".join(failures)] if failures else [])])


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, rule, *lines])


def _scores(games: Board, systems: Sequence[str]) -> str:
    lines = []
    several = len({seed for _, seed in games}) > 1
    for (table, seed), by in games.items():
        name, _ = DECIDES[next(iter(by.values()))["task"]]
        values = {system: deciding(row) for system, row in by.items()}
        best = min((value for value in values.values() if value is not None), default=None)
        cells = [table + (f" ({seed})" if several else ""), name]
        for system in systems:
            value = values.get(system)
            shown = ("failed" if system in by else "") if value is None else f"{abs(value):.5g}"
            cells.append(f"**{shown}**" if value is not None and value == best else shown)
        lines.append(cells)
    return _table(["table", "figure", *systems], lines)


def _standing(games: Board, systems: Sequence[str], ours: str) -> str:
    ranks, n = mean_ranks(games, systems)
    lines = []
    for name in systems:
        rate = None if name == ours else win_rate(games, ours, name)
        shown = f"{rate[0]:.2f} ({rate[1]:.2f} to {rate[2]:.2f})" if rate else ""
        lines.append([name, shown, str(rate[3]) if rate else "", f"{ranks[name]:.2f}" if ranks else ""])
    return _table(["system", f"win rate of {ours} (95 %)", "tables", f"mean rank ({n} tables)"], lines)


def _costs(games: Board, systems: Sequence[str], budget_s: float, ours: str) -> str:
    head = ["system", "failed", "ready / budget: median, max", "late", "wall / budget: median, max"]
    head += [
        "one row ms (× ours)",
        "dict ms",
        "batch µs/row (× ours)",
        "all processes MB: median, max",
        "largest MB",
        "over memory",
    ]
    lines = []
    for name in systems:
        mine = [by[name] for by in games.values() if name in by]
        late = [row for row in mine if row.get("killed") == "training" or row.get("ready_s", 0) > budget_s * 1.05 + 2]
        heavy = [row for row in mine if row.get("peak_pss_mb") and row["peak_pss_mb"] > 4 * row.get("table_mb", np.inf) + 600]
        lines.append(
            [
                name,
                str(sum(deciding(row) is None for row in mine)),
                _pair([row["ready_s"] / budget_s for row in mine if "ready_s" in row], "{:.2f}"),
                str(len(late)) if any("ready_s" in row or "killed" in row for row in mine) else "",
                _pair([row["wall_s"] / budget_s for row in mine if "wall_s" in row], "{:.2f}"),
                _with_ratio(games, name, ours, "single_ms_median", "{:.3g}"),
                _pair([row["dict_ms_median"] for row in mine if "dict_ms_median" in row], "{:.3g}", median),
                _with_ratio(games, name, ours, "batch_us_per_row", "{:.3g}"),
                _pair([row["peak_pss_mb"] for row in mine if row.get("peak_pss_mb")], "{:.0f}"),
                _pair([row["peak_process_mb"] for row in mine if row.get("peak_process_mb")], "{:.0f}", median),
                str(len(heavy)) if any(row.get("peak_pss_mb") for row in mine) else "",
            ]
        )
    note = (
        "Late: ready after budget × 1.05 + 2 s, or killed. Memory: shared pages count once. Over memory: all processes above "
        "4 × table + 600 MB."
    )
    return _table(head, lines) + "\n\n" + note


def _pair(values: Sequence[float], form: str, *of: Callable[[Sequence[float]], float]) -> str:
    return ", ".join(form.format(each(values)) for each in of or (median, max)) if values else ""


def _with_ratio(games: Board, name: str, ours: str, figure: str, form: str) -> str:
    """Median of a figure, and the median of its ratio to ours over the tables where both are known."""
    own = [by[name][figure] for by in games.values() if figure in by.get(name, {})]
    ratios = [
        by[name][figure] / by[ours][figure]
        for by in games.values()
        if name != ours and figure in by.get(name, {}) and figure in by.get(ours, {})
    ]
    return _pair(own, form, median) + (f" ({median(ratios):.3g})" if ratios else "")
