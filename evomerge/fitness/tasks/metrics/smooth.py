"""Smooth companions of accuracy: they move with the weights where accuracy stands still.

A metric is a function of one item's log-likelihoods with the decorator :func:`smooth`, which also says for which kinds
of tasks it is computed and whether more is better. A new one is such a function in this file, and nothing else: every
task of such a kind records it, and it can be an objective as ``task.NAME``. Where the task itself reports a metric of
the same name, as those with lm-eval's ``brier_score`` do, the task's own value counts and this one is not recorded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ItemScores:
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

    compute: Callable[[ItemScores], float]
    kinds: tuple[str, ...]
    higher_is_better: bool


KINDS = ("multiple_choice", "loglikelihood")
SMOOTH: dict[str, SmoothMetric] = {}


def smooth(
    *kinds: str, higher_is_better: bool
) -> Callable[[Callable[[ItemScores], float]], Callable[[ItemScores], float]]:
    """Registers a function as a metric of that name.

    Args:
        *kinds: Output types of tasks that have it, see :data:`KINDS`.
        higher_is_better: Whether more is better.

    Raises:
        ValueError: If no kind came, or one of tasks that have no log-likelihoods of answers.
    """
    if not kinds or not set(kinds) <= set(KINDS):
        raise ValueError(f"expected the kinds of tasks, among {', '.join(KINDS)}; came {', '.join(kinds) or 'none'}")

    def register(compute: Callable[[ItemScores], float]) -> Callable[[ItemScores], float]:
        SMOOTH[compute.__name__] = SmoothMetric(compute, kinds, higher_is_better)
        return compute

    return register


@smooth("multiple_choice", "loglikelihood", higher_is_better=True)
def gold_logprob(scored: ItemScores) -> float:
    """Log-likelihood of the right answer; of any of them, where there are several."""
    return float(np.logaddexp.reduce(np.asarray(scored.logprobs, dtype=np.float64)[list(scored.gold)]))


@smooth("multiple_choice", higher_is_better=True)
def gold_prob(scored: ItemScores) -> float:
    """Probability of the right answer when only the options are possible."""
    return float(scored.probabilities[list(scored.gold)].sum())


@smooth("multiple_choice", higher_is_better=False)
def brier_score(scored: ItemScores) -> float:
    """Squared distance of the options' probabilities from the right answer, from 0 to 2 (Brier 1950)."""
    right = np.zeros(len(scored.logprobs))
    right[list(scored.gold)] = 1.0 / len(scored.gold)
    return float(((scored.probabilities - right) ** 2).sum())


def smooth_metrics(kind: str, scored: ItemScores) -> dict[str, float]:
    """All metrics of an item.

    Args:
        kind: Output type of its task.
        scored: Its log-likelihoods.
    """
    return {name: metric.compute(scored) for name, metric in SMOOTH.items() if kind in metric.kinds}
