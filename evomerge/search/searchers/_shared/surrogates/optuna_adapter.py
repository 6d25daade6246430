"""Samplers of Optuna by ask and tell. The only file that imports Optuna; searchers import it when they are made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
from optuna._gp import prior
from optuna._gp.thread_limiting import limit_threads_in_optimization
from optuna.distributions import FloatDistribution
from optuna.samplers import GPSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from evomerge.search.searchers._shared.initial_population import generator
from evomerge.search.searchers._shared.protocol import Array, Problem
from evomerge.search.searchers._shared.spec import SearcherSettings
from evomerge.search.searchers._shared.surrogates.modelled import Known, Modelled

__all__ = ["Prior", "Sampled", "gp", "tpe"]

optuna.logging.set_verbosity(optuna.logging.ERROR)  # of Optuna's own logger alone

_UNIFORM, _CHILDREN, _LEADERS = 512, 128, 8  # genomes that the acquisition function is looked up at
_WIDEST = 4.0  # factor between a gene's length scale and the usual one, a priori
_STEPS = (0.2, 0.08, 0.03, 0.01)  # standard deviations of children around leaders, one round after the other


class Sampled(Modelled):
    """A sampler of Optuna's, asked in a study that holds what is known.

    Studies are made anew for every ask, so values may be corrected and forgotten. A sampler is a function of the study
    and of its own generator.

    Args:
        name: The searcher's name.
        problem: What it is made for.
        settings: Complete settings.
        sampler: The sampler.
    """

    def __init__(self, name: str, problem: Problem, settings: SearcherSettings, sampler: _Parzen | _Process) -> None:
        super().__init__(name, problem, settings)
        self._sampler = sampler
        self._space = {f"gene {gene}": _Gene(0.0, 1.0) for gene in range(problem.n_var)}

    def promising(self, known: Known, count: int) -> Array:
        """Proposals of the sampler, one after the other: each is waiting when the next is made."""
        self._sampler.prepare(known)
        study = optuna.create_study(directions=["minimize"] * known.F.shape[1], sampler=self._sampler)
        study.add_trials([self._told(x, known, row) for row, x in enumerate(known.X)])
        study.add_trials([self._waits(x, known) for x in known.waiting])
        found = np.empty((count, len(self._space)))
        for row in range(count):
            found[row] = self._asked(study)
            study.add_trial(self._waits(found[row], known))
        return found

    def _asked(self, study: optuna.Study) -> Array:
        trial = study.ask(dict(self._space))
        study.tell(trial, state=TrialState.FAIL)  # what comes of it is added as a trial of its own
        return np.array([trial.params[name] for name in self._space])

    def _waits(self, x: Array, known: Known) -> FrozenTrial:
        if not self._sampler.believing:
            return self._trial(x, state=TrialState.RUNNING)
        return self._told(x, known, _nearest(x, known))

    def _told(self, x: Array, known: Known, row: int) -> FrozenTrial:
        """A genome with the values of a row of what is known."""
        limits = None if known.violation is None else {"largest": float(known.violation[row])}
        return self._trial(x, values=known.F[row].tolist(), constraints=limits)

    def _trial(self, x: Array, **facts: Any) -> FrozenTrial:
        params = dict(zip(self._space, x.tolist(), strict=True))
        return create_trial(params=params, distributions=dict(self._space), **facts)


def _nearest(x: Array, known: Known) -> int:
    """The row of the known genome that is nearest to one."""
    return int(np.argmin(((known.X - x) ** 2).sum(axis=1)))


class _Gene(FloatDistribution):
    """A gene's range, which studies need no copy of: copying those of all trials takes longer than a proposal."""

    def __deepcopy__(self, memo: Any) -> _Gene:
        return self


class _Parzen(TPESampler):
    """The estimator of Optuna, which among its draws prefers those that should be feasible (ours).

    Left to itself it samples both sides of the border that the best lies on, as the infeasible side is hardly known.

    Attributes:
        believing: Whether proposals that wait count as if they had the values of the nearest known genome; Optuna's
            own estimator counts them as bad ones.
        line: Slope and height of a straight line through the largest constraints, ``(n_var + 1,)``; None where all
            genomes are feasible.
    """

    believing = False
    line: Array | None = None

    def prepare(self, known: Known) -> None:
        """Lays the line through what is known.

        Above, values are cut at what the best is below, or else at their median: that of a failure means nothing.
        """
        if known.violation is None:
            self.line = None
            return
        most = max(float(-known.violation.min()), float(np.median(known.violation[known.violation > 0.0])))
        ones = np.ones((len(known.X), 1))
        self.line = np.linalg.lstsq(np.hstack([known.X, ones]), np.minimum(known.violation, most), rcond=None)[0]

    def _compute_acquisition_func(self, samples: dict[str, Array], mpe_below: Any, mpe_above: Any) -> Array:
        values: Array = super()._compute_acquisition_func(samples, mpe_below, mpe_above)
        if self.line is None:
            return values
        above = np.stack(list(samples.values()), axis=1) @ self.line[:-1] + self.line[-1]
        return np.where(above > 0.0, values.min() - above, values)


