"""What `training.flow` asks of a large table: to be sealed, a spec to search with, and the fit on all rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import polars as pl

from modelwright.learners import registry
from modelwright.learners.streamed import streams
from modelwright.provenance.machine import available_cpus
from modelwright.search.budget import Budget
from modelwright.search.executor import Executor
from modelwright.search.journal import TableRead
from modelwright.spec import Spec
from modelwright.store.ledger import Ledger as VaultLedger
from modelwright.tables.scan import Scan
from modelwright.training.auditing import Inspection
from modelwright.training.final import FinalFit
from modelwright.training.large.draw import SAMPLE_ROWS, SEALED_ROWS
from modelwright.training.large.fit import fit_large, search_budget
from modelwright.training.large.source import Large, in_time, prepare_large
from modelwright.training.prepare import Facts, Training
from modelwright.training.publish import Ledger
from modelwright.training.record import RunRecord

#: Share of the budget that reading the table before the search may take.
_READING_SHARE = 0.3
#: Rows of the sample and rows to evaluate on for each second of the budget, and the fewest of both: a short budget cannot
#: search or score on as many as a long one.
_SAMPLE_A_SECOND, _SEALED_A_SECOND, _FEWEST = 1_500, 2_000, 50_000


def _sizes(budget: Budget) -> dict[str, int]:
    if budget.total_s is None:
        return {}
    return {
        "sample_rows": min(SAMPLE_ROWS, max(_FEWEST, int(_SAMPLE_A_SECOND * budget.total_s))),
        "sealed_rows": min(SEALED_ROWS, max(_FEWEST, int(_SEALED_A_SECOND * budget.total_s))),
    }


class LargeRun:
    """One training on a large table.

    Parameters
    ----------
    spec : Spec
    scan : Scan
        From `source.large_scan`.
    known : TableRead, optional
        The table as a killed process read it: the same rows are read again, whatever the clock would say now.
    """

    def __init__(self, spec: Spec, scan: Scan, known: TableRead | None = None) -> None:
        self._spec = spec
        self._scan = scan
        self._known = known
        #: Rows that are read at most, where the budget does not suffice for all.
        self.most_rows: int | None = None
        self._large: Large | None = None
        self._n_threads = available_cpus()

    def seal(
        self, folder: Path, vaults: VaultLedger, budget: Budget, ledger: Ledger, check: Callable[[str], None]
    ) -> tuple[Facts, Training, Inspection]:
        """Read in batches, seal and type, and what is to be inspected of the sample; as the flow does for a table in memory."""
        with ledger.step("read", "reading the table in batches"):
            scan = self._scan
            if self._known is not None:
                scan = replace(scan, most_rows=self._known.most_rows)
            elif budget.total_s is not None:
                scan = in_time(scan, _READING_SHARE * budget.left())
            self.most_rows = scan.most_rows
            prepared = prepare_large(self._spec, scan, folder, **_sizes(budget))
            facts = prepared.facts
            check(facts.fingerprint)
            if scan.most_rows is not None:
                ledger.note(
                    f"Only the first {scan.most_rows:,} of about {self._scan.estimated_rows():,} rows are used: reading all of"
                    " them would take too much of the budget. A larger --budget takes all."
                )
            ledger.note(f"{facts.description}: {facts.n_rows:,} rows, {facts.n_columns} columns.", *prepared.source.notes)
        with ledger.step("split", "sealing the evaluation rows"):
            if prepared.training.vault is not None:
                vaults.check(prepared.training.vault.about)
            ledger.note(prepared.positions.sentence, *prepared.training.notes)
        self._large = prepared.large
        inspection = Inspection.of(self._spec, prepared.source, prepared.training, prepared.division)
        return facts, prepared.sealed(), inspection

    def search_with(self, spec: Spec, budget: Budget, facts: Facts) -> tuple[Spec, Budget]:
        """The spec and the budget of the search: algorithms that can be fitted in batches, and time left to do it."""
        if not spec.algorithms and not spec.hyperparams:
            names = tuple(name for name in registry.names(facts.task, baseline=False) if streams(name))
            names = tuple(name for name in names if not registry.available(name))
            spec = msgspec.structs.replace(spec, algorithms=names)
        return spec, search_budget(budget)

    def fit(self, training: Training, final: FinalFit, spec: Spec, budget: Budget, executor: Executor) -> None:
        """Fit the members of ``final`` on all training rows, in place."""
        assert self._large is not None, "a large table is sealed first"
        fit_large(self._large, training, final, spec, budget, n_threads=self._n_threads, stopped=executor.stop.is_set)

    def learned(self) -> tuple[pl.Series | None, int]:
        """Cells of the time column between which all training rows lie, and how many rows that are."""
        assert self._large is not None, "a large table is sealed first"
        return self._large.times, self._large.n_training

    def recorded(self, record: RunRecord) -> RunRecord:
        """The record with the numbers of the whole table instead of those of the sample."""
        assert self._large is not None, "a large table is sealed first"
        plan = msgspec.structs.replace(record.plan, threads_per_fit=self._n_threads, streamed=True)
        return msgspec.structs.replace(record, plan=plan, n_training=self._large.n_training)
