"""Searchers that fit models: what the model sees, and Optuna's two beyond their contract, of which a part is here."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from evomerge.cli.main import main
from evomerge.contracts import landscape
from evomerge.contracts.searcher import SearcherContract
from evomerge.errors import InputError
from evomerge.search.searchers import (
    ANY,
    Observation,
    Problem,
    Searcher,
    SearcherSettings,
    SearcherSpec,
    generator,
    load,
    make,
)
from evomerge.search.searchers._shared.surrogates.modelled import POPULATION, STARTUP, Known, Modelled, memory

Array = np.ndarray
OWN = ("tpe", "gp")


class Nearby(Modelled):
    """A model of few words: the good are around the middle of what it remembers as feasible."""

    def __init__(self, problem: Problem, settings: SearcherSettings) -> None:
        super().__init__("nearby", problem, settings)
        self.seen: list[Known] = []
        self.draws = generator(settings.seed, "nearby")

    def promising(self, known: Known, count: int) -> Array:
        self.seen.append(known)
        feasible = np.ones(len(known.X), dtype=bool) if known.violation is None else known.violation <= 0.0
        middle = known.X[feasible if feasible.any() else ~feasible].mean(axis=0)
        return np.asarray(middle + 0.05 * self.draws.standard_normal((count, known.X.shape[1])))


NEARBY = SearcherSpec(
    name="nearby",
    title="nearby",
    objectives=ANY,
    constraints="native",
    handling="less violation first",
    make=Nearby,
    options={"startup": STARTUP, "memory": memory(30)},
    population=POPULATION,
    partial=True,
    retell=True,
)


class TestModelled(SearcherContract):
    """What all of them share keeps the contract whatever the model."""

    spec = NEARBY


def nearby(**settings: Any) -> Nearby:
    options = {"startup": 5, "memory": 10, **settings.pop("options", {})}
    given = SearcherSettings(population=5, options=options)
    return Nearby(Problem(2, **settings), NEARBY.complete(given))


def tell(searcher: Searcher, ids: list[str], values: list[float], limits: list[float] | None = None) -> None:
    G = np.zeros((len(ids), 1)) if limits is None else np.array(limits)[:, None]
    searcher.tell([Observation(id, np.array([f]), g) for id, f, g in zip(ids, values, G, strict=True)])


def test_beyond_its_memory_a_model_sees_the_better_half_and_the_latest() -> None:
    """15 candidates, 10 remembered: the best five are the first five told, the others the last five."""
    searcher = nearby(n_obj=1)
    for batch in range(3):
        ids = [one.id for one in searcher.ask()]
        tell(searcher, ids, [10.0 * batch + place for place in range(5)])
    searcher.ask(1)
    assert searcher.seen[-1].F[:, 0].tolist() == [0, 1, 2, 3, 4, 20, 21, 22, 23, 24]
    assert len(searcher.seen[-1].waiting) == 0
    searcher.ask(1)
    assert len(searcher.seen[-1].waiting) == 1


def test_corrected_values_take_the_place_of_the_earlier_ones() -> None:
    searcher = nearby(n_obj=1)
    ids = [one.id for one in searcher.ask()]
    tell(searcher, ids, [0.0, 1.0, 2.0, 3.0, 4.0])
    assert searcher.selection().kept == tuple(ids)
    tell(searcher, ids[:1], [9.0])
    assert searcher.selection().kept == (*ids[1:], ids[0])


def test_constraints_of_zero_say_nothing_and_the_largest_of_the_others_counts() -> None:
    """That all could be scored does not hide how well the constraint is met; where all meet all there is none."""
    searcher = nearby(n_obj=1, n_con=2)
    ids = [one.id for one in searcher.ask()]
    G = np.array([[-0.3, 0.0], [0.2, 0.0], [0.0, 7.0], [0.0, 0.0], [-0.1, -0.2]])
    searcher.tell([Observation(id, np.zeros(1), g) for id, g in zip(ids, G, strict=True)])
    searcher.ask(1)
    assert searcher.seen[-1].violation is not None
    assert searcher.seen[-1].violation.tolist() == [-0.3, 0.2, 7.0, 0.0, -0.1]
    searcher.tell([Observation(id, np.zeros(1), np.array([-1.0, 0.0])) for id in ids])
    searcher.ask(1)
    assert searcher.seen[-1].violation is None


# Optuna's


def proposals(name: str, objectives: int, batches: int, **settings: Any) -> Iterator[Array]:
    """Genomes of batches of five on the landscape of the contract."""
    options = {"startup": 5} | settings.pop("options", {})
    problem = Problem(3, objectives, 3, np.full((1, 3), 0.5), reach=lambda: np.array([0.5, 1.0, 2.0]))
    searcher = make(name, problem, SearcherSettings(population=5, options=options, **settings))
    for _ in range(batches):
        asked = searcher.ask()
        X = landscape.points(asked)
        yield X
        F, G = landscape.values(X, objectives)
        searcher.tell([Observation(p.id, f, g) for p, f, g in zip(asked, F, G, strict=True)])


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("objectives", [1, 2])
def test_asked_and_told_the_same_they_propose_the_same_and_touch_nothing_of_the_program(
    name: str, objectives: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """Global generators, PyTorch's among them, and its number of threads; nothing is printed."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("optuna")
    wanted = list(proposals(name, objectives, 3))
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    states = str(np.random.get_state()), random.getstate(), torch.random.get_rng_state().numpy().tobytes()  # noqa: NPY002
    again = list(proposals(name, objectives, 3))
    after = str(np.random.get_state()), random.getstate(), torch.random.get_rng_state().numpy().tobytes()  # noqa: NPY002
    assert torch.get_num_threads() == 2
    torch.set_num_threads(threads)
    assert after == states
    assert [X.tobytes() for X in again] == [X.tobytes() for X in wanted]
    assert list(proposals(name, objectives, 2, seed=1))[-1].tobytes() != wanted[1].tobytes()
    assert capfd.readouterr() == ("", "")


