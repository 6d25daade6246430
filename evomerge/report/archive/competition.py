"""The archive of M2N2: its members, their scores on each task, and the share of all items that each gets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evomerge.analysis.diversity.competition import shared, survivors
from evomerge.evaluation import Evaluation
from evomerge.report.results import Results, short_name

__all__ = ["COMPETITION_FORMAT", "Competition", "Competitor", "competition", "competition_json"]

COMPETITION_FORMAT = 1
_SEARCHER = "m2n2"


@dataclass(frozen=True)
class Competitor:
    """A member of the archive.

    Attributes:
        name: The model's, or the first digits of the recipe's digest, by which it is exported.
        digest: Its recipe's digest.
        expert: Whether it is one of the models that the search began with.
        scores: Task to its mean score of the items there.
        shares: Task to the part of all items that it gets there; over members and tasks these add up to 1.
        alone: Number of items that no other member scores on.
        held_out: Its score of the objective on held-out items; None where it was not confirmed.
    """

    name: str
    digest: str
    expert: bool
    scores: Mapping[str, float]
    shares: Mapping[str, float]
    alone: int
    held_out: float | None

    @property
    def share(self) -> float:
        """The part of all items that it gets."""
        return sum(self.shares.values())


@dataclass(frozen=True)
class Competition:
    """The archive as the search left it.

    Attributes:
        members: Whoever gets most first.
        tasks: The tasks of the objective.
        items: Number of items.
        unsolved: Number of those on which no member scores.
        alpha: How far members share.
        limit: How many members there may be.
    """

    members: tuple[Competitor, ...]
    tasks: tuple[str, ...]
    items: int
    unsolved: int
    alpha: float
    limit: int


def competition(results: Results) -> Competition | None:
    """The archive of a run; None where its searcher kept none, or nothing was scored yet.

    Args:
        results: The run's records.
    """
    searcher = results.store.manifest.get("identity", {}).get("searcher", {})
    options = searcher.get("options", {})
    # A run of the first release mixed genomes, and began with others than the models.
    if searcher.get("name") != _SEARCHER or not {"archive", "alpha"} <= options.keys() or "noise" in options:
        return None
    experts = [e for name in results.experts if (e := results.baseline(name, "search")) is not None]
    joined = [*experts, *(e for e in results.candidates if e.told is not None and not e.recommended)]
    keys = [(key.rpartition(".")[0], key.rpartition(".")[2]) for _, key in results.objectives[0].terms]
    items = next((items for e in joined if e.error is None and (items := _items(results, e, keys))), ())
    if not items:
        return None
    scores = [_scores(results, e, items) for e in joined]
    kept = survivors(scores, [_missed(results, e) for e in joined], options["alpha"], options["archive"])
    return _ranked(results, joined, np.array(scores), kept, items, options)


def _ranked(
    results: Results,
    joined: Sequence[Evaluation],
    scores: NDArray[np.float64],
    kept: Sequence[int],
    items: Sequence[tuple[str, str, str]],
    options: Mapping[str, Any],
) -> Competition:
    """The members of an archive, from all that joined and the rows of those that are left."""
    own = scores[list(kept)]
    resources, solved = shared(own, options["alpha"]), own > 0.0
    total = float(resources.sum()) or 1.0
    owners, tasks = np.array([task for task, _, _ in items]), tuple(dict.fromkeys(task for task, _, _ in items))
    members = []
    for row, number in enumerate(kept):
        evaluation, labels = joined[number], results.sharing(joined[number])
        members.append(
            Competitor(
                short_name(labels[0]) if labels else evaluation.digest[:8],
                evaluation.digest,
                bool(labels),
                {task: float(own[row, owners == task].mean()) for task in tasks},
                {task: float(resources[row, owners == task].sum()) / total for task in tasks},
                int((solved[row] & (solved.sum(axis=0) == 1)).sum()),
                _held_out(results, evaluation),
            )
        )
    ordered = tuple(sorted(members, key=lambda member: -member.share))
    unsolved = int((~solved.any(axis=0)).sum())
    return Competition(ordered, tasks, len(items), unsolved, options["alpha"], options["archive"])


def _items(
    results: Results, evaluation: Evaluation, keys: Sequence[tuple[str, str]]
) -> tuple[tuple[str, str, str], ...]:
    """Task, item and metric of everything that a model is scored on."""
    answered = [response.key for response in results.responses(evaluation)]
    return tuple((task, item, metric) for task, metric in keys for owner, item in answered if owner == task)


def _scores(results: Results, evaluation: Evaluation, items: Sequence[tuple[str, str, str]]) -> NDArray[np.float64]:
    """The score of each item, 0 where the model could not be scored."""
    if evaluation.error is not None:
        return np.zeros(len(items))
    known = {response.key: response.metrics for response in results.responses(evaluation)}
    return np.array([float(known[task, item][metric]) for task, item, metric in items])


def _missed(results: Results, evaluation: Evaluation) -> float:
    """By how much a model misses the constraints; infinite where it could not be scored."""
    if evaluation.error is not None:
        return math.inf
    return sum(max(violation, 0.0) for violation in results.violations(evaluation))


def _held_out(results: Results, evaluation: Evaluation) -> float | None:
    test = results.store.lookup(evaluation.digest, "test")
    return results.objectives[0].value(test.metrics) if test is not None and results.scored(test) else None


def competition_json(found: Competition) -> dict[str, Any]:
    """The archive as a JSON object."""
    return {
        "format": COMPETITION_FORMAT,
        "scores": "search items; optimistic",
        "alpha": found.alpha,
        "limit": found.limit,
        "items": found.items,
        "unsolved": found.unsolved,
        "members": [
            {
                "name": member.name, "digest": member.digest, "expert": member.expert, "scores": dict(member.scores),
                "shares": dict(member.shares), "alone": member.alone, "held_out": member.held_out,
            }
            for member in found.members
        ],
    }  # fmt: skip
