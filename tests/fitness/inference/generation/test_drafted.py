"""Answers with drafts are those of plain generation, whatever is drafted; what is drafted well is read once."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from evomerge.fitness.inference.batches import Limits
from evomerge.fitness.inference.generation import drafted as drafted_generation
from evomerge.fitness.inference.generation.drafted import DraftedGeneration
from evomerge.fitness.inference.generation.packed import PackedAttention
from evomerge.fitness.inference.generation.plain import Generator
from evomerge.fitness.inference.requests import Generated, Prompt
from evomerge.fitness.inference.scoring import BatchScorer
from tests.building import MODEL_TYPES
from tests.fitness.inference.building import NARROW, READ_WHOLE, VOCABULARY, loud
from tests.fitness.inference.generation.counting import Digits, counted, drafted, plainly, questions

# Those whose attention is not chosen by name are refused, see test_eligibility.
KINDS = sorted(set(MODEL_TYPES) - {*READ_WHOLE, "falcon", "llava"})
SHOTS = 9


def model_of(kind: str) -> Any:
    model = loud(kind, **NARROW.get(kind, {}))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(0.5)  # loud enough for answers that differ, and not stuck at one token
    return model


@pytest.fixture(scope="module")
def llama() -> Any:
    return model_of("llama")


@pytest.mark.parametrize("kind", KINDS)
def test_answers_are_those_of_plain_generation(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, prompts = model_of(kind), questions(8)
    expected = plainly(model, prompts)
    assert len({answer.ids for answer in expected}) > 1
    own = [[answer.ids] for answer in expected]
    wrong = [[(*one.ids[:9], 5, *one.ids[10:]), other.ids] for one, other in zip(expected, expected[::-1], strict=True)]
    for known in (None, own, wrong):
        monkeypatch.setattr(drafted_generation, "_LEAST_LENT", SHOTS + (known is own))  # copied once, lent twice
        for shared in (0, SHOTS):
            # In the second case the beginning is attended to where it lies, unless there are windows or caps.
            model.set_attn_implementation("sdpa" if shared and kind != "gemma2" else "eager")
            assert drafted(model, prompts, known, shared=shared, answered=200) == expected


def test_what_is_known_is_read_in_one_pass(llama: Any) -> None:
    prompts = questions(6)
    expected = plainly(llama, prompts)
    with counted(llama) as alone:
        assert drafted(llama, prompts) == expected
    with counted(llama) as told:
        assert drafted(llama, prompts, [[answer.ids] * 8 for answer in expected]) == expected
    with counted(llama) as forked:
        assert (
            drafted(llama, prompts, [[(5, *answer.ids[1:])] * 8 + [answer.ids] * 8 for answer in expected]) == expected
        )
    least = sum(len(prompt.tokens) + len(answer.ids) for prompt, answer in zip(prompts, expected, strict=True))
    assert told.passes == 1
    assert told.tokens == least - len(prompts)  # nothing is read behind the last token
    assert told.passes < alone.passes / 4
    assert forked.passes <= 2


def test_an_answer_goes_on_where_it_left_what_is_known(llama: Any) -> None:
    prompts = questions(6)
    expected = plainly(llama, prompts)
    changed = [[(*answer.ids[:4], 63, *answer.ids[5:])] for answer in expected]
    with counted(llama) as alone:
        drafted(llama, prompts)
    with counted(llama) as told:
        assert drafted(llama, prompts, changed) == expected
    assert told.passes < alone.passes / 2


@pytest.mark.parametrize(("least", "passes"), [(SHOTS, 1 + 4), (SHOTS + 1, 1 + 3)], ids=["lent", "copied"])
def test_shared_beginnings_are_read_once_and_rows_leave(
    llama: Any, least: int, passes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drafted_generation, "_LEAST_LENT", least)
    prompts = questions(7)
    expected = plainly(llama, prompts)
    known = [[answer.ids] * 8 for answer in expected]
    with counted(llama) as count:
        # Caches for two rows: five prompts wait until others have ended.
        assert drafted(llama, prompts, known, shared=SHOTS, answered=90) == expected
    own = sum(
        len(prompt.tokens) - SHOTS + len(answer.ids) - 1 for prompt, answer in zip(prompts, expected, strict=True)
    )
    assert count.tokens == SHOTS + own
    assert count.passes == passes


def test_ties_are_what_plain_generation_makes_of_them() -> None:
    model = model_of("llama")
    with torch.no_grad():  # every token has a twin with equal logits
        model.lm_head.weight[VOCABULARY // 2 :] = model.lm_head.weight[: VOCABULARY // 2]
    prompts = questions(4)
    assert drafted(model, prompts) == [None] * 4
    scorer = BatchScorer(Digits(), Limits(VOCABULARY), verify=True)
    assert scorer.answer(model, scorer.plan(prompts)) == plainly(model, prompts)


def test_stop_texts_and_limits_end_answers_where_they_do_in_plain_generation(llama: Any) -> None:
    (free,) = plainly(llama, questions(1))
    for place in (0, 3, len(free.ids) - 1):
        prompts = questions(1, stop=(f" {free.ids[place]} ",))
        expected = plainly(llama, prompts)
        assert not expected[0].truncated
        for known in (None, [[free.ids]], [[expected[0].ids]]):
            assert drafted(llama, prompts, known) == expected
    short = questions(1, limit=5)
    assert drafted(llama, short, [[free.ids]]) == plainly(llama, short) == [free_of(free, 5)]


def free_of(answer: Generated, count: int) -> Generated:
    return Generated(Digits().decode(answer.ids[:count]), True, True, answer.ids[:count])


def test_end_tokens_end_answers(llama: Any) -> None:
    (free,) = plainly(llama, questions(1))
    prompts = [
        Prompt(prompt.tokens, prompt.stop, prompt.max_new, {"eos_token_id": [free.ids[6]]}) for prompt in questions(1)
    ]
    expected = plainly(llama, prompts)
    assert expected[0].ids == free.ids[: free.ids.index(free.ids[6]) + 1]
    assert drafted(llama, prompts, [[free.ids]]) == expected


def test_logits_that_are_no_numbers_are_seen() -> None:
    model = model_of("llama")
    with torch.no_grad():
        model.model.norm.weight[:] = torch.nan
    answers = drafted(model, questions(3))
    assert [answer is not None and answer.finite for answer in answers] == [False] * 3


def unread(answers: Sequence[Generated], prompts: Sequence[Prompt]) -> int:
    """A token that plain generation does not come past."""
    read = {token for answer in answers for token in answer.ids}
    return min(set(range(3, VOCABULARY)) - read - {int(token) for prompt in prompts for token in prompt.tokens})


@pytest.mark.parametrize("pad", [False, True])
def test_what_overflows_in_drafts_alone_spoils_no_answer(pad: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    model, prompts = model_of("llama"), questions(4)
    expected = plainly(model, prompts)
    token = unread(expected, prompts)
    with torch.no_grad():
        model.model.embed_tokens.weight[token] = torch.nan
    monkeypatch.setattr(drafted_generation, "PackedAttention", functools.partial(PackedAttention, pad=pad))
    known = [[(*answer.ids[:4], token, *answer.ids[5:])] * 4 for answer in expected[:2]]
    assert drafted(model, prompts, [*known, (), ()], answered=100) == expected


@pytest.mark.parametrize("drafted_too", [False, True])
def test_a_first_prompt_that_overflows_spoils_no_beginning_of_others(drafted_too: bool) -> None:
    model, prompts = model_of("llama"), questions(4)
    expected = plainly(model, prompts)
    token = unread(expected, prompts)
    with torch.no_grad():
        model.model.embed_tokens.weight[token] = torch.nan
    known = [[answer.ids] for answer in expected]
    if drafted_too:  # the prompt is whole, and what is drafted behind it is not
        known[0] = [(*expected[0].ids[:4], token, *expected[0].ids[5:])] * 4
        assert drafted(model, prompts, known, shared=SHOTS) == expected
        return
    tokens = prompts[0].tokens.copy()
    tokens[-1] = token
    first, *others = drafted(model, [replace(prompts[0], tokens=tokens), *prompts[1:]], known, shared=SHOTS)
    assert first is not None
    assert not first.finite
    assert others == expected[1:]


def test_drafts_of_tokens_that_the_model_does_not_have_end_before_them(llama: Any) -> None:
    prompts = questions(3)
    expected = plainly(llama, prompts)
    known = [[(*answer.ids[:9], other, *answer.ids[10:]), ()] for answer in expected for other in (VOCABULARY, -70)]
    with counted(llama) as count:
        assert drafted(llama, prompts, known[::2]) == expected
    assert drafted(llama, prompts, known[1::2]) == expected
    with counted(llama) as alone:
        assert drafted(llama, prompts) == expected
    assert count.passes < alone.passes


@pytest.mark.parametrize("limit", [1, 2, 24])
def test_logits_of_drafts_stay_within_their_limit_where_all_are_there_at_one_time(llama: Any, limit: int) -> None:
    prompts, most = questions(3, limit=limit), []
    ends = Generator(Digits()).ends(("zz",))
    limits = Limits(VOCABULARY, logit_bytes=4 * VOCABULARY * 8, logits="kept")
    expected = plainly(llama, prompts)
    handle = llama.lm_head.register_forward_hook(lambda _module, _given, made: most.append(made.numel() // VOCABULARY))
    try:
        with torch.inference_mode():
            known = [[answer.ids] * 8 for answer in expected]
            assert DraftedGeneration(llama, ends, limits).answer(prompts, known) == expected
    finally:
        handle.remove()
    assert max(most) == (3 if limit == 1 else min(8, 3 * limit))


def test_the_model_is_left_as_it_was(llama: Any) -> None:
    before = llama.config._attn_implementation
    drafted(llama, questions(2))
    assert llama.config._attn_implementation == before


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_half_precision_differs_no_more_than_batches_do(attention: str) -> None:
    model = model_of("llama").bfloat16()
    model.set_attn_implementation(attention)
    prompts = questions(40)
    expected = plainly(model, prompts)
    scorer = BatchScorer(Digits(), Limits(VOCABULARY, rows=8))
    batched = scorer.answer(model, scorer.plan(prompts))
    found = drafted(model, prompts, [[answer.ids] for answer in expected])
    differing = [sum(one != other for one, other in zip(expected, ways, strict=True)) for ways in (batched, found)]
    assert differing[1] <= max(differing[0], 2)
