"""The searcher that models objectives and constraint by Gaussian processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from evomerge.analysis.pareto import non_dominated
from evomerge.search.searchers._shared.protocol import Array, Problem
from evomerge.search.searchers._shared.spec import SearcherSettings
from evomerge.search.searchers._shared.surrogates.improvement import Promise
from evomerge.search.searchers._shared.surrogates.lookup import highest
from evomerge.search.searchers._shared.surrogates.modelled import Known, Modelled
from evomerge.search.searchers._shared.surrogates.optuna_adapter import Kernel, Prior, fit, free_boxes, one_thread
from evomerge.search.searchers._shared.surrogates.posterior import Posterior

__all__ = ["Process"]

_STARTS = 5  # of a front's genomes, where the next one is looked for first
_LEAST = 1e-10  # standard deviation, where all values are equal


class Process(Modelled):
    """Proposes what promises the largest improvement by a Gaussian process of each objective and of the constraint.

    Parameters of kernels are fitted anew once as many values have come as a batch has, and after a correction: once
    for a batch, and as often where candidates are told one by one. In between, processes see new values with the
    parameters that they have. Proposals that wait count as if they had the values of the nearest known genome (ours,
    after the constant liar of Ginsbourger et al. 2010, doi:10.1007/978-3-642-10701-6_6).

    Args:
        name: The searcher's name.
        problem: What it is made for.
        settings: Complete settings.
        reach: Gives how far each gene moves the merge, see `Prior`; None for equal length scales.
    """

    def __init__(
        self, name: str, problem: Problem, settings: SearcherSettings, reach: Callable[[], Array] | None
    ) -> None:
        super().__init__(name, problem, settings)
        self._reach = reach
        self._prior: Prior | None = None
        self._kernels: list[Kernel] = []  # of the objectives, then of the constraint
        self._news = 0  # values since these were fitted

    def learn(self, ids: Sequence[str], F: Array, G: Array) -> None:
        """Takes their values."""
        super().learn(ids, F, G)
        self._news += len(ids)

    def revise(self, ids: Sequence[str], F: Array, G: Array) -> None:
        """Takes their values instead of the earlier ones, which kernels may have been fitted to."""
        super().revise(ids, F, G)
        self._news = max(self._news, self._population)

    def promising(self, known: Known, count: int) -> Array:
        """Proposals, one after the other: each is believed to have a known value when the next is made."""
        feasible = np.ones(len(known.X), dtype=bool) if known.violation is None else known.violation <= 0.0
        with one_thread():  # of PyTorch, as the order of its sums follows from their number
            values, limit = _standardised(known)
            self._fit(known.X, values)
            free = free_boxes(values[feasible, : self._n_obj]) if feasible.any() else None
            promise, starts = Promise(free, limit), self._starts(known, feasible)
            believed = known.waiting
            for _ in range(count):
                rows = [*range(len(known.X)), *(_nearest(x, known) for x in believed)]
                posteriors = self._posteriors(np.concatenate([known.X, believed]), values[rows])
                found = highest(partial(_promised, promise, posteriors), starts, self._random)
                believed = np.concatenate([believed, found[None]])
        return believed[len(known.waiting) :]

    def _fit(self, X: Array, values: Array) -> None:
        """Fits the kernels, if there are new values enough, from the parameters that they have."""
        columns = values.shape[1]
        if len(self._kernels) == columns and self._news < self._population:
            return
        if self._reach is not None:
            self._prior, self._reach = Prior(self._reach()), None
        earlier = [*self._kernels, *[None] * columns][:columns]
        self._kernels = [fit(X, y, self._prior, start) for y, start in zip(values.T, earlier, strict=True)]
        self._news = 0

    def _posteriors(self, X: Array, values: Array) -> list[Posterior]:
        seen, columns = torch.from_numpy(X), torch.from_numpy(values).T
        return [Posterior(kernel, seen, y) for kernel, y in zip(self._kernels, columns, strict=True)]

    def _starts(self, known: Known, feasible: NDArray[np.bool_]) -> Array:
        """The best genome that is feasible, or some of the front's; none where none is feasible."""
        rows = np.flatnonzero(feasible)
        if not len(rows):
            return known.X[:0]
        if self._n_obj == 1:
            return known.X[rows[[int(np.argmin(known.F[rows, 0]))]]]
        front = rows[non_dominated(known.F[rows])]
        return known.X[self._random.choice(front, min(_STARTS, len(front)), replace=False)]


def _standardised(known: Known) -> tuple[Array, float | None]:
    """Objectives and the constraint, more being better, ``(n, n_obj)`` or one more; from where on the latter is met."""
    values = -known.F if known.violation is None else -np.column_stack([known.F, known.violation])
    mean, deviation = values.mean(axis=0), np.maximum(values.std(axis=0), _LEAST)
    limit = None if known.violation is None else float(-mean[-1] / deviation[-1])
    return (values - mean) / deviation, limit


def _nearest(x: Array, known: Known) -> int:
    """The row of the known genome that is nearest to one."""
    return int(np.argmin(((known.X - x) ** 2).sum(axis=1)))


def _promised(promise: Promise, posteriors: Sequence[Posterior], x: Array) -> Array:
    """The promise of genomes ``(n, n_var)`` by some processes, ``(n,)``."""
    means, deviations = zip(*(posterior(torch.from_numpy(x)) for posterior in posteriors), strict=True)
    found: Array = promise(means, deviations).numpy()
    return found
