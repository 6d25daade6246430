"""Every searcher: better than chance, repeatable to the bit, inside the cube, and clear about what it cannot do."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import cma  # noqa: F401  imported before numpy's generators are watched, as scipy draws some while it is imported
import numpy as np
import pytest

from evomerge.analysis.pareto import hypervolume
from evomerge.errors import InputError
from evomerge.search import SEARCHERS, SearcherSettings, factory, make
from evomerge.search.searchers import MULTI, OPTIONS, POPULATION, SINGLE

N_VAR = 6
OPTIMA = (0.3, 0.7)


def n_obj(name: str) -> int:
    return 2 if name in MULTI else 1


def values(X: np.ndarray, objectives: int) -> tuple[np.ndarray, np.ndarray]:
    """Squared distances to one optimum per objective; part of the cube is infeasible, and some of it all alike."""
    F = np.stack([((X - optimum) ** 2).sum(axis=1) for optimum in OPTIMA[:objectives]], axis=1)
    return F, np.stack([0.25 - X[:, 0], np.where(X[:, -1] > 0.9, 3.0, 0.0)], axis=1)


def search(name: str, batches: int, seed: int = 0, between: Any = lambda: None) -> Iterator[tuple[np.ndarray, ...]]:
    """Yields each batch with its values; calls something hostile between all calls of the searcher."""
    starts = np.array([np.zeros(N_VAR), np.ones(N_VAR)])
    searcher = make(name, N_VAR, n_obj(name), 2, SearcherSettings(population=12, seed=seed), starts)
    for _ in range(batches):
        between()
        X = searcher.ask()
        between()
        F, G = values(X, n_obj(name))
        if len(X):
            searcher.tell(F, G)
        yield X, F, G


def quality(name: str, seed: int) -> float:
    """Best feasible value, or hypervolume lost, after 240 evaluations."""
    found = [F[(G <= 0).all(axis=1)] for _, F, G in search(name, 20, seed)]
    F = np.concatenate(found)
    return float(F.min()) if n_obj(name) == 1 else -hypervolume(F, [2.0, 2.0])


@pytest.mark.parametrize("name", [name for name in SEARCHERS if name != "random"])
def test_better_than_chance(name: str) -> None:
    """The mean over five seeds beats random search with as many evaluations, on the objectives of the same kind."""
    generator = np.random.default_rng(0)
    chance = []
    for _ in range(5):
        F, G = values(generator.random((240, N_VAR)), n_obj(name))
        F = F[(G <= 0).all(axis=1)]
        chance.append(float(F.min()) if n_obj(name) == 1 else -hypervolume(F, [2.0, 2.0]))
    assert np.mean([quality(name, seed) for seed in range(5)]) < np.mean(chance)


def reseed() -> None:
    np.random.seed(1234)  # noqa: NPY002
    random.seed(0)


def scramble() -> None:
    np.random.seed(np.random.randint(2**31))  # noqa: NPY002
    random.seed()


@pytest.mark.parametrize("name", SEARCHERS)
@pytest.mark.parametrize("hostile", [reseed, scramble])
def test_global_generators_are_neither_read_nor_written(name: str, hostile: Any) -> None:
    calm = [X for X, *_ in search(name, 15)]
    troubled = [X for X, *_ in search(name, 15, between=hostile)]
    assert all(np.array_equal(a, b) for a, b in zip(calm, troubled, strict=True))
    reseed()
    before = (np.random.get_state()[1].tolist(), random.getstate())  # noqa: NPY002
    list(search(name, 5))
    assert (np.random.get_state()[1].tolist(), random.getstate()) == before  # noqa: NPY002


class Unseeded:
    """What numpy hands out for a generator without a seed: any use of it ends the test."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"random numbers that no seed decides were asked for: {name}")


