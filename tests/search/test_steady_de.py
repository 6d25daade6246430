"""Differential evolution: in batches pymoo's own, in a steady state one trial for each place in turn."""

from __future__ import annotations

import random

import numpy as np
import pytest
from pymoo.algorithms.soo.nonconvex.de import DE
from pymoo.core.evaluator import Evaluator
from pymoo.core.problem import Problem as PymooProblem
from pymoo.core.termination import NoTermination
from pymoo.problems.static import StaticProblem

from evomerge.contracts import landscape
from evomerge.search.searchers import Observation, Problem, Proposal, Searcher, SearcherSettings, make

N_VAR, SIZE = 6, 5


def searcher(seed: int = 0, population: int = SIZE) -> Searcher:
    return make("de", Problem(N_VAR, 1, landscape.N_CON), SearcherSettings(population, seed))


def told(proposal: Proposal, value: float) -> Observation:
    return Observation(proposal.id, np.array([value]), np.zeros(landscape.N_CON))


@pytest.mark.parametrize("kind", ["mixed", "flat", "infeasible"])
def test_whole_batches_are_those_of_pymoo(kind: str) -> None:
    """To the last bit: runs that began when it proposed nothing else go on."""
    ours = searcher(3, 8)
    first = ours.ask()
    problem = PymooProblem(N_VAR, 1, landscape.N_CON, xl=np.zeros(N_VAR), xu=np.ones(N_VAR))
    theirs = DE(8, sampling=np.array([one.x for one in first]), variant="DE/rand/1/bin", F=0.7, CR=0.5)
    theirs.setup(problem, termination=NoTermination(), seed=[3, *b"de"])
    for _ in range(20):
        wanted = theirs.ask()
        X = wanted.get("X")
        assert np.array([one.x for one in first]).tobytes() == X.astype(np.float64).tobytes()
        F, G = landscape.values(X, 1, kind)
        ours.tell([Observation(one.id, f, g) for one, f, g in zip(first, F, G, strict=True)])
        theirs.tell(Evaluator().eval(StaticProblem(problem, F=F, G=G), wanted))
        first = ours.ask()


def test_a_trial_takes_its_targets_place_if_it_is_better() -> None:
    """Each place in turn, whatever the order in which the first members were told."""
    de = searcher()
    first = de.ask()
    for value, proposal in enumerate(first[::-1]):
        de.tell([told(proposal, float(value))])
    kept = [one.id for one in first]
    assert de.selection().kept == tuple(kept)
    for turn in range(2 * SIZE):
        (trial,) = de.ask(1)
        assert trial.parents == (kept[turn % SIZE],)
        better = turn in (0, 3, 7)
        de.tell([told(trial, -1.0 - turn if better else 100.0)])
        if better:
            kept[turn % SIZE] = trial.id
        assert de.selection().kept == tuple(kept)


def test_a_trial_is_compared_with_whoever_has_its_targets_place_by_then() -> None:
    """More are at work than there are places: the first two are of one target."""
    de = searcher()
    de.tell([told(one, 10.0) for one in de.ask()])
    trials = de.ask(SIZE + 1)
    assert trials[0].parents == trials[SIZE].parents
    de.tell([told(trials[SIZE], 1.0)])
    de.tell([told(trials[0], 2.0)])
    assert de.selection().kept[0] == trials[SIZE].id, "better than the target, and too late"
    more = de.ask(2 * SIZE)
    de.tell([told(one, -float(number)) for number, one in enumerate(more)])
    assert set(de.selection().kept) == {one.id for one in more[SIZE:]}, "also where both are told at once"


def test_who_is_told_before_the_initial_population_holds_a_place_until_it_is_beaten() -> None:
    """Twice as many at work as there are places: half of them were drawn, not made."""
    de = searcher()
    asked = [*de.ask(), *de.ask(SIZE)]
    assert all(one.parents == () for one in asked)
    de.tell([told(one, 1.0) for one in asked[SIZE:]])
    assert de.selection().kept == tuple(one.id for one in asked[SIZE:])
    de.tell([told(asked[0], 0.0), told(asked[1], 2.0)])
    assert de.selection().kept[:2] == (asked[0].id, asked[SIZE + 1].id)


def test_in_a_steady_state_it_is_better_than_chance() -> None:
    """Four at work, told in any order; the mean over five seeds."""
    generator = np.random.default_rng(0)
    chance = [landscape_best(generator.random((240, N_VAR))) for _ in range(5)]
    assert np.mean([landscape_best(steady(seed)) for seed in range(5)]) < np.mean(chance)


def steady(seed: int) -> np.ndarray:
    """The genomes of 240 candidates."""
    de, draw, waiting, made = searcher(seed, 12), random.Random(seed), list[Proposal](), list[Proposal]()
    while len(made) < 240:
        (proposal,) = de.ask(1)
        made.append(proposal)
        waiting.append(proposal)
        if len(waiting) == 4:
            one = waiting.pop(draw.randrange(4))
            F, G = landscape.values(np.array([one.x]), 1, "mixed")
            de.tell([Observation(one.id, F[0], G[0])])
    return np.array([one.x for one in made])


def landscape_best(X: np.ndarray) -> float:
    F, G = landscape.values(X, 1, "mixed")
    return float(F[(G <= 0).all(axis=1)].min())
