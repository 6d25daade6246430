"""Prompts that share a prefix read it once and get the texts of whole reading."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from evomerge.fitness.inference.batches import Limits
from evomerge.fitness.inference.planner import plan_batches
from evomerge.fitness.inference.scoring import BatchScorer
from tests.building import MODEL_TYPES
from tests.fitness.inference.building import (
    NARROW,
    READ_WHOLE,
    choices,
    loud,
    prompts,
)


@pytest.mark.parametrize("kind", sorted(set(MODEL_TYPES) - {"llava", *READ_WHOLE}))
def test_generation_after_shared_examples(kind: str, tokenizer: Any) -> None:
    model = loud(kind, vocab_size=259, max_position_embeddings=256, **NARROW.get(kind, {}))
    asked = prompts(0, (3, 9, 20, 4, 7, 1), 40)
    limits = Limits(259)
    together, whole = (BatchScorer(tokenizer, limits, share=share) for share in (True, False))
    plan = together.plan(asked)
    assert [batch.shared for batch in plan.prompts] == [40]
    read: list[int] = []
    embeddings = model.get_input_embeddings()
    handle = embeddings.register_forward_hook(lambda module, given, out: read.append(out[..., 0].numel()))
    found = together.answer(model, plan)
    handle.remove()
    # The examples once, then what each prompt adds to them; where attention slides, every prompt is read whole.
    assert read[:2] == ([40, 6 * 20] if kind not in NARROW else [6 * 60, 6])
    assert found == whole.answer(model, whole.plan(asked))
    assert len(set(found)) > 1


def test_prompts_that_share_little_stay_together() -> None:
    assert [b.shared for b in plan_batches(prompts(0, (30, 50, 40, 60), 0), Limits(259)).prompts] == [0]
    few = [*prompts(0, (30, 50), 100), *prompts(1, (30, 50), 100)]
    assert [b.shared for b in plan_batches(few, Limits(259)).prompts] == [0]
    several = [*prompts(0, (30, 50, 3, 5), 100), *prompts(1, (30, 50, 3, 5), 100), *prompts(2, (8,), 0)]
    plan = plan_batches(several, Limits(259))
    assert sorted(batch.shared for batch in plan.prompts) == [0, 100, 100]
    assert sorted(index for batch in plan.prompts for index in batch.requests) == list(range(9))


def test_kept_keys_and_values_are_those_of_the_weights_now(tokenizer: Any) -> None:
    model, other = loud("llama", vocab_size=259), loud("qwen2", vocab_size=259)
    scorer = BatchScorer(tokenizer, Limits(259))
    plan = scorer.plan([*choices(0, 6, shots=80), *prompts(0, (3, 9, 20, 4), 40)])
    before = scorer.answer(model, plan)
    scorer.answer(other, plan)
    assert scorer.answer(model, plan) == before
    with torch.no_grad():
        model.lm_head.weight.mul_(-1)
    assert all(a != b for a, b in zip(before, scorer.answer(model, plan), strict=True))


def test_a_candidate_that_fails_leaves_nothing_to_the_next(tokenizer: Any) -> None:
    model, other = loud("llama", vocab_size=259), loud("qwen2", vocab_size=259)
    scorer = BatchScorer(tokenizer, Limits(259, rows=2))
    plan = scorer.plan(prompts(0, (3, 9, 20, 4), 40))
    expected = scorer.answer(other, plan)
    calls: list[int] = []

    def fail(module: Any, given: Any) -> None:
        calls.append(1)
        if len(calls) > 14:
            raise torch.OutOfMemoryError

    handle = model.register_forward_pre_hook(fail)
    with pytest.raises(torch.OutOfMemoryError):
        scorer.answer(model, plan)
    handle.remove()
    assert scorer.answer(other, plan) == expected
