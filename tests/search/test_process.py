"""The searcher `gp` beyond its contract: when it fits, what it believes, and the closed forms behind its choice."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from evomerge.contracts import landscape
from evomerge.search.searchers import Observation, Problem, Proposal, Searcher, SearcherSettings, make

torch = pytest.importorskip("torch")
pytest.importorskip("optuna")

from optuna._gp import acqf, gp, prior  # noqa: E402
from optuna._gp.qmc import sample_from_normal_sobol  # noqa: E402

from evomerge.search.searchers._shared.surrogates.improvement import Promise, log_improvement  # noqa: E402
from evomerge.search.searchers._shared.surrogates.lookup import highest  # noqa: E402
from evomerge.search.searchers._shared.surrogates.optuna_adapter import fit, free_boxes  # noqa: E402
from evomerge.search.searchers._shared.surrogates.posterior import Posterior  # noqa: E402

Array = np.ndarray
N_VAR, BATCH = 3, 8


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Number of values of each fit of Optuna's since the test began."""
    seen: list[int] = []
    real: Callable[..., Any] = gp.fit_kernel_params

    def counted(**arguments: Any) -> Any:
        seen.append(len(arguments["Y"]))
        return real(**arguments)

    monkeypatch.setattr(gp, "fit_kernel_params", counted)
    return seen


def process(objectives: int = 1, startup: int = 16) -> Searcher:
    problem = Problem(N_VAR, objectives, landscape.N_CON)
    return make("gp", problem, SearcherSettings(population=BATCH, options={"startup": startup}))


def observed(proposals: list[Proposal], objectives: int = 1, kind: str = "flat") -> list[Observation]:
    """Values on the landscape of the contract, of which only the constraints depend on its kind."""
    X = landscape.points(proposals)
    (F, _), (_, G) = landscape.values(X, objectives, "halved"), landscape.values(X, objectives, kind)
    return [Observation(p.id, f, g) for p, f, g in zip(proposals, F, G, strict=True)]


# When it fits


@pytest.mark.parametrize("objectives", [1, 2])
@pytest.mark.parametrize("kind", ["flat", "halved"])
def test_kernels_are_fitted_once_for_a_batch(objectives: int, kind: str, fits: list[int]) -> None:
    """One of each objective, and one of the constraint where some are infeasible; not one for each proposal."""
    searcher, each = process(objectives), objectives + (kind == "halved")
    searcher.tell(observed(searcher.ask(), objectives, kind))
    for batch in range(3):
        proposals = searcher.ask()
        assert len({proposal.x.tobytes() for proposal in proposals if proposal.x is not None}) == BATCH
        assert fits == [16 + BATCH * done for done in range(batch + 1) for _ in range(each)]
        searcher.tell(observed(proposals, objectives, kind))


def test_told_one_by_one_it_fits_as_often_as_in_batches(fits: list[int]) -> None:
    """With three workers that are never idle; in between new values are seen with the kernels that there are."""
    searcher = process()
    searcher.tell(observed(searcher.ask()))
    waiting = searcher.ask(3)
    for _ in range(2 * BATCH):
        searcher.tell(observed(waiting[:1]))
        waiting = [*waiting[1:], *searcher.ask(1)]
    assert fits == [16, 16 + BATCH, 16 + 2 * BATCH]


def test_nothing_new_needs_no_fit_and_a_correction_does(fits: list[int]) -> None:
    searcher = process()
    first = observed(searcher.ask())
    searcher.tell(first)
    searcher.ask(1)
    searcher.ask(1)
    assert fits == [16]
    searcher.tell([Observation(first[0].id, first[0].F + 0.01, first[0].G)])
    searcher.ask(1)
    searcher.ask(1)
    assert fits == [16, 16]


def test_asked_and_told_in_pieces_again_it_proposes_the_same() -> None:
    """Which is what a run that goes on relies on; a value that had been another one makes a difference."""

    def played(shift: float) -> list[bytes]:
        searcher, found = process(2), []
        first = observed(searcher.ask(), 2, "halved")
        searcher.tell(first)
        waiting = searcher.ask(4)
        for turn in range(12):
            told = observed(waiting[:1], 2, "halved")
            if turn == 5:
                told += [Observation(first[3].id, first[3].F + shift, first[3].G)]
            searcher.tell(told)
            waiting = [*waiting[1:], *searcher.ask(1)]
            found.append(landscape.points(waiting).tobytes())
        return found

    wanted, other = played(0.1), played(0.2)
    assert played(0.1) == wanted
    assert other[:5] == wanted[:5]
    assert other[5] != wanted[5]


