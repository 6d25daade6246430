"""Members of a run's front, and their comparisons on held-out items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from evomerge.analysis import Interval, pareto
from evomerge.analysis.margin import joint_verdicts
from evomerge.evaluation import UNIFORM, Evaluation, JsonText
from evomerge.report.findings.comparison import (
    BEATS,
    SAME,
    TRUNCATED,
    UNJUDGED,
    WORSE,
    Comparison,
    compare,
    marked,
)
from evomerge.report.findings.holding import Holding, hold, with_needed
from evomerge.report.findings.preference import Preference
from evomerge.report.results import Results
from evomerge.store import RunStore

_ID_LENGTH = 8


@dataclass(frozen=True)
class Member:
    """A member of the front.

    Attributes:
        id: The shortest prefix of the digest, of at least eight digits, that no other member has.
        digest: The recipe's digest.
        recipe: The recipe as JSON; as those of its evaluations it is held in memory, whatever becomes of the folder.
        search: Its evaluation on the search split.
        selection: Its evaluation on the selection split, or None when it was not compared there.
        test: Its evaluation on the test split, or None when it was not confirmed.
        search_scores: Objective label to score on the search split. These were selected for, so they are optimistic.
        selection_scores: Objective label to score on the selection split, by which finalists were chosen; empty when it
            was not compared there.
        test_scores: Objective label to score on held-out items; empty when not confirmed.
        versus_expert: Objective label to the comparison with that objective's best expert.
        versus_uniform: Objective label to the comparison with the uniform average.
        versus_tuned: Objective label to the comparison with the tuned reference; empty where there is none.
        holding: Whether it holds what the best expert of every objective reaches, to within the margin.
        knee: Whether it is what a person gets who asks for one model: the knee of the finalists, by the scores that
            they were chosen by, see `choice`; where a preference was given, what it picks among them.
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
    versus_tuned: Mapping[str, Comparison] = field(default_factory=dict)
    holding: Holding = field(default_factory=Holding)
    knee: bool = False
    on_test_front: bool = False
    dominated_by: tuple[str, ...] = ()

    def scores(self, split: str) -> Mapping[str, Interval]:
        """Objective label to score on a split; empty when it was not asked there."""
        return {"search": self.search_scores, "selection": self.selection_scores, "test": self.test_scores}[split]

    @property
    def recommended(self) -> bool:
        """Whether the searcher recommended it without having proposed it: the mean of what it samples."""
        return self.search.recommended

    @property
    def beats_best_expert(self) -> dict[str, bool]:
        """Objective label to whether the member beats that objective's best expert on held-out items."""
        return {label: comparison.mark == BEATS for label, comparison in self.versus_expert.items()}


def front_members(source: RunStore | Results, preference: Preference | None = None) -> list[Member]:
    """The members of a run's front: feasible candidates that none dominates on search scores, and all confirmed ones.

    Args:
        source: The run.
        preference: Whom to choose instead of the knee.

    Returns:
        Members, best in the first objective first, those without held-out scores last.
    """
    results = source if isinstance(source, Results) else Results(source)
    chosen = _chosen(results)
    if not chosen:
        return []
    ids = _identifiers([e.digest for e in chosen])
    members = [_member(results, evaluation, identifier) for evaluation, identifier in zip(chosen, ids, strict=True)]
    return _held(results, _marked(results, _with_test_front(results, _with_chosen(results, members, preference))))


def choice(members: Sequence[Member]) -> tuple[list[Member], str]:
    """The members of which one is returned, and the split by whose scores it is chosen: never the test split.

    Those are the finalists, and the split that made them so: their search scores are the best of many and flatter them.
    While nothing is confirmed they are those that were compared on the selection split, else all.

    Args:
        members: The members of a run's front.
    """
    confirmed = [member for member in members if member.test_scores]
    pool = confirmed or [member for member in members if member.selection_scores] or list(members)
    return pool, "selection" if pool and all(member.selection_scores for member in pool) else "search"


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


def _with_chosen(results: Results, members: list[Member], preference: Preference | None) -> list[Member]:
    pool, split = choice(members)
    asked = {member.digest: getattr(member, split) for member in pool}
    feasible = [e for e in asked.values() if results.feasible(e)] or (list(asked.values()) if split != "search" else [])
    front = _non_dominated(results, feasible)
    if not front:
        return members
    points = results.minimised(front)
    row = pareto.knee(points) if preference is None else preference.choose(points, results.objectives)
    return [replace(member, knee=member.digest == front[row].digest) for member in members]


def _identifiers(digests: Sequence[str]) -> list[str]:
    length = _ID_LENGTH
    while len({digest[:length] for digest in digests}) < len(set(digests)):
        length += 1
    return [digest[:length] for digest in digests]


def _member(results: Results, evaluation: Evaluation, identifier: str) -> Member:
    labels = [o.label for o in results.objectives]
    evaluation = _with_recipe(evaluation)
    found = (results.store.lookup(evaluation.digest, split) for split in ("selection", "test"))
    selection, test = (one and _with_recipe(one) for one in found)
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
        versus_uniform=compare(results, test, dict.fromkeys(labels, UNIFORM)),
        versus_tuned=compare(results, test, dict.fromkeys(labels, results.tuned)) if results.tuned else {},
        holding=hold(results, test),
        dominated_by=_dominating(results, test) if results.scorecard(test) else (),
    )


def _with_recipe(evaluation: Evaluation) -> Evaluation:
    """The evaluation with its recipe read, which a store leaves on disk."""
    return replace(evaluation, recipe=JsonText(JsonText.of(evaluation.recipe).text))


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
    objectives = {o.label: o for o in results.objectives}
    expert, tuned = (
        marked(every, {(i, label): objectives[label] for i, label in every})
        for every in (
            {(i, label): c for i, m in enumerate(members) for label, c in m.versus_expert.items()},
            {(i, label): c for i, m in enumerate(members) for label, c in m.versus_tuned.items()},
        )
    )
    return [
        replace(
            member,
            versus_expert={label: expert[i, label] for label in member.versus_expert},
            versus_tuned={label: tuned[i, label] for label in member.versus_tuned},
        )
        for i, member in enumerate(members)
    ]


def _held(results: Results, members: list[Member]) -> list[Member]:
    """Verdicts on what members hold, of those that could be compared in every objective."""
    tested = [m for m in members if m.holding.tests and len(m.holding.tests) == len(results.objectives)]
    verdicts = joint_verdicts([list(member.holding.tests.values()) for member in tested])
    items = _held_out_items(results, tested)
    judged = {
        member.digest: with_needed(member.holding, verdict, len(tested), items)
        for member, verdict in zip(tested, verdicts, strict=True)
    }
    return [replace(member, holding=judged.get(member.digest, member.holding)) for member in members]


def _held_out_items(results: Results, members: Sequence[Member]) -> dict[str, int]:
    """Objective label to the number of held-out items behind it."""
    card = results.scorecard(members[0].test) if members else None
    strata = card.strata if card is not None else {}
    return {label: sum(len(stratum.items) for stratum in own) for label, own in strata.items()}


def n_comparisons(members: Sequence[Member]) -> int:
    """Number of comparisons with a best expert that the members' marks were corrected for."""
    return int(np.sum([c.p is not None for m in members for c in m.versus_expert.values()], dtype=int))


__all__ = [
    "BEATS",
    "SAME",
    "TRUNCATED",
    "UNJUDGED",
    "WORSE",
    "Comparison",
    "Member",
    "choice",
    "compare",
    "front_members",
    "n_comparisons",
]
