"""Members of a run's front, and their comparisons on held-out items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from evomerge.analysis import (
    Interval,
    Truncation,
    holm,
    pareto,
    stratified_difference,
    stratified_p_value,
    truncation,
)
from evomerge.evaluation import Evaluation, Objective
from evomerge.report.results import Results, better
from evomerge.store import RunStore

BEATS, SAME, WORSE = "beats best expert", "not distinguishable", "worse"
UNJUDGED, TRUNCATED = "cannot be judged", "truncation differs"
SIGNIFICANCE = 0.05
_ID_LENGTH = 8


@dataclass(frozen=True)
class Comparison:
    """A member and another model on the same held-out items.

    Attributes:
        against: The other model's baseline name.
        interval: Paired difference, member minus other, in natural units.
        p: Two-sided p-value; None where the items say nothing.
        adjusted: The p-value after Holm's correction for all comparisons of the report; None as for ``p``.
        mark: :data:`BEATS`, :data:`SAME` or :data:`WORSE`, by the adjusted p-value; :data:`UNJUDGED` where the items
            say nothing: there is one alone, or all differ by the same; :data:`TRUNCATED` in the place of a significant
            mark where one of the two was cut at its length limit more often, which may be all that differs.
        truncation: How often the answers of both were cut; None where none was.
    """

    against: str
    interval: Interval
    p: float | None = None
    adjusted: float | None = None
    mark: str = SAME
    truncation: Truncation | None = None

    def to_json(self) -> dict[str, Any]:
        """All fields as a JSON object."""
        data = {"against": self.against, **self.interval.to_json(), "p": self.p, "p_holm": self.adjusted}
        cut = self.truncation
        return data if cut is None else data | {"truncated": [cut.first, cut.second]}


@dataclass(frozen=True)
class Member:
    """A member of the front.

    Attributes:
        id: The shortest prefix of the digest, of at least eight digits, that no other member has.
        digest: The recipe's digest.
        recipe: The recipe as JSON.
        search: Its evaluation on the search split.
        selection: Its evaluation on the selection split, or None when it was not compared there.
        test: Its evaluation on the test split, or None when it was not confirmed.
        search_scores: Objective label to score on the search split. These were selected for, so they are optimistic.
        selection_scores: Objective label to score on the selection split, by which finalists were chosen; empty when it
            was not compared there.
        test_scores: Objective label to score on held-out items; empty when not confirmed.
        versus_expert: Objective label to the comparison with that objective's best expert.
        versus_uniform: Objective label to the comparison with the uniform average.
        knee: Whether it is the knee of the front, by search scores.
        on_test_front: Whether no other member dominates it on held-out items.
        dominated_by: Baselines at least as good in every objective, and better in one, on held-out items.
    """

    id: str
    digest: str
    recipe: Mapping[str, Any]
    search: Evaluation
    selection: Evaluation | None
    test: Evaluation | None
    search_scores: Mapping[str, Interval]
    selection_scores: Mapping[str, Interval]
    test_scores: Mapping[str, Interval]
    versus_expert: Mapping[str, Comparison]
    versus_uniform: Mapping[str, Comparison]
    knee: bool = False
    on_test_front: bool = False
    dominated_by: tuple[str, ...] = ()

    def scores(self, split: str) -> Mapping[str, Interval]:
        """Objective label to score on a split; empty when it was not asked there."""
        return {"search": self.search_scores, "selection": self.selection_scores, "test": self.test_scores}[split]

    @property
    def beats_best_expert(self) -> dict[str, bool]:
        """Objective label to whether the member beats that objective's best expert on held-out items."""
        return {label: comparison.mark == BEATS for label, comparison in self.versus_expert.items()}


def front_members(source: RunStore | Results) -> list[Member]:
    """The members of a run's front: feasible candidates that none dominates on search scores, and all confirmed ones.

    Args:
        source: The run.

    Returns:
        Members, best in the first objective first, those without held-out scores last.
    """
    results = source if isinstance(source, Results) else Results(source)
    chosen = _chosen(results)
    if not chosen:
        return []
    knee = _knee(results, chosen)
    ids = _identifiers([e.digest for e in chosen])
    members = [
        _member(results, evaluation, identifier, evaluation.digest == knee)
        for evaluation, identifier in zip(chosen, ids, strict=True)
    ]
    return _marked(results, _with_test_front(results, members))


def _chosen(results: Results) -> list[Evaluation]:
    scored = [e for e in results.candidates if results.scored(e)]
    feasible = [e for e in scored if results.feasible(e)]
    front = {e.digest for e in _non_dominated(results, feasible)}
    tested = {e.digest for e in results.store.evaluations("test") if e.name is None}
    chosen = [e for e in scored if e.digest in front or e.digest in tested]
    values = results.minimised(chosen)
    order = sorted(
        range(len(chosen)), key=lambda i: (chosen[i].digest not in tested, *values[i].tolist(), chosen[i].digest)
    )
    return [chosen[i] for i in order]


