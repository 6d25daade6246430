"""Which settings of a sweep a number depends on: an analysis of variance over its runs.

Settings are categories; effects are fitted by least squares, with sums of squares of type II (each effect given all
others that do not contain it), so that missing runs do no harm. Shares are epsilon squared (Kelley 1935): the share of
the variance that an effect explains, less what noise alone would explain with as many values. P-values are those of
permuted residuals (Freedman and Lane 1983), which need no normal distribution.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

_LEAST_DEGREES = 3  # of noise, below which nothing can be told from it
_PERMUTATIONS = 999
_TINY = 1e-12
Array = NDArray[np.float64]
Term = tuple[int, ...]


@dataclass(frozen=True)
class Effect:
    """The effect of one key, or of two together beyond the sum of each.

    Attributes:
        columns: The keys.
        degrees: Degrees of freedom; 0 where runs do not tell it from other keys.
        share: Share of the variance, corrected for noise; slightly below 0 where it is noise. NaN without degrees.
        p: Probability of so large a share by chance; NaN without degrees.
    """

    columns: Term
    degrees: int
    share: float
    p: float


@dataclass(frozen=True)
class Importance:
    """The variance of a number over the runs of a sweep, taken apart.

    Attributes:
        effects: Of each key, then of each pair of keys, where there are runs enough.
        rest: Share that no effect explains: noise, and what was not fitted.
        degrees: Degrees of freedom of the rest.
        block: Whether the seed's own effect, shared by all settings, was taken out; it is among the effects then.
    """

    effects: tuple[Effect, ...]
    rest: float
    degrees: int
    block: bool

    def effect(self, columns: Term) -> Effect | None:
        """The effect of one key or pair of keys; None where it was not fitted."""
        return next((effect for effect in self.effects if effect.columns == columns), None)


def importance(levels: ArrayLike, values: ArrayLike, block: int | None = None) -> Importance | None:
    """Takes the variance of a number apart by the keys that were varied.

    The richest of three models is fitted that leaves noise to compare with: keys, seeds and pairs of keys; keys and
    seeds; keys alone.

    Args:
        levels: The value of each key in each run as a number of its own, ``(runs, keys)``.
        values: The number of each run, ``(runs,)``; runs without a finite one are left out.
        block: The column of the seeds, which pairs are not formed with; None where there is none.

    Returns:
        The effects; None where it cannot be told, for want of runs or of any difference between them.
    """
    kept = np.isfinite(np.asarray(values, dtype=np.float64))
    y = np.asarray(values, dtype=np.float64)[kept]
    table = np.asarray(levels, dtype=np.int64)[kept]
    varied = [column for column in range(table.shape[1]) if len(set(table[:, column].tolist())) > 1]
    keys: list[Term] = [(column,) for column in varied if column != block]
    if not keys or y.std() <= _TINY * max(1.0, float(np.abs(y).max())):
        return None
    seeds: list[Term] = [(block,)] if block in varied and block is not None else []
    pairs = [(a, b) for (a,), (b,) in itertools.combinations(keys, 2)]
    for terms in ([*keys, *seeds, *pairs], [*keys, *seeds], keys):
        if len(y) - _rank(table, terms) >= _LEAST_DEGREES:
            return _taken_apart(table, y, terms, bool(seeds) and seeds[0] in terms)
    return None


def _taken_apart(table: NDArray[np.int64], y: Array, terms: Sequence[Term], block: bool) -> Importance:
    total = float(((y - y.mean()) ** 2).sum())
    full = _projection(table, terms)
    degrees = len(y) - _rank(table, terms)
    noise = max(float(y @ y - y @ full @ y), 0.0) / degrees
    effects = []
    for term in terms:
        others = [other for other in terms if not set(term) <= set(other)]
        with_it = _projection(table, [*others, term])
        without = _projection(table, others)
        freedom = _rank(table, [*others, term]) - _rank(table, others)
        if not freedom:
            effects.append(Effect(term, 0, math.nan, math.nan))
            continue
        explained = float(y @ with_it @ y - y @ without @ y)
        p = _chance(y, without, with_it, full)
        effects.append(Effect(term, freedom, (explained - freedom * noise) / total, p))
    return Importance(tuple(effects), noise * (len(y) - 1) / total, degrees, block)


def _chance(y: Array, without: Array, with_it: Array, full: Array) -> float:
    """Share of permutations of what is left without an effect in which the effect looks as large as it does."""
    fitted = without @ y
    left = y - fitted
    rng = np.random.default_rng(0)  # a fixed one: the same runs give the same page
    orders = np.stack([rng.permutation(len(y)) for _ in range(_PERMUTATIONS)])
    samples = np.concatenate([y[None], fitted + left[orders]])
    explained = np.einsum("ij,ij->i", samples @ (with_it - without), samples)
    noise = np.einsum("ij,ij->i", samples, samples - samples @ full)
    floor = _TINY * float(y @ y)
    ratio = explained / np.maximum(noise, floor)
    return float((ratio >= ratio[0] * (1.0 - 1e-9)).mean())


def _columns(table: NDArray[np.int64], terms: Sequence[Term]) -> Array:
    """The model matrix: a constant, and one indicator for each combination of values of each term."""
    columns = [np.ones((len(table), 1))]
    for term in terms:
        _, cells = np.unique(table[:, list(term)], axis=0, return_inverse=True)
        columns.append(np.eye(int(cells.max()) + 1)[cells.reshape(-1)])
    return np.concatenate(columns, axis=1)


def _rank(table: NDArray[np.int64], terms: Sequence[Term]) -> int:
    return int(np.linalg.matrix_rank(_columns(table, terms)))


def _projection(table: NDArray[np.int64], terms: Sequence[Term]) -> Array:
    """The matrix that maps numbers of runs to what a model fits to them."""
    left, sizes, _ = np.linalg.svd(_columns(table, terms), full_matrices=False)
    basis = left[:, sizes > 1e-9 * sizes[0]]
    return np.asarray(basis @ basis.T, dtype=np.float64)
