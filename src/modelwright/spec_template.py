"""The text of a commented ``modelwright.toml``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from modelwright.errors import SpecError
from modelwright.spec import Spec, describe_source

#: key, explanation, the line shown when the user has not decided
_ENTRIES: tuple[tuple[str, str, str], ...] = (
    ("data", "Rows to learn from: a file, a folder, a glob, or a URL.", '"train.csv"'),
    ("query", "SQL, when data is a database URL.", '"SELECT * FROM customers"'),
    ("target", "Column to predict. Without one the rows are clustered.", '"label"'),
    ("task", "binary, multiclass, regression or clustering; inferred from the target.", '"binary"'),
    ("positive", "Which class of a binary target counts as positive.", '"Yes"'),
    ("metric", "What the search improves; the usual one of the task if left out.", '"log_loss"'),
    ("budget", "Time for everything, from import to report: 60s, 5m, 2h.", '"5m"'),
    ("trials", "Stop after this many trials; alone, there is no clock.", "50"),
    ("algorithms", "Choose from these only; `modelwright algorithms` lists them.", '["lightgbm"]'),
    ("time", "Column with the time of a row: the latest rows are sealed, earlier ones train.", '"date"'),
    ("group", "Column whose equal values must stay on one side of the split.", '"customer"'),
    ("weight", "Column with row weights.", '"weight"'),
    ("exclude", "Columns to leave out.", '["id"]'),
    ("evaluation", 'Share of rows sealed for the final score, a table of its own, or "none".', "0.2"),
    ("gap", "Length of time left out between training and later rows. Needs time.", '"7d"'),
    ("partition", "How rows are divided: random, group, time or group_time; by the roles if left out.", '"group_time"'),
    ("reserve", "Share of rows sealed besides, for when the evaluation rows were opened ten times.", "0.1"),
    ("open_reserve", "Evaluate on the reserve; allowed once the evaluation rows were opened ten times.", "true"),
    ("purpose", "Why the evaluation rows are opened; stands in the ledger.", '"yearly report"'),
    ("available", "When a column becomes known: the column that holds the moment.", '{ "lab_result" = "lab_reported_at" }'),
    ("strict", "A critical finding that is not waived ends the command with exit code 3.", "true"),
    ("known", "Dates that are known beforehand although they lie in the future, such as a due date.", '["due_date"]'),
    ("floor", "The least recall or precision that the threshold must hold.", "{ recall = 0.9 }"),
    ("cost", "What errors cost; the threshold makes the expected cost least.", "{ fp = 1, fn = 20 }"),
    ("repeats", "Fits of the final model with different seeds, to show what the score owes to the seed.", "3"),
    ("sensitive", "Columns by whose values the metrics are told apart.", '["sex"]'),
    ("store", "Database of the ledger; SQLite in home if left out.", '"postgresql+psycopg://user@host/db"'),
    ("artifacts", "Where finished runs are published; only in home if left out.", '"s3://bucket/churn"'),
    ("sampler", "Who proposes hyperparameters after the portfolio: tpe, cmaes, gp, random or grid.", '"tpe"'),
    ("hyperparams", "Values to try, by algorithm.", "{ lightgbm = { num_leaves = [15, 63] } }"),
    ("max_trial_time", "Time that one fit may take.", '"30s"'),
    ("max_failures", "Failed fits after which the search stops.", "20"),
    ("max_latency", "Time that the prediction of one row may take.", '"1ms"'),
    ("max_size", "Size of the packaged model.", '"20MB"'),
    ("max_fit_memory", "Memory that one fit may take.", '"2GB"'),
    ("interpretable", "Only models that a person can read.", "true"),
    ("features", "Derived columns, or a function that derives them.", '{ rooms_each = "rooms / persons" }'),
    ("select_features", "Leave out columns that do not help.", "true"),
    ("seed", "Same seed, same run.", "0"),
    ("name", "Name of the run.", '"churn"'),
    ("tags", "Labels by which runs are found.", '{ team = "risk" }'),
    ("note", "A sentence about the run.", '"first try with the new columns"'),
    ("home", "Folder that holds the runs.", '".modelwright"'),
)


#: Sections about what comes after the training, always commented; `modelwright policy check` explains the first.
_SECTIONS = (
    "",
    "# When the registered model is trained again by itself. The section alone, with nothing in it, is a policy: when its",
    "# score fell, when that is estimated or its answers drifted and enough labels are new, and when it is 90 days old.",
    "# [policy]",
    '# model = "churn"',
    "# Lines of cron, in this zone.",
    '# schedule = "0 3 * * 1"',
    '# time_zone = "Europe/Berlin"',
    '# on = ["performance", "estimated performance", "prediction drift"]',
    "# new_labels = 500",
    '# max_age = "90d"',
    "# How long labels take, which rows to learn from, the rest between two retrainings.",
    '# label_delay = "14d"',
    '# train_on = "all"',
    '# cool_down = "1d"',
    "# max_per_week = 3",
    "# What passed the gate is trained once more on all labelled rows before it goes live.",
    "# refit = true",
    '# gate = { require = "auto", min_labels = 100, approval = false }',
    '# release = { mode = "swap", watch = "1d" }',
    "",
    "# Who is told: log, email, slack, webhook, command; `modelwright alert test` sends a test.",
    "# [[alert]]",
    '# name = "on call"',
    '# on = ["performance", "rollback", "failed"]',
    "# log = true",
    '# slack = "${SLACK_URL}"',
    '# email = { to = ["you@example.org"], from = "mw@example.org", server = "smtp.example.org" }',
)


def write_template(path: Path, spec: Spec, *, force: bool = False) -> None:
    """Write a commented ``modelwright.toml``.

    Parameters
    ----------
    path : Path
        The file to write; an existing one is kept unless ``force``.
    spec : Spec
        What was asked already becomes live lines, everything else commented ones that show the default.

    Raises
    ------
    SpecError
        If the file exists and ``force`` is False.
    """
    if path.exists() and not force:
        raise SpecError(
            f"{path.name} exists already and was left as it is.", where=str(path), mend="Edit it, or replace it with --force."
        )
    path.write_text(template(spec), encoding="utf-8")


def template(spec: Spec) -> str:
    """A ``modelwright.toml`` with what ``spec`` decides as live lines and the rest as comments.

    Examples
    --------
    >>> print(template(Spec(data="churn.csv", target="Churn")).splitlines()[3])
    data = "churn.csv"
    """
    blank = Spec()
    lines = ["# What `modelwright train` does in this folder. Options of the command line win over this file.", ""]
    for key, meaning, example in _ENTRIES:
        field = "budget_s" if key == "budget" else key
        value = getattr(spec, field)
        decided = (
            value != getattr(blank, field) if isinstance(value, (str, int, float, tuple, bool, dict)) else value is not None
        )
        if key == "budget" and decided:
            decided = value is not None
        if key == "features" and isinstance(value, dict):
            continue  # a table of its own, below
        lines.append(f"# {meaning}")
        lines.append(f"{key} = {_toml(key, value)}" if decided else f"# {key} = {example}")
        lines.append("")
    if isinstance(spec.features, dict):
        lines += ["# Derived columns: expressions over the cells of a row.", "[features]"]
        lines += [*(f"{json.dumps(k)} = {_toml('features', str(v))}" for k, v in spec.features.items()), ""]
    lines += [
        "# Column types that correct the inferred ones: number, boolean, category, datetime, text, id.",
        "[types]" if spec.types else "# [types]",
        *([f"{json.dumps(k)} = {_toml('types', v)}" for k, v in spec.types.items()] or ['# zip_code = "category"']),
        "",
        '# Cell values that mean "missing", by column.',
    ]
    if isinstance(spec.missing_values, dict) and spec.missing_values:
        lines += ["[missing_values]", *(f"{json.dumps(k)} = {_toml('', v)}" for k, v in spec.missing_values.items())]
    else:
        lines += ["# [missing_values]", '# income = ["?", -999]']
        if spec.missing_values:
            # A plain key must stand above the first table of a TOML file.
            lines[2:2] = [
                '# Cell values that mean "missing", in all columns.',
                f"missing_values = {_toml('', spec.missing_values)}",
                "",
            ]
    lines += ["", "# A critical finding of the audit is mended (modelwright audit --fix) or accepted by name with a reason."]
    lines += [
        line
        for waiver in spec.waive
        for line in ("[[waive]]", *(f"{key} = {json.dumps(text, ensure_ascii=False)}" for key, text in waiver.items()), "")
    ] or [
        "# [[waive]]",
        '# finding = "target_proxy:column"',
        '# reason = "known before the prediction is made"',
        '# by = "your name"',
    ]
    return "\n".join([*lines, *_SECTIONS]) + "\n"


def _toml(key: str, value: Any) -> str:
    """One value in TOML; JSON texts, numbers and lists are TOML too."""
    if key == "data" or (key == "evaluation" and not isinstance(value, float)):
        value = describe_source(value)
    if key == "budget":
        value = f"{value:g}s"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(k)} = {json.dumps(v)}" for k, v in value.items()) + " }"
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
