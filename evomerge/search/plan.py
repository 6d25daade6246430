"""The description of a search and its result: plain values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from evomerge.analysis.diversity.grid import Grid
from evomerge.evaluation import Constraint, Evaluation, Failure, Measure, Objective
from evomerge.genome import GenomeSpec
from evomerge.recipe import Recipe
from evomerge.search.allocation import AllocationSettings
from evomerge.search.folding import Aggregate
from evomerge.search.rounds.settings import NextSpace, RoundSettings, Space
from evomerge.search.searchers import (
    Bounded,
    ExpertPool,
    Paced,
    Problem,
    Pushes,
    Searcher,
    SearcherFactory,
    average_of,
)
from evomerge.settings import setting

__all__ = [
    "Budgets",
    "ConfirmSettings",
    "EveryBaselineFailed",
    "PromoteSettings",
    "RepeatedFailures",
    "ReplayError",
    "SearchPlan",
    "SearchResult",
]


@dataclass(frozen=True)
class Budgets:
    """When a search ends; None is no limit.

    All count searched candidates alone: baselines, repeats, recommendations, promotion and confirmation are free.

    Attributes:
        evaluations: Candidates scored, failed ones included. The last batch is cut to it.
        items: Items asked of candidates. The last batch is cut to it.
        seconds: Wall time of all sessions of the run together. Outside the promise of repeatability.
        patience: Batches in a row without a feasible candidate that no earlier one is at least as good as, in every
            objective; of a searcher that keeps an archive of elites, without one that has a cell to itself or is
            better than who had it. Of a search in rounds those of the last one alone.
        max_failures: Failed candidates in a row; something other than the candidates must then be wrong.
    """

    evaluations: int | None = field(
        default=200, metadata=setting("how many candidates to score", key="evaluations", low=1)
    )
    items: int | None = field(default=None, metadata=setting("stop after so many scored items", low=1))
    seconds: float | None = field(default=None, metadata=setting("stop after so many seconds", form="positive number"))
    patience: int | None = field(
        default=None,
        metadata=setting("stop after so many batches without improvement, of an archive's cells if one is kept", low=1),
    )
    max_failures: int = field(
        default=10, metadata=setting("so many failed candidates in a row end the run", key="max_failures", low=1)
    )


@dataclass(frozen=True)
class ConfirmSettings:
    """The confirmation that ends a search.

    Attributes:
        finalists: At most so many members are scored on the test split; 0 for no confirmation.
        margin: A member holds what the best expert reaches if it is no worse by more than so many points; where an
            objective is no share of items, so many per cent of the expert's score.
        scales: Scales of task arithmetic, one for all experts, of which the best on the search items is the tuned
            reference beside the best expert; empty for no such reference.
    """

    finalists: int = field(default=8, metadata=setting("how many members are scored on the test split", low=0))
    margin: float = field(
        default=5.0, metadata=setting("points below the best expert that still count as holding its score", low=0)
    )
    scales: tuple[float, ...] = field(
        default=(0.3, 0.5, 0.7, 1.0),
        metadata=setting(
            "scales of task arithmetic, the best of which on search items is a reference; []: none",
            low=0,
            form="numbers",
        ),
    )


@dataclass(frozen=True)
class PromoteSettings:
    """The promotion between search and confirmation.

    Attributes:
        candidates: At most so many candidates, the best by search scores, are compared on the selection split; None for
            twice the finalists; 0 for no comparison: finalists are then chosen by search scores.
        allocation: ``equal`` asks each of them every selection item; ``ocba`` asks those more that are hard to tell
            from the best, by optimal computing budget allocation.
        share: Share of what ``equal`` would ask them that ``ocba`` spends.
    """

    candidates: int | None = field(
        default=None,
        metadata=setting("how many candidates are compared on the selection split; null: twice the finalists", low=0),
    )
    allocation: str = field(
        default="equal",
        metadata=setting(
            "whether all are asked every selection item, or those more that may be the best", choices=("equal", "ocba")
        ),
    )
    share: float = field(
        default=0.5, metadata=setting("share of all selection items that ocba asks, on average", low=0.01, high=1.0)
    )


@dataclass(frozen=True)
class SearchPlan:
    """A search, but for where it runs and where it is kept.

    Attributes:
        genome: The search space.
        searcher: Makes the searcher, see `searchers.factory`.
        objectives: What to improve; one or more.
        baselines: Name to recipe, scored first: ``base``, ``expert:LABEL``, ``uniform``.
        items: Split to task to item ids: ``search`` for the search, ``selection`` for the promotion, ``test`` for the
            confirmation.
        aggregate: Folds responses, in the order in which items were asked, into metrics.
        constraints: What candidates must meet.
        starts: Genomes of the initial population, ``(k, n_var)``.
        budgets: When to stop.
        promotion: How candidates are compared on the selection split.
        finalists: At most so many candidates are confirmed on the test split; 0 for no promotion and no confirmation.
        allocation: Which of the search items candidates are asked.
        scaled: Name to recipe of task arithmetic with one scale for all experts; the best on the search items is asked
            what finalists are asked, as a reference.
        clusters: Cluster of each item that belongs to one.
        steady: In an asynchronous search, how many candidates count as a batch; None where batches are asked and told
            whole.
        pool: The experts, for searchers that propose recipes.
        reach: Gives how far each gene moves the merge; see `Problem`.
        drafts: Whether candidates write text, and later ones verify what earlier ones wrote.
        measures: What an archive of elites is spread over, for searchers that keep one.
        cells: Number of its cells along each measure.
        scored_items: Whether the searcher is told the scores of single items.
        later_starts: From the baselines' evaluations to further genomes of the initial population, ``(k, n_var)``.
        rounds: The rounds of the search, of which genome, searcher and starts are those of the one at hand; all but the
            last have a number of candidates.
        next_space: Gives those of a later round; None where there is one round.
        fewest_elites: Fewer of them a later round cannot merge, unless it is of one.
    """

    genome: GenomeSpec
    searcher: SearcherFactory
    objectives: tuple[Objective, ...]
    baselines: Mapping[str, Recipe]
    items: Mapping[str, Mapping[str, tuple[str, ...]]]
    aggregate: Aggregate
    constraints: tuple[Constraint, ...] = ()
    starts: NDArray[np.float64] | None = None
    budgets: Budgets = field(default_factory=Budgets)
    promotion: PromoteSettings = field(default_factory=PromoteSettings)
    finalists: int = ConfirmSettings.finalists
    allocation: AllocationSettings = field(default_factory=AllocationSettings)
    scaled: Mapping[str, Recipe] = field(default_factory=dict)
    clusters: Mapping[str, str] = field(default_factory=dict)
    steady: int | None = None
    pool: ExpertPool | None = None
    reach: Callable[[], NDArray[np.float64]] | None = None
    drafts: bool = False
    measures: tuple[Measure, ...] = ()
    cells: int = 1
    scored_items: bool = False
    later_starts: Callable[[Mapping[str, Evaluation]], NDArray[np.float64]] | None = None
    rounds: RoundSettings = field(default_factory=RoundSettings)
    next_space: NextSpace | None = None
    fewest_elites: int = 1

    def asks(self, split: str) -> bool:
        """Whether there are items on a split."""
        return any(self.items.get(split, {}).values())

    @property
    def shortlisted(self) -> int:
        """How many candidates are compared on the selection split at most; 0 where there is nothing to compare on."""
        wanted = 2 * self.finalists if self.promotion.candidates is None else self.promotion.candidates
        return wanted if self.finalists and self.asks("selection") else 0

    def problem(
        self, n_con: int, grid: Grid | None, starts: NDArray[np.float64], baselines: Mapping[str, Evaluation]
    ) -> Problem:
        """The problem that the searcher is made for.

        Args:
            n_con: Number of constraints, that on failed candidates included.
            grid: The cells over the measures; None where there are none.
            starts: Genomes of the initial population.
            baselines: Name to evaluation on the search items.
        """
        pushes = Pushes.of(self.genome, self.baselines, baselines, self.objectives) if grid is not None else None
        average = average_of(self.genome, self.baselines) if grid is not None else None
        n_var, n_obj = self.genome.n_var, len(self.objectives)
        return Problem(n_var, n_obj, n_con, starts, grid, self.pool, pushes, self.reach, average)

    def entering(self, space: Space) -> SearchPlan:
        """The same search in the space of a further round, whose models no reach is known of."""
        return replace(
            self, genome=space.genome, searcher=space.searcher, starts=space.starts, later_starts=None, reach=None
        )

    def elites_of(self, number: int) -> tuple[int, int]:
        """How many elites a later round merges, at most and at least."""
        wanted = self.rounds.wanted(number)
        return wanted, min(wanted, self.fewest_elites)

    @property
    def chooser(self) -> Searcher | None:
        """A fresh searcher that chooses among models, to ask what it will do; None where numbers are searched."""
        if self.pool is None:
            return None
        return self.searcher(Problem(self.genome.n_var, len(self.objectives), 1, pool=self.pool))

    @property
    def most(self) -> int | None:
        """The most candidates that the searcher can propose; None where that is not known beforehand."""
        chooser = self.chooser
        return chooser.left() if isinstance(chooser, Bounded) else None

    def batches(self) -> Iterator[int] | None:
        """Sizes of the batches that the searcher will propose; None where they are as large as the user says."""
        chooser = self.chooser
        return chooser.batches() if isinstance(chooser, Paced) else None


@dataclass(frozen=True)
class SearchResult:
    """The result of a search.

    Attributes:
        reason: Why it ended: ``evaluations``, ``items``, ``seconds``, ``patience``, ``exhausted`` (nothing new is
            proposed) or ``stopped``.
        batches: Batches told to the searcher.
        evaluations: Candidates scored.
        front: The feasible non-dominated candidates on the search split, by (batch, index).
        selected: Evaluations of baselines and shortlisted candidates on the selection split; empty without promotion.
        confirmed: Evaluations of baselines and finalists on the test split; empty without confirmation.
        cut: Whether the budget cut one more batch: some of it was scored, and none of it told.
    """

    reason: str
    batches: int
    evaluations: int
    front: tuple[Evaluation, ...]
    selected: tuple[Evaluation, ...]
    confirmed: tuple[Evaluation, ...]
    cut: bool = False


class RepeatedFailures(RuntimeError):
    """So many candidates failed in a row that something other than the candidates must be wrong.

    Attributes:
        first: The first failure of the row.
    """

    def __init__(self, count: int, first: Failure) -> None:
        super().__init__(f"{count} candidates in a row failed; the first: {first.kind}: {first.message}")
        self.first = first


class EveryBaselineFailed(RepeatedFailures):
    """All baselines failed for one reason, so the reason is not a candidate's.

    Attributes:
        first: The failure of the first baseline.
    """

    def __init__(self, count: int, first: Failure) -> None:
        super().__init__(count, first)
        self.args = (
            f"all {count} baselines failed for the same reason, so it does not lie in the candidates: "
            f"{first.kind}: {first.message} (nothing was recorded: once the cause is removed, repeat the command)",
        )


class ReplayError(RuntimeError):
    """The records of a run are not what the searcher proposes now, so the run cannot go on."""
