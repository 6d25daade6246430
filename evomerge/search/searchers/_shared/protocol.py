"""The protocol of searchers: problems, proposals, observations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from evomerge.analysis.diversity.grid import Grid
from evomerge.recipe import Recipe
from evomerge.search.searchers._shared.archives.averages import Average
from evomerge.search.searchers._shared.archives.pushes import Pushes
from evomerge.search.searchers._shared.pool import ExpertPool

__all__ = [
    "Array",
    "Bounded",
    "Observation",
    "Problem",
    "Proposal",
    "Recommends",
    "Searcher",
    "SearcherFactory",
    "Selection",
]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Problem:
    """The optimisation problem that a searcher is made for: genomes in the unit cube, everything minimised.

    Attributes:
        n_var: Number of genes, 1 or more.
        n_obj: Number of objectives.
        n_con: Number of constraints ``G <= 0``, 0 or more.
        starts: Genomes that the initial population holds, ``(k, n_var)``; ``k`` may be 0.
        grid: The cells over the measures (behaviour descriptors) of an archive of elites; None where none are taken.
        pool: The experts, for searchers that propose recipes; None where there are none to choose among.
        pushes: Random steps towards experts, for searchers that mutate by them; None where there is no base.
        reach: Gives how far each gene moves the merge in the space of weights, over what is usual, ``(n_var,)``; None
            where that is not known. Every weight is read at the first call.
        average: Makes weighted averages of candidates, for searchers that return one; None where these cannot be made.
    """

    n_var: int
    n_obj: int
    n_con: int = 0
    starts: Array = field(default_factory=lambda: np.zeros((0, 0)))
    grid: Grid | None = None
    pool: ExpertPool | None = None
    pushes: Pushes | None = None
    reach: Callable[[], Array] | None = None
    average: Average | None = None

    def __post_init__(self) -> None:
        """Gives the starts their shape."""
        object.__setattr__(self, "starts", np.asarray(self.starts, dtype=np.float64).reshape(-1, self.n_var))

    @property
    def n_measures(self) -> int:
        """Number of measures, 0 where none are taken."""
        return 0 if self.grid is None else len(self.grid)


@dataclass(frozen=True, eq=False)
class Proposal:
    """One candidate that a searcher wants to see scored: a genome, or a finished recipe.

    Attributes:
        id: Unique within the searcher, and a function of what it was asked and told: ``"3.0"`` is the first proposal
            of the third ask.
        x: Genome in [0, 1], ``(n_var,)``; None if there is a recipe.
        recipe: Recipe to be scored as it is; None if there is a genome.
        parents: Ids of the earlier proposals that it was made from; empty where the algorithm has none.
    """

    id: str
    x: Array | None = None
    recipe: Recipe | None = None
    parents: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuses a proposal that is neither a genome nor a recipe, or both."""
        if (self.x is None) == (self.recipe is None):
            raise ValueError(f"proposal {self.id}: expected either a genome or a recipe")


@dataclass(frozen=True, eq=False)
class Observation:
    """The values of one proposal, all finite.

    Attributes:
        id: The proposal's id.
        F: Objectives to minimise, ``(n_obj,)``; of a candidate that could not be scored, the worst values seen plus
            a margin.
        G: Constraints, met where 0 or less, ``(n_con,)``. In a search the last one says whether the candidate could be
            scored: it is above every violation seen where it could not, else 0.
        se: Standard errors of ``F``, ``(n_obj,)``; None where unknown, as where all candidates answer all items.
        measures: Behaviour descriptors in natural units, ``(n_measures,)``, over the same items as ``F``; of a
            candidate that could not be scored, the low ends of the grid. None where none are taken.
        items: Number of items behind the values; 0 where unknown.
        scores: Scores of the objective's items, 0 or more, more being better, ``(n_items,)``, in the same order for all
            proposals, for searchers that need them; 0 for a candidate that could not be scored. None where not told.
    """

    id: str
    F: Array
    G: Array
    se: Array | None = None
    measures: Array | None = None
    items: int = 0
    scores: Array | None = None


@dataclass(frozen=True)
class Selection:
    """The decision that the values of the next tell are for.

    Values are comparable only where candidates were asked the same items. A searcher that keeps candidates of earlier
    asks and compares them with new ones names them here; they are asked the items of the new batch too and told again
    with it.

    Attributes:
        kept: Ids of proposals told earlier whose values will be compared with those of the next batch; empty where an
            algorithm compares the proposals of one batch alone.
        places: How many of the kept and the proposed stay or are learnt from; None where none is preferred.
        paired: Whether proposal ``i`` is compared with the kept one ``i`` alone.
    """

    kept: tuple[str, ...] = ()
    places: int | None = None
    paired: bool = False


class Searcher(Protocol):
    """Proposes candidates and learns from their values.

    It owns its random generator and is a function of its settings and of what it was asked and told: asked and told
    the same, it proposes the same. Resuming a run relies on that.
    """

    def ask(self, n: int | None = None) -> list[Proposal]:
        """The next proposals.

        Args:
            n: Number of proposals wanted; None for a batch of the searcher's own size. A searcher that is not
                `partial` always proposes a whole batch.

        Returns:
            The proposals; none when the searcher finds nothing new to propose. One that draws genomes may find
            something in a later ask; one that proposes recipes of models is over, and proposes nothing ever after.

        Raises:
            RuntimeError: If proposals of a searcher that is not `partial` have not been told yet.
        """
        ...

    def tell(self, observations: Sequence[Observation]) -> None:
        """Takes the values of proposals, in any order.

        A `partial` searcher may be told some of what it proposed, the others all of the last ask. A `retell` searcher
        may be told a proposal again, with corrected values: with those of the last ask, or alone. What it no longer
        keeps changes nothing.

        Raises:
            RuntimeError: If nothing was asked, a proposal is unknown or missing, or told twice without `retell`.
        """
        ...

    def selection(self) -> Selection:
        """The decision that the next tell is for; asked between an ask and its tell."""
        ...


@runtime_checkable
class Recommends(Protocol):
    """A searcher that knows better than its best observation what to take, such as the mean that it samples around."""

    def recommend(self) -> Array | Sequence[Recipe]:
        """Genomes that it would return now, ``(k, n_var)`` in [0, 1], or recipes; there may be none.

        Asking changes nothing.
        """
        ...


@runtime_checkable
class Bounded(Protocol):
    """A searcher that knows how much it can still propose, as one that tries each model once."""

    def left(self) -> int:
        """The most proposals whose values it has not been told yet, models alone not counted: these cost nothing.

        It never grows, and asking changes nothing.
        """
        ...


@runtime_checkable
class Paced(Protocol):
    """A searcher whose batches have no size that the user sets, and that knows what size they will have."""

    def batches(self) -> Iterator[int]:
        """Sizes of the batches to come, models alone left out: these cost nothing.

        Of a `Bounded` searcher it is the slowest course that the search can take; others need not end.
        """
        ...


SearcherFactory = Callable[[Problem], Searcher]
