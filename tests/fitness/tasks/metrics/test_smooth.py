"""Smooth metrics, by hand; and a new one, which is one function."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evomerge.fitness.tasks.metrics.smooth import SMOOTH, ItemScores, smooth, smooth_metrics
from tests.fitness.tasks.declaring import inspect


def of(logprobs: list[float], gold: tuple[int, ...]) -> Any:
    return smooth_metrics("multiple_choice", ItemScores(tuple(logprobs), gold))


def test_smooth_metrics_by_hand() -> None:
    # Probabilities 1/2, 1/4, 1/8, 1/8 among the options.
    logprobs = [-1.0, -1.0 - np.log(2), -1.0 - np.log(4), -1.0 - np.log(4)]
    one = of(logprobs, (1,))
    assert one["gold_logprob"] == pytest.approx(-1.0 - np.log(2))
    assert one["gold_prob"] == pytest.approx(0.25)
    assert one["brier_score"] == pytest.approx(0.5**2 + 0.75**2 + 2 * 0.125**2)
    two = of(logprobs, (2, 3))
    assert two["gold_prob"] == pytest.approx(0.25)
    assert two["gold_logprob"] == pytest.approx(-1.0 - np.log(2))
    # Log-likelihoods of long texts have no probability that a float could hold.
    assert of([-9000.0, -9001.0], (0,))["gold_prob"] == pytest.approx(1 / (1 + np.exp(-1)))
    text = smooth_metrics("loglikelihood", ItemScores((-3.0,), (0,)))
    assert text["gold_logprob"] == -3.0
    assert not {"gold_prob", "brier_score"} & set(text)
    assert smooth_metrics("generate_until", ItemScores((-3.0,), (0,))) == {}


def test_a_new_metric_is_one_function(tasks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evomerge.fitness.tasks.metrics.smooth.SMOOTH", known := dict(SMOOTH))
    monkeypatch.setattr("evomerge.fitness.tasks.benchmark.SMOOTH", known)

    @smooth("multiple_choice", higher_is_better=False)
    def regret(scored: ItemScores) -> float:
        """How much likelier the likeliest option is than the right one, in nats."""
        return max(scored.logprobs) - max(scored.logprobs[place] for place in scored.gold)

    assert of([-1.0, -3.0], (1,))["regret"] == 2.0
    found = inspect(tasks, "choice", "cloze").metrics
    assert found["choice.regret"] is False
    assert "cloze.regret" not in found


@pytest.mark.parametrize("kinds", [(), ("generate_until",), ("multiple_choice", "multiple choice")])
def test_kinds_of_tasks_without_log_likelihoods_are_refused(kinds: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="among multiple_choice, loglikelihood; came"):
        smooth(*kinds, higher_is_better=True)
