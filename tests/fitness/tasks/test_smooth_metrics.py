"""Smooth metrics, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from evomerge.fitness.tasks.smooth_metrics import choice_metrics


def test_smooth_metrics_by_hand() -> None:
    # Probabilities 1/2, 1/4, 1/8, 1/8 among the options.
    logprobs = [-1.0, -1.0 - np.log(2), -1.0 - np.log(4), -1.0 - np.log(4)]
    one = choice_metrics(logprobs, [1])
    assert one["gold_logprob"] == pytest.approx(-1.0 - np.log(2))
    assert one["gold_prob"] == pytest.approx(0.25)
    assert one["brier_score"] == pytest.approx(0.5**2 + 0.75**2 + 2 * 0.125**2)
    two = choice_metrics(logprobs, [2, 3])
    assert two["gold_prob"] == pytest.approx(0.25)
    assert two["gold_logprob"] == pytest.approx(-1.0 - np.log(2))
    # Log-likelihoods of long texts have no probability that a float could hold.
    assert choice_metrics([-9000.0, -9001.0], [0])["gold_prob"] == pytest.approx(1 / (1 + np.exp(-1)))
