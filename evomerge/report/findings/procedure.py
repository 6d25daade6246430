"""The yield of such a search on fresh items: the choice from the shortlist, repeated over halves of its items.

Where items were shared out by how candidates answered (OCBA), what one was asked depends on its answers, so means over
them are biased. The first rung was the same for all and planned before anyone had answered: the choice is repeated on
its items alone. That is a choice by fewer items than the run had, which on average gives as much as its own or less.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from evomerge.analysis import Interval, Stratum, common_strata
from evomerge.analysis.repeated_splits import repeated_splits
from evomerge.evaluation import Evaluation, Objective
from evomerge.report.results import Results
from evomerge.report.scorecard import Scorecard
from evomerge.report.wording import count

__all__ = ["LEAST_ITEMS", "Expected", "Procedure", "procedure"]

LEAST_ITEMS = 10  # or clusters of a task, below which halves of them choose nothing


@dataclass(frozen=True)
class Expected:
    """The expected score, on fresh items, of the candidate that is best in an objective.

    Attributes:
        interval: The score with its interval.
        optimism: By how much the best score on the items exceeds it, in natural units, above zero being better.
        items: Selection items that it rests on, over the tasks of the objective.
    """

    interval: Interval
    optimism: float
    items: int


@dataclass(frozen=True)
class Procedure:
    """The yield, on fresh items, of a choice such as the run's.

    Attributes:
        scores: Objective label to the expected score.
        compared: Candidates that were compared on selection items and could be scored.
        items: Selection items that the scores rest on, over all objectives.
        shared_out: Whether some of them were asked more items than these.
        missing: Label of an objective without an expected score to the items, or whole clusters, of its task with the
            fewest; to 0 where no items that all were asked make it up.
    """

    scores: Mapping[str, Expected]
    compared: int = 0
    items: int = 0
    shared_out: bool = False
    missing: Mapping[str, int] = field(default_factory=dict)

    @property
    def note(self) -> str:
        """The meaning of the scores, or why there are none, in sentences; empty where nobody chose."""
        if self.scores:
            best = "best in one objective" if len(self.scores) + len(self.missing) > 1 else "best"
            asked = "the selection items" if not self.shared_out else "the items that all of them were asked"
            what = (
                f"Expected score, on fresh items, of the {best} of the {self.compared} candidates that were compared: "
                f"chosen by a random half of {asked} and scored on the other half, over many halves."
            )
            without = (f"No interval for {label}: {self._why(fewest)}." for label, fewest in self.missing.items())
            return " ".join([what, *([self._rests_on] if self.shared_out else []), *without])
        fewest = min(filter(None, self.missing.values()), default=0)
        if self.compared < 2 or not fewest:
            return ""
        equal = "promote.allocation=equal asks all of them everything, and " if self.shared_out else ""
        return (
            f"No interval for what such a search gives on fresh items: {self._why(fewest)}. {equal}items_per_task and "
            "fitness.splits say how many there are."
        )

    @property
    def score(self) -> str:
        """The scores whose best one is compared with the expected one, in words."""
        return "score on these items" if self.shared_out else "selection score"

    def _why(self, fewest: int) -> str:
        """The reason for which an objective has no expected score."""
        if not fewest:
            return "it is not made up of selection items that all of them were asked"
        return (
            "of a task, the candidates that were compared were all asked "
            f"{count(fewest, 'selection item')} (what belongs together counts once), and to choose by halves of them "
            f"takes {LEAST_ITEMS}"
        )

    @property
    def _rests_on(self) -> str:
        return (
            f"Selection items were shared out by how candidates answered; this rests on the {self.items} that all were "
            "asked in the first rung, before any answer decided who is asked more. The run chose by more than these, "
            "so on average its choice gives as much or more; promote.allocation=equal asks all of them everything."
        )


def procedure(results: Results) -> Procedure:
    """Expected score, on fresh items, of the candidate that is best in one objective.

    The candidates are those that were compared on the selection items, which had no part in making or listing them.

    Args:
        results: The run.

    Returns:
        The expected scores; none where fewer than two were compared, where too few items were asked of all, and of
        objectives that items do not explain.
    """
    asked: dict[str, list[Evaluation]] = {}
    for evaluation in results.store.evaluations("selection"):
        if evaluation.name is None:
            asked.setdefault(evaluation.digest, []).append(evaluation)
    last = [own for own in asked.values() if results.scorecard(own[-1]) is not None]
    # What is asked first is the least, whatever comes later; sets of later rungs follow from answers.
    firsts = [min(own, key=lambda one: (one.error is not None, one.items)) for own in last]
    cards = [card for card in map(results.scorecard, firsts) if card is not None]
    if len(cards) < 2:
        return Procedure({}, len(cards))
    found: dict[str, Expected] = {}
    missing: dict[str, int] = {}
    items = set[str]()
    for objective in results.objectives:
        strata = _common(cards, objective)
        independent = [len(set(stratum.clusters or stratum.items)) for stratum in strata[0]] if strata else []
        fewest = min(independent, default=0)
        if fewest < LEAST_ITEMS:
            missing[objective.label] = fewest
            continue
        items.update(item for stratum in strata[0] for item in stratum.items)
        found[objective.label] = _expected(results, objective, strata)
    shared_out = any(one.ask.rung for own in last for one in own)
    return Procedure(found, len(cards), len(items), shared_out, missing)


def _common(cards: Sequence[Scorecard], objective: Objective) -> list[tuple[Stratum, ...]]:
    """Each candidate's strata on the items that all were asked; empty where they do not make up the objective."""
    scores = [card.strata[objective.label] for card in cards]
    strata = common_strata(scores)
    whole = all(own and len(own) == len(kept) for own, kept in zip(scores, strata, strict=True))
    return strata if whole else []


def _expected(results: Results, objective: Objective, strata: Sequence[Sequence[Stratum]]) -> Expected:
    tasks = [np.stack([own[t].values for own in strata]) for t in range(len(strata[0]))]
    random = np.random.default_rng([_seed(results.store.manifest), *objective.label.encode()])
    shares = [stratum.weight for stratum in strata[0]]
    clusters = [stratum.clusters or stratum.items for stratum in strata[0]]
    estimate = repeated_splits(tasks, shares, random, clusters=clusters, higher=objective.higher_is_better)
    asked = {item for stratum in strata[0] for item in stratum.items}
    return Expected(estimate.interval, estimate.optimism, len(asked))


def _seed(manifest: Mapping[str, Any]) -> int:
    seeds = manifest.get("seeds")
    root = seeds.get("root") if isinstance(seeds, Mapping) else None
    return int(root) if isinstance(root, int) and root >= 0 else 0
