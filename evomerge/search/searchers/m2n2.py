r"""M2N2: an archive whose members compete for items, mates chosen by what they add, crossover with a split point.

=============  ===================================================  ==================================================
\              M2N2 (Abrantes et al. 2025) and its code             here
=============  ===================================================  ==================================================
resource       ``F(x, j) = s(x, j) / z_x^alpha``, ``z_x`` the sum   the same, over the items of the objective
               of all members' scores of item x, 1 where it is 0
fitness        sum of ``F(x, j)`` over items                        the same
parents        the first by fitness, the second by the sum of       the same; of feasible members, if any are; where
               ``max(0, F(x, B) - F(x, A))``                        the sum is 0 for all, any other member
crossover      SLERP of whole parameter vectors, of m before a      means of genomes with the same weights, before and
               split point of the vector and 1 - m after it         after a split point among the genome's groups;
                                                                    models of one base are so close that SLERP is the
                                                                    mean (its own rule from an angle of 1e-6 on)
replacement    the child joins, z is computed anew, and the         the same, child after child of a batch
               member with the least fitness of all leaves
first members  the models that are merged; from scratch drawn       the distinct starts, the models alone among them;
                                                                    drawn where there is no more than one
mutation       N(0, 0.01) on weights, from scratch only             ``noise`` on genes, none by default
=============  ===================================================  ==================================================

Where genes belong to all groups alike they lie in the middle, so a genome without depth is split at no gene.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evomerge.options import Option
from evomerge.search.searchers._shared.generational import Generational, Parents
from evomerge.search.searchers._shared.initial_population import generator, initial_population
from evomerge.search.searchers._shared.protocol import Array, Observation, Problem, Searcher
from evomerge.search.searchers._shared.spec import ONE, SearcherSettings, SearcherSpec
from evomerge.search.searchers._shared.variation import reflected

__all__ = ["M2N2", "SEARCHER", "attraction", "crossed", "shared"]


def shared(scores: Array, alpha: float) -> Array:
    """The part of each item that each member gets, ``(members, items)``.

    Args:
        scores: Scores of items, 0 or more, ``(members, items)``.
        alpha: How far members share; 0: not.
    """
    total = scores.sum(axis=0)
    found: Array = scores / np.where(total > 0.0, total, 1.0) ** alpha
    return found


def attraction(resources: Array, first: int) -> Array:
    """The sum over items of how much more each member gets than a first one, ``(members,)``."""
    found: Array = np.maximum(resources - resources[first], 0.0).sum(axis=1)
    return found


def crossed(first: Array, second: Array, places: Array, split: float, mix: float) -> Array:
    """The child of two genomes: ``mix`` of the second before the split point, ``1 - mix`` of it from there on.

    Args:
        first: ``(n_var,)``.
        second: ``(n_var,)``.
        places: Place of each gene in the model, 0 to 1.
        split: The same of the split point.
        mix: 0 to 1.
    """
    share = np.where(places < split, mix, 1.0 - mix)
    return (1.0 - share) * first + share * second


class M2N2(Generational):
    """Keeps an archive of genomes with their scores of items; a batch is children of the archive as it is.

    Args:
        problem: What it is made for, of one objective, with the places of genes.
        first: The first members, ``(n, n_var)``.
        settings: Complete.
        random: Its random numbers.
    """

    def __init__(self, problem: Problem, first: Array, settings: SearcherSettings, random: np.random.Generator) -> None:
        super().__init__("m2n2")
        self._first: Array | None = first
        self._population = settings.population or len(first)
        self._options = settings.options
        self._places = problem.places if problem.places is not None else np.linspace(0.0, 1.0, problem.n_var)
        self._random = random
        self._asked: Array = first
        self._scores: dict[str, Array] = {}  # of the batch that is told
        self.ids: list[str] = []
        self.genomes: list[Array] = []
        self.scores: list[Array] = []
        self.missed: list[float] = []

    def propose(self) -> tuple[Array, Parents]:
        """The first members, then children."""
        if self._first is not None:
            self._asked, self._first = self._first, None
            return self._asked, ()
        pairs = self._pairs()
        self._asked = np.array([self._child(self.genomes[one], self.genomes[other]) for one, other in pairs])
        return self._asked, [tuple(dict.fromkeys((self.ids[one], self.ids[other]))) for one, other in pairs]

    def _pairs(self) -> list[tuple[int, int]]:
        """The parents of a batch: feasible members, those that miss least where there are none.

        Where nobody attracts the first, as where it alone is feasible, the second is any other member.
        """
        least = max(min(self.missed), 0.0)
        able = [place for place, missed in enumerate(self.missed) if missed <= least]
        resources = shared(np.array([self.scores[place] for place in able]), self._options["alpha"])
        fitness, pairs = resources.sum(axis=1), []
        for _ in range(self._population):
            first = self._drawn(fitness)
            pull = attraction(resources, first)
            if pull.any():
                pairs.append((able[first], able[self._drawn(pull)]))
                continue
            others = [place for place in range(len(self.ids)) if place != able[first]] or [able[first]]
            pairs.append((able[first], others[int(self._random.integers(len(others)))]))
        return pairs

    def _drawn(self, weights: Array) -> int:
        """A member by its weight; any, where none has some."""
        total = weights.sum()
        chances = weights / total if total > 0.0 else np.full(len(weights), 1.0 / len(weights))
        return int(self._random.choice(len(weights), p=chances))

    def _child(self, first: Array, second: Array) -> Array:
        mix, split = self._random.random(2)
        x = crossed(first, second, self._places, split, mix)
        noise = self._options["noise"]
        return reflected(x + noise * self._random.standard_normal(len(x))) if noise else np.clip(x, 0.0, 1.0)

    def tell(self, observations: Sequence[Observation]) -> None:
        """All values of the last batch, with scores of items; see `Searcher.tell`.

        Raises:
            RuntimeError: If one has no scores of items, or not those of the same items.
        """
        sizes = {len(one.scores) for one in observations if one.scores is not None} | {len(s) for s in self.scores[:1]}
        if len(sizes) > 1 or any(one.scores is None for one in observations):
            raise RuntimeError(f"{self.name} must be told the scores of the same items for every proposal")
        self._scores = {one.id: one.scores for one in observations if one.scores is not None}
        super().tell(observations)

    def learn(self, ids: Sequence[str], F: Array, G: Array) -> None:
        """Each joins in turn, and whoever is worst then leaves."""
        for id, x, missed in zip(ids, self._asked, np.maximum(G, 0.0).sum(axis=1).tolist(), strict=True):
            self.ids.append(id)
            self.genomes.append(x)
            self.scores.append(self._scores[id])
            self.missed.append(missed)
            if len(self.ids) > self._options["archive"]:
                self._leave(self._worst())

    def _worst(self) -> int:
        """Who misses constraints by most; where nobody does, who has the least fitness, of equal ones the last."""
        fitness = shared(np.array(self.scores), self._options["alpha"]).sum(axis=1)
        order = list(zip((-missed for missed in self.missed), fitness.tolist(), strict=True))
        return len(order) - 1 - order[::-1].index(min(order))

    def _leave(self, place: int) -> None:
        for column in (self.ids, self.genomes, self.scores, self.missed):
            del column[place]  # type: ignore[attr-defined]


def make(problem: Problem, settings: SearcherSettings) -> Searcher:
    """Makes the searcher."""
    rows = np.unique(problem.starts, axis=0, return_index=True)[1]
    first = problem.starts[np.sort(rows)] if len(rows) > 1 else initial_population(problem, settings)
    return M2N2(problem, first, settings, generator(settings.seed, "m2n2"))


SEARCHER = SearcherSpec(
    name="m2n2",
    title="M2N2: competition for items, attraction, split points (Abrantes et al. 2025, arXiv:2508.16204)",
    objectives=ONE,
    constraints="native",
    handling="who misses constraints by most leaves the archive first; parents are feasible, if any are",
    make=make,
    options={
        "archive": Option(20, None, int, "members of the archive", 2, 1000),
        "alpha": Option(1.0, None, float, "how far members share what an item gives; 0: not at all", 0.0, 4.0),
        "noise": Option(0.0, None, float, "standard deviation of noise on the genes of a child", 0.0, 1.0),
    },
    whole="it is told the scores of items batch by batch",
    items=True,
)
