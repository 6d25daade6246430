"""Which models and settings allow drafts, and what people are told of the others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import transformers

from evomerge.fitness.inference.batches import Limits
from evomerge.fitness.inference.generation.eligibility import PLAINLY, choose_drafting
from evomerge.fitness.inference.generation.settings import beyond_greedy
from evomerge.fitness.inference.requests import Prompt
from evomerge.fitness.inference.scoring import BatchScorer
from tests.building import MODEL_TYPES
from tests.fitness.inference.building import NARROW, READ_WHOLE, VOCABULARY, loud
from tests.fitness.inference.generation.counting import Digits, counted, plainly, questions


def asking(options: dict[str, Any]) -> Prompt:
    (prompt,) = questions(1)
    return Prompt(prompt.tokens, prompt.stop, prompt.max_new, options)


ROUTED = ("mixtral", "qwen2_moe", "qwen3_moe")


@pytest.mark.parametrize("kind", sorted(set(MODEL_TYPES) - {"llava"}))
def test_models_are_tried(kind: str) -> None:
    model = loud(kind, **NARROW.get(kind, {}))
    found = choose_drafting(model, questions(2))
    assert found.drafts == (kind not in (*READ_WHOLE, "falcon", *ROUTED))
    assert bool(found.reason) != found.drafts
    assert found.drafts or found.reason.startswith(PLAINLY)


def test_windows_that_are_in_masks_alone_are_found_where_prompts_are_longer_than_what_is_tried() -> None:
    inner = {"sliding_window": 220, "layer_types": ["sliding_attention", "full_attention"]}
    model = loud("qwen2_moe", **inner).bfloat16()
    long, short = (
        Prompt(np.arange(count, dtype=np.int32) % VOCABULARY, ("zz",), limit) for count, limit in ((210, 30), (190, 30))
    )
    found = choose_drafting(model, [long])
    assert (found.drafts, "sliding windows" in found.reason) == (False, True)
    assert choose_drafting(model, [short]).drafts
    assert choose_drafting(loud("gemma3", **inner), [long]).drafts


@pytest.mark.parametrize("kind", ["llama", *ROUTED])
def test_half_precision_is_tried_too(kind: str) -> None:
    assert choose_drafting(loud(kind).bfloat16(), questions(2)).drafts


@pytest.mark.parametrize("kind", ROUTED)
def test_experts_that_rounding_may_choose_are_left_to_plain_generation_where_it_is_exact(kind: str) -> None:
    found = choose_drafting(loud(kind), questions(2))
    assert found.reason == f"{PLAINLY}: rounding may lead layers that choose (topk) to another expert"


def test_nothing_is_said_where_nothing_is_generated() -> None:
    found = choose_drafting(loud("llama"), [])
    assert (found.drafts, found.reason) == (False, "")


def test_attention_that_does_more_than_is_known_is_refused() -> None:
    model = loud("llama")
    model.config._attn_implementation = "flex_attention"
    assert not choose_drafting(model, questions(2)).drafts


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, []),
        ({"repetition_penalty": 1.0, "no_repeat_ngram_size": 0, "bad_words_ids": None, "min_new_tokens": 0}, []),
        ({"temperature": 0.5, "top_k": 3, "num_beams": 1, "length_penalty": 2.0}, []),
        ({"repetition_penalty": 1.2, "min_new_tokens": 3}, ["min_new_tokens", "repetition_penalty"]),
        ({"suppress_tokens": [5], "forced_eos_token_id": 2}, ["forced_eos_token_id", "suppress_tokens"]),
        ({"of_tomorrow": 1}, ["of_tomorrow"]),
    ],
)
def test_settings(options: dict[str, Any], names: list[str]) -> None:
    assert beyond_greedy({**transformers.GenerationConfig().to_dict(), **options}) == names


def test_prompts_with_other_settings_are_generated_plainly_beside_those_with_drafts() -> None:
    model = loud("llama")
    prompts = [*questions(3), asking({"repetition_penalty": 1.5})]
    found = choose_drafting(model, prompts)
    assert found.drafts
    assert "repetition_penalty" in found.reason
    assert not choose_drafting(model, prompts[-1:]).drafts
    expected = plainly(model, prompts)
    scorer = BatchScorer(Digits(), Limits(VOCABULARY), verify=True)
    known = [[answer.ids] for answer in expected]
    assert scorer.answer(model, scorer.plan(prompts), known) == expected


def test_a_plan_that_was_cut_for_caches_of_padded_rows_is_answered_as_one() -> None:
    model, prompts = loud("llama"), questions(8)
    scorer = BatchScorer(Digits(), Limits(VOCABULARY, cached=90), verify=True)
    plan = scorer.plan(prompts)
    assert len(plan.prompts) > 2
    expected = plainly(model, prompts)
    with counted(model) as count:
        assert scorer.answer(model, plan, [[answer.ids] for answer in expected]) == expected
    shared = sum(batch.shared > 0 for batch in plan.prompts)
    assert count.passes <= len(plan.prompts) + 1 + (shared > 0)
    assert np.ndim(count.tokens) == 0
