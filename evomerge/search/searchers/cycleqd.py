r"""CycleQD: an archive for each objective over all others, whose turn it is cyclically to have a child.

=====================  ===================================================  =========================================
\                      CycleQD (Kuroki et al. 2025) and its code            here
=====================  ===================================================  =========================================
first candidates       the experts                                          all starts, the experts among them
parents                two elites by the product, over quality and all      the same; of feasible elites, if any are
                       measures, of 0.5 + 0.8 times their place between
                       the worst (0) and the best (1) of the archive
crossover              deltas weighted by two draws of N(1, 0.01), divided  the same weights on genomes: where
                       by their sum                                         coefficients weigh deltas
                                                                            (``task_arithmetic``), the same models
mutation               of every matrix but norms ``U diag(u s) V^T`` of     the same, as a step of the recipe
                       the delta of that task's expert, u from U(0, 0.1)    (``svd_push``); that task's expert is the
                                                                            best of all in it
ancestors' mutations   kept in the weights                                  the ``kept`` heaviest; of others the mean
archive                15 cells a measure                                   ``cells``
final model            deltas of each archive's best elite, weighted by     the same models with the same weights, as a
                       the softmax of their scores in its objective         mean of whole models: weights that add up
                                                                            to 1 make both the same. It is recommended,
                                                                            so scored on the search items, compared and
                                                                            confirmed beside the elites; where one
                                                                            candidate is the best of all archives, it is
                                                                            that one
=====================  ===================================================  =========================================

``mutation=genes`` is ours, for methods without a base: Gaussian noise on genes instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evomerge.analysis.diversity.grid import views
from evomerge.errors import InputError
from evomerge.options import Option
from evomerge.recipe import Recipe
from evomerge.search.searchers._shared.archives.elites import Elite, Elites, measures_of
from evomerge.search.searchers._shared.archives.pushes import Push, forgotten
from evomerge.search.searchers._shared.initial_population import generator, initial_population
from evomerge.search.searchers._shared.protocol import Array, Observation, Problem, Proposal, Searcher, Selection
from evomerge.search.searchers._shared.ranking import Rank, ranks
from evomerge.search.searchers._shared.spec import SEVERAL, SearcherSettings, SearcherSpec
from evomerge.search.searchers._shared.turns import Turns, columns
from evomerge.search.searchers._shared.variation import reflected

__all__ = ["SEARCHER", "CycleQD", "appeal"]

_LEAST, _SPAN = 0.5, 0.8  # of their code, whose constants are called a minimum of 0.5 and a maximum of 0.8


@dataclass(frozen=True, eq=False)
class _Body:
    """A candidate: a genome, and the pushes on top of it."""

    x: Array
    pushes: tuple[Push, ...] = ()


def softmax(scores: Array) -> Array:
    """Exponentials of scores over their sum, ``(n,)``."""
    powers = np.exp(scores - scores.max())
    found: Array = powers / powers.sum()
    return found


def appeal(scores: Array) -> Array:
    """The probability of each elite to be a parent, ``(n,)``.

    Args:
        scores: Quality and measures, more being better, ``(n, k)``.
    """
    low, high = scores.min(axis=0), scores.max(axis=0)
    flat = high <= low
    places = (scores - low) / np.where(flat, 1.0, high - low)
    factors: Array = np.where(flat, 1.0, _LEAST + _SPAN * places)
    product = factors.prod(axis=1)
    found: Array = product / product.sum()
    return found


class CycleQD:
    """Keeps an archive for each objective; a child is made of two elites of the archive whose turn it is.

    Turns change when as many children as the population has were made. It is asked for any number, told in any order.

    Args:
        problem: What it is made for: several objectives, which are its measures too.
        first: The first candidates, ``(n, n_var)``.
        settings: Complete.
        random: Its random numbers.
    """

    name = "cycleqd"

    def __init__(self, problem: Problem, first: Array, settings: SearcherSettings, random: np.random.Generator) -> None:
        assert problem.grid is not None
        self._views = views(problem.n_obj, problem.n_measures)
        self.archives = [Elites(problem.grid.over(axes)) for axes in self._views]
        self._pushes = problem.pushes if settings.options["mutation"] == "svd" else None
        self._average = problem.average
        self._options = settings.options
        self._population = settings.population or len(first)
        self._left = first
        self._random = random
        self._turns = Turns()
        self._children = 0
        self._bodies: dict[str, _Body] = {}  # of who waits and of elites
        self._told: dict[str, Observation] = {}  # of elites

    def ask(self, n: int | None = None) -> list[Proposal]:
        """The rest of the first candidates, then children; see `Searcher.ask`."""
        wanted = n if n is not None else len(self._left) or self._population
        bodies, self._left = [_Body(x) for x in self._left[:wanted]], self._left[wanted:]
        parents: list[tuple[str, ...]] = [()] * len(bodies)
        while len(bodies) < wanted:
            child, of = self._child()
            bodies.append(child)
            parents.append(of)
        x = np.array([body.x for body in bodies], dtype=np.float64).reshape(len(bodies), -1)
        proposals = [self._with_pushes(*pair) for pair in zip(self._turns.numbered(x, parents), bodies, strict=True)]
        self._bodies |= {one.id: body for one, body in zip(proposals, bodies, strict=True)}
        return proposals

    def _with_pushes(self, proposal: Proposal, body: _Body) -> Proposal:
        made = self._decoded(body)
        return Proposal(proposal.id, None, made, proposal.parents) if isinstance(made, Recipe) else proposal

    def _child(self) -> tuple[_Body, tuple[str, ...]]:
        """A child of two elites, pushed towards the expert of the objective whose turn it is."""
        turn = self._children // self._population % len(self.archives)
        self._children += 1
        known = self.archives[turn].parents
        if not known:
            return _Body(self._random.random(len(next(iter(self._bodies.values())).x))), ()
        pair = self._parents(known)
        weights = self._random.normal(1.0, self._options["spread"], len(pair))
        weights /= weights.sum()
        bodies = [self._bodies[elite.id] for elite in pair]
        x = np.clip(sum(weight * body.x for weight, body in zip(weights, bodies, strict=True)), 0.0, 1.0)
        inherited = [
            Push(push.expert, push.key, float(weight) * push.weight)
            for weight, body in zip(weights, bodies, strict=True)
            for push in body.pushes
        ]
        return self._mutated(x, inherited, turn), tuple(elite.id for elite in pair)

    def _parents(self, known: Sequence[Elite]) -> list[Elite]:
        """Two different elites, or one where there are no two."""
        scores = np.array([-self._told[elite.id].F for elite in known])
        chosen = self._random.choice(len(known), min(2, len(known)), replace=False, p=appeal(scores))
        return [known[int(place)] for place in chosen]

    def _mutated(self, x: Array, inherited: Sequence[Push], turn: int) -> _Body:
        if self._pushes is None:
            return _Body(reflected(x + self._options["size"] * self._random.standard_normal(len(x))))
        new = Push(self._pushes.experts[turn], int(self._random.integers(2**53)), 1.0)
        return _Body(x, forgotten([*inherited, new], self._options["kept"]))

    def tell(self, observations: Sequence[Observation]) -> None:
        """Values and measures of any proposals, and corrected ones; see `Searcher.tell`."""
        count = len(self._views)
        measures = measures_of(observations, count)
        own, again, sound = self._turns.parted(observations)
        if not sound:
            ids = [observation.id for observation in observations]
            raise RuntimeError(f"{self.name} must be told what it has proposed, each proposal once: came {ids}")
        self._turns.told(list(own))
        kept = {id: one for id, one in again.items() if id in self._told}
        self._told |= kept | own
        for number, (archive, axes) in enumerate(zip(self.archives, self._views, strict=True)):
            ranked = _ranks(kept | own, number)
            if kept:
                archive.correct(ranked, {id: self._measures(id, axes) for id in archive.ids})
            for id in own:
                archive.add(Elite(id, self._bodies[id].x, ranked[id]), measures[id][list(axes)])
        elites = {id for archive in self.archives for id in archive.ids}
        self._told = {id: one for id, one in self._told.items() if id in elites}
        alive = elites | set(self._turns.waiting)
        self._bodies = {id: body for id, body in self._bodies.items() if id in alive} or self._bodies

    def _measures(self, id: str, axes: Sequence[int]) -> Array:
        measures = self._told[id].measures
        assert measures is not None
        return measures[list(axes)]

    def recommend(self) -> Sequence[Recipe]:
        """The mean of each archive's best elite, weighted by the softmax of their scores in its objective."""
        archives = [archive for archive in self.archives if len(archive)]
        if self._average is None or len(archives) < len(self.archives):
            return ()
        best = [min(archive.parents, key=lambda elite: elite.rank) for archive in archives]
        shares = softmax(-np.array([elite.rank[1] for elite in best]))
        weights: dict[str, float] = {}
        for elite, share in zip(best, shares.tolist(), strict=True):
            weights[elite.id] = weights.get(elite.id, 0.0) + share
        return [self._average([self._decoded(self._bodies[id]) for id in weights], list(weights.values()))]

    def _decoded(self, body: _Body) -> Array | Recipe:
        """A genome, or the recipe of one with pushes."""
        if not body.pushes or self._pushes is None:
            return body.x
        return self._pushes.make(body.x, body.pushes, self._options["size"])

    def selection(self) -> Selection:
        """Every elite of any archive is kept."""
        return Selection(tuple(dict.fromkeys(id for archive in self.archives for id in archive.ids)))


