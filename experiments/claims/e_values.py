"""Intervals that stay valid after a choice, from e-values.

An e-value of a hypothesis is a number of mean at most 1 where the hypothesis holds. The means whose e-value stays
below ``1 / level`` form an interval, and such intervals can be read of some models only, chosen in whatever way by the
same data: at ``level * chosen / compared`` the expected share of the chosen ones whose interval misses stays below the
level (Xu, Wang & Ramdas 2024, arXiv:2203.12572). That is the guarantee on which Farzaneh & Simeone 2026
(arXiv:2603.23055) build their evaluation of selected models. Of that paper only the abstract could be read, so the
e-value is ours: bets on the items whose sizes are mixed over Jeffreys' prior, which needs no order of the items and for
answers of 0 and 1 is the Beta mixture of Robbins (1970).

The models compared must be there before the items are asked: a search on the same items makes its models by them, and
no correction for their number covers that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evomerge.analysis.intervals import Interval, vector

__all__ = ["e_interval", "log_e_value", "selected_interval"]

Array = NDArray[np.float64]

_NODES = 200
_EDGE = 1e-9


def log_e_value(values: ArrayLike, mean: float, clusters: ArrayLike | None = None) -> float:
    """Log e-value of the hypothesis that values in [0, 1] have a given mean.

    Args:
        values: One value per item, ``(n,)``, each in [0, 1].
        mean: The mean, above 0 and below 1.
        clusters: A label per item, whose items are bet on together; None where every item stands alone.

    Returns:
        The natural logarithm of the e-value.

    Raises:
        ValueError: if a value lies outside.
    """
    return _log_e(*_wagers(values, clusters), mean)


def e_interval(values: ArrayLike, level: float, clusters: ArrayLike | None = None) -> Interval:
    """The means whose e-value stays below ``1 / level``.

    Args:
        values: One value per item, ``(n,)``, each in [0, 1].
        level: Share of intervals that may miss, above 0 and below 1.
        clusters: As for `log_e_value`.

    Returns:
        Mean, standard error and interval.

    Raises:
        ValueError: as for `log_e_value`.
    """
    sums, sizes = _wagers(values, clusters)
    mean = float(sums.sum() / sizes.sum())
    count = len(sums)
    spread = float(np.square(sums - sizes * mean).sum())
    se = math.sqrt(spread * count / (count - 1)) / float(sizes.sum()) if count > 1 else math.inf
    limit = -math.log(level)

    def beyond(m: float) -> bool:
        return _log_e(sums, sizes, m) >= limit

    # The e-value is log-convex in the mean and at most 1 at the observed one, so each side is crossed once.
    low = 0.0 if mean <= _EDGE or not beyond(_EDGE) else _crossing(beyond, _EDGE, mean)
    high = 1.0 if mean >= 1.0 - _EDGE or not beyond(1.0 - _EDGE) else _crossing(beyond, 1.0 - _EDGE, mean)
    return Interval(mean, se, low, high)


def selected_interval(
    tasks: Sequence[ArrayLike],
    shares: Sequence[float],
    *,
    chosen: int,
    compared: int,
    level: float = 0.05,
    clusters: Sequence[ArrayLike] | None = None,
) -> Interval:
    """The interval of one of the models that were chosen among those compared.

    Args:
        tasks: For each task its values, ``(items,)``, each in [0, 1].
        shares: Weight of each task's mean in the score.
        chosen: How many models an interval is read of.
        compared: How many models were there to choose from, on any of these items.
        level: Expected share of the chosen ones whose interval may miss.
        clusters: For each task a label per item; None where every item stands alone.

    Returns:
        The weighted sum of the tasks' means. Tasks share the level evenly and their ends add up, which holds whatever
        their dependence.

    Raises:
        ValueError: as for `log_e_value`, or if there is no task or not 1 to ``compared`` chosen.
    """
    if not tasks or len(tasks) != len(shares) or not 1 <= chosen <= compared:
        raise ValueError(f"expected a weight per task and 1 to {compared} chosen models, got {len(shares)}, {chosen}")
    each = level * chosen / compared / len(tasks)
    labels = clusters if clusters is not None else [None] * len(tasks)
    parts = [e_interval(task, each, label) for task, label in zip(tasks, labels, strict=True)]
    low = high = 0.0
    for part, share in zip(parts, shares, strict=True):
        ends = sorted((share * part.low, share * part.high))
        low, high = low + ends[0], high + ends[1]
    mean = math.fsum(share * part.mean for part, share in zip(parts, shares, strict=True))
    se = math.sqrt(math.fsum((share * part.se) ** 2 for part, share in zip(parts, shares, strict=True)))
    return Interval(mean, se, low, high)


def _wagers(values: ArrayLike, clusters: ArrayLike | None) -> tuple[Array, Array]:
    """Sum of values and size of each cluster, both over the largest size: ``(clusters,)`` each."""
    array = vector(values)
    if array.min() < 0.0 or array.max() > 1.0:
        raise ValueError(f"expected values in [0, 1], got {array.min()} to {array.max()}")
    labels = np.arange(array.size) if clusters is None else np.unique(np.asarray(clusters), return_inverse=True)[1]
    sizes = np.bincount(labels).astype(np.float64)
    return np.bincount(labels, weights=array) / sizes.max(), sizes / sizes.max()


def _log_e(sums: Array, sizes: Array, mean: float) -> float:
    """Bets on ``sum - size * mean`` of every cluster, of the size that suits another mean, mixed over other means."""
    # Jeffreys' prior, Beta(1/2, 1/2), is even in the angle: the midpoints of equal arcs weigh the same.
    angles = (np.arange(_NODES) + 0.5) * (math.pi / 2.0 / _NODES)
    alternatives = np.sin(angles) ** 2
    bets = (alternatives - mean) / (mean * (1.0 - mean))
    logs = np.log1p(np.outer(bets, sums - sizes * mean)).sum(axis=1)
    largest = float(logs.max())
    return largest + math.log(float(np.exp(logs - largest).mean()))


def _crossing(beyond: Callable[[float], bool], outside: float, inside: float) -> float:
    """Where a condition that holds outside and not inside begins to hold, by bisection; the outer end."""
    for _ in range(50):
        middle = 0.5 * (outside + inside)
        if beyond(middle):
            outside = middle
        else:
            inside = middle
    return outside
