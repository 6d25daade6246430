"""How often a job is tried, by hand."""

from __future__ import annotations

import pytest

from evomerge.executors import ExecutorError
from evomerge.executors._shared.attempts import Attempts, Death

KILLED = Death("was killed", "oom")


def test_a_second_death_on_another_worker_is_evidence() -> None:
    attempts = Attempts()
    assert attempts.given("a") == 1
    assert attempts.died("a", "one", Death("went away")) is None
    assert attempts.given("a") == 2
    outcome = attempts.died("a", "two", KILLED)
    assert outcome is not None
    assert outcome.error is not None
    assert outcome.error.kind == "oom"
    assert outcome.error.message == "tried 2 times; 2 workers died at it, the last was killed"
    assert attempts.ended("a") == 2
    attempts.given("a")
    assert attempts.died("a", "three", KILLED) is None, "another job of that name has a life of its own"


def test_a_worker_that_comes_back_under_its_name_is_no_second_witness() -> None:
    attempts = Attempts(retries=1)
    assert attempts.died("a", "one", KILLED) is None
    with pytest.raises(ExecutorError, match="worker one died 2 times at job a, the last time was killed"):
        attempts.died("a", "one", KILLED)


def test_a_limit_that_was_passed_is_evidence_at_once() -> None:
    outcome = Attempts().died("a", "one", Death("was at it for more than 3 seconds", "timeout", certain=True))
    assert outcome is not None
    assert outcome.error is not None
    assert (outcome.error.kind, outcome.error.message) == ("timeout", "its worker was at it for more than 3 seconds")


@pytest.mark.parametrize("retries", [0, 3])
def test_losses_are_no_candidates_fault(retries: int) -> None:
    """Nor do they count as deaths."""
    attempts = Attempts(retries)
    for _ in range(retries):
        attempts.lost("a")
        attempts.lost("b")
    assert attempts.died("a", "one", KILLED) is None
    with pytest.raises(ExecutorError, match=rf"job a was lost {retries + 1} times, .* at most {retries} times"):
        attempts.lost("a", "its node went away")
