"""Searchers beyond their contract: better than chance, the same proposals as ever, clear about what does not fit."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evomerge.analysis.pareto import hypervolume
from evomerge.contracts import landscape
from evomerge.errors import InputError
from evomerge.search import searchers
from evomerge.search.searchers import (
    Observation,
    Problem,
    Searcher,
    SearcherSettings,
    factory,
    fitting,
    load,
    make,
    names,
)

N_VAR = 6
NAMES = ("cmaes", "de", "ga", "nsga2", "nsga3", "pso", "random", "smsemoa")  # ours; others have tests of their own
PROPOSALS = Path(__file__).parent / "fixtures" / "proposals.json"


def n_obj(name: str) -> int:
    return load(name).objectives[0]


def step(searcher: Searcher, objectives: int, kind: str = "mixed", n_con: int = landscape.N_CON) -> np.ndarray:
    """Asks, tells, and returns the genomes."""
    proposals = searcher.ask()
    X = np.array([p.x for p in proposals]) if proposals else np.zeros((0, N_VAR))
    F, G = landscape.values(X, objectives, kind)
    searcher.tell([Observation(p.id, f, g) for p, f, g in zip(proposals, F, G[:, :n_con], strict=True)])
    return X


def batches(name: str, count: int, seed: int, population: int = 12, n_var: int = N_VAR) -> Iterator[np.ndarray]:
    starts = np.array([np.zeros(n_var), np.ones(n_var)])
    searcher = make(name, Problem(n_var, n_obj(name), 3, starts), SearcherSettings(population, seed))
    for _ in range(count):
        yield step(searcher, n_obj(name))


def best(X: np.ndarray, objectives: int) -> float:
    """Best feasible value, or hypervolume lost."""
    F, G = landscape.values(X, objectives)
    F = F[(G <= 0).all(axis=1)]
    return float(F.min()) if objectives == 1 else -hypervolume(F, [2.0, 2.0])


@pytest.mark.parametrize("name", [name for name in NAMES if name != "random"])
def test_better_than_chance(name: str) -> None:
    """The mean over five seeds beats random search with as many evaluations, on objectives of the same number."""
    generator = np.random.default_rng(0)
    chance = [best(generator.random((240, N_VAR)), n_obj(name)) for _ in range(5)]
    found = [best(np.concatenate(list(batches(name, 20, seed))), n_obj(name)) for seed in range(5)]
    assert np.mean(found) < np.mean(chance)


def test_proposals_are_those_of_the_first_release() -> None:
    """Runs that began with an earlier version go on: what is proposed may not change by more than rounding.

    The file holds the proposals of release 0.1, whose searchers had other interfaces.
    """
    recorded = json.loads(PROPOSALS.read_text())
    assert len(recorded) == 16
    for case, wanted in recorded.items():
        name, seed = case.split()
        for number, (X, rows) in enumerate(zip(batches(name, 5, int(seed), 6, 3), wanted, strict=True)):
            np.testing.assert_allclose(X, rows, rtol=0.0, atol=1e-9, err_msg=f"{case}, batch {number + 1}")


@pytest.mark.parametrize("name", NAMES)
def test_the_initial_population_is_the_starts_and_a_latin_hypercube(name: str) -> None:
    starts = np.array([np.full(N_VAR, 0.25), np.zeros(N_VAR), np.full(N_VAR, 0.25), np.ones(N_VAR)])
    first = np.array([p.x for p in make(name, Problem(N_VAR, n_obj(name), 1, starts), SearcherSettings(8)).ask()])
    if name == "cmaes":
        assert first.tolist() == starts.tolist()
        return
    assert first[:3].tolist() == starts[[0, 1, 3]].tolist()
    assert len(first) == 8
    assert (np.sort((first[3:] * 5).astype(int), axis=0) == np.arange(5)[:, None]).all(), "one in each fifth"


@pytest.mark.parametrize("name", NAMES)
def test_more_starts_than_the_population(name: str) -> None:
    starts = np.random.default_rng(0).random((20, N_VAR))
    searcher = make(name, Problem(N_VAR, n_obj(name), 3, starts), SearcherSettings(8))
    assert step(searcher, n_obj(name)).tolist() == starts.tolist()
    assert len(searcher.ask()) == (20 if name in ("de", "pso") else 8)


@pytest.mark.parametrize("name", ["ga", "nsga2", "nsga3", "smsemoa"])
def test_children_know_both_parents(name: str) -> None:
    """With a crossover that stays near and no mutation, each of a child's genes is one of its parents'."""
    near = {"mutation_probability": 0.0, "crossover_probability": 1.0, "crossover_eta": 1000.0}
    searcher = make(name, Problem(4, n_obj(name), 3), SearcherSettings(8, options=near))
    known: dict[str, np.ndarray] = {}
    for _ in range(4):
        proposals = searcher.ask()
        for proposal in proposals:
            assert len(proposal.parents) == (2 if known else 0)
            if known:
                away = [np.abs(proposal.x - known[parent]) for parent in proposal.parents]
                assert np.minimum(*away).max() < 0.005
        known.update({p.id: p.x for p in proposals})
        F, G = landscape.values(np.array([p.x for p in proposals]), n_obj(name))
        searcher.tell([Observation(p.id, f, g) for p, f, g in zip(proposals, F, G, strict=True)])


@pytest.mark.parametrize("name", ["de", "pso"])
def test_members_descend_from_the_member_that_they_compete_with(name: str) -> None:
    searcher = make(name, Problem(4, 1, 3), SearcherSettings(8))
    best: dict[int, tuple[float, str]] = {}
    for _ in range(4):
        proposals = searcher.ask()
        if best:
            assert [p.parents for p in proposals] == [(best[i][1],) for i in range(8)]
        F = ((np.array([p.x for p in proposals]) - 0.3) ** 2).sum(axis=1, keepdims=True)
        for i, p in enumerate(proposals):
            best[i] = min(best.get(i, (np.inf, "")), (F[i, 0], p.id))
        searcher.tell([Observation(p.id, f, np.zeros(3)) for p, f in zip(proposals, F, strict=True)])


def test_cmaes_begins_at_the_best_start() -> None:
    starts = np.array([np.full(N_VAR, 0.9), np.full(N_VAR, 0.3), np.full(N_VAR, 0.6)])
    searcher = make("cmaes", Problem(N_VAR, 1, 1, starts), SearcherSettings(options={"sigma": 0.01}))
    step(searcher, 1, "halved", 1)
    assert np.abs(step(searcher, 1, "halved", 1) - 0.6).max() < 0.1, "0.3 is better and infeasible"


def test_cmaes_begins_again_when_it_has_converged() -> None:
    searcher = make("cmaes", Problem(2, 1, 0), SearcherSettings(seed=3))
    spread = [float(step(searcher, 1, n_con=0).std(axis=0).max()) for _ in range(300)]
    narrowest = int(np.argmin(spread))
    assert spread[narrowest] < 1e-4
    assert max(spread[narrowest:]) > 0.1


@pytest.mark.parametrize("name", ["ga", "nsga2", "nsga3", "smsemoa"])
def test_nothing_new_to_propose_is_an_empty_batch(name: str) -> None:
    """Without crossover and mutation every child is a copy, and pymoo proposes none."""
    still = {"crossover_probability": 0.0, "mutation_probability": 0.0}
    searcher = make(name, Problem(1, n_obj(name), 0), SearcherSettings(6, options=still))
    step(searcher, n_obj(name), n_con=0)
    assert searcher.ask() == []
    searcher.tell([])
    assert searcher.ask() == []


def test_random_search_is_one_stream_however_it_is_cut() -> None:
    def stream(*wanted: int | None) -> np.ndarray:
        searcher = make("random", Problem(3, 1, 0, np.ones((1, 3))), SearcherSettings(8))
        return np.concatenate([[p.x for p in searcher.ask(n)] for n in wanted])

    assert stream(None, None).tolist() == stream(3, None, 1, 7).tolist()


@pytest.mark.parametrize("name", [name for name in NAMES if not load(name).fits(2)])
def test_one_objective_algorithms_refuse_several(name: str) -> None:
    with pytest.raises(
        InputError, match=f"{name} is for one objective and there are 2; use {', '.join(fitting(2))}, or give"
    ):
        make(name, Problem(2, 2), SearcherSettings())


@pytest.mark.parametrize("name", [name for name in NAMES if not load(name).fits(1)])
def test_many_objective_algorithms_refuse_one(name: str) -> None:
    with pytest.raises(
        InputError, match=f"{name} is for several objectives and there is 1; use {', '.join(fitting(1))}$"
    ):
        make(name, Problem(2, 1), SearcherSettings())


def test_bad_settings_are_told_at_once() -> None:
    settings = SearcherSettings(2, -1, {"sigmma": 0.1, "sigma": "wide"})
    with pytest.raises(InputError) as caught:
        factory("cmaes", settings)
    assert caught.value.problems == (
        "searcher cmaes has no option 'sigmma'; did you mean 'sigma'? (it has sigma)",
        "searcher cmaes: option sigma is 'wide'; expected a number from 1e-06 to 1",
        "searcher cmaes: population: expected a whole number of at least 5, came 2",
        "searcher cmaes: seed is -1; expected a whole number of at least 0",
    )
    with pytest.raises(InputError, match=r"there is no searcher 'nsga-2'; did you mean 'nsga2'\? \(known"):
        factory("nsga-2", SearcherSettings())


def test_declarations_are_read_without_loading_the_algorithms() -> None:
    """So that a command line is checked at once."""
    code = (
        "import sys; from evomerge.search import searchers; [searchers.load(name) for name in searchers.names()]; "
        "print(sorted({'pymoo', 'cma', 'ribs', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_table_of_the_readme_is_made_from_the_declarations() -> None:
    assert searchers.table() in (Path(__file__).parents[2] / "evomerge" / "search" / "README.md").read_text()
    rows = searchers.table().splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == list(names())
    assert set(NAMES) <= set(names())
    assert "| one | penalty: the worst feasible value seen plus the violation" in rows[names().index("cmaes")]


def test_the_number_of_objectives_in_words() -> None:
    words = {(1, 1): "one objective", (2, None): "several objectives", (1, None): "any number of objectives"}
    words |= {(2, 2): "2 objectives", (2, 3): "2 to 3 objectives", (3, None): "3 or more objectives"}
    for objectives, text in words.items():
        assert replace(load("random"), objectives=objectives).objectives_text == text