def test_new_values_count_at_once_though_kernels_are_kept() -> None:
    """Told of a genome far better than all, by one value, it looks around that one before it fits again."""
    searcher = process()
    searcher.tell(observed(searcher.ask()))
    one = searcher.ask(1)[0]
    searcher.tell([Observation(one.id, np.array([-5.0]), np.zeros(landscape.N_CON))])
    near = searcher.ask(1)[0]
    assert one.x is not None
    assert near.x is not None
    assert np.abs(near.x - one.x).max() < 0.2


# Closed forms


def normal(objectives: int, seed: int = 0) -> tuple[Any, Any, Array]:
    """Means and deviations of 40 genomes, and values that are known of 10 others."""
    random = np.random.default_rng(seed)
    mean, deviation = random.normal(size=(40, objectives)), random.uniform(0.2, 1.0, (40, objectives))
    return torch.from_numpy(mean), torch.from_numpy(deviation), random.normal(size=(10, objectives))


def test_of_one_objective_it_is_the_expected_improvement() -> None:
    """Of Optuna's too."""
    mean, deviation, known = normal(1)
    wanted = acqf.logei(mean[:, 0], deviation[:, 0] ** 2, float(known.max()))
    np.testing.assert_allclose(log_improvement(mean, deviation, *free_boxes(known)), wanted, rtol=1e-9)


@pytest.mark.parametrize("objectives", [2, 3])
def test_of_several_it_is_what_samples_come_to(objectives: int) -> None:
    """Of Optuna's average over samples, of which there are 8192 instead of 128."""
    mean, deviation, known = normal(objectives)
    lower, upper = free_boxes(known)
    values = mean[:, None, :] + deviation[:, None, :] * sample_from_normal_sobol(objectives, 2**13, 0)
    wanted = acqf.logehvi(values, lower, upper - lower).exp()
    found = log_improvement(mean, deviation, lower, upper).exp()
    np.testing.assert_allclose(found, wanted, rtol=3e-3, atol=1e-3)


@pytest.mark.parametrize("objectives", [1, 2])
def test_genomes_that_promise_next_to_nothing_are_told_apart(objectives: int) -> None:
    """Means far below all that is known, and far above; the farther below, the less, without an end."""
    known = np.array([[0.0, 1.0], [1.0, 0.0]])[:, :objectives]
    heights = torch.tensor([-900.0, -100.0, -30.0, -8.0, -1.0, 0.0, 1.0, 8.0, 100.0], dtype=torch.float64)
    mean = heights[:, None].expand(-1, objectives)
    found = log_improvement(mean, torch.ones_like(mean), *free_boxes(known))
    assert torch.isfinite(found).all()
    assert (found.diff() > 0.0).all()


def test_a_promise_is_of_improvement_and_feasibility_or_of_this_alone() -> None:
    mean, deviation, known = normal(1)
    limit_mean, ones = torch.linspace(-2.0, 2.0, 40, dtype=torch.float64), torch.ones(40, dtype=torch.float64)
    means, deviations = [mean[:, 0], limit_mean], [deviation[:, 0], ones]
    feasible = torch.special.log_ndtr(limit_mean - 0.5)
    np.testing.assert_allclose(Promise(None, 0.5)(means, deviations), feasible)
    improvement = Promise(free_boxes(known), None)(means[:1], deviations[:1])
    np.testing.assert_allclose(Promise(free_boxes(known), 0.5)(means, deviations), improvement + feasible)


def test_a_posterior_is_optunas() -> None:
    random = np.random.default_rng(0)
    X, x = random.random((30, 5)), torch.from_numpy(random.random((40, 5)))
    y = np.sin(3.0 * X[:, 0]) + 0.1 * random.normal(size=30)
    kernel = fit(X, y, None, None)
    nobody = np.zeros(5, dtype=bool)
    theirs = gp.fit_kernel_params(X, y, nobody, prior.default_log_prior, prior.DEFAULT_MINIMUM_NOISE_VAR, False)
    mean, deviation = Posterior(kernel, torch.from_numpy(X), torch.from_numpy(y))(x)
    wanted_mean, wanted_variance = theirs.posterior(x)
    np.testing.assert_allclose(mean, wanted_mean, atol=1e-8)
    np.testing.assert_allclose(deviation**2, wanted_variance, atol=1e-8)


def test_the_highest_genome_is_found_in_the_cube_from_any_starts() -> None:
    """Of a peak at a corner, in three genes, whether one start is near or there are none."""
    at = np.array([1.0, 0.0, 0.25])

    def peak(x: Array) -> Array:
        assert ((x >= 0.0) & (x <= 1.0)).all()
        return -np.asarray(((x - at) ** 2).sum(axis=1))

    for starts in (np.zeros((0, 3)), np.array([[0.9, 0.1, 0.3]])):
        found = highest(peak, starts, np.random.default_rng(0))
        assert math.sqrt(((found - at) ** 2).sum()) < 0.03