def _non_dominated(results: Results, evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    if not evaluations:
        return []
    mask = pareto.non_dominated(results.minimised(evaluations))
    return [e for e, keep in zip(evaluations, mask, strict=True) if keep]


def _knee(results: Results, chosen: Sequence[Evaluation]) -> str | None:
    front = _non_dominated(results, [e for e in chosen if results.feasible(e)])
    return front[pareto.knee(results.minimised(front))].digest if front else None


def _identifiers(digests: Sequence[str]) -> list[str]:
    length = _ID_LENGTH
    while len({digest[:length] for digest in digests}) < len(set(digests)):
        length += 1
    return [digest[:length] for digest in digests]


def _member(results: Results, evaluation: Evaluation, identifier: str, knee: bool) -> Member:
    labels = [o.label for o in results.objectives]
    selection, test = (results.store.lookup(evaluation.digest, split) for split in ("selection", "test"))
    best = {label: results.best_expert(label, "test") for label in labels}
    return Member(
        id=identifier,
        digest=evaluation.digest,
        recipe=evaluation.recipe,
        search=evaluation,
        selection=selection,
        test=test,
        search_scores=results.intervals(evaluation),
        selection_scores=results.intervals(selection),
        test_scores=results.intervals(test),
        versus_expert=compare(results, test, {label: name for label, name in best.items() if name}),
        versus_uniform=compare(results, test, dict.fromkeys(labels, "uniform")),
        knee=knee,
        dominated_by=_dominating(results, test) if results.scorecard(test) else (),
    )


def compare(results: Results, evaluation: Evaluation | None, against: Mapping[str, str]) -> dict[str, Comparison]:
    """Compares an evaluation with a baseline on the same items, objective by objective.

    Args:
        results: The run.
        evaluation: Whose score is taken first.
        against: Objective label to the other's baseline name.

    Returns:
        Objective label to comparison, without those that cannot be made.
    """
    found: dict[str, Comparison] = {}
    ours = results.scorecard(evaluation)
    if evaluation is None or ours is None:
        return found
    for label, name in against.items():
        theirs = results.baseline_scorecard(name, evaluation.split)
        if theirs is None:
            continue
        pair = (ours.strata[label], theirs.strata[label])
        between = stratified_difference(*pair)
        if between is not None:
            found[label] = Comparison(name, between, stratified_p_value(*pair), truncation=truncation(*pair))
    return found


def _dominating(results: Results, test: Evaluation | None) -> tuple[str, ...]:
    names = []
    for name in results.names:
        other = results.baseline(name, "test")
        if test is not None and other is not None and results.scored(other):
            theirs, ours = results.minimised([other, test])
            if pareto.dominates(theirs, ours):
                names.append(name)
    return tuple(names)


def _with_test_front(results: Results, members: list[Member]) -> list[Member]:
    tested = [m.test for m in members if m.test is not None and m.test_scores]
    front = {e.digest for e in _non_dominated(results, tested)}
    return [replace(member, on_test_front=member.digest in front) for member in members]


def _marked(results: Results, members: list[Member]) -> list[Member]:
    keys = [(i, label) for i, m in enumerate(members) for label, c in m.versus_expert.items() if c.p is not None]
    p_values = [members[i].versus_expert[label].p for i, label in keys]
    adjusted = dict(zip(keys, holm([p for p in p_values if p is not None]), strict=True))
    objectives = {o.label: o for o in results.objectives}
    marked = []
    for i, member in enumerate(members):
        comparisons = {}
        for label, comparison in member.versus_expert.items():
            p = adjusted.get((i, label))
            comparisons[label] = replace(comparison, adjusted=p, mark=_mark(comparison, p, objectives[label]))
        marked.append(replace(member, versus_expert=comparisons))
    return marked


def _mark(comparison: Comparison, adjusted: float | None, objective: Objective) -> str:
    if adjusted is None or comparison.p is None:
        return UNJUDGED
    if adjusted >= SIGNIFICANCE:
        return SAME
    if comparison.truncation is not None and comparison.truncation.blurs(adjusted / comparison.p):
        return TRUNCATED
    return BEATS if better(objective, comparison.interval.mean) else WORSE


def n_comparisons(members: Sequence[Member]) -> int:
    """Number of comparisons with a best expert that the members' marks were corrected for."""
    return int(np.sum([c.p is not None for m in members for c in m.versus_expert.values()], dtype=int))
