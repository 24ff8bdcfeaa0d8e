"""What was asked: one frozen value, made once from ``modelwright.toml``, the command line or keywords.

Only the form of what was asked is checked here (names, kinds, ranges, contradictions). Whether the columns exist
is for `tables` to say, whether an algorithm or a metric exists for `learners` and `metrics`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from modelwright.errors import SpecError
from modelwright.masking import masked
from modelwright.spec_values import READERS, Scalar, nearest
from modelwright.spec_values import parse_budget as parse_budget

#: The file that `modelwright init` writes and `modelwright train` finds in the working folder.
FILE_NAME = "modelwright.toml"
DEFAULT_BUDGET_S = 300.0
DEFAULT_EVALUATION = 0.2
DEFAULT_HOME = ".modelwright"
DEFAULT_PURPOSE = "sealed evaluation at the end of training"


class Spec(msgspec.Struct, frozen=True):
    """What was asked, with every default filled in.

    Parameters
    ----------
    data : str or table
        Path, glob, folder or URL of the rows; or a table in memory (pandas, Polars, Arrow, NumPy).
    query : str or None
        SQL to run when ``data`` is a database URL.
    target : str or None
        Column to predict; None asks for clustering.
    task : {"binary", "multiclass", "regression", "clustering"} or None
        None infers it from the target.
    metric : str or None
        What the search improves; None takes the usual one of the task.
    budget_s : float or None, default=300
        Seconds from the first import to the written report; None sets no clock, when ``trials`` is given alone.
    trials : int or None
        Number of trials after which the search stops.
    algorithms : tuple of str
        Names to choose from; empty means every algorithm that suits the task.
    time, group, weight : str or None
        Columns with these roles.
    positive : str, int, float, bool or None
        Class of a binary target that counts as positive; None infers it.
    exclude : tuple of str
        Columns to leave out.
    evaluation : float, str or table, default=0.2
        Share of rows to seal, in (0, 0.9]; or "none"; or a table of its own, by path, URL or in memory.
    seed : int, default=0
    name : str or None
        Name of the run; None takes one from the data.
    home : str, default=".modelwright"
        Folder that holds the runs.
    types : dict of str to str
        Column types that correct the inferred ones.
    missing_values : tuple, or dict of str to tuple
        Cell values that mean "missing", in all columns or by column.
    gap : str or None
        Length of time ("7d") left out between the rows that train and those that validate or evaluate; a number
        where the time column holds numbers. Needs ``time``.
    reserve : float, default=0
        Share of rows sealed besides the evaluation rows, for when those have been opened too often.
    partition : {"random", "group", "time", "group_time"} or None
        Rule that divides the rows; None follows the roles.
    open_reserve : bool, default=False
        Evaluate on the reserve; allowed once the evaluation rows have been opened ten times.
    purpose : str
        Why the vault is opened; stands in its ledger.
    strict : bool, default=False
        A critical finding that is not waived ends the command with exit code 3.
    waive : tuple of dict
        Findings accepted by name, each with "finding", "reason" and, optionally, "by".
    known : tuple of str
        Time columns whose moments are known beforehand although they lie after the row's own time (a due date).
    available : dict of str to str
        Column -> the column that holds when its value became known.
    cost : dict or None
        What errors cost, {"fp": 1, "fn": 20}, optionally "tp" and "tn"; the threshold minimises it.
    floor : dict or None
        {"recall": 0.9} or {"precision": 0.8}: the least that the threshold must hold; among those that
        do, costs or the metric decide.
    repeats : int, default=1
        Fits of the final model with different seeds, to show how much the score owes to the seed.
    sensitive : tuple of str
        Columns by whose values the metrics are told apart.
    store : str or None
        URL of the database that holds the ledger; None is SQLite in ``home``.
    artifacts : str or None
        Address where finished runs are published, of any store that fsspec reaches; None leaves them in ``home``.
    sampler : {"tpe", "cmaes", "gp", "random", "grid"}, default="tpe"
        Who proposes hyperparameters after the portfolio.
    hyperparams : dict
        Algorithm -> hyperparameter -> values to try; algorithms that are named here are tried with these values only.
    max_trial_time : float or None
        Seconds that one fit may take.
    max_failures : int or None
        Failed fits after which the search stops.
    max_latency : float or None
        Seconds that the prediction of one row may take, measured on the packaged model.
    max_size : float or None
        Bytes of the packaged model.
    max_fit_memory : float or None
        Bytes that one fit may take; None is what the machine has free.
    interpretable : bool, default=False
        Only algorithms whose model a person can read, and one member.
    features : dict of str to str, str or None
        Derived columns: expressions by name, or "file.py:function".
    select_features : bool, default=False
        Leave out columns that do not help on validation rows.
    tags : dict of str to str
        Labels of the run, by which runs are found; they may be changed later.
    note : str
        A sentence about the run; may be changed later.
    """

    data: Any = None
    query: str | None = None
    target: str | None = None
    task: Literal["binary", "multiclass", "regression", "clustering"] | None = None
    metric: str | None = None
    budget_s: float | None = DEFAULT_BUDGET_S
    trials: int | None = None
    algorithms: tuple[str, ...] = ()
    time: str | None = None
    group: str | None = None
    weight: str | None = None
    positive: Scalar | None = None
    exclude: tuple[str, ...] = ()
    evaluation: Any = DEFAULT_EVALUATION
    seed: int = 0
    name: str | None = None
    home: str = DEFAULT_HOME
    types: dict[str, str] = {}
    missing_values: tuple[str | float, ...] | dict[str, tuple[str | float, ...]] = ()
    gap: str | None = None
    partition: Literal["random", "group", "time", "group_time"] | None = None
    reserve: float = 0.0
    open_reserve: bool = False
    purpose: str = DEFAULT_PURPOSE
    strict: bool = False
    waive: tuple[dict[str, str], ...] = ()
    known: tuple[str, ...] = ()
    available: dict[str, str] = {}
    cost: dict[str, float] | None = None
    floor: dict[str, float] | None = None
    repeats: int = 1
    sensitive: tuple[str, ...] = ()
    store: str | None = None
    artifacts: str | None = None
    sampler: Literal["tpe", "cmaes", "gp", "random", "grid"] = "tpe"
    hyperparams: dict[str, dict[str, tuple[Any, ...]]] = {}
    max_trial_time: float | None = None
    max_failures: int | None = None
    max_latency: float | None = None
    max_size: float | None = None
    max_fit_memory: float | None = None
    interpretable: bool = False
    features: dict[str, Any] | str | None = None
    select_features: bool = False
    tags: dict[str, str] = {}
    note: str = ""

    def without_tables(self) -> Spec:
        """The same with tables in memory replaced by their description: what later steps are handed holds no rows."""
        evaluation = self.evaluation if isinstance(self.evaluation, float) else describe_source(self.evaluation)
        return msgspec.structs.replace(self, data=describe_source(self.data), evaluation=evaluation)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the run record: tables in memory become a description, passwords in URLs are masked."""
        plain = msgspec.structs.asdict(self)
        plain["data"] = describe_source(self.data)
        plain["store"] = describe_source(self.store) or None
        plain["artifacts"] = describe_source(self.artifacts) or None
        plain["evaluation"] = self.evaluation if isinstance(self.evaluation, float) else describe_source(self.evaluation)
        # By way of JSON, so that the values equal those that come back from the run folder.
        return dict(msgspec.json.decode(msgspec.json.encode(plain, enc_hook=str)))


