"""Requests laid out, scored and generated with a live model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from evomerge.fitness.inference.batches import Limits
from evomerge.fitness.inference.planner import plan_batches
from evomerge.fitness.inference.requests import Continuation, Likelihood, Prompt
from evomerge.fitness.inference.scoring import BatchScorer


def requests(lengths: list[tuple[int, int]], seed: int = 0) -> list[Continuation]:
    draw = np.random.default_rng(seed)
    return [Continuation(draw.integers(3, 50, size=length).astype(np.int32), scored) for length, scored in lengths]


def test_equal_inputs_are_read_once() -> None:
    context = [5, 6, 7, 8]
    options = [Continuation(np.asarray([*context, option], dtype=np.int32), 1) for option in (9, 10, 11)]
    plan = plan_batches([*options, options[0]], Limits(50))
    assert plan.forward_tokens == len(context)
    assert plan.likelihoods[0].target.tolist() == [9, 10, 11, 9]
    assert plan.most_positions == 1


def test_scored_positions_are_the_asked_ones(model: Any, tokenizer: Any) -> None:
    asked = requests([(9, 8), (12, 1), (12, 4), (5, 2)])
    scorer = BatchScorer(tokenizer, Limits(259))
    answers = scorer.answer(model, scorer.plan(asked))
    for request, answer in zip(asked, answers, strict=True):
        tokens = torch.from_numpy(request.tokens.astype(np.int64))
        with torch.inference_mode():
            logprobs = model(tokens[None, :-1]).logits[0].log_softmax(-1)
        picked = logprobs[torch.arange(len(tokens) - 1), tokens[1:]][-request.scored :]
        assert isinstance(answer, Likelihood)
        assert answer.logprob == pytest.approx(float(picked.sum()), abs=1e-4)
        assert answer.greedy == bool((logprobs.argmax(-1) == tokens[1:])[-request.scored :].all())


def test_generated_texts_do_not_depend_on_their_batch(model: Any, tokenizer: Any) -> None:
    draw = np.random.default_rng(1)
    prompts = [Prompt(draw.integers(70, 90, size=n).astype(np.int32), ("e",), 10) for n in (3, 9, 20, 4)]
    together = BatchScorer(tokenizer, Limits(259))
    alone = BatchScorer(tokenizer, Limits(259, rows=1))
    assert len(together.plan(prompts).prompts) == 1
    assert len(alone.plan(prompts).prompts) == 4
    answers = together.answer(model, together.plan(prompts))
    assert answers == alone.answer(model, alone.plan(prompts))
    assert len(set(answers)) > 1


def test_generation_heeds_the_model_and_the_options(model: Any, tokenizer: Any) -> None:
    scorer = BatchScorer(tokenizer, Limits(259))
    tokens = np.asarray([70, 71, 72], dtype=np.int32)
    free, penal = Prompt(tokens, (), 12), Prompt(tokens, (), 12, {"repetition_penalty": 5.0})
    # Two kinds of requests in one plan never share a batch.
    assert len(scorer.plan([free, penal]).prompts) == 2
    first, second = scorer.answer(model, scorer.plan([free, penal]))
    assert first != second
    # The model's own end token ends an answer, and what follows is padding.
    end = tokenizer.encode(first.text)[1]
    model.generation_config.eos_token_id = [2, end]
    ended = scorer.answer(model, scorer.plan([free]))[0]
    assert (ended.text, ended.truncated) == (first.text[: first.text.index(tokenizer.decode(end)) + 1], False)
