"""Charts of the sealed evaluation: ROC, precision and recall, confusion, residuals, clusters.

Calibration, costs and coverage are in `reports.reliability`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from modelwright.reports.charts import (
    BLUE,
    FAINT,
    GREY,
    HEIGHT,
    INK,
    MAX_POINTS,
    PALETTE,
    Figure,
    finish,
    finite_rows,
    inline,
    padded,
    thinned,
)
from modelwright.reports.format import count, is_number, number, percent, shortened
from modelwright.training.record import RunRecord

#: Cells of a larger confusion matrix are too small for their counts.
MAX_COUNTED_CLASSES = 8
#: A larger confusion matrix needs more width than a phone has.
MAX_NARROW_CLASSES = 14
#: A larger one is only told in its tables.
MAX_DRAWN_CLASSES = 60

Plot = dict[str, list[Any]]


def evaluation_figures(record: RunRecord) -> list[Figure]:
    """All charts that the sealed evaluation has points for, in reading order."""
    if record.evaluation is None:
        return []
    drawers: dict[str, Callable[[RunRecord, Plot], list[Figure]]] = {
        "roc": _roc,
        "pr": _precision_recall,
        "confusion": _confusion,
        "residuals": _residuals,
        "clusters": _clusters,
    }
    plots = record.evaluation.plots
    return [figure for key, draw in drawers.items() if key in plots for figure in draw(record, plots[key])]


def _known(record: RunRecord, *names: str) -> float | None:
    """The value of the first of these metrics that was computed on the rows of the plots."""
    evaluation = record.evaluation
    if evaluation is None or evaluation.plots_of == "validation":
        return None
    values = {evaluation.metric: evaluation.score, **evaluation.others}
    return next((float(values[name].value) for name in names if name in values), None)


def _positive(record: RunRecord) -> str:
    """The positive class in words."""
    return f"“{shortened(str(record.plan.classes[1]), 30)}”" if len(record.plan.classes) > 1 else "the positive class"


def _area(rows: list[dict[str, Any]], x: str, y: str) -> float:
    """Area under a curve by the trapezoidal rule."""
    return float(sum(abs(b[x] - a[x]) * (a[y] + b[y]) / 2 for a, b in pairwise(rows)))


def _unit(name: str, title: str) -> Any:
    import altair as alt

    channel = alt.X if name in ("fpr", "recall") else alt.Y
    return channel(f"{name}:Q", title=title, scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(tickCount=5, format=".1f"))


def _reference(x: str, y: str, ends: tuple[tuple[float, float], tuple[float, float]]) -> Any:
    """A dashed line to compare with."""
    import altair as alt

    line = inline([{x: a, y: b} for a, b in ends])
    return alt.Chart(line).mark_line(color=FAINT, strokeDash=[4, 4], strokeWidth=1.2).encode(x=f"{x}:Q", y=f"{y}:Q")


def _roc(record: RunRecord, plot: Plot) -> list[Figure]:
    import altair as alt

    rows = thinned(finite_rows(fpr=plot["fpr"], tpr=plot["tpr"]), 2 * MAX_POINTS)
    if len(rows) < 2:
        return []
    area = _known(record, "roc_auc", "auc") or _area(rows, "fpr", "tpr")
    # Ordered by position in the list: sorting by x would tear vertical steps apart.
    data = inline([{**row, "i": i} for i, row in enumerate(rows)])
    curve = (
        alt.Chart(data)
        .mark_line(color=BLUE, strokeWidth=2)
        .encode(x=_unit("fpr", "false positive rate"), y=_unit("tpr", "true positive rate"), order="i:Q")
    )
    caption = (
        f"Each point is one threshold: share of {_positive(record)} rows found, against share of other rows wrongly flagged. "
        f"The nearer to the upper left, the better; the dashed line is guessing. Area under the curve: {number(area)}."
    )
    return [
        Figure(
            "roc",
            "ROC curve",
            caption,
            f"ROC curve with an area of {number(area)}.",
            finish(_reference("fpr", "tpr", ((0, 0), (1, 1))) + curve),
        )
    ]


def _precision_recall(record: RunRecord, plot: Plot) -> list[Figure]:
    import altair as alt

    rows = thinned(finite_rows(recall=plot["recall"], precision=plot["precision"]), 2 * MAX_POINTS)
    if len(rows) < 2:
        return []
    area = _known(record, "average_precision", "pr_auc") or _area(rows, "recall", "precision")
    data = inline([{**row, "i": i} for i, row in enumerate(rows)])
    chart: Any = (
        alt.Chart(data)
        .mark_line(color=BLUE, strokeWidth=2)
        .encode(x=_unit("recall", "recall"), y=_unit("precision", "precision"), order="i:Q")
    )
    base = _base_rate(record)
    guessing = ""
    if base is not None:
        chart = _reference("recall", "precision", ((0, base), (1, base))) + chart
        guessing = f" Guessing gives the dashed line at {percent(base)}."
    caption = (
        f"Precision: of the rows flagged as {_positive(record)}, the share that truly are. Recall: of those that truly are, "
        f"the share flagged.{guessing} Average precision: {number(area)}."
    )
    return [
        Figure(
            "pr",
            "Precision and recall",
            caption,
            f"Precision-recall curve with average precision {number(area)}.",
            finish(chart),
        )
    ]


def _base_rate(record: RunRecord) -> float | None:
    """Share of positive rows, as the confusion matrix tells it."""
    table = confusion_table(record)
    if table is None or len(table.labels) != 2:
        return None
    total = sum(map(sum, table.counts))
    return sum(table.counts[1]) / total if total else None


@dataclass(frozen=True)
class ConfusionTable:
    """Rows actual, columns predicted."""

    labels: tuple[str, ...]
    counts: tuple[tuple[float, ...], ...]
    #: Whether the last label stands for several classes together (evaluation.plots does so above twelve).
    lumped: bool = False

    def classes(self) -> list[tuple[str, float, float | None, float | None]]:
        """Label, rows, recall and precision of each class; classes taken together have neither."""
        columns = [sum(row[j] for row in self.counts) for j in range(len(self.labels))]
        return [
            (label, sum(row), row[i] / sum(row) if sum(row) else None, row[i] / columns[i] if columns[i] else None)
            for i, (label, row) in enumerate(zip(self.labels, self.counts, strict=True))
            if not (self.lumped and i == len(self.labels) - 1)
        ]

    def confusions(self, limit: int) -> list[tuple[str, str, float, float]]:
        """The most frequent mistakes: actual, predicted, rows, share of the actual class."""
        wrong = [
            (actual, predicted, n, n / sum(row))
            for i, (actual, row) in enumerate(zip(self.labels, self.counts, strict=True))
            for j, (predicted, n) in enumerate(zip(self.labels, row, strict=True))
            if i != j and n
        ]
        return sorted(wrong, key=lambda item: -item[2])[:limit]


def confusion_table(record: RunRecord) -> ConfusionTable | None:
    """The sealed confusion matrix, if there is one of a sound shape."""
    plot = record.evaluation.plots.get("confusion") if record.evaluation is not None else None
    if not plot or not plot.get("labels"):
        return None
    labels = tuple(str(label) for label in plot["labels"])
    counts = tuple(tuple(float(n) if is_number(n) else 0.0 for n in row) for row in plot["counts"])
    if len(counts) != len(labels) or any(len(row) != len(labels) for row in counts):
        return None
    return ConfusionTable(labels, counts, lumped=len(labels) < len(record.plan.classes))


def _confusion(record: RunRecord, plot: Plot) -> list[Figure]:
    import altair as alt

    table = confusion_table(record)
    if table is None or len(table.labels) > MAX_DRAWN_CLASSES:
        return []
    k = len(table.labels)
    # Positions instead of labels on the axes: two classes may be spelled alike once shortened.
    rows = [
        {"actual": i, "predicted": j, "count": n, "text": count(n), "share": n / sum(row) if sum(row) else 0.0}
        for i, row in enumerate(table.counts)
        for j, n in enumerate(row)
    ]
    names = [shortened(label, 14 if k <= MAX_NARROW_CLASSES else 10) for label in table.labels]
    wide = k > MAX_NARROW_CLASSES
    axis = alt.Axis(
        labelExpr=f"{_expression_list(names)}[datum.value]",
        labelColor=INK,
        grid=False,
        labelFontSize=11 if k <= MAX_NARROW_CLASSES else 10,
    )
    level = axis.copy()
    level.labelAngle = 0 if k <= 4 else -90 if wide else -45
    base = alt.Chart(inline(rows)).encode(
        x=alt.X("predicted:O", title="predicted", axis=level, scale=alt.Scale(padding=0.04)),
        y=alt.Y("actual:O", title="actual", axis=axis, scale=alt.Scale(padding=0.04)),
    )
    scale = alt.Scale(domain=[0, 1], range=["#eef3f8", "#0b4f8a"])
    chart: Any = base.mark_rect(cornerRadius=2).encode(color=alt.Color("share:Q", scale=scale, legend=None))
    if k <= MAX_COUNTED_CLASSES:
        shade = alt.condition("datum.share > 0.45", alt.value("#fffffe"), alt.value("#1a2028"))
        chart = chart + base.mark_text(fontSize=14 if k == 2 else 11).encode(text="text:N", color=shade)
    reading = "Rows are the true classes, columns the predictions; the darker a cell, the larger its share of its row."
    words = _confusion_words(record, table)
    caption = f"{reading} {words}"
    size = 90 + 20 * k if wide else HEIGHT if k <= 4 else 320
    return [
        Figure(
            "confusion",
            "Confusion matrix",
            caption,
            f"Confusion matrix of {k} classes. {words}",
            finish(chart, width=max(340, size), height=size) if wide else finish(chart, height=size),
            scrolls=wide,
        )
    ]


def _expression_list(names: list[str]) -> str:
    """Names as a list in Vega's expression language, every character but letters and digits escaped."""
    return (
        "["
        + ",".join("'" + "".join(c if c.isalnum() and c.isascii() else _escaped(c) for c in name) + "'" for name in names)
        + "]"
    )


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def _confusion_words(record: RunRecord, table: ConfusionTable) -> str:
    classes = table.classes()
    if record.task == "binary" and len(classes) == 2:
        label, n, recall, precision = classes[1]
        threshold = record.plan.threshold
        at = f"At the threshold {number(threshold)}, " if threshold is not None else ""
        start = f"{at}{count(table.counts[1][1])} of {count(n)} rows of “{shortened(label, 30)}” are found"
        return f"{start} (recall {percent(recall)}), and {percent(precision)} of those flagged are right (precision)."
    if table.lumped:
        # On the diagonal of the last label, one of its classes may have been taken for another.
        n_shown, n_classes = len(table.labels) - 1, len(record.plan.classes)
        shown = f"The {n_shown} most frequent of {count(n_classes)} classes; “{table.labels[-1]}” is the rest."
        accuracy = _known(record, "accuracy")
        return f"{shown} Of all rows, {percent(accuracy)} are right." if accuracy is not None else shown
    total = sum(map(sum, table.counts))
    right = sum(row[i] for i, row in enumerate(table.counts))
    return f"{count(right)} of {count(total)} rows are right ({percent(right / total if total else None)})."


