"""The final fit: members, and the baseline they are compared with, on the complete training rows."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec

from modelwright.artifacts.model import Member
from modelwright.features.encoder import Encoder
from modelwright.learners import registry
from modelwright.learners.base import Learner
from modelwright.search.board import MOST_FITS, NETWORK_SEEDS
from modelwright.search.budget import until
from modelwright.search.candidate import Candidate
from modelwright.search.costs import spread
from modelwright.search.jobs import Done, Fit
from modelwright.search.search import Search
from modelwright.training.record import MemberRecord
from modelwright.training.selection import Selection

#: Up to this many rows every member may be fitted with several seeds.
FEW_ROWS = 5_000
#: Share of the time for the final fit that a baseline may take.
BASELINE_SHARE = 0.25
#: Share of the time left up to which predicted fits are begun, and share of the iterations that makes a fit worth having.
SURE, _ENOUGH_ITERATIONS = 0.85, 0.8
#: Algorithms that draw nothing, or nothing that matters: another seed gives the same member once more.
_STEADY = ("linear", "svm")
#: Share of a network's weight that its models of validation take where there was no time for another seed. With half the
#: loss of networks was lower on 14 of 18 tables, by 2 % at the median, and higher on one (decision 0025).
_SHARE_OF_FOLDS = 0.5

NO_TIME = "there was no time for it"


class FinalFit:
    """Members and baseline as fitted, each with the number of its encoder."""

    def __init__(self) -> None:
        self.encoders: list[Encoder] = []
        self.members: list[Member] = []
        self.records: list[MemberRecord] = []
        #: The strongest on validation rows first.
        self.baselines: list[tuple[str, Member]] = []
        #: Members of the same model fitted with other seeds, one list a repeat.
        self.repeats: list[list[Member]] = []
        self.notes: list[str] = []
        self._numbers: dict[str, int] = {}

    def encoder(self, folder: Path) -> int:
        """Number of the encoder saved in a view."""
        if str(folder) not in self._numbers:
            self._numbers[str(folder)] = len(self.encoders)
            self.encoders.append(Encoder.load(folder / "encoder"))
        return self._numbers[str(folder)]


def fit_on_all_rows(
    search: Search,
    selection: Selection,
    baselines: list[Candidate],
    n_rows: int,
    *,
    repeats: int = 1,
    seeds: int = 1,
    alike: bool = False,
) -> FinalFit:
    """Fit with the iteration counts found in validation.

    A member that cannot be fitted in the time left, or whose fit the clock cuts short, is delivered as it was fitted for
    validation, on fewer rows, and the notes say so; the heaviest go first. ``repeats`` - 1 further fits of all members use
    other seeds, as far as time allows. With ``seeds`` above 1, time that is left goes into fits of members with other seeds
    that share their weight; where folds are ``alike``, none of later rows than another, so do models of several folds.
    """
    deadline = search.budget.fit_deadline
    # A baseline that is itself delivered is fitted once.
    members = _in_time(search, selection, n_rows, deadline)
    wanted = list({c.number: c for c in [*members, *baselines]}.values())
    answers = _answers(search, wanted, n_rows, deadline)
    final = FinalFit()
    fold = selection.fallback_fold
    for candidate, share in selection.members:
        answer = answers.get(candidate.number)
        ok = answer is not None and not answer.error and not (fold is not None and _cut_short(candidate, answer))
        if not ok:
            why = "the clock cut that fit short" if answer and not answer.error else answer.error if answer else NO_TIME
            final.notes.append(f"{candidate.algorithm} is delivered as fitted for validation, not on all rows: {why}.")
        if answer is None or not ok:
            member, record = _as_validated(search, final, candidate, share, fold)
        else:
            member, folder = _load(search, final, candidate, share, fold, refitted=True)
            record = MemberRecord(
                trial=candidate.number,
                algorithm=candidate.algorithm,
                params=candidate.final_params,
                n_iterations=answer.n_iterations,
                weight=share,
                seed=search.problem.seed,
                n_rows=n_rows,
                refit=True,
                fit_s=answer.seconds,
                peak_memory_mb=answer.peak_memory_mb,
                size_bytes=_size(folder),
                generated=candidate.generated,
                clock=answer.clock,
            )
        final.members.append(member)
        final.records.append(record)
    for baseline in baselines:
        ok = baseline.number in answers and not answers[baseline.number].error
        if ok or (search.folder(baseline, fold) / "model").is_dir():
            final.baselines.append((baseline.algorithm, _load(search, final, baseline, 1.0, fold, refitted=ok)[0]))
    if repeats > 1 and answers:
        _repeat(search, selection, final, repeats, deadline)
    elif seeds > 1 and deadline is not None:
        if alike:
            _stand_in(search, selection, final)
        _share_weights(search, selection, final, seeds, deadline)
        if alike:
            _stand_beside(search, selection, final)
    return final


def with_members(final: FinalFit, selection: Selection) -> FinalFit:
    """The fit with the members of a selection alone, at their weights.

    Parameters
    ----------
    final : FinalFit
    selection : Selection
        Of members that were fitted.
    """
    place = {record.trial: k for k, record in enumerate(final.records)}
    kept = [(place[candidate.number], share) for candidate, share in selection.members]
    smaller = copy.copy(final)
    smaller.members = [replace(final.members[k], weight=share) for k, share in kept]
    smaller.records = [msgspec.structs.replace(final.records[k], weight=share) for k, share in kept]
    smaller.repeats = [[replace(members[k], weight=share) for k, share in kept] for members in final.repeats]
    return smaller


def _answers(search: Search, wanted: list[Candidate], n_rows: int, deadline: float | None) -> dict[int, Done]:
    """The fits, by number of the candidate; columns are generated beside the fits that do without them."""
    encoding, executor = search.encoding, search.executor

    def encoded(candidate: Candidate) -> bool:
        return encoding.has(_view(candidate.generated))

    answers: dict[int, Done] = {}
    views = encoding.full(c.generated for c in wanted)
    stages = [[view for view in views if view.generated is generated] for generated in (False, True)]
    for stage in [*filter(None, stages), []]:
        # The dearest first, so that the workers end together; members before baselines of the same cost.
        ready = [c for c in wanted if c.number not in answers and encoded(c)]
        ready.sort(key=lambda c: -search.costs.refit_seconds(c, n_rows))
        fits = [_job(search, c, deadline, share=BASELINE_SHARE if c.baseline else 0.85) for c in ready]
        for position, done in executor.run([*map(encoding.job, stage), *fits], deadline=deadline):
            if position >= len(stage):
                answers[ready[position - len(stage)].number] = done
            elif not done.error:
                encoding.keep(stage[position], done)
    return answers


def _share_weights(search: Search, selection: Selection, final: FinalFit, seeds: int, deadline: float) -> None:
    """Fit members once more with other seeds while time is left, and give each fit its share of the member's weight.

    A network depends on its first weights at any size, other members on their seed where rows are few.
    """
    refitted = [k for k, record in enumerate(final.records) if record.refit]
    few = final.records[0].n_rows <= FEW_ROWS
    wanted = [k for k in refitted if few or final.records[k].algorithm == "network"]
    wanted.sort(key=lambda k: -final.records[k].weight)
    networks = [k for k in wanted if final.records[k].algorithm == "network"]
    others = [k for k in wanted if final.records[k].algorithm not in ("network", *_STEADY)]
    turns = [(k, turn) for turn in range(1, NETWORK_SEEDS) for k in networks]
    turns += [(k, turn) for turn in range(1, seeds) for k in others]
    turns = turns[: max(0, MOST_FITS - len(final.members))]
    begun: list[tuple[int, int, Fit]] = []

    def jobs() -> Iterator[Fit]:
        for k, turn in turns:
            seed = _seed(search, turn)
            if final.records[k].fit_s + 0.3 < SURE * until(deadline):
                begun.append((k, seed, _job(search, selection.members[k][0], deadline, seed=seed)))
                yield begun[-1][2]

    fits: dict[int, list[tuple[int, Done, Fit]]] = {}
    for position, done in search.executor.run(jobs(), deadline=deadline):
        k, seed, job = begun[position]
        if not done.error and done.stopped != "time":
            fits.setdefault(k, []).append((seed, done, job))
    for k, again in sorted(fits.items()):
        share = final.records[k].weight / (1 + len(again))
        final.members[k] = replace(final.members[k], weight=share)
        final.records[k] = msgspec.structs.replace(final.records[k], weight=share)
        for seed, done, job in sorted(again, key=lambda fit: fit[0]):
            learner = registry.load(final.records[k].algorithm, Path(job.out) / "model")
            final.members.append(replace(final.members[k], learner=learner))
            final.records.append(msgspec.structs.replace(final.records[k], seed=seed, fit_s=done.seconds, clock=done.clock))


def _stand_in(search: Search, selection: Selection, final: FinalFit) -> None:
    """Where the model of one fold stands in for a fit on all rows, those of the other folds do so as well, at equal weights.

    The mean of several networks had a lower loss than one of them on all of 18 tables, by 5 % at the median, and costs no fit.
    """
    for k, record in enumerate(final.records[: len(selection.members)]):
        if not record.refit:
            others = [fold for fold in _folds_of(search, selection, k) if fold != record.fold]
            others = others[: max(0, MOST_FITS - len(final.members))]
            _add_folds(search, selection, final, k, others, len(others) / (1 + len(others)))


def _stand_beside(search: Search, selection: Selection, final: FinalFit) -> None:
    """A network for which there was no time with another seed shares its weight with its models of validation."""
    fits = Counter(record.trial for record in final.records)
    for k, record in enumerate(final.records[: len(selection.members)]):
        if record.algorithm == "network" and record.refit and fits[record.trial] == 1:
            folds = _folds_of(search, selection, k)[: max(0, MOST_FITS - len(final.members))]
            _add_folds(search, selection, final, k, folds, _SHARE_OF_FOLDS)


def _folds_of(search: Search, selection: Selection, k: int) -> list[int]:
    """Folds with a model of the ``k``-th member; none where members were chosen on the probe."""
    done = selection.members[k][0].folds
    whole = [fold for fold in range(len(search.problem.folds)) if fold in done and not done[fold].error]
    return [] if selection.fallback_fold is None else whole


def _add_folds(search: Search, selection: Selection, final: FinalFit, k: int, folds: list[int], share: float) -> None:
    """Hand a share of the weight of the ``k``-th member to its models of these folds."""
    candidate, weight = selection.members[k][0], final.members[k].weight
    if not folds:
        return
    final.members[k] = replace(final.members[k], weight=(1 - share) * weight)
    final.records[k] = msgspec.structs.replace(final.records[k], weight=(1 - share) * weight)
    for fold in folds:
        member, record = _as_validated(search, final, candidate, weight * share / len(folds), fold)
        final.members.append(member)
        final.records.append(record)


def _repeat(search: Search, selection: Selection, final: FinalFit, repeats: int, deadline: float | None) -> None:
    """The same members with other seeds; a repeat counts only if all its members were fitted."""
    seeds = [_seed(search, turn) for turn in range(1, repeats)]
    members = [candidate for candidate, _ in selection.members]
    jobs = [_job(search, candidate, deadline, seed=seed) for seed in seeds for candidate in members]
    answers = dict(search.executor.run(jobs, deadline=deadline))
    for k in range(len(seeds)):
        places = range(k * len(members), (k + 1) * len(members))
        if any(place not in answers or answers[place].error for place in places):
            continue
        final.repeats.append(
            [
                Member(
                    registry.load(candidate.algorithm, Path(jobs[place].out) / "model"),
                    share,
                    final.encoder(search.encoding.views.path(_view(candidate.generated))),
                )
                for place, (candidate, share) in zip(places, selection.members, strict=True)
            ]
        )
    if len(final.repeats) < len(seeds):
        final.notes.append(f"Time sufficed for {len(final.repeats) + 1} of {repeats} repeats with other seeds.")


def _seed(search: Search, turn: int) -> int:
    """Seed of the fits that repeat others for the ``turn``-th time, far from those that the parts of a fit count on from it."""
    return search.problem.seed + 1000 * turn


def _in_time(search: Search, selection: Selection, n_rows: int, deadline: float | None) -> list[Candidate]:
    """The members for whose fits on all rows there is time, the heaviest first; all of them where they were only probed."""
    members = [candidate for candidate, _ in selection.members]
    if deadline is None or selection.fallback_fold is None:
        return members
    chosen: list[Candidate] = []
    for candidate in members:
        seconds = [search.costs.refit_seconds(c, n_rows) for c in [*chosen, candidate]]
        if spread(seconds, search.n_workers) <= SURE * until(deadline):
            chosen.append(candidate)
    return chosen


def _cut_short(candidate: Candidate, done: Done) -> bool:
    """Whether the clock left a fit with so few iterations that one on fewer rows is the better model."""
    iterations = registry.get(candidate.algorithm).algorithm.iterations
    wanted = candidate.final_params.get(iterations) if iterations else None
    return done.stopped == "time" and wanted is not None and (done.n_iterations or 0) < _ENOUGH_ITERATIONS * wanted


def _as_validated(
    search: Search, final: FinalFit, candidate: Candidate, share: float, fold: int | None
) -> tuple[Member, MemberRecord]:
    """A member as it was fitted for validation on a fold, or on the probe, with the settings that it began with."""
    member, folder = _load(search, final, candidate, share, fold, refitted=False)
    done = candidate.probe if fold is None else candidate.folds[fold]
    record = MemberRecord(
        trial=candidate.number,
        algorithm=candidate.algorithm,
        params=candidate.params,
        n_iterations=None if done is None else done.n_iterations,
        weight=share,
        seed=search.problem.seed,
        n_rows=len(search.part(fold).training),
        refit=False,
        size_bytes=_size(folder),
        generated=candidate.generated,
        clock={} if done is None else done.clock,
        fold=-1 if fold is None else fold,
    )
    return member, record


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _load(
    search: Search, final: FinalFit, candidate: Candidate, share: float, fold: int | None, *, refitted: bool
) -> tuple[Member, Path]:
    """The learner as fitted on all rows, or as fitted for validation, with its encoder."""
    out = search.work / "final" / str(candidate.number) if refitted else search.folder(candidate, fold)
    view = search.encoding.views.path(
        _view(candidate.generated) if refitted else search.view_of(fold, generated=candidate.generated)
    )
    learner: Learner = registry.load(candidate.algorithm, out / "model")
    return Member(learner, share, final.encoder(view)), out / "model"


def _view(generated: bool) -> str:
    return "full-generated" if generated else "full"


def _job(search: Search, candidate: Candidate, deadline: float | None, *, seed: int | None = None, share: float = 0.85) -> Fit:
    """The fit on all rows, with the run's own seed unless another is given."""
    folder = str(candidate.number) if seed is None else f"{candidate.number}-seed{seed}"
    return Fit(
        view=str(search.encoding.views.path(_view(candidate.generated))),
        out=str(search.work / "final" / folder),
        algorithm=candidate.algorithm,
        params=candidate.final_params,
        task=search.problem.task,
        n_classes=search.problem.n_classes,
        metric=search.problem.metric.name,
        seed=search.problem.seed if seed is None else seed,
        validate=False,
        time_limit_s=None if deadline is None else max(0.5, share * until(deadline)),
    )
