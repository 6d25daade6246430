"""Smooth companions of accuracy: they move with the weights where accuracy stands still.

A metric is a function of one item's log-likelihoods with the decorator :func:`smooth`, which also says for which kinds
of tasks it is computed and whether more is better. A new one needs nothing else: every task of such a kind records it,
and it can be an objective as ``task.NAME``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Scored:
    """The log-likelihoods of one item.

    Attributes:
        logprobs: Of each option, in nats, ``(options,)``; of the one right answer where there is nothing to choose.
        gold: Indices of the right options; at least one.
    """

    logprobs: tuple[float, ...]
    gold: tuple[int, ...]

    @cached_property
    def probabilities(self) -> NDArray[np.float64]:
        """Probability of each option when only the options are possible, ``(options,)``."""
        values = np.asarray(self.logprobs, dtype=np.float64)
        weights = np.exp(values - values.max())
        return weights / weights.sum()


@dataclass(frozen=True)
class SmoothMetric:
    """A registered metric.

    Attributes:
        compute: Its function.
        kinds: The tasks that have it, by lm-eval's output types.
        higher_is_better: Whether more is better.
    """

    compute: Callable[[Scored], float]
    kinds: tuple[str, ...]
    higher_is_better: bool


SMOOTH: dict[str, SmoothMetric] = {}


def smooth(*kinds: str, higher_is_better: bool) -> Callable[[Callable[[Scored], float]], Callable[[Scored], float]]:
    """Registers a function as a metric of that name.

    Args:
        *kinds: Output types of tasks that have it, ``multiple_choice`` or ``loglikelihood``.
        higher_is_better: Whether more is better.
    """

    def register(compute: Callable[[Scored], float]) -> Callable[[Scored], float]:
        SMOOTH[compute.__name__] = SmoothMetric(compute, kinds, higher_is_better)
        return compute

    return register


@smooth("multiple_choice", "loglikelihood", higher_is_better=True)
def gold_logprob(scored: Scored) -> float:
    """Log-likelihood of the right answer; of any of them, where there are several."""
    return float(np.logaddexp.reduce(np.asarray(scored.logprobs, dtype=np.float64)[list(scored.gold)]))


@smooth("multiple_choice", higher_is_better=True)
def gold_prob(scored: Scored) -> float:
    """Probability of the right answer when only the options are possible."""
    return float(scored.probabilities[list(scored.gold)].sum())


@smooth("multiple_choice", higher_is_better=False)
def brier_score(scored: Scored) -> float:
    """Squared distance of the options' probabilities from the right answer, from 0 to 2 (Brier 1950)."""
    right = np.zeros(len(scored.logprobs))
    right[list(scored.gold)] = 1.0 / len(scored.gold)
    return float(((scored.probabilities - right) ** 2).sum())


def smooth_metrics(kind: str, scored: Scored) -> Mapping[str, float]:
    """All metrics of an item.

    Args:
        kind: Output type of its task.
        scored: Its log-likelihoods.
    """
    return {name: metric.compute(scored) for name, metric in SMOOTH.items() if kind in metric.kinds}
