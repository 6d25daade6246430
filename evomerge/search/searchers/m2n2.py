r"""M2N2: an archive whose members compete for items, mates chosen by what they add, crossover with a split point.

=============  ===================================================  ==================================================
\              M2N2 (Abrantes et al. 2025) and its code             here
=============  ===================================================  ==================================================
resource       ``F(x, j) = s(x, j) / z_x^alpha``, ``z_x`` the sum   the same, over the items of the objective
               of all members' scores of item x, 1 where it is 0
fitness        sum of ``F(x, j)`` over items                        the same
parents        the first by fitness, the second by the sum of       the same; of feasible members, if any are; where
               ``max(0, F(x, B) - F(x, A))``                        the sum is 0 for all, any other member
crossover      SLERP of whole parameter vectors, the angle being    the same angle and the same weights. The vector's
               that between both; m of the second parent before a   order is that of depth, and the split point lies
               split point of the vector and 1 - m after it, both   between two parts, of which each layer's attention,
               drawn uniformly                                      MLP and norms are one: the nearest end of one
child          a vector in memory, rounded as the parents were      a weighted sum of the models, see below
replacement    the child joins, z is computed anew, and the         the same, child after child of a batch
               member with the least fitness of all leaves
first members  the models that are merged; from scratch drawn       each model alone
mutation       N(0, 0.01) on weights, from scratch only             none
=============  ===================================================  ==================================================

SLERP of two weighted sums of models is a weighted sum of models: its factors follow from the angle between both, and
the angle from the inner products of the models in every part, which are measured once. So a child of any generation is
one recipe of the models themselves, ``linear`` with weights for every part, and what its merge rounds is rounded once.
Frozen parts are the reference model's, and count in no angle.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evomerge.analysis.diversity.competition import attraction, leaving, shared
from evomerge.errors import InputError
from evomerge.options import Option
from evomerge.recipe import Recipe
from evomerge.search.searchers._shared.generational import Generational, Parents
from evomerge.search.searchers._shared.initial_population import generator
from evomerge.search.searchers._shared.pool import ExpertPool
from evomerge.search.searchers._shared.protocol import Array, Observation, Problem, Searcher
from evomerge.search.searchers._shared.span import ModelSpan, angle, slerped
from evomerge.search.searchers._shared.spec import ONE, SearcherSettings, SearcherSpec

__all__ = ["M2N2", "SEARCHER", "crossed"]


def crossed(first: Array, second: Array, span: ModelSpan, split: float, mix: float) -> Array:
    """The child of two models: SLERP to ``mix`` of the second before the split point, to ``1 - mix`` from there on.

    Args:
        first: Weights of the first, ``(parts, models)``.
        second: The same of the second.
        span: What they are weights of.
        split: Place of the split point among all parameters, 0 to 1; the nearest end of a part is taken.
        mix: 0 to 1.
    """
    ends = np.concatenate([[0.0], np.cumsum(span.sizes)])
    before = int(np.abs(ends - split * ends[-1]).argmin())
    share = np.where(np.arange(len(span.sizes)) < before, mix, 1.0 - mix)
    return slerped(first, second, share, angle(first, second, span.products()))


class M2N2(Generational):
    """Keeps an archive of models with their scores of items; a batch is children of the archive as it is.

    Args:
        pool: The models.
        span: Their weighted sums.
        settings: Complete.

    Attributes:
        ids: Proposals of the members, in the order of their joining.
        weights: The weights of each, ``(parts, models)``.
        scores: Its scores of items, ``(items,)``.
        missed: By how much it misses the constraints.
    """

    def __init__(self, pool: ExpertPool, span: ModelSpan, settings: SearcherSettings) -> None:
        super().__init__("m2n2")
        self._pool = pool
        self._span = span
        self._population = settings.population or len(pool.experts)
        self._options = settings.options
        self._random = generator(settings.seed, "m2n2")
        self._asked: list[Array] = []
        self._scores: dict[str, Array] = {}  # of the batch that is told
        self.ids: list[str] = []
        self.weights: list[Array] = []
        self.scores: list[Array] = []
        self.missed: list[float] = []

    def propose(self) -> tuple[Sequence[Recipe], Parents]:
        """Each model alone, then children."""
        if not self._asked:
            parts, count = len(self._span.sizes), len(self._pool.experts)
            self._asked = [np.tile(unit, (parts, 1)) for unit in np.eye(count)]
            return self._pool.alone, ()
        pairs = self._pairs()
        self._asked = [self._child(self.weights[one], self.weights[other]) for one, other in pairs]
        parents = [tuple(dict.fromkeys((self.ids[one], self.ids[other]))) for one, other in pairs]
        return [self._span.make(weights) for weights in self._asked], parents

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
        return crossed(first, second, self._span, split, mix)

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
        for id, weights, missed in zip(ids, self._asked, np.maximum(G, 0.0).sum(axis=1).tolist(), strict=True):
            self.ids.append(id)
            self.weights.append(weights)
            self.scores.append(self._scores[id])
            self.missed.append(missed)
            if len(self.ids) > self._options["archive"]:
                self._leave(leaving(self.scores, self.missed, self._options["alpha"]))

    def _leave(self, place: int) -> None:
        for column in (self.ids, self.weights, self.scores, self.missed):
            del column[place]  # type: ignore[attr-defined]


def make(problem: Problem, settings: SearcherSettings) -> Searcher:
    """Makes the searcher.

    Raises:
        InputError: If the search does more with its models than to add up their weights, or fixes some.
    """
    if problem.pool is None or problem.pool.span is None:
        raise InputError(
            "searcher m2n2 interpolates the weights of whole models, whatever a method would do with them: write "
            "method=linear, or choose another searcher"
        )
    return M2N2(problem.pool, problem.pool.span(), settings)


SEARCHER = SearcherSpec(
    name="m2n2",
    title="M2N2: competition for items, attraction, SLERP with a split point (Abrantes et al. 2025, arXiv:2508.16204)",
    objectives=ONE,
    constraints="native",
    handling="who misses constraints by most leaves the archive first; parents are feasible, if any are",
    make=make,
    options={
        "archive": Option(20, None, int, "members of the archive", 2, 1000),
        "alpha": Option(1.0, None, float, "how far members share what an item gives; 0: not at all", 0.0, 4.0),
    },
    whole="it is told the scores of items batch by batch",
    recipes=True,
    items=True,
)