def _ranks(observations: dict[str, Observation], objective: int) -> dict[str, Rank]:
    if not observations:
        return {}
    F, G = columns(list(observations.values()))
    return dict(ranks(list(observations), F[:, objective : objective + 1], G))


def make(problem: Problem, settings: SearcherSettings) -> Searcher:
    """Makes the searcher.

    Raises:
        InputError: If there is no base to take the experts' deltas from.
    """
    if settings.options["mutation"] == "svd" and problem.pushes is None:
        raise InputError(
            "searcher cycleqd mutates along the deltas of experts, and there is no base to take them from: choose a "
            "method with a base, such as task_arithmetic, or searcher.options.mutation=genes"
        )
    starts = np.unique(problem.starts, axis=0, return_index=True)[1]
    first = problem.starts[np.sort(starts)] if len(starts) > 1 else initial_population(problem, settings)
    return CycleQD(problem, first, settings, generator(settings.seed, "cycleqd"))


SEARCHER = SearcherSpec(
    name="cycleqd",
    title="CycleQD: cyclic archives, crossover of deltas, SVD mutation, a mean of the best (Kuroki et al. 2025, "
    "arXiv:2410.14735)",
    objectives=SEVERAL,
    constraints="native",
    handling="feasible before infeasible, then less violation, in every cell; children are of feasible elites",
    make=make,
    options={
        "mutation": Option(
            "svd", ("svd", "genes"), str, "svd: a push towards the best expert of the objective; genes: noise"
        ),
        "size": Option(
            0.1,
            None,
            float,
            "largest factor of a push; with mutation=genes, standard deviation",
            0.0,
            1.0,
        ),
        "kept": Option(8, None, int, "pushes of ancestors that are told apart; of the others the mean is left", 0, 64),
        "spread": Option(0.01, None, float, "standard deviation of the parents' weights around 1", 0.0, 0.3),
    },
    partial=True,
    retell=True,
    measures=True,
)
