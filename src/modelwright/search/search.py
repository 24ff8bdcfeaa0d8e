"""The search: probe a portfolio on a data subset, climb to all rows, race over the folds, tune around the winners.

Notation: a *candidate* is one algorithm with one set of hyperparameters. It is *probed* on one view (a subset of
the training rows of fold 0, scored on validation rows of fold 0), *climbs* to the complete training rows of fold 0,
and *races* over further folds while it may still matter. On small tables the probe is fold 0 itself.

Work proceeds in generations with a barrier between them. With a clock, what is started next follows from predicted
costs (`costs`); without one (``trials``) from counts alone, so that the outcome does not depend on how many workers
there are.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from modelwright.search import budget as shares
from modelwright.search.board import MOST_FITS, NETWORK_SEEDS
from modelwright.search.budget import until
from modelwright.search.candidate import Candidate
from modelwright.search.climbing import diverse, next_climber, rows_in_time
from modelwright.search.costs import spread
from modelwright.search.encoding import View, Work
from modelwright.search.fits import Fits
from modelwright.search.portfolio import Entry
from modelwright.search.racing import ranks_agree
from modelwright.search.tuning import Tuner, room_for

#: Candidates that climb without a clock.
MAX_CLIMBING = 8
#: Proposals asked at once; fixed, so that the trial list does not depend on the number of workers.
TUNE_BATCH = 4
#: Proposals without a new best of their algorithm after which tuning pauses.
TUNE_PATIENCE = 16
_FAMILIES_TUNED = 3
#: Candidates that must get through a further fold for it to count.
_FEWEST_RACING = 4
#: Best algorithms of the probe, of which one at least must get through.
_STRONG = 3
#: Of those that will climb, so many are looked at for whether generated features are wanted.
_FIRST_CLIMBING = 8
#: Share of the climb after which all rows are encoded for the final fit, beside fits rather than before them.
_ENCODE_FROM = 0.5
#: Share of the time left to the search from which on such an encoding is begun at once.
_LAST_CALL = 0.45
#: Algorithms that learn something in a second.
_CHEAPEST = ("lightgbm", "linear")
#: Folds that the best are to get through beyond the one they were probed on.
_FOLDS_AHEAD = 2
#: Share of the time left up to which a probe is always worth it, and that of an algorithm of which nothing was tried: on
#: letter_recognition boosting filled the time, and the network, which was not tried, has two thirds of its loss.
_CHEAP_PROBE, _FIRST_PROBE = 0.02, 0.4
#: Share of the time left that a proposal may take which is tried while others work.
_BRIEF = 0.05
#: Where there is no time for all rows, candidates are fitted on so many times the rows of the probe at least.
_FEWEST_PROBES = 2

NO_TIME = "there was no time left"
NOTHING_GENERATED = "no generated feature helped on training rows"


class Search(Fits):
    """Runs the generations; every candidate ends in ``candidates``. Parameters are those of `Fits`."""

    _subset_trusted = True
    #: Numbers of candidates whose place others took that end in time.
    _replaced: frozenset[int] = frozenset()

    # -- generations ---------------------------------------------------------------------------------------

    def probe(self, baselines: Sequence[str], portfolio: Sequence[Entry]) -> None:
        """Try the baselines and every entry of the portfolio on the probe view.

        They take turns, so that neither a slow baseline nor a slow entry leaves a short budget without the other.
        """
        deadline = self.search_deadline()
        floor = [self.add(name, {}, "baseline") for name in baselines]
        limit = self.problem.limits.trials if self.problem.limits.trials is not None else len(portfolio)
        chosen = [self.add(e.algorithm, e.params, "probe", generated=e.generated) for e in portfolio[: max(1, limit)]]
        turns = itertools.zip_longest(floor, [c for c in chosen if not c.unavailable and not c.generated])
        work: list[Work] = [(c, None) for pair in turns for c in pair if c is not None]
        # A single probe may not eat the time of the others.
        most = None if deadline is None else max(1.0, shares.ONE_PROBE * until(deadline))
        ends = shares.after(shares.WHOLE_PROBE_SHARE if self.problem.probe_is_fold else shares.PROBE_SHARE, deadline)
        generated = [c for c in chosen if c.generated and not c.unavailable]
        # Written while there still are fits for the other workers.
        beside = self.encoding.missing([(c, None) for c in generated[:1]])
        expected = {c.number: e.seconds for c, e in zip(chosen, portfolio, strict=False)}
        self.write_views(work[:1], ends)
        self.run(
            self._worth_probing([*work[: len(work) // 2], *beside, *work[len(work) // 2 :]], expected), ends, lambda c: most
        )
        if not self._best_fill_the_time():
            self._probe_generated(generated, ends, most)

    def _worth_probing(self, work: Sequence[Work | View], expected: Mapping[int, float]) -> Iterator[Work | View]:
        """The work of the probe; only what is cheap of it from when the best so far would fill the time."""
        for item in work:
            if self._best_fill_the_time():
                if isinstance(item, View):
                    continue
                candidate = item[0]
                measured = self.costs.family_seconds(self.candidates, candidate.algorithm, None)
                seconds = measured if math.isfinite(measured) else expected.get(candidate.number, 0.0)
                untried = all(c.probe is None for c in self.candidates if c.algorithm == candidate.algorithm)
                most = _FIRST_PROBE if untried else _CHEAP_PROBE
                if not candidate.baseline and seconds > most * until(self.search_deadline()):
                    candidate.unavailable = NO_TIME
                    continue
            yield item

    def _best_fill_the_time(self) -> bool:
        """Whether further folds of those that would go on first need all the time that the search has left.

        Only where the probe is fold 0: on larger tables what a subset says of four is too little to leave the others out.
        """
        problem, total_s = self.problem, self.budget.total_s
        if total_s is None or total_s <= shares.HURRIED_S or not problem.probe_is_fold or len(problem.folds) == 1:
            return False
        first = diverse(self.probed())[:_FEWEST_RACING]
        seconds = [_FOLDS_AHEAD * self.costs.seconds(c, 1) for c in first]
        return len(first) == _FEWEST_RACING and spread(seconds, self.n_workers) > until(self.search_deadline())

    def _probe_generated(self, candidates: list[Candidate], deadline: float | None, limit: float | None) -> None:
        """Candidates on generated features, where training rows show that such features help."""
        if not candidates or until(deadline) <= 0 or self._best_fill_the_time():
            for candidate in candidates:
                candidate.unavailable = NO_TIME
            return
        self.write_views([(candidates[0], None)], deadline)
        if self.encoding.n_generated:
            self.notes.append(f"{self.encoding.n_generated} columns were generated for candidates that gain from them.")
            self.run([(c, None) for c in candidates], deadline, lambda candidate: limit)
        else:
            for candidate in candidates:
                candidate.unavailable = NOTHING_GENERATED

    def recall(self) -> None:
        """Count what a killed process had finished, with a clock: it went its own way, which time does not let us repeat.

        Without a clock every generation asks for the same fits again, and nothing is left to recall.
        """
        by_content = {_content(c.algorithm, c.params, c.generated): c for c in self.candidates}
        work: list[Work] = []
        for job in self.executor.unused():
            name = Path(job.view).name
            generated, view = name.endswith("-generated"), name.removesuffix("-generated")
            number, _, n_fewer = view.removeprefix("fold").partition(".")
            fold = None if view == "probe" else int(number)
            if fold is not None and fold >= len(self.problem.folds) + len(self.problem.further):
                continue
            if n_fewer and not self.problem.n_fewer:
                self.take_fewer(int(n_fewer))
            content = _content(job.algorithm, job.params, generated)
            if content not in by_content:
                by_content[content] = self.add(job.algorithm, job.params, "tune", generated=generated)
                by_content[content].proposed = True
            by_content[content].unavailable = ""
            work.append((by_content[content], fold))
        if work:
            self.run(work, self.search_deadline())

    def rescue(self) -> None:
        """Where the time ended before any candidate was fitted, fit the cheapest into what is left for the final fit."""
        if self.executor.stop.is_set() or any(c.score is not None and not c.baseline for c in self.candidates):
            return
        tried = [c for c in self.candidates if not c.baseline and not c.unavailable]
        first = {candidate.algorithm: candidate for candidate in reversed(tried)}
        cheapest = [first[name] for name in _CHEAPEST if name in first] or tried[: self.n_workers]
        self.run([(c, None) for c in cheapest], self.budget.rescue_deadline)

    def climb(self) -> None:
        """Fit the best of the probe on the complete training rows of fold 0, baselines first."""
        deadline = self.search_deadline()
        if deadline is not None:
            self._spare_rows(until(deadline))
        floor: list[Work] = [(c, 0) for c in self.candidates if c.baseline and c.score is not None and 0 not in c.folds]
        most = None if deadline is None else max(1.0, shares.ONE_BASELINE * until(deadline))
        asked: set[int] = set()
        if deadline is None:
            self.run(floor, None)
            self.write_views([(c, 0) for c in self.probed()], None)
            self.run(self._climbing(asked, None), None)
        else:
            first = [c for c in diverse(self.probed()) if 0 not in c.folds][:_FIRST_CLIMBING]
            self.write_views([*floor, *((c, 0) for c in first if not c.generated)], deadline)
            ahead: list[Work | View] = [*self.encoding.missing([(c, 0) for c in first]), *floor]
            ends, n_asked = shares.after(shares.CLIMB_SHARE, deadline), -1
            # Who waits for generated features while nobody else may climb goes in the next turn.
            while len(asked) > n_asked:
                n_asked = len(asked)
                climbing = itertools.chain(ahead, self._climbing(asked, ends))
                self.run(climbing, deadline, lambda candidate: most if candidate.baseline else None)
                ahead = []
        self.costs.learn(self.candidates)
        if not self.problem.probe_is_fold:
            self._compare_subset()

    def race(self, *, all_folds: bool = False) -> None:
        """Fit those still in the race on further folds, fold by fold, until enough rows are validated."""
        wanted = math.ceil(shares.enough_rows(self.budget.total_s) / max(1, len(self.problem.folds[0].validation)))
        for fold in range(1, len(self.problem.folds) if all_folds else min(wanted, len(self.problem.folds))):
            deadline = self.search_deadline()
            racing = self.racing(fold)
            if not racing or self.ended():
                return
            missing = [c for c in racing if fold not in c.folds]
            while missing and deadline is not None and self.fold_s(missing, fold) > 0.9 * until(deadline):
                missing.pop()
            # A fold that only the cheap ones could afford would leave the good ones out of the ensemble.
            if fold >= self.n_folds and not self._worth_a_fold([c for c in racing if c in missing or fold in c.folds], racing):
                return
            for candidate in missing:
                candidate.stage = "validate"
            # The dearest first, so that the workers end together.
            ordered = sorted(missing, key=lambda c: -self.costs.seconds(c, fold))
            cheap = [c for c in self.candidates if c.baseline and c.complete(fold) and fold not in c.folds]
            self.run([(c, fold) for c in [*ordered, *cheap]], deadline)
            cut = any(c.folds[fold].ended in ("deadline", "stop") for c in missing if fold in c.folds)
            complete = self.validated(n_folds=fold + 1)
            if not complete or (fold >= self.n_folds and (cut or not self._worth_a_fold(complete, racing))):
                return
            self.n_folds = max(self.n_folds, fold + 1)

    def _worth_a_fold(self, complete: Sequence[Candidate], racing: Sequence[Candidate]) -> bool:
        """Whether those with a score on a further fold can stand for all that race."""
        if len(complete) < min(_FEWEST_RACING, len(racing)):
            return False
        if self.budget.total_s is None:
            return True
        # The clock may have let only the cheap ones climb; then a further fold would settle for these.
        strong = list(dict.fromkeys(c.algorithm for c in self.probed()))[:_STRONG]
        return any(c.algorithm in strong for c in complete)

    def tune(self) -> bool:
        """Propose configurations around the best of each algorithm, batch by batch; False if nothing was proposed."""
        deadline = shares.after(shares.TUNE_SHARE, self.search_deadline())
        room, since, proposed = room_for(self.problem.n_rows, self.problem.limits.trials, self.candidates), 0, 0
        best = dict(list(self.families().items())[:_FAMILIES_TUNED])
        tuners = {family: self._tuner(candidate) for family, candidate in best.items()}
        # Where the subset misleads, proposals are compared on fold 0 of the complete rows.
        fold = None if self._subset_trusted else 0
        while room > 0 and since < TUNE_PATIENCE and not self.ended():
            # An algorithm whose fits are dear would use up the time of the others.
            open_to = [
                family
                for family, tuner in tuners.items()
                if tuner.tunable and self.costs.family_seconds(self.candidates, family, fold) < until(deadline) / 2.5
            ]
            batch: list[Candidate] = []
            for k in range(min(TUNE_BATCH, room) if open_to else 0):
                family = open_to[(proposed + k) % len(open_to)]
                params = tuners[family].ask(len(self.candidates))
                if params is None:  # the grid is used up
                    del tuners[family]
                    break
                batch.append(self.add(family, params, "tune", generated=best[family].generated))
                batch[-1].proposed = True
            if not batch:
                if open_to and tuners:
                    continue
                break
            self.run([*((c, fold) for c in batch), *self._ahead(deadline)], deadline)
            since += len(batch)
            for candidate in batch:
                utility = self._compared(candidate, fold)
                if candidate.algorithm in tuners:
                    tuners[candidate.algorithm].tell(candidate.number, utility)
                if utility is not None and utility > (self._compared(best[candidate.algorithm], fold) or -math.inf):
                    best[candidate.algorithm], since = candidate, 0
            room, proposed = room - len(batch), proposed + len(batch)
        return proposed > 0

    def settle(self) -> None:
        """Keep the folds that the race has reached: selection and record speak of these."""
        self.problem = replace(self.problem, folds=list(self.problem.folds[: self.n_folds]))

    def search_deadline(self) -> float | None:
        """When the search must end, leaving room for fitting the likely members on all rows."""
        kept: list[Candidate] = []
        if self.budget.total_s is not None:
            # What there is no time to fit on all rows is delivered as fitted for validation: on most of them.
            most = shares.REFIT_SHARES[1] * self.budget.total_s
            kept = self._within(most, kept, self._likely())
            if self.problem.several_seeds:
                # A network is as good as its first weights; the mean of several is better than most of them.
                networks = [c for c in kept if c.algorithm == "network"] * (NETWORK_SEEDS - 1)
                most = min(most, self.refit_s(kept) + self.budget.seeds_s)
                kept = self._within(most, kept, networks[: max(0, MOST_FITS - len(kept))])
        encode_s = self.encoding.full_s(c.generated for c in kept)
        return self.budget.search_deadline(shares.REFIT_MARGIN * (self.refit_s(kept) + encode_s) + shares.REFIT_AROUND_S)

    def _within(self, seconds: float, kept: list[Candidate], further: Sequence[Candidate]) -> list[Candidate]:
        """The ones kept, and of the further ones those that can be fitted beside them on all rows in so many seconds."""
        for candidate in further:
            if self.refit_s([*kept, candidate]) <= seconds:
                kept = [*kept, candidate]
        return kept

    def ended(self) -> bool:
        """Whether the search must stop: told to, too many failures, or no time left."""
        failures = self.problem.limits.failures
        too_many = failures is not None and sum(c.failed for c in self.candidates) >= failures
        return self.executor.stop.is_set() or too_many or until(self.search_deadline()) <= 0

    def _spare_rows(self, left: float) -> None:
        """Train on fewer rows where none of the algorithms that are best in the probe can be fitted on all rows in time.

        Who can would be those that learn little from a row. On kddcup99_10pct (370,515 rows, 23 classes, 60 s) that were
        forests, with three times the loss of boosting on a part of the rows.
        """
        problem = self.problem
        if problem.probe_is_fold or problem.n_fewer or self.encoding.has(self.view_of(0)):
            return
        best: dict[str, Candidate] = {}
        for candidate in self.probed():
            best.setdefault(candidate.algorithm, candidate)
        n_all, n_probe = len(problem.folds[0].training), len(problem.probe.training)
        n_rows = rows_in_time(
            list(best.values())[:_STRONG], lambda c: self.costs.whole_seconds(c, self.candidates, 0), left, n_all
        )
        if n_rows < n_all:
            n_rows = min(n_all, max(n_rows, _FEWEST_PROBES * n_probe))
            self.take_fewer(n_rows)
            self.notes.append(
                f"There is no time to fit the best algorithms on {n_all:,} rows, so from here on they learn from {n_rows:,}."
            )

    # -- inside --------------------------------------------------------------------------------------------

    def _climbing(self, asked: set[int], deadline: float | None) -> Iterator[Work | View]:
        """Candidates in the order in which they climb, asked for whenever a worker is free, and entered in ``asked``.

        With a clock, who reads a view that is still being written lets others go first, and views of all rows are written
        when the second half has begun, or before they would keep the final fit waiting.
        """
        encode_at = shares.after(_ENCODE_FROM, deadline)
        while deadline is None or (not self.ended() and until(deadline) > 0):
            self.costs.learn(self.candidates)
            order = [c for c in diverse(self.probed()) if c.number not in self._replaced | asked and 0 not in c.folds]
            found = None
            if deadline is not None:
                if until(encode_at) <= 0 or self._last_call():
                    encode_at = deadline
                    yield from self._ahead(self.search_deadline())
                order = [c for c in order if self.encoding.has(self.view_of(0, generated=c.generated))]
                must = not asked and not self.validated()
                found = next_climber(
                    order, self.probed(), lambda c: self.costs.whole_seconds(c, self.candidates, 0), until(deadline), must=must
                )
                order = [] if found is None else [found.candidate]
            if not order or (deadline is None and len(asked) >= MAX_CLIMBING):
                return
            climber = order[0]
            asked.add(climber.number)
            if found is not None and found.params is not None:
                self._replaced |= {climber.number}
                climber = self.add(climber.algorithm, found.params, climber.stage, generated=climber.generated)
            yield climber, 0

    def _ahead(self, deadline: float | None) -> list[View]:
        """Views of all rows that the final fit will need, to be written beside fits rather than before it."""
        if deadline is None or self.problem.probe_is_fold:
            return []
        return self.encoding.full((c.generated for c in self._likely()), 0.9 * until(deadline))

    def _last_call(self) -> bool:
        """Whether views of all rows that are not begun soon will keep the final fit waiting."""
        most = _LAST_CALL * until(self.search_deadline())
        return most < self.encoding.full_s(c.generated for c in self._likely()) < 2 * most

    def _likely(self) -> list[Candidate]:
        return self.likely or (self.validated() or self.probed())[:4]

    def _compare_subset(self) -> None:
        """Whether the subset orders candidates as the complete rows do."""
        small, large = [], []
        for candidate in self.validated(n_folds=1):
            if candidate.probe is not None and candidate.probe.score is not None:
                small.append(self.problem.metric.utility(candidate.probe.score))
                large.append(self.problem.metric.utility(candidate.mean_score(1)))
        self._subset_trusted = ranks_agree(small, large)
        note = "The data subset orders candidates unlike the complete rows, so tuning goes on all rows."
        if not self._subset_trusted and note not in self.notes:
            self.notes.append(note)

    def _compared(self, candidate: Candidate, fold: int | None) -> float | None:
        """Utility where proposals are compared."""
        done = candidate.probe if fold is None else candidate.folds.get(fold)
        return None if done is None or done.score is None else self.problem.metric.utility(done.score)

    def _tuner(self, best: Candidate) -> Tuner:
        problem = self.problem
        tuner = Tuner(
            best.algorithm,
            problem.task,
            seed=problem.seed + len(self.candidates),
            centre=best.params,
            sampler=problem.sampler,
            grid=problem.grids.get(best.algorithm),
            allowed=problem.allowed.get(best.algorithm),
        )
        for candidate in self.candidates:
            utility = self._compared(candidate, None if self._subset_trusted else 0)
            if candidate.algorithm == best.algorithm and utility is not None:
                tuner.tell_known(candidate.params, utility)
        return tuner

    def meanwhile(self, awaited: set[int]) -> Iterator[Work]:
        """What free workers try while others still do the fits of a generation (``awaited``): cheap proposals.

        Only with a clock, and where the probe is the first fold: the best of a small subset would push the portfolio aside.
        """
        problem = self.problem
        if self.budget.total_s is None or not problem.probe_is_fold or problem.sampler == "grid" or problem.grids:
            return
        while awaited and room_for(problem.n_rows, problem.limits.trials, self.candidates) > 0 and not self.ended():
            brief = _BRIEF * until(self.search_deadline())
            open_to = [
                best
                for best in list(self.families().values())[:_FAMILIES_TUNED]
                if self.costs.family_seconds(self.candidates, best.algorithm, None) < brief
            ]
            if not open_to:
                return
            # In turns: whose algorithm has had the fewest proposals.
            n_proposed = Counter(c.algorithm for c in self.candidates if c.proposed)
            best = min(open_to, key=lambda c: n_proposed[c.algorithm])
            tuner = self._tuner(best)
            params = tuner.ask(len(self.candidates)) if tuner.tunable else None
            if params is None:
                return
            proposal = self.add(best.algorithm, params, "tune", generated=best.generated)
            proposal.proposed = True
            yield proposal, None


def _content(algorithm: str, params: dict[str, Any], generated: bool) -> bytes:
    return msgspec.json.encode([algorithm, params, generated], order="deterministic")