def in_one_gene(name: str, values: Any, limits: Any = None) -> Array:
    """Eight proposals after 21 candidates evenly over one gene, all of them told at once."""
    starts = np.linspace(0.0, 1.0, 21)[:, None]
    searcher = make(name, Problem(1, 1, 1, starts), SearcherSettings(population=8, options={"startup": 21}))
    ids = [one.id for one in searcher.ask()]
    x = starts[:, 0]
    tell(searcher, ids, values(x).tolist(), None if limits is None else limits(x).tolist())
    return np.sort(np.concatenate([one.x for one in searcher.ask() if one.x is not None]))


def test_the_process_finds_the_bottom_of_a_parabola_between_what_it_was_told() -> None:
    """Its least is at 0.33, where nothing was told; the model knows it after one look, the others spread around it."""
    pytest.importorskip("optuna")
    found = in_one_gene("gp", lambda x: (x - 0.33) ** 2)
    assert np.abs(found - 0.33).min() < 0.005


def test_the_estimator_proposes_where_the_good_ones_are() -> None:
    """A tenth of 21 candidates, rounded up, are good: those at 0.3, 0.35 and 0.25 of a valley there."""
    pytest.importorskip("optuna")
    found = in_one_gene("tpe", lambda x: np.abs(x - 0.3))
    assert (np.abs(found - 0.3) < 0.2).sum() >= 6


@pytest.mark.parametrize("name", OWN)
def test_what_should_be_infeasible_is_left_out(name: str) -> None:
    """All is better to the left of 0.5, and nothing there is feasible: proposals are on the border or to its right."""
    pytest.importorskip("optuna")
    found = in_one_gene(name, lambda x: x, lambda x: 0.5 - x)
    assert (found >= 0.5 - 0.002).sum() >= 7


def test_a_prior_moves_the_likeliest_length_scale_of_each_gene() -> None:
    """Optuna's is -(0.1 / x + 0.1 x) for each inverse squared length scale x, most at 1; a reach of 2 puts it at 4.

    Beyond four times the usual a reach counts as that.
    """
    torch = pytest.importorskip("torch")
    pytest.importorskip("optuna")
    from evomerge.search.searchers._shared.surrogates.optuna_adapter import Prior

    def log_prior(x: list[float]) -> float:
        kernel = torch.tensor(x, dtype=torch.float64)
        one = torch.tensor(1.0, dtype=torch.float64)
        return float(
            Prior(np.array([2.0, 100.0]))(
                SimpleNamespace(inverse_squared_lengthscales=kernel, kernel_scale=one, noise_var=one)
            )
        )

    at_most = log_prior([4.0, 16.0])
    assert at_most - log_prior([1.0, 16.0]) == pytest.approx((0.1 * 4 + 0.1 / 4) - 0.2)
    assert all(at_most > log_prior([4.0 * a, 16.0 * b]) for a, b in ((1.1, 1.0), (0.9, 1.0), (1.0, 1.1), (1.0, 0.9)))


def test_without_models_to_compare_there_is_no_prior() -> None:
    """As in the later rounds of a search, which merge what the first ones found."""
    pytest.importorskip("optuna")
    found = []
    for prior in ("none", "deltas"):
        searcher = make("gp", Problem(2, 1), SearcherSettings(population=5, options={"startup": 5, "prior": prior}))
        tell(searcher, [one.id for one in searcher.ask()], [0.0, 1.0, 2.0, 3.0, 4.0])
        found.append([one.x.tobytes() for one in searcher.ask(2) if one.x is not None])
    assert found[0] == found[1]


@pytest.mark.parametrize("name", OWN)
def test_without_the_library_it_is_said_how_to_install_it(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From Python and on the command line, before anything else is done."""
    monkeypatch.setitem(sys.modules, "optuna", None)
    wanted = f"searcher {name}: optuna is not installed; pip install 'evomerge[optuna]' installs it"
    assert load(name).problems(SearcherSettings()) == [wanted]
    with pytest.raises(InputError) as caught:
        make(name, Problem(2, 1), SearcherSettings())
    assert caught.value.problems == (wanted,)
    assert main(["search", f"searcher={name}"]) == 2
    assert wanted in capsys.readouterr().err
