"""Top-k greedy merging with model kinship (Hu et al. 2024): pairs of the best models, and the best with a stranger.

Kinship is measured between the deltas of the models, all tensors as one vector. That of a merge is computed without
its weights: its delta is taken to be the mean of its parents' deltas, which is exact where the method averages.

===============  ==========================================  ====================
option           paper                                       ours, the default
===============  ==========================================  ====================
``top``          3, or 4                                     3
``measure``      ``correlation``, ``cosine``, ``distance``   ``correlation``
``explore``      ``always``; without kinship ``never``       ``always``
===============  ==========================================  ====================

The paper merges pairs by SLERP: ``method=slerp``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, repeat
from math import comb

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

__all__ = ["SEARCHER", "Kinship"]

_DIGITS = 9  # of kinship that count: the last ones depend on the processor


@dataclass(frozen=True, eq=False)
class _Model:
    """A model of the population.

    Attributes:
        id: Its proposal.
        source: What a merge of it has as its source.
        mixture: Its delta as a mean of the experts' deltas, ``(experts,)``.
        depth: Number of recipes inside each other; 0 of an expert.
    """

    id: str
    source: Source
    mixture: Array
    depth: int = 0


class Kinship(Generational):
    """Proposes each expert alone, then generations of pairs.

    A generation is all pairs of the best models that have not been merged, and, to explore, the best model with the one
    that is least of its kin. The best are chosen among the best of before and their children. Nothing is proposed when
    all of these have been merged, or would be recipes nested too deep.

    Args:
        pool: The experts.
        top: How many models are the best.
        measure: How kinship is measured.
        explore: When a child of the best with its least kin is made: in every generation, only after one without a
            better model, or never.
    """

    def __init__(self, pool: ExpertPool, top: int, measure: str, explore: str) -> None:
        super().__init__("kinship")
        self._pool = pool
        self._top = top
        self._measure = measure
        self._explore = explore
        self._models: dict[str, _Model] = {}
        self._rank: dict[str, Rank] = {}
        self._best: tuple[str, ...] = ()  # in their order
        self._merged: set[frozenset[str]] = set()
        self._stalled = False
        self._asked: list[tuple[str, ...]] = []

    def propose(self) -> tuple[Sequence[Recipe], Parents]:
        """The experts, or the next generation."""
        if not self._models:
            return self._pool.alone, ()
        pairs: list[tuple[str, ...]] = [pair for pair in combinations(self._best, 2) if self._may(pair)]
        if self._explore == "always" or (self._explore == "stalled" and self._stalled):
            pairs += [pair for pair in self._strange() if pair not in pairs and pair[::-1] not in pairs]
        self._asked = list(pairs)
        self._merged.update(map(frozenset, pairs))
        return [self._child(pair) for pair in pairs], self._asked

    def learn(self, ids: Sequence[str], F: Array, G: Array) -> None:
        """The experts or children join the models, and the best of them are chosen."""
        self._rank.update(ranks(ids, F, G))
        if not self._models:
            units = np.eye(len(self._pool.experts))
            found = [_Model(id, source, unit) for id, source, unit in zip(ids, self._pool.experts, units, strict=True)]
        else:
            found = [self._born(id, pair) for id, pair in zip(ids, self._asked, strict=True)]
        self._models.update({model.id: model for model in found})
        before = self._best
        order = {id: place for place, id in enumerate(self._models)}
        self._best = tuple(sorted([*before, *ids], key=lambda id: (self._rank[id], order[id]))[: self._top])
        self._stalled = bool(before) and self._best[0] not in ids

    def revise(self, ids: Sequence[str], F: Array, G: Array) -> None:
        """Corrected values of the best of before."""
        self._rank.update(ranks(ids, F, G))

    def selection(self) -> Selection:
        """The best are kept and compete with their children."""
        return Selection(self._best, self._top if self._best else min(self._top, len(self._pool.experts)))

    def batches(self) -> Iterator[int]:
        """Pairs of the best, then generations in which one child is among the best; see `Paced.batches`."""
        stranger, experts = self._explore == "always", len(self._pool.experts)
        if not self._merged:
            yield comb(min(self._top, experts), 2) + (stranger and experts > self._top)
        yield from repeat(self._top - 1 + stranger)

    def _may(self, pair: tuple[str, ...]) -> bool:
        """Whether a pair has not been merged, and can be."""
        deepest = max(self._models[id].depth for id in pair)
        return frozenset(pair) not in self._merged and deepest < DEEPEST

    def _strange(self) -> list[tuple[str, ...]]:
        """The best model and the one that is least of its kin among those it has not been merged with, as a list."""
        best = self._best[0]
        others = [id for id in self._models if id != best and self._may((best, id))]
        if not others:
            return []
        assert self._pool.sums is not None
        mixtures = np.array([self._models[id].mixture for id in (best, *others)])
        measured = getattr(self._pool.sums().kinship(mixtures), self._measure)[0, 1:]
        unlike = measured if self._measure == "distance" else -measured
        known = np.where(np.isfinite(unlike), np.round(unlike, _DIGITS), -np.inf)
        return [(best, others[int(np.argmax(known))])]

    def _child(self, pair: tuple[str, ...]) -> Recipe:
        return self._pool.merge([self._models[id].source for id in pair], (0.5, 0.5))

    def _born(self, id: str, pair: tuple[str, ...]) -> _Model:
        parents = [self._models[parent] for parent in pair]
        mixture = np.mean([parent.mixture for parent in parents], axis=0)
        return _Model(id, self._child(pair), mixture, 1 + max(parent.depth for parent in parents))


def make(problem: Problem, settings: SearcherSettings) -> Searcher:
    """Makes the searcher.

    Raises:
        InputError: If there is no base to take deltas from.
    """
    pool, options = problem.pool, settings.options
    if pool is None:
        raise InputError("searcher kinship chooses among models, and the problem has none")
    if pool.sums is None and options["explore"] != "never":
        raise InputError(
            "searcher kinship compares deltas, and there is no base to take them from: name it with base=, or write "
            "searcher.options.explore=never"
        )
    return Kinship(pool, options["top"], options["measure"], options["explore"])


SEARCHER = SearcherSpec(
    name="kinship",
    title="Top-k greedy merging of pairs with model kinship (Hu et al. 2024, arXiv:2410.12613)",
    objectives=ONE,
    constraints="native",
    handling="feasible before infeasible, then less violation, among the best models and their children",
    make=make,
    options={
        "top": Option(3, None, int, "how many of the best models are merged in pairs", 2, 100),
        "measure": Option("correlation", ("correlation", "cosine", "distance"), str, "how kinship is measured"),
        "explore": Option(
            "always", ("always", "stalled", "never"), str, "when the best model is merged with its least kin"
        ),
    },
    population=None,
    retell=True,
    recipes=True,
    stochastic=False,
)
