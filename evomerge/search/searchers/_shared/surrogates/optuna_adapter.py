"""Optuna's Parzen estimator by ask and tell, and its fit of Gaussian processes.

The only file that imports Optuna; searchers import it when they are made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from optuna._gp import prior
from optuna._gp.thread_limiting import limit_threads_in_optimization as one_thread
from optuna.distributions import FloatDistribution
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from evomerge.search.searchers._shared.initial_population import generator
from evomerge.search.searchers._shared.protocol import Array, Problem
from evomerge.search.searchers._shared.spec import SearcherSettings
from evomerge.search.searchers._shared.surrogates.modelled import Known, Modelled

if TYPE_CHECKING:
    import torch  # which takes seconds, and the estimator needs none

__all__ = ["Kernel", "Prior", "Sampled", "fit", "free_boxes", "one_thread", "tpe"]

optuna.logging.set_verbosity(optuna.logging.ERROR)  # of Optuna's own logger alone

_WIDEST = 4.0  # factor between a gene's length scale and the usual one, a priori


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

    def __init__(self, name: str, problem: Problem, settings: SearcherSettings, sampler: _Parzen) -> None:
        super().__init__(name, problem, settings)
        self._sampler = sampler
        self._space = {f"gene {gene}": _Gene(0.0, 1.0) for gene in range(problem.n_var)}

    def promising(self, known: Known, count: int) -> Array:
        """Proposals of the sampler, one after the other: each is waiting when the next is made."""
        self._sampler.prepare(known)
        study = optuna.create_study(directions=["minimize"] * known.F.shape[1], sampler=self._sampler)
        study.add_trials([self._told(x, known, row) for row, x in enumerate(known.X)])
        study.add_trials([self._waits(x) for x in known.waiting])
        found = np.empty((count, len(self._space)))
        for row in range(count):
            found[row] = self._asked(study)
            study.add_trial(self._waits(found[row]))
        return found

    def _asked(self, study: optuna.Study) -> Array:
        trial = study.ask(dict(self._space))
        study.tell(trial, state=TrialState.FAIL)  # what comes of it is added as a trial of its own
        return np.array([trial.params[name] for name in self._space])

    def _waits(self, x: Array) -> FrozenTrial:
        return self._trial(x, state=TrialState.RUNNING)

    def _told(self, x: Array, known: Known, row: int) -> FrozenTrial:
        """A genome with the values of a row of what is known."""
        limits = None if known.violation is None else {"largest": float(known.violation[row])}
        return self._trial(x, values=known.F[row].tolist(), constraints=limits)

    def _trial(self, x: Array, **facts: Any) -> FrozenTrial:
        params = dict(zip(self._space, x.tolist(), strict=True))
        return create_trial(params=params, distributions=dict(self._space), **facts)


class _Gene(FloatDistribution):
    """A gene's range, which studies need no copy of: copying those of all trials takes longer than a proposal."""

    def __deepcopy__(self, memo: Any) -> _Gene:
        return self


class _Parzen(TPESampler):
    """The estimator of Optuna, which among its draws prefers those that should be feasible (ours).

    Left to itself it samples both sides of the border that the best lies on, as the infeasible side is hardly known.

    Attributes:
        line: Slope and height of a straight line through the largest constraints, ``(n_var + 1,)``; None where all
            genomes are feasible.
    """

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


@dataclass(frozen=True, eq=False)
class Kernel:
    """Parameters of a process, by Optuna's names: a fit reads them where it starts, and the prior too.

    Attributes:
        inverse_squared_lengthscales: Of each gene, ``(n_var,)``.
        kernel_scale: The process's own variance.
        noise_var: The variance of noise.
    """

    inverse_squared_lengthscales: torch.Tensor
    kernel_scale: torch.Tensor
    noise_var: torch.Tensor


def fit(X: Array, y: Array, log_prior: Prior | None, start: Kernel | None) -> Kernel:
    """The likeliest kernel of some values, by Optuna's fit.

    Args:
        X: Genomes, ``(n, n_var)``.
        y: Their values, standardised, ``(n,)``.
        log_prior: Of its parameters; None for Optuna's.
        start: Where the fit starts; None for its own start.
    """
    import torch
    from optuna._gp import gp

    with torch.device("cpu"):  # whatever the program's own is
        fitted = gp.fit_kernel_params(
            X=X,
            Y=y,
            is_categorical=np.zeros(X.shape[1], dtype=bool),
            log_prior=log_prior or prior.default_log_prior,
            minimum_noise=prior.DEFAULT_MINIMUM_NOISE_VAR,
            deterministic_objective=False,
            gpr_cache=start,  # type: ignore[arg-type]
        )
    return Kernel(fitted.inverse_squared_lengthscales, fitted.kernel_scale, fitted.noise_var)


def free_boxes(values: Array) -> tuple[torch.Tensor, torch.Tensor]:
    """Lower and upper ends of boxes that hold all that no known value dominates, down to a little below the worst.

    Args:
        values: More being better, ``(n, n_obj)``.

    Returns:
        Each ``(boxes, n_obj)``; upper ends are infinite where boxes are open.
    """
    import torch
    from optuna._gp import acqf

    known = torch.from_numpy(values)
    if values.shape[1] == 1:
        best = known.max(dim=0, keepdim=True).values
        return best, torch.full_like(best, torch.inf)
    return acqf._get_non_dominated_box_bounds(known, acqf._get_reference_point(known))


def tpe(name: str, problem: Problem, settings: SearcherSettings) -> Sampled:
    """The tree-structured Parzen estimator, of all genes together."""
    sampler = _Parzen(
        seed=_seed(name, settings),
        multivariate=True,
        n_startup_trials=1,
        n_ei_candidates=settings.options["candidates"],
    )
    return Sampled(name, problem, settings, sampler)


def _seed(name: str, settings: SearcherSettings) -> int:
    return int(generator(settings.seed, name).integers(2**32))