#: What a user may give, in the order of the template; "budget" becomes ``Spec.budget_s``.
KEYS = tuple("budget" if field == "budget_s" else field for field in Spec.__struct_fields__)
#: Tables of the same file that are not about training: when it is done again, and who is told. Their readers stand above.
SECTIONS = ("policy", "alert")


def resolve_spec(
    file: Path | None,
    overrides: Mapping[str, Any],
    *,
    naming: Callable[[str], str] = "argument {!r}".format,
) -> Spec:
    """Make the one value that says what was asked.

    Parameters
    ----------
    file : Path or None
        A ``modelwright.toml``; paths in it are relative to its folder.
    overrides : mapping of str to object
        Values that win over the file; None means "not given".
    naming : callable, optional
        How error messages name an override: "argument 'budget'", or "--budget" on the command line.

    Returns
    -------
    Spec

    Raises
    ------
    SpecError
        For an unknown key (the nearest valid one is named), a value of the wrong kind or outside its range, or
        values that contradict each other.

    Examples
    --------
    >>> spec = resolve_spec(None, {"data": "churn.csv", "target": "Churn", "budget": "60s"})
    >>> spec.target, spec.budget_s, spec.evaluation
    ('Churn', 60.0, 0.2)
    """
    given: dict[str, Any] = {}
    origins: dict[str, str] = {}
    if file is not None:
        for key, value in read_toml(file).items():
            if key in SECTIONS:
                continue
            given[key], origins[key] = value, f"{file.name}, key {key!r}"
        for key in ("data", "evaluation", "home"):
            if isinstance(given.get(key), str) and given[key] != "none":
                given[key] = _relative_to(file.parent, given[key])
    for key, value in overrides.items():
        if value is None or value is msgspec.UNSET:
            continue
        given[key], origins[key] = value, naming(key)

    for key in given:
        if key not in KEYS:
            raise SpecError(f"There is no option {key!r}.", where=origins[key], mend=nearest(key, KEYS))
    values: dict[str, Any] = {}
    for key, value in given.items():
        try:
            values[key] = READERS[key](value)
        except SpecError as error:
            raise SpecError(error.what, where=origins[key], mend=error.mend) from None
    if "budget" in values:
        values["budget_s"] = values.pop("budget")
    elif "trials" in values:
        values["budget_s"] = None
    spec = Spec(**values)
    _check_consistent(spec, lambda key: origins.get(key, naming(key)))
    return spec


