"""Plans keep to their limits and run shared prefixes once; their answers are those of plain scoring."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from evomerge.fitness.inference.batches import Limits
from evomerge.fitness.inference.planner import plan_batches
from evomerge.fitness.inference.requests import Continuation
from tests.fitness.inference.building import (
    LIMITS,
    VOCABULARY,
    answers,
    choices,
    loud,
    request,
    tangled,
)

TIGHT = (
    LIMITS,
    replace(LIMITS, row=1, overhead=0, attention=1),
    replace(LIMITS, row=4, attention=100),
    replace(LIMITS, row=16, overhead=4, tokens=64),
    replace(LIMITS, logit_bytes=4 * VOCABULARY * 5),
    replace(LIMITS, tokens=8, row=8, overhead=2, logit_bytes=4 * VOCABULARY * 3),
    replace(LIMITS, rows=2, row=20, overhead=8),
    replace(LIMITS, row=16, overhead=2, tokens=64, cached=100),
)


def least_tokens(asked: Sequence[Continuation]) -> int:
    return len({tuple(r.tokens[:end]) for r in asked for end in range(1, len(r.tokens))})


@pytest.fixture(scope="module")
def model() -> Any:
    return loud("llama")


def drawn(seed: int) -> Sequence[Continuation]:
    return tangled(seed) if seed % 2 else choices(seed, 7, shots=10 * seed)


@pytest.fixture(scope="module", params=range(6))
def plainly(model: Any, request: pytest.FixtureRequest) -> tuple[Sequence[Continuation], Sequence[Any]]:
    """Requests, and their answers where each is scored alone."""
    asked = drawn(request.param)
    return asked, [answers(model, plan_batches([r], LIMITS, share=False))[0] for r in asked]


@pytest.mark.parametrize("limits", TIGHT)
def test_any_requests_get_the_answers_of_plain_scoring(
    model: Any, limits: Limits, plainly: tuple[Sequence[Continuation], Sequence[Any]]
) -> None:
    asked, one_by_one = plainly
    for share in (True, False):
        plan = plan_batches(asked, limits, share=share)
        found = answers(model, plan)
        assert [a.logprob for a in found] == pytest.approx([a.logprob for a in one_by_one], abs=1e-4)
        assert [a.greedy for a in found] == [a.greedy for a in one_by_one]


@pytest.mark.parametrize("limits", TIGHT)
@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("seed", range(6))
def test_passes_keep_to_their_limits(limits: Limits, share: bool, seed: int) -> None:
    asked = drawn(seed)
    plan = plan_batches(asked, limits, share=share)
    assert plan.least_tokens == least_tokens(asked)
    assert plan.forward_tokens >= plan.least_tokens
    for index, batch in enumerate(plan.likelihoods):
        rows, length = batch.tokens.shape
        assert rows == 1 or rows * length <= limits.tokens
        assert rows == 1 or rows * (plan.past_tokens(index) + length) <= max(limits.cached, limits.tokens)
        assert batch.positions <= limits.positions
        assert not limits.rows or rows <= limits.rows
        assert batch.past is None or (batch.past < index and plan.likelihoods[batch.past].shared)
        assert not batch.shared or rows == 1
    scored = Counter(int(index) for batch in plan.likelihoods for index in batch.request)
    assert scored == {index: r.scored for index, r in enumerate(asked)}


def test_examples_of_a_task_are_read_once() -> None:
    asked = choices(0, 20, shots=300)
    plan = plan_batches(asked, LIMITS)
    assert [batch.shared for batch in plan.likelihoods].count(True) == 1
    assert plan.forward_tokens <= 1.1 * plan.least_tokens
    assert plan.forward_tokens <= plan_batches(asked, LIMITS, share=False).forward_tokens / 20


def test_options_share_their_context_and_rows_are_full() -> None:
    asked = choices(0, 40, context=30)
    plan = plan_batches(asked, LIMITS)
    assert not any(batch.shared for batch in plan.likelihoods)
    assert plan.forward_tokens <= 1.1 * plan.least_tokens


def test_a_long_text_is_scored_in_bounded_memory(model: Any) -> None:
    text = request(np.random.default_rng(0).integers(3, VOCABULARY, 300), 299)
    limits = replace(LIMITS, logit_bytes=4 * VOCABULARY * 50)
    for share in (True, False):
        plan = plan_batches([text], limits, share=share)
        assert plan.most_positions <= 50
        # Continued from kept keys and values, or else read again.
        assert plan.forward_tokens == (299 if share else 6 * 299)
        expected = answers(model, plan_batches([text], LIMITS, share=False))[0].logprob
        assert answers(model, plan)[0].logprob == pytest.approx(expected, abs=1e-3)


def test_plans_do_not_follow_the_order_of_requests(model: Any) -> None:
    asked = [*choices(0, 9, shots=80), *tangled(1)]
    assert answers(model, plan_batches(asked, LIMITS)) == answers(model, plan_batches(asked[::-1], LIMITS))[::-1]


def test_logits_are_computed_once_and_only_where_a_token_is_scored(model: Any) -> None:
    asked = choices(0, 9, shots=60)
    scored = {tuple(r.tokens[:end]) for r in asked for end in range(len(r.tokens) - r.scored, len(r.tokens))}
    seen: list[int] = []
    handle = model.lm_head.register_forward_hook(lambda module, given, made: seen.append(made.numel() // VOCABULARY))
    answers(model, plan_batches(asked, LIMITS))
    handle.remove()
    assert sum(seen) == len(scored)


def test_sequences_that_others_begin_with_are_not_read_for_nothing() -> None:
    nested = [request(range(3, 3 + n), n - 1) for n in (10, 30, 50)]
    plan = plan_batches(nested, LIMITS, share=False)
    assert plan.forward_tokens == 49