class Prior:
    """The logarithm of Optuna's prior of kernel parameters, with a length scale of its own for each gene.

    Args:
        reach: How far each gene moves the merge, over what is usual, ``(n_var,)``. A length scale of one over it is
            as likely as Optuna's has 1, within a factor of four.
    """

    def __init__(self, reach: Array) -> None:
        self._squares = np.clip(reach, 1.0 / _WIDEST, _WIDEST) ** -2

    def __call__(self, regressor: Any) -> Any:
        """Of a regressor, whose parameters are tensors."""
        self.inverse_squared_lengthscales = regressor.inverse_squared_lengthscales * (
            regressor.inverse_squared_lengthscales.new_tensor(self._squares)
        )
        self.kernel_scale, self.noise_var = regressor.kernel_scale, regressor.noise_var
        return prior.default_log_prior(self)  # type: ignore[arg-type]


class _Process(GPSampler):
    """The Gaussian process of Optuna, whose acquisition function is looked up instead of climbed by its gradient.

    Optuna's ten climbs take ten times as long as a look at the genomes of a few rounds (ours).

    Attributes:
        believing: Proposals that wait count as if they had the values of the nearest known genome (ours, after the
            constant liar of Ginsbourger et al. 2010, doi:10.1007/978-3-642-10701-6_6): to sample their values, as
            Optuna does, takes most of a second for several objectives.
    """

    believing = True

    def __init__(self, seed: int, reach: Callable[[], Array] | None) -> None:
        super().__init__(seed=seed, n_startup_trials=1)
        self._reach = reach

    def prepare(self, known: Known) -> None:
        """Reads the prior before it is first needed."""
        if self._reach is not None:
            self._log_prior, self._reach = Prior(self._reach()), None

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
        """With one thread of PyTorch, as the order of its sums follows from their number."""
        with limit_threads_in_optimization():
            return super().sample_relative(study, trial, search_space)

    def _optimize_acqf(self, acqf: Any, best_params: Array | None) -> Array:
        random, n_var = self._rng.rng, acqf.search_space.dim
        pool = random.random_sample((_UNIFORM, n_var))
        if best_params is not None:
            pool = np.concatenate([best_params, _around(best_params, _CHILDREN, _STEPS[0], random), pool])
        values = acqf.eval_acqf_no_grad(pool)
        for step in _STEPS:
            leaders = pool[np.argsort(-values, kind="stable")[:_LEADERS]]
            children = _around(leaders, _CHILDREN, step, random)
            pool = np.concatenate([pool, children])
            values = np.concatenate([values, acqf.eval_acqf_no_grad(children)])
        found: Array = pool[int(np.argmax(values))]
        return found


def _around(leaders: Array, count: int, step: float, random: np.random.RandomState) -> Array:
    """Children of leaders in turn, each with about half of the genes moved by a normal step, within the cube."""
    parents = leaders[np.arange(count) % len(leaders)]
    moved = random.random_sample(parents.shape) < 0.5
    moved[np.arange(count), random.randint(parents.shape[1], size=count)] = True
    return np.clip(parents + step * moved * random.standard_normal(parents.shape), 0.0, 1.0)


def tpe(name: str, problem: Problem, settings: SearcherSettings) -> Sampled:
    """The tree-structured Parzen estimator, of all genes together."""
    sampler = _Parzen(
        seed=_seed(name, settings),
        multivariate=True,
        n_startup_trials=1,
        n_ei_candidates=settings.options["candidates"],
    )
    return Sampled(name, problem, settings, sampler)


def gp(name: str, problem: Problem, settings: SearcherSettings, reach: Callable[[], Array] | None) -> Sampled:
    """The Gaussian process; ``reach`` gives its prior, None for equal length scales."""
    return Sampled(name, problem, settings, _Process(_seed(name, settings), reach))


def _seed(name: str, settings: SearcherSettings) -> int:
    return int(generator(settings.seed, name).integers(2**32))
