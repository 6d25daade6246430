"""Smooth companions of accuracy: they move with the weights where accuracy stands still."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

HIGHER_IS_BETTER = {"gold_logprob": True, "gold_prob": True, "brier_score": False}


def choice_metrics(logprobs: Sequence[float], gold: Sequence[int]) -> dict[str, float]:
    """Smooth metrics of one multiple-choice item.

    Args:
        logprobs: Log-likelihood of each option, in nats, ``(options,)``.
        gold: Indices of the right options; at least one.

    Returns:
        ``gold_logprob``, the log-likelihood of the right answer (of any of them, where there are several);
        ``gold_prob``, its probability when only the options are possible; ``brier_score``, the squared distance between
        the probabilities of all options and the right answer, from 0 to 2 (Brier 1950).
    """
    values = np.asarray(logprobs, dtype=np.float64)
    weights = np.exp(values - values.max())
    probabilities = weights / weights.sum()
    right = np.zeros(len(values))
    right[list(gold)] = 1.0 / len(gold)
    return {
        "gold_logprob": float(np.logaddexp.reduce(values[list(gold)])),
        "gold_prob": float(probabilities[list(gold)].sum()),
        "brier_score": float(((probabilities - right) ** 2).sum()),
    }
