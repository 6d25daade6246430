"""Greedy soups: the experts by their own scores, the next one taken in where the merge does not get worse.

=============  =============================  ===========================================  ====================
option         model soups (Wortsman 2022)    Model-GLUE (Zhao et al. 2024)                ours, the default
=============  =============================  ===========================================  ====================
``grid``       0: equal shares                9: the next one's share is .1, .2, ... .9    0
``clusters``   0: one soup                    0.95: models whose weights have such a       0
                                              mean cosine between columns, a soup each
``form``       ``experts``: side by side      ``chain``: the soup so far and the next one  ``experts``
=============  =============================  ===========================================  ====================

Model-GLUE's code keeps the last share that it tries instead of the best one, against its paper; here the best counts.
A method that merges two models takes a chain, whatever ``form`` says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from evomerge.errors import InputError
from evomerge.options import Option
from evomerge.recipe import Recipe, Source
from evomerge.recipe.recipe import DEEPEST
from evomerge.search.searchers._shared.generational import Generational, Parents
from evomerge.search.searchers._shared.pool import ExpertPool
from evomerge.search.searchers._shared.protocol import Array, Problem, Searcher, Selection
from evomerge.search.searchers._shared.ranking import Rank, ranks
from evomerge.search.searchers._shared.spec import ONE, SearcherSettings, SearcherSpec

__all__ = ["SEARCHER", "GreedySoup"]


@dataclass
class _Soup:
    """The soup of one cluster of experts.

    Attributes:
        left: Experts that have not been tried, the best first.
        best: The proposal that is kept.
        sources: What it merges; as one source of the next, it alone.
        shares: The part of each source.
        size: Number of experts in it.
    """

    left: list[int]
    best: str
    sources: tuple[Source, ...]
    shares: tuple[float, ...] = (1.0,)
    size: int = 1


class GreedySoup(Generational):
    """Proposes each expert alone, then soups with one expert more, until all have been tried.

    It takes as many asks as there are experts. Who is no worse than the soup so far is taken in, as the papers have it;
    of several shares the best. The soup so far is compared on the items of its rivals.

    Args:
        pool: The experts.
        grid: Number of shares of the next expert that are tried, evenly between 0 and 1; 0: equal shares for all.
        clusters: Least cosine between models of one soup; 0: all are in one.
        chained: Whether the soup so far is one source of the next.
    """

    def __init__(self, pool: ExpertPool, grid: int, clusters: float, chained: bool) -> None:
        super().__init__("greedy_soup")
        self._pool = pool
        self._steps = [step / (grid + 1) for step in range(1, grid + 1)]
        self._clusters = clusters
        self._chained = chained or pool.most == 2
        self._rank: dict[str, Rank] = {}
        self._soups: list[_Soup] | None = None
        self._trials: list[tuple[_Soup, float]] = []  # of the last batch, in its order

    def propose(self) -> tuple[Sequence[Recipe], Parents]:
        """The experts; then for each cluster the soup with the next expert; nothing where all have been tried."""
        if self._soups is None:
            return self._pool.alone, ()
        self._trials, recipes, parents = [], [], []
        for soup in self._soups:
            if soup.left and self._fits(soup):
                tried = self._shares(soup)
                self._trials += [(soup, share) for share in tried]
                recipes += [self._pool.merge(*self._with_next(soup, share)) for share in tried]
                parents += [(soup.best, f"1.{soup.left[0]}")] * len(tried)
        return recipes, parents

    def learn(self, ids: Sequence[str], F: Array, G: Array) -> None:
        """Sorts the experts, or takes the next one in where that is no worse."""
        self._rank.update(ranks(ids, F, G))
        if self._soups is None:
            self._soups = [self._begun(members) for members in self._clustered()]
            return
        for soup in self._soups:
            tried = [(id, share) for id, (own, share) in zip(ids, self._trials, strict=True) if own is soup]
            if tried:
                self._decide(soup, *min(tried, key=lambda trial: self._rank[trial[0]]))

    def revise(self, ids: Sequence[str], F: Array, G: Array) -> None:
        """Corrected values, of what is kept above all."""
        self._rank.update(ranks(ids, F, G))

    def selection(self) -> Selection:
        """Each soup is kept until a better one is found."""
        kept = tuple(soup.best for soup in self._soups or ())
        return Selection(kept, max(len(kept), 1))

    def left(self) -> int:
        """Every expert that has not been tried, with each share; see `Bounded.left`."""
        if self._soups is None:
            untried = len(self._pool.experts) - 1
        else:
            untried = sum(len(soup.left) for soup in self._soups if self._fits(soup))
        return untried * (len(self._steps) or 1)

    def batches(self) -> Iterator[int]:
        """One batch for each expert that has not been tried, as if there were one soup; see `Paced.batches`."""
        each = len(self._steps) or 1
        return iter([each] * (self.left() // each))

    def _begun(self, members: Sequence[int]) -> _Soup:
        ordered = sorted(members, key=lambda expert: (self._rank[f"1.{expert}"], expert))
        return _Soup(ordered[1:], f"1.{ordered[0]}", (self._pool.experts[ordered[0]],))

    def _clustered(self) -> list[list[int]]:
        """Experts that are joined by cosines, in the order of their first ones."""
        count = len(self._pool.experts)
        if self._clusters == 0.0:
            return [list(range(count))]
        assert self._pool.cosines is not None
        near = np.round(self._pool.cosines(), 9) >= self._clusters
        found: list[list[int]] = []
        for expert in range(count):
            joined = [cluster for cluster in found if near[expert, cluster].any()]
            found = [cluster for cluster in found if cluster not in joined]
            found.append(sorted([expert, *(member for cluster in joined for member in cluster)]))
        return sorted(found)

    def _fits(self, soup: _Soup) -> bool:
        """Whether one expert more can be taken in."""
        most = self._pool.most
        return soup.size < DEEPEST if self._chained else most is None or soup.size < most

    def _shares(self, soup: _Soup) -> list[float]:
        """The shares of the next expert that are tried."""
        if self._chained and not self._pool.weighted:
            return [0.5]
        return self._steps or [1.0 / (soup.size + 1)]

    def _with_next(self, soup: _Soup, share: float) -> tuple[tuple[Source, ...], tuple[float, ...]]:
        """Sources and shares of a soup with the next expert."""
        if self._steps or self._chained:
            shares = (*(own * (1.0 - share) for own in soup.shares), share)
        else:
            shares = (share,) * (soup.size + 1)
        return (*soup.sources, self._pool.experts[soup.left[0]]), shares

    def _decide(self, soup: _Soup, id: str, share: float) -> None:
        """Takes the next expert in with a share, or leaves it out."""
        if self._rank[id] <= self._rank[soup.best]:
            soup.best, soup.size = id, soup.size + 1
            soup.sources, soup.shares = self._with_next(soup, share)
            if self._chained:
                soup.sources, soup.shares = (self._pool.merge(soup.sources, soup.shares),), (1.0,)
        soup.left = soup.left[1:]


def make(problem: Problem, settings: SearcherSettings) -> Searcher:
    """Makes the searcher.

    Raises:
        InputError: If shares are to be tried of a method that has none.
    """
    pool, options = problem.pool, settings.options
    if pool is None:
        raise InputError("searcher greedy_soup chooses among models, and the problem has none")
    if options["grid"] and not pool.weighted:
        raise InputError("searcher greedy_soup: the method takes no weights, so no shares can be tried; leave out grid")
    return GreedySoup(pool, options["grid"], options["clusters"], options["form"] == "chain")


SEARCHER = SearcherSpec(
    name="greedy_soup",
    title="Greedy soup (Wortsman et al. 2022, arXiv:2203.05482); Model-GLUE's (arXiv:2410.05357) by its options",
    objectives=ONE,
    constraints="native",
    handling="feasible before infeasible, then less violation, between a soup and the same with one expert more",
    make=make,
    options={
        "grid": Option(0, None, int, "shares of the next expert that are tried (9: .1 to .9); 0: equal shares", 0, 99),
        "clusters": Option(
            0.0, None, float, "least cosine between the weights of one soup's models; 0: one soup", 0.0, 1.0
        ),
        "form": Option(
            "experts", ("experts", "chain"), str, "chosen experts side by side, or soup so far and next one"
        ),
    },
    population=None,
    retell=True,
    recipes=True,
    stochastic=False,
)
