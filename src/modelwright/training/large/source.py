"""From a table on disk that does not fit in memory to what the flow works on: a sample, sealed rows, and the rest to stream."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
import polars as pl

from modelwright.errors import DataError
from modelwright.spec import Spec
from modelwright.splits.hashed import content_columns
from modelwright.splits.hashed_sides import EVALUATION, LEFT_OUT, RESERVE, SAMPLED, TRAINING, Sides, sides_in_time
from modelwright.splits.partition import Rule, Split
from modelwright.splits.vault import Vault
from modelwright.splits.words import unknown_classes
from modelwright.tables.free_memory import free_bytes
from modelwright.tables.roles import labelled_rows
from modelwright.tables.scan import Scan, open_scan
from modelwright.tables.schema import Schema
from modelwright.tables.settled import Settled, settle
from modelwright.tables.table import Table
from modelwright.training.large.draw import SAMPLE_ROWS, SEALED_ROWS, Drawn, Part, draw
from modelwright.training.prepare import (
    Division,
    Facts,
    Source,
    Training,
    declared_missing,
    divide,
    read_source,
    type_rows,
)

#: A table that fills more of the free memory than this is streamed: reading, encoding and fitting take four times the
#: table in the ordinary flow.
SHARE_OF_MEMORY = 0.2
#: Targets of more different values are no classes.
_MOST_CLASSES = 1_000
#: Rows of which the first batch says which columns are keys.
_LOOK_ROWS = 20_000


@dataclass(frozen=True)
class Large:
    """A large table after its rows were divided.

    Attributes
    ----------
    rows : Settled
        All rows, in batches; only rows whose ``side`` is `TRAINING` or `SAMPLED` may be learned from.
    side : ndarray of shape (n_rows,), uint8
    schema : Schema
        As learned from the sample.
    classes : list
    facts : Facts
    read_s : float
        Seconds that one pass over all rows took.
    times : Series or None
        As in `draw.Drawn`.
    """

    rows: Settled
    side: np.ndarray
    schema: Schema
    facts: Facts
    read_s: float
    times: pl.Series | None = None

    @property
    def n_training(self) -> int:
        """Rows that train."""
        return int(np.count_nonzero((self.side == TRAINING) | (self.side == SAMPLED)))


@dataclass(frozen=True)
class Prepared:
    """What the flow goes on with: a source and training rows in memory, and the large table behind them."""

    source: Source
    division: Division
    training: Training
    large: Large
    positions: Split

    @property
    def facts(self) -> Facts:
        """Of the whole table."""
        return self.large.facts

    def sealed(self) -> Training:
        """The training rows, with positions that refer to the rows of the files; for after the audit."""
        return replace(self.training, split=self.positions)


def large_scan(spec: Spec, memory_bytes: float | None = None) -> Scan | None:
    """The table of a spec as a scan if it is too large for the ordinary flow, else None.

    Parameters
    ----------
    spec : Spec
    memory_bytes : float, optional
        Memory that counts as free; by default what the machine and its control group leave, and at most
        ``spec.max_fit_memory``.
    """
    if spec.query is not None or spec.features is not None:
        return None
    scan = open_scan(spec.data)
    if scan is None:
        return None
    stored = sum(Path(path).stat().st_size for path in scan.paths)
    limits = [memory_bytes] if memory_bytes is not None else [free_bytes(), spec.max_fit_memory]
    known = [limit for limit in limits if limit is not None]
    # Nothing compresses a thousandfold: a small file needs no look at its rows.
    if not known or 1_000 * stored < SHARE_OF_MEMORY * min(known):
        return None
    return scan if scan.estimated_bytes() > SHARE_OF_MEMORY * min(known) else None


def in_time(scan: Scan, seconds: float) -> Scan:
    """The scan, cut to as many of its first rows as two passes can read in the time.

    Parameters
    ----------
    scan : Scan
    seconds : float
        For both passes.
    """
    look = replace(scan, most_rows=2 * scan.batch_rows)
    started = time.perf_counter()
    n_looked = settle(look).n_rows
    # The second pass divides and draws, which takes about as long as settling types and the fingerprint.
    row_s = 2.0 * (time.perf_counter() - started) / max(1, n_looked)
    n_rows = scan.estimated_rows()
    if n_looked < look.most_rows or n_rows * row_s <= seconds:  # type: ignore[operator]
        return scan
    return replace(scan, most_rows=max(look.most_rows or 0, int(seconds / row_s)))


def prepare_large(
    spec: Spec, scan: Scan, folder: Path, *, sample_rows: int = SAMPLE_ROWS, sealed_rows: int = SEALED_ROWS
) -> Prepared:
    """Read the table in batches: settle its types, divide its rows, draw the sample, seal.

    Parameters
    ----------
    spec : Spec
    scan : Scan
    folder : Path
        Receives the vault.
    sample_rows, sealed_rows : int
        Training rows of the sample, and sealed rows to evaluate on, at most.

    Raises
    ------
    DataError, SpecError
        As `prepare.read_source`, `prepare.divide` and `prepare.type_rows`.
    """
    _check_columns(spec, scan)
    table = settle(scan, count={} if spec.target is None else {spec.target: _MOST_CLASSES})
    sides = _sides(spec, table)
    started = time.perf_counter()
    drawn = draw(
        table,
        sides,
        lambda batch: _labelled(batch, spec),
        target=spec.target,
        time=spec.time,
        sample_rows=sample_rows,
        sealed_rows=sealed_rows,
        seed=spec.seed,
    )
    read_s = time.perf_counter() - started
    return _prepared(spec, table, sides, drawn, folder, read_s)


def _prepared(spec: Spec, table: Settled, sides: Sides | None, drawn: Drawn, folder: Path, read_s: float) -> Prepared:
    parts = [drawn.sample, drawn.evaluation, drawn.reserve]
    together = pl.concat([part.frame for part in parts])
    # One reading of the target for all rows in memory, so that a class that is rare in one part is known in all.
    source = read_source(msgspec.structs.replace(spec, data=Table(together, table.scan.source), query=None))
    ends = np.cumsum([len(part.rows) for part in parts])
    local = [np.arange(end - len(part.rows), end) for part, end in zip(parts, ends, strict=True)]
    source = replace(
        source, fingerprint=table.fingerprint, traces=None, weight=_weight(source.weight, drawn.weight, len(together))
    )
    _require_classes(source, local, spec)
    if sides is None:
        division = divide(replace(source, frame=together), spec)
        sentence, rule = division.split.sentence, division.split.rule
    else:
        rule = _rule(sides, source)
        sentence = _sentence(sides, drawn, table.n_rows)
        if source.classes and source.y is not None:
            codes = source.y.astype(np.int64)
            sentence += unknown_classes(codes[local[0]], codes[np.concatenate(local[1:])], source.classes)
        division = Division(Split(rule, local[0], local[1], sentence, local[2]))
    positions = Split(rule, drawn.sample.rows, drawn.evaluation.rows, sentence, drawn.reserve.rows)
    vault = _seal(spec, source, division, positions, drawn, folder)
    training = type_rows(source, spec, division, vault)
    n_labelled = table.n_rows - drawn.n_unlabelled
    facts = Facts(table.scan.source, table.fingerprint, source.task, source.classes, n_labelled, len(table.types))
    large = Large(table, drawn.side, training.schema, facts, read_s, drawn.times)
    notes = [*training.notes, _sample_note(drawn, large)]
    if drawn.n_unlabelled:
        notes.append(f"{drawn.n_unlabelled:,} rows have no value in {spec.target!r} and are left out.")
    return Prepared(source, division, replace(training, notes=notes), large, positions)


def _check_columns(spec: Spec, scan: Scan) -> None:
    """Refuse names that no column has before any pass; the ordinary reader says which name may be meant."""
    pairs = [name for pair in spec.available.items() for name in pair]
    wanted = [spec.target, spec.time, spec.group, spec.weight, *spec.exclude, *spec.sensitive, *spec.known, *pairs]
    if any(name is not None and name not in scan.names for name in wanted):
        read_source(msgspec.structs.replace(spec, data=Table(scan.head(), scan.source), query=None))


def _sides(spec: Spec, table: Settled) -> Sides | None:
    """The rule that divides the rows; None where none of them is sealed."""
    if not isinstance(spec.evaluation, float):
        return None
    look = table.typed(table.scan.head(_LOOK_ROWS))
    features = [name for name in look.columns if name not in {*spec.exclude, spec.target, spec.weight}]
    if not features:
        raise DataError("No column is left to learn from.", where=table.scan.source, mend="Exclude fewer columns.")
    if spec.time is not None and spec.partition in (None, "time", "group_time"):
        return sides_in_time(
            lambda columns: table.batches(columns),
            look,
            n_rows=table.n_rows,
            time=spec.time,
            group=spec.group,
            share=spec.evaluation,
            reserve=spec.reserve,
            gap=spec.gap,
            rule=spec.partition,
            seed=spec.seed,
        )
    content = tuple(content_columns(look, features))
    by_group = spec.group is not None and spec.partition in (None, "group")
    rule = "group" if by_group else "random"
    return Sides(rule, spec.evaluation, spec.reserve, spec.seed, content, spec.group)  # type: ignore[arg-type]


def _labelled(batch: pl.DataFrame, spec: Spec) -> np.ndarray:
    mask = np.ones(batch.height, dtype=bool)
    if spec.target is not None:
        mask[:] = False
        cells = batch[spec.target]
        if cells.null_count() < len(cells):
            mask[labelled_rows(cells, declared_missing(spec, spec.target))] = True
    return mask


def _weight(given: np.ndarray | None, stands_for: np.ndarray | None, n_rows: int) -> np.ndarray | None:
    """Weights of the rows in memory; those of the sample count how many rows each stands for."""
    if stands_for is None:
        return given
    weight = np.ones(n_rows) if given is None else given.copy()
    weight[: len(stands_for)] *= stands_for
    return weight


def _require_classes(source: Source, local: list[np.ndarray], spec: Spec) -> None:
    if len(local[0]) < 10:
        raise DataError(
            f"Only {len(local[0])} rows are left to train on.", where=source.description, mend="Seal a smaller share."
        )
    if source.y is None or source.task == "regression":
        return
    y = source.y.astype(np.int64)
    single = len(np.unique(y[local[0]])) < 2
    for k, label in enumerate(source.classes):
        if single and not np.any(y[local[0]] == k):
            raise DataError(
                f"The class {label!r} has no training row, so it cannot be learned.",
                where="the target",
                mend="Merge or drop the class, or choose another evaluation share.",
            )
        if source.task == "binary" and len(local[1]) and not np.any(y[local[1]] == k):
            raise DataError(
                f"The {len(local[1]):,} evaluation rows would lack the class {label!r}.",
                where="the target",
                mend='Seal a larger share, bring more rows of that class, or use evaluation = "none".',
            )


def _seal(spec: Spec, source: Source, division: Division, positions: Split, drawn: Drawn, folder: Path) -> Vault | None:
    if division.split.rule == "none":
        return None
    if division.outside is not None:
        from modelwright.tables.fingerprint import fingerprint

        return Vault.seal(
            folder, division.outside, data=source.fingerprint, rows_digest=fingerprint(division.outside), target=spec.target
        )

    def sealed(part: Part, name: str, before: Vault | None = None) -> Vault:
        return Vault.seal(
            folder,
            part.frame,
            data=source.fingerprint,
            rows_digest=positions.digest(source.fingerprint, name),  # type: ignore[arg-type]
            target=spec.target,
            part=name,  # type: ignore[arg-type]
            before=before,
        )

    vault = sealed(drawn.evaluation, "evaluation")
    if len(drawn.reserve.rows):
        reserve = sealed(drawn.reserve, "reserve", vault)
        vault = reserve if spec.open_reserve else vault
    return vault


def _rule(sides: Sides, source: Source) -> Rule:
    if sides.rule == "random" and source.task in ("binary", "multiclass"):
        return "stratified"
    return sides.rule


def _sentence(sides: Sides, drawn: Drawn, n_rows: int) -> str:
    n_sealed = drawn.count(EVALUATION)
    text = f"{n_sealed:,} of {n_rows:,} rows ({100 * n_sealed / n_rows:.3g} %) are sealed, "
    if sides.rule in ("time", "group_time"):
        text += f"the latest by {sides.time!r}; all training rows are earlier"
        n_gap = drawn.count(LEFT_OUT) - drawn.n_unlabelled
        text += f", and {max(0, n_gap):,} rows before the cut are left out" if n_gap > 0 else ""
        if sides.rule == "group_time":
            text += f"; no entity of {sides.group!r} is on both sides"
        elif sides.group is not None:
            text += f"; entities of {sides.group!r} may be on both sides, as their rows go on through the cut"
    elif sides.rule == "group":
        text += f"by the hash of {sides.group!r}, so that entities stay whole"
    elif sides.content:
        text += "by the hash of their cells, so that exact copies stay on one side; near copies were not looked for"
    else:
        text += "by the hash of their number, as only few different rows exist"
    if drawn.count(RESERVE):
        text += f"; {drawn.count(RESERVE):,} are the reserve"
    if len(drawn.evaluation.rows) < n_sealed:
        text += f"; {len(drawn.evaluation.rows):,} of the sealed rows, drawn by the same hash, are evaluated on"
    return text + "."


def _sample_note(drawn: Drawn, large: Large) -> str:
    text = (
        f"The table is larger than memory allows: types, audit and search use {len(drawn.sample.rows):,} of "
        f"{large.n_training:,} training rows, drawn by hash; the chosen members are then fitted on all of them in batches."
    )
    if drawn.weight is not None:
        text += " Rare classes are drawn more often and their rows weigh less."
    return text
