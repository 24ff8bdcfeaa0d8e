"""What `training.flow` asks of a large table: to be sealed, a spec to search with, and the fit on all rows."""

from __future__ import annotations

from pathlib import Path

import msgspec

from modelwright.audit.finding import Finding
from modelwright.learners import registry
from modelwright.learners.streamed import streams
from modelwright.search.budget import Budget
from modelwright.search.executor import Executor
from modelwright.spec import Spec
from modelwright.store.ledger import Ledger as VaultLedger
from modelwright.tables.scan import Scan
from modelwright.training.auditing import findings_of
from modelwright.training.environment import available_cpus
from modelwright.training.final import FinalFit
from modelwright.training.large.fit import fit_large, search_budget
from modelwright.training.large.source import Large, prepare_large
from modelwright.training.prepare import Facts, Training
from modelwright.training.publish import Ledger
from modelwright.training.record import RunRecord

__all__ = ["LargeRun"]


class LargeRun:
    """One training on a large table.

    Parameters
    ----------
    spec : Spec
    scan : Scan
        From `source.large_scan`.
    """

    def __init__(self, spec: Spec, scan: Scan) -> None:
        self._spec = spec
        self._scan = scan
        self._large: Large | None = None
        self._n_threads = available_cpus()

    def seal(
        self, folder: Path, vaults: VaultLedger, budget: Budget, ledger: Ledger, *, refits: int, audit_share: float
    ) -> tuple[Facts, Training, list[Finding]]:
        """Read in batches, seal, type and audit; as the flow does for a table in memory."""
        with ledger.step("read", "reading the table in batches"):
            prepared = prepare_large(self._spec, self._scan, folder)
            facts = prepared.facts
            ledger.note(f"{facts.description}: {facts.n_rows:,} rows, {facts.n_columns} columns.", *prepared.source.notes)
        with ledger.step("split", "sealing the evaluation rows"):
            if prepared.training.vault is not None:
                vaults.check(prepared.training.vault.about)
            ledger.note(prepared.positions.sentence, *prepared.training.notes)
        with ledger.step("audit", "looking for trouble in the sample"):
            end = None if budget.total_s is None else budget.elapsed() + audit_share * budget.total_s
            left = None if end is None else (lambda: end - budget.elapsed())
            findings = findings_of(
                self._spec, prepared.source, prepared.training, prepared.division, refits=refits, time_left=left
            )
            ledger.note(*(f.message for f in findings if f.severity == "critical"))
        self._large = prepared.large
        return facts, prepared.sealed(), findings

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

    def recorded(self, record: RunRecord) -> RunRecord:
        """The record with the numbers of the whole table instead of those of the sample."""
        assert self._large is not None, "a large table is sealed first"
        plan = msgspec.structs.replace(record.plan, threads_per_fit=self._n_threads)
        return msgspec.structs.replace(record, plan=plan, n_training=self._large.n_training)