def describe_source(source: Any) -> str:
    """Where rows come from, in words that may be written down: no password, no rows."""
    if source is None:
        return ""
    if isinstance(source, (str, Path)):
        return masked(str(source))
    kind = f"{type(source).__module__.split('.')[0]}.{type(source).__name__}"
    shape = getattr(source, "shape", None)
    if isinstance(shape, tuple) and len(shape) == 2:
        return f"{kind} in memory, {shape[0]} rows, {shape[1]} columns"
    return f"{kind} in memory"


def read_toml(file: Path) -> dict[str, Any]:
    """Everything that a ``modelwright.toml`` holds, sections of others included.

    Raises
    ------
    SpecError
        If it cannot be read, or is no TOML.
    """
    try:
        return dict(msgspec.toml.decode(file.read_bytes(), type=dict[str, Any]))
    except OSError as error:
        raise SpecError(
            f"The file cannot be read: {error.strerror}.", where=str(file), mend="Check its path and rights."
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise SpecError(
            f"This is not valid TOML: {error}.", where=str(file), mend="Texts stand in quotes; see `modelwright init --help`."
        ) from error


def _relative_to(folder: Path, value: str) -> str:
    """A path of the file as seen from the working folder; URLs and absolute paths stay."""
    if "://" in value or Path(value).is_absolute() or folder.resolve() == Path.cwd():
        return value
    return str(folder / value)


def _check_consistent(spec: Spec, where: Callable[[str], str]) -> None:
    """Refuse what contradicts itself, before anything is read."""
    if spec.target is None and spec.task not in (None, "clustering"):
        raise SpecError(
            f"Task {spec.task!r} needs a target.", where=where("task"), mend="Name the column to predict as target."
        )
    if spec.target is not None and spec.task == "clustering":
        raise SpecError(
            f"Clustering has no target, but {spec.target!r} was given.",
            where=where("target"),
            mend="Leave the target out; exclude the column if the clusters should not see it.",
        )
    if spec.target is None and spec.positive is not None:
        raise SpecError(
            "A positive class needs a target.", where=where("positive"), mend="Name the column to predict as target."
        )
    if spec.gap is not None and spec.time is None:
        raise SpecError("A gap needs a time column.", where=where("gap"), mend="Name it with time, or leave the gap out.")
    if (spec.reserve or spec.open_reserve) and not isinstance(spec.evaluation, float):
        raise SpecError(
            "A reserve is drawn beside evaluation rows that are a share of the table.",
            where=where("reserve"),
            mend="Give evaluation as a share such as 0.2, or leave the reserve out.",
        )
    if isinstance(spec.evaluation, float) and spec.evaluation + spec.reserve > 0.9:
        raise SpecError(
            f"Evaluation and reserve together take {spec.evaluation + spec.reserve:.0%} of the rows.",
            where=where("reserve"),
            mend="Leave at least a tenth to train on.",
        )
    if spec.open_reserve and not spec.reserve:
        raise SpecError(
            "There is no reserve to open.", where=where("open_reserve"), mend="Only a split made with reserve has one."
        )
    roles = {key: getattr(spec, key) for key in ("target", "time", "group", "weight")}
    taken: dict[str, str] = {}
    for key, column in roles.items():
        if column is None:
            continue
        if column in taken:
            raise SpecError(
                f"Column {column!r} cannot be both {taken[column]} and {key}.",
                where=where(key),
                mend="Give each role its own column.",
            )
        if column in spec.exclude:
            raise SpecError(
                f"Column {column!r} is {key} and excluded.", where=where("exclude"), mend="Take it out of one of the two."
            )
        taken[column] = key
