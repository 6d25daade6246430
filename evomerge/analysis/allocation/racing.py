"""Who of several candidates can still be among the best, from their answers to common items.

A `Part` holds the answers to the items of one task, scaled so that the weighted means of all parts add up to an
objective, less being better.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Part", "beaten", "chance_of_selection", "differences", "paired_p_values", "step", "wilcoxon_p_value"]

Matrix = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Part:
    """Answers to common items of one task.

    Attributes:
        values: ``(candidates, items)``, without gaps.
        weights: Weight of each item, inverse to its inclusion probability, ``(items,)``; parts of several objectives
            that have the same items share the array.
        population: Number of items that these are a sample of; None where there is no end to them.
        exact: Whether the mean has no error: values of whole models, ``(candidates, 1)``.
    """

    values: Matrix
    weights: NDArray[np.float64]
    population: int | None = None
    exact: bool = False

    @property
    def left(self) -> float:
        """The share of the population that is not among the items, by which variances are smaller."""
        return 1.0 if self.population is None else max(1.0 - len(self.weights) / self.population, 0.0)

    @property
    def shares(self) -> NDArray[np.float64]:
        """The weights, adding up to 1."""
        return self.weights / self.weights.sum()

    @property
    def means(self) -> NDArray[np.float64]:
        """Weighted mean of each candidate (Hájek 1971), ``(candidates,)``."""
        return np.asarray(self.values @ self.shares)


def differences(parts: Sequence[Part]) -> tuple[Matrix, Matrix, int]:
    """Paired differences between all candidates.

    To each task's differences two are added, one each way, as large as the largest possible where answers are two
    values, else as large as differences are on average (after Agresti & Min 2005, doi:10.1002/sim.1781). So a few items
    on which nobody differs do not pass for certainty.

    Args:
        parts: The parts of one objective.

    Returns:
        Difference ``[a, b]``: value of ``a`` minus value of ``b``, ``(n, n)``; its standard error; degrees of freedom.
    """
    n = len(parts[0].values)
    difference, variance, degrees = np.zeros((n, n)), np.zeros((n, n)), 0
    for part in parts:
        items = len(part.weights)
        means = part.means
        gap = means[:, None] - means[None, :]
        difference += gap
        if part.exact:
            continue
        # Sum over items of (share * (difference of a and b, less its mean)) squared, for all pairs at once.
        scaled = (part.values - means[:, None]) * part.shares
        products = scaled @ scaled.T
        squares = np.maximum(np.diag(products)[:, None] + np.diag(products)[None, :] - 2.0 * products, 0.0)
        added = 2.0 * (step(part) / (items + 2.0)) ** 2
        variance += part.left * (squares * items / max(items - 1, 1) + added)
        degrees += items - 1
    return difference, np.sqrt(variance), max(degrees, 1)


def step(part: Part) -> float:
    """Size of a difference on one item: between the two values of answers, else what it is on average."""
    distinct = np.unique(part.values)
    if len(distinct) == 2:
        return float(distinct[1] - distinct[0])
    spread = part.values - part.values.mean(axis=0)
    return float(np.sqrt(2.0 * np.mean(spread**2)))


def paired_p_values(objectives: Sequence[Sequence[Part]]) -> Matrix:
    """One-sided p-values of "``b`` is not better than ``a`` in every objective", for all pairs.

    In every objective a paired t-test; the largest of their p-values tests the union of "not better in this one"
    (intersection-union test, Berger 1982, doi:10.1080/00401706.1982.10487790), so several objectives need no
    correction.

    Args:
        objectives: The parts of each objective, less being better, all of the same candidates.

    Returns:
        ``(n, n)``: a small entry ``[a, b]`` says that ``b`` beats ``a``; 1 on the diagonal.
    """
    found: Matrix | None = None
    for parts in objectives:
        difference, se, degrees = differences(parts)
        with np.errstate(invalid="ignore", divide="ignore"):
            statistic = np.where(se > 0.0, difference / se, np.sign(difference) * np.inf)
        p = _upper_tail(np.nan_to_num(statistic, nan=0.0), degrees)
        found = p if found is None else np.maximum(found, p)
    assert found is not None
    np.fill_diagonal(found, 1.0)
    return found


def beaten(p: Matrix, places: int, level: float) -> Mask:
    """Candidates that cannot be among the best few: at least so many others beat each of them.

    "Fewer than ``places`` of the ``n - 1`` others beat ``a``" is a partial conjunction hypothesis. It is tested with
    Simes' inequality (Benjamini & Heller 2008, doi:10.1111/j.1541-0420.2007.00984.x), which holds under positive
    dependence: the comparisons of ``a`` have its own answers in common. A candidate with a right to a place is so
    dropped with a probability of at most ``level``.

    Args:
        p: As `paired_p_values` gives them, ``(n, n)``.
        places: How many stay.
        level: Largest probability of a mistake, for each candidate.

    Returns:
        Mask ``(n,)``.
    """
    n = len(p)
    if places >= n or places < 1:
        return np.zeros(n, dtype=bool)
    others = np.sort(p[~np.eye(n, dtype=bool)].reshape(n, n - 1), axis=1)[:, places - 1 :]
    combined = (n - places) / np.arange(1, n - places + 1) * others
    return np.asarray(combined.min(axis=1) <= level)


def chance_of_selection(
    objectives: Sequence[Sequence[Part]], places: int, draws: int, random: np.random.Generator
) -> NDArray[np.float64]:
    """Posterior probability of each candidate to be among the best few.

    The posterior is the Bayesian bootstrap over items (Rubin 1981, doi:10.1214/aos/1176345338): items get weights from
    a Dirichlet distribution, the same for all candidates and objectives, so paired differences keep their precision.
    To that comes the spread of the two differences that `differences` adds. Who is dominated by fewest is best; one
    objective is ranked by value.

    Args:
        objectives: The parts of each objective, less being better; parts at the same place have the same items.
        places: How many are selected.
        draws: How many draws.
        random: The generator.

    Returns:
        Shares of the draws, ``(n,)``.
    """
    n = len(objectives[0][0].values)
    drawn: dict[int, Matrix] = {}
    values = np.zeros((draws, n, len(objectives)))
    for column, parts in enumerate(objectives):
        for part in parts:
            if part.exact:
                values[:, :, column] += part.means
                continue
            key = id(part.weights)
            if key not in drawn:
                gamma = random.standard_exponential((draws, len(part.weights))) * part.weights
                drawn[key] = gamma / gamma.sum(axis=1, keepdims=True)
            values[:, :, column] += drawn[key] @ part.values.T
            own = step(part) / (len(part.weights) + 2.0)
            values[:, :, column] += own * random.standard_normal((draws, n))
    no_worse = (values[:, :, None, :] <= values[:, None, :, :]).all(axis=3)
    better = (values[:, :, None, :] < values[:, None, :, :]).any(axis=3)
    dominators = (no_worse & better).sum(axis=1) + 1e-9 * np.arange(n)
    ranks = dominators.argsort(axis=1, kind="stable").argsort(axis=1)
    return np.asarray((ranks < places).mean(axis=0))


def wilcoxon_p_value(differences: NDArray[np.float64]) -> float:
    """One-sided p-value of Wilcoxon's signed-rank test of "differences are not above 0".

    Zeros are ranked and their ranks split between both signs (Pratt's ranks with halves, ``zsplit`` in SciPy), as
    Optuna's pruner does; normal approximation with correction for ties.

    Args:
        differences: Paired differences, ``(n,)``.
    """
    n = len(differences)
    size = np.abs(differences)
    _, inverse, counts = np.unique(size, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks = (ends - (counts - 1) / 2.0)[inverse]
    positive = ranks[differences > 0].sum() + 0.5 * ranks[differences == 0].sum()
    variance = n * (n + 1) * (2 * n + 1) / 24.0 - float((counts**3 - counts).sum()) / 48.0
    if variance <= 0.0:
        return 1.0
    z = (positive - n * (n + 1) / 4.0) / math.sqrt(variance)
    return 0.5 * math.erfc(z / math.sqrt(2.0))


def _upper_tail(t: Matrix, degrees: int) -> Matrix:
    """P(T > t) of Student's t: the finite series for integer degrees of freedom (Abramowitz & Stegun 26.7.3-4)."""
    theta = np.arctan(np.clip(t, -1e8, 1e8) / math.sqrt(degrees))
    cosine, sine = np.cos(theta), np.sin(theta)
    total = np.zeros_like(theta)
    if degrees % 2 == 0:
        term = np.ones_like(theta)
        for k in range(degrees // 2):
            total += term
            term = term * (2 * k + 1) / (2 * k + 2) * cosine**2
        central = sine * total
    else:
        term = cosine.copy()
        for k in range((degrees - 1) // 2):
            total += term
            term = term * (2 * k + 2) / (2 * k + 3) * cosine**2
        central = 2.0 / math.pi * (theta + sine * total)
    return np.clip(0.5 - 0.5 * central, 0.0, 1.0)