@pytest.mark.parametrize("name", SEARCHERS)
def test_no_random_number_comes_from_an_unseeded_generator(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a call forgets to pass its generator, pymoo makes an unseeded one; NSGA-III did when infeasible."""
    make_generator = np.random.default_rng
    monkeypatch.setattr(
        np.random, "default_rng", lambda seed=None: Unseeded() if seed is None else make_generator(seed)
    )
    list(search(name, 15))


@pytest.mark.parametrize("name", SEARCHERS)
def test_seeds_matter_and_zero_is_one(name: str) -> None:
    runs = [np.concatenate([X for X, *_ in search(name, 4, seed)]) for seed in (0, 0, 1)]
    assert np.array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])


@pytest.mark.parametrize("name", SEARCHERS)
@pytest.mark.parametrize("n_var", [1, 2, 40])
@pytest.mark.parametrize("flat", [False, True])
def test_any_size_and_a_flat_landscape(name: str, n_var: int, flat: bool) -> None:
    """As when twenty questions give all candidates the same score."""
    searcher = make(name, n_var, n_obj(name), 2, SearcherSettings(population=6))
    for _ in range(12):
        X = searcher.ask()
        assert X.shape[1] == n_var
        assert X.dtype == np.float64
        assert ((X >= 0.0) & (X <= 1.0)).all()
        F, G = values(X, n_obj(name))
        if len(X):
            searcher.tell(np.zeros_like(F) if flat else F, np.zeros_like(G) if flat else G)


@pytest.mark.parametrize("name", SEARCHERS)
def test_nothing_feasible_anywhere(name: str) -> None:
    searcher = make(name, N_VAR, n_obj(name), 1, SearcherSettings(population=6))
    for _ in range(8):
        X = searcher.ask()
        F, _ = values(X, n_obj(name))
        searcher.tell(F, np.ones((len(X), 1)))


@pytest.mark.parametrize("name", [name for name in SEARCHERS if name != "random"])
def test_infeasible_points_are_left_behind(name: str) -> None:
    """Half of the cube is infeasible, far less so the later batches."""
    searcher = make(name, 4, n_obj(name), 1, SearcherSettings(population=12))
    shares = []
    for _ in range(25):
        X = searcher.ask()
        F, _ = values(X, 2)
        G = 0.5 - X[:, :1]
        searcher.tell(F[:, -n_obj(name) :], G)
        shares.append(float((G > 0).mean()))
    assert np.mean(shares[-5:]) < 0.6 * 0.5


@pytest.mark.parametrize("name", SEARCHERS)
def test_the_first_batch_holds_the_starts(name: str) -> None:
    starts = np.array([np.full(N_VAR, 0.25), np.zeros(N_VAR), np.full(N_VAR, 0.25), np.ones(N_VAR)])
    first = make(name, N_VAR, n_obj(name), 1, SearcherSettings(population=8), starts).ask()
    assert first[:3].tolist() == starts[[0, 1, 3]].tolist() or name == "cmaes"
    assert len(np.unique(first, axis=0)) == (3 if name == "cmaes" else 8)


@pytest.mark.parametrize("name", SEARCHERS)
def test_more_starts_than_the_population(name: str) -> None:
    starts = np.random.default_rng(0).random((20, N_VAR))
    searcher = make(name, N_VAR, n_obj(name), 1, SearcherSettings(population=8), starts)
    X = searcher.ask()
    assert X.tolist() == starts.tolist(), "no start is dropped in silence"
    searcher.tell(values(X, n_obj(name))[0], np.zeros((20, 1)))
    assert len(searcher.ask()) == (20 if name in ("de", "pso") else 8)


def test_cmaes_begins_at_the_best_start() -> None:
    starts = np.array([np.full(N_VAR, 0.9), np.full(N_VAR, 0.3), np.full(N_VAR, 0.6)])
    searcher = make("cmaes", N_VAR, 1, 1, SearcherSettings(options={"sigma": 0.01}), starts)
    X = searcher.ask()
    searcher.tell(values(X, 1)[0], np.zeros((3, 1)))
    assert np.abs(searcher.ask() - 0.3).max() < 0.1


def test_cmaes_begins_again_when_it_has_converged() -> None:
    searcher = make("cmaes", 2, 1, 0, SearcherSettings(seed=3))
    spread = []
    for _ in range(300):
        X = searcher.ask()
        searcher.tell(values(X, 1)[0], np.zeros((len(X), 0)))
        spread.append(float(X.std(axis=0).max()))
    narrowest = int(np.argmin(spread))
    assert spread[narrowest] < 1e-4
    assert max(spread[narrowest:]) > 0.1


@pytest.mark.parametrize("name", ["ga", "nsga2", "nsga3", "smsemoa"])
def test_nothing_new_to_propose_is_an_empty_batch(name: str) -> None:
    """Without crossover and mutation every child is a copy, and pymoo proposes none."""
    still = {"crossover_probability": 0.0, "mutation_probability": 0.0}
    searcher = make(name, 1, n_obj(name), 0, SearcherSettings(population=6, options=still))
    X = searcher.ask()
    searcher.tell(values(X, n_obj(name))[0], np.zeros((6, 0)))
    assert searcher.ask().shape == (0, 1)
    assert searcher.ask().shape == (0, 1)


@pytest.mark.parametrize("name", [name for name in SEARCHERS if name != "random"])
def test_asking_and_telling_take_turns(name: str) -> None:
    searcher = make(name, 2, n_obj(name), 0, SearcherSettings())
    with pytest.raises(RuntimeError, match="without an ask"):
        searcher.tell(np.zeros((1, n_obj(name))), np.zeros((1, 0)))
    searcher.ask()
    with pytest.raises(RuntimeError, match="ask was called twice"):
        searcher.ask()


@pytest.mark.parametrize("name", SINGLE)
def test_one_objective_algorithms_refuse_several(name: str) -> None:
    with pytest.raises(
        InputError, match=f"searcher {name} is for one objective and there are 2; use nsga2, nsga3, smsemoa"
    ):
        make(name, 2, 2, 0, SearcherSettings())


@pytest.mark.parametrize("name", MULTI)
def test_many_objective_algorithms_refuse_one(name: str) -> None:
    with pytest.raises(InputError, match=f"{name} is for two or more objectives and there is 1; use ga, de, pso"):
        make(name, 2, 1, 0, SearcherSettings())


def test_bad_settings_are_told_at_once() -> None:
    settings = SearcherSettings(population=2, seed=-1, options={"sigmma": 0.1, "sigma": "wide"})
    with pytest.raises(InputError) as caught:
        factory("cmaes", settings)
    assert caught.value.problems == (
        "searcher cmaes has no option 'sigmma'; its options: sigma; did you mean 'sigma'?",
        "searcher option sigma is 'wide'; expected a number between 1e-06 and 1",
        "searcher population is 2; expected an integer of at least 5",
        "seed is -1; expected an integer of 0 or more",
    )
    with pytest.raises(InputError, match=r"unknown searcher 'nsga-2'; known are .*did you mean 'nsga2'"):
        factory("nsga-2", SearcherSettings())


@pytest.mark.parametrize(("name", "option"), [(name, option) for name in SEARCHERS for option in OPTIONS[name]])
def test_every_option_has_an_effect(name: str, option: str) -> None:
    def trace(**options: float) -> list[list[float]]:
        searcher = make(name, 4, n_obj(name), 0, SearcherSettings(population=8, options=options))
        X = np.zeros((0, 4))
        for _ in range(6):
            X = searcher.ask()
            searcher.tell(values(X, n_obj(name))[0], np.zeros((len(X), 0)))
        return X.tolist()

    default, low, high = OPTIONS[name][option]
    assert trace() == trace(**{option: default})
    assert trace() != trace(**{option: low + 0.25 * (min(high, 40.0) - low)})


def test_three_and_more_objectives() -> None:
    for name in (*MULTI, "random"):
        for objectives in (3, 5):
            searcher = make(name, 4, objectives, 0, SearcherSettings())
            for _ in range(4):
                X = searcher.ask()
                assert len(X) == POPULATION
                F = np.stack([((X - c) ** 2).sum(axis=1) for c in np.linspace(0, 1, objectives)], axis=1)
                searcher.tell(F, np.zeros((len(X), 0)))