def _residuals(record: RunRecord, plot: Plot) -> list[Figure]:
    import altair as alt

    rows = finite_rows(predicted=plot["predicted"], actual=plot["actual"])
    if len(rows) < 2:
        return []
    for row in rows:
        row["residual"] = row["actual"] - row["predicted"]
    errors = sorted(abs(row["residual"]) for row in rows)
    bias = sum(row["residual"] for row in rows) / len(rows)
    shown = thinned(rows, MAX_POINTS)
    sealed = record.evaluation is not None and record.evaluation.plots_of == "sealed"
    n_all = max(len(rows), record.evaluation.n_rows if record.evaluation is not None and sealed else 0)
    few = f" {count(len(shown))} of {count(n_all)} rows are drawn." if len(shown) < n_all else ""
    # The record may hold a part of the rows; what is measured on the part is said of the part.
    some = "rows" if len(rows) == n_all else f"{count(len(rows))} rows looked at"
    low, high = padded([row[part] for row in rows for part in ("predicted", "actual")], 0.03)
    axis = alt.Axis(tickCount=4, format="~s" if max(abs(low), abs(high)) >= 10_000 else "~g")
    span = alt.Scale(domain=[low, high], nice=False, zero=False)
    data = inline(shown)
    x = alt.X("predicted:Q", title="predicted", scale=span, axis=axis)
    dots = alt.Chart(data).mark_circle(color=BLUE, size=22, opacity=0.45)
    actual = _reference("predicted", "actual", ((low, low), (high, high))) + dots.encode(
        x=x, y=alt.Y("actual:Q", title="actual", scale=span, axis=axis)
    )
    error_axis = alt.Axis(tickCount=5, format="~s" if errors[-1] >= 10_000 else "~g")
    residual = _reference("predicted", "residual", ((low, 0), (high, 0))) + dots.encode(
        x=x, y=alt.Y("residual:Q", title="actual − predicted", scale=alt.Scale(nice=True), axis=error_axis)
    )
    median, tail = errors[len(errors) // 2], errors[min(len(errors) - 1, int(0.9 * len(errors)))]
    seen = (
        f"On the dashed line the prediction is exact. Half of the {some} are off by at most {number(median)}, "
        f"nine in ten by {number(tail)}.{few}"
    )
    pattern = (
        "Dots should lie evenly around zero; a bend or a funnel is something the model missed. "
        f"Mean error of the {some}: {number(bias)} "
        f"({'too low' if bias > 0 else 'too high'} on average)."
    )
    return [
        Figure("actual", "Predicted and actual", seen, f"Scatter of predicted against actual values. {seen}", finish(actual)),
        Figure("residuals", "Residuals", pattern, f"Residuals by predicted value. {pattern}", finish(residual)),
    ]


def _clusters(record: RunRecord, plot: Plot) -> list[Figure]:
    import altair as alt

    names = [str(c) for c in plot["cluster"]]
    rows = finite_rows(x=plot["x"], y=plot["y"], cluster=names)
    if not rows:
        return []
    sizes = Counter(row["cluster"] for row in rows).most_common()
    domain = sorted(
        (name for name, _ in sizes),
        key=lambda name: (not name.lstrip("-").isdigit(), int(name) if name.lstrip("-").isdigit() else 0, name),
    )
    colours = [GREY if name == "-1" else PALETTE[i % len(PALETTE)] for i, name in enumerate(domain)]
    shapes = ["circle", "triangle-up", "square", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left"]
    legend = alt.Legend(columns=8, symbolOpacity=1) if len(domain) <= 16 else None
    chart = (
        alt.Chart(inline(thinned(rows, MAX_POINTS)))
        .mark_point(size=24, opacity=0.7, filled=True)
        .encode(
            x=alt.X("x:Q", title="first principal direction", scale=alt.Scale(zero=False)),
            y=alt.Y("y:Q", title="second principal direction", scale=alt.Scale(zero=False)),
            color=alt.Color("cluster:N", scale=alt.Scale(domain=domain, range=colours), legend=legend),
            shape=alt.Shape(
                "cluster:N", scale=alt.Scale(domain=domain, range=[shapes[i % 8] for i in range(len(domain))]), legend=legend
            ),
        )
    )
    largest = ", ".join(f"{name} ({percent(n / len(rows))})" for name, n in sizes[:4])
    caption = (
        "Sealed rows flattened to two directions; neighbours here may be far apart in the others. "
        f"{len(domain)} clusters; largest: {largest}."
    )
    return [Figure("clusters", "Clusters", caption, f"Scatter of {len(domain)} clusters. {caption}", finish(chart, height=320))]
