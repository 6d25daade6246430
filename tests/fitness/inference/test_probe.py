"""Shared prefixes are run once, and the answers are those of plain scoring."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from transformers import Cache

from evomerge.fitness.inference import probe
from evomerge.fitness.inference.batches import BatchPlan, Limits
from evomerge.fitness.inference.kv_cache import cache_argument
from evomerge.fitness.inference.planner import plan_batches
from evomerge.fitness.inference.probe import choose, obstacle
from evomerge.fitness.inference.requests import Continuation, Likelihood, Prompt
from evomerge.fitness.inference.scoring import BatchScorer
from tests.building import MODEL_TYPES

VOCABULARY = 64
CACHE = str(cache_argument(transformers.LlamaForCausalLM.forward))  # what this version of transformers calls it
LIMITS = Limits(VOCABULARY)


def request(tokens: Sequence[int], scored: int) -> Continuation:
    return Continuation(np.asarray(tokens, dtype=np.int32), scored)


def choices(seed: int, items: int, shots: int = 0, *, context: int = 12, options: int = 4) -> list[Continuation]:
    """Multiple-choice questions after fixed examples."""
    draw = np.random.default_rng(seed)
    examples = draw.integers(3, VOCABULARY, shots).tolist()
    asked = []
    for _ in range(items):
        question = draw.integers(3, VOCABULARY, draw.integers(context // 2, context + 1)).tolist()
        for _ in range(options):
            answer = draw.integers(3, VOCABULARY, draw.integers(1, 6)).tolist()
            asked.append(request([*examples, *question, *answer], len(answer)))
    return asked


def tangled(seed: int) -> list[Continuation]:
    """Sequences over three tokens, so that many are prefixes of others, equal, or scored in their shared parts."""
    draw = np.random.default_rng(seed)
    asked = []
    for _ in range(draw.integers(1, 60)):
        length = int(draw.integers(2, 40))
        asked.append(request(draw.integers(3, 5, length), int(draw.integers(1, length))))
    return asked


def least_tokens(asked: Sequence[Continuation]) -> int:
    return len({tuple(r.tokens[:end]) for r in asked for end in range(1, len(r.tokens))})


def loud(kind: str, **changes: Any) -> Any:
    """A random model whose answers depend strongly on what it reads."""
    torch.manual_seed(1)
    config = MODEL_TYPES[kind]()
    for name, value in {"vocab_size": VOCABULARY, **changes}.items():
        setattr(config, name, value)
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0.0, 0.3)
    return model.requires_grad_(False)


@pytest.fixture(scope="module")
def model() -> Any:
    return loud("llama")


def answers(model: Any, plan: BatchPlan) -> list[Likelihood]:
    made = BatchScorer(_Tokenizer(), LIMITS).answer(model, plan)
    return [answer for answer in made if isinstance(answer, Likelihood)]


class _Tokenizer:
    """Nothing is generated here."""


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


@pytest.mark.parametrize("limits", TIGHT)
@pytest.mark.parametrize("seed", range(6))
def test_any_requests_get_the_answers_of_plain_scoring(model: Any, limits: Limits, seed: int) -> None:
    asked = tangled(seed) if seed % 2 else choices(seed, 7, shots=10 * seed)
    one_by_one = [answers(model, plan_batches([r], LIMITS, share=False))[0] for r in asked]
    for share in (True, False):
        plan = plan_batches(asked, limits, share=share)
        found = answers(model, plan)
        assert [a.logprob for a in found] == pytest.approx([a.logprob for a in one_by_one], abs=1e-4)
        assert [a.greedy for a in found] == [a.greedy for a in one_by_one]


@pytest.mark.parametrize("limits", TIGHT)
@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("seed", range(6))
def test_passes_keep_to_their_limits(limits: Limits, share: bool, seed: int) -> None:
    asked = tangled(seed) if seed % 2 else choices(seed, 7, shots=10 * seed)
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


def test_layouts_do_not_follow_the_order_of_requests(model: Any) -> None:
    asked = [*choices(0, 9, shots=80), *tangled(1)]
    assert answers(model, plan_batches(asked, LIMITS)) == answers(model, plan_batches(asked[::-1], LIMITS))[::-1]


READ_WHOLE = ("bloom", "mamba")
# Windows of six tokens, so that sliding attention is different from full attention.
NARROW = {kind: {"sliding_window": 6} for kind in ("mistral", "gemma2", "gemma3", "phi3")}


@pytest.mark.parametrize("kind", sorted(set(MODEL_TYPES) - {"llava"}))
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_every_architecture_is_scored_right_one_way_or_the_other(kind: str, attention: str) -> None:
    model = loud(kind, **NARROW.get(kind, {}))
    if kind not in ("gemma2", "mamba"):
        model.set_attn_implementation(attention)
    scorer = BatchScorer(_Tokenizer(), LIMITS)
    asked = choices(3, 6, shots=40)
    sharing = choose(model, scorer, asked)
    assert sharing.share == (kind not in READ_WHOLE), sharing
    plain = answers(model, plan_batches(asked, LIMITS, share=False))
    found = answers(model, plan_batches(asked, LIMITS, share=sharing.share))
    assert [a.logprob for a in found] == pytest.approx([a.logprob for a in plain], abs=1e-4)


class Deaf(transformers.LlamaForCausalLM):
    """An architecture that takes masks, positions and caches, and does not heed one of them."""

    ignored = ""

    def forward(
        self,
        input_ids: Any = None,
        attention_mask: Any = None,
        position_ids: Any = None,
        cache: Any = None,
        logits_to_keep: Any = 0,
        **rest: Any,
    ) -> Any:
        given = {"attention_mask": attention_mask, "position_ids": position_ids, CACHE: cache}
        given.pop(self.ignored, None)
        return super().forward(input_ids, logits_to_keep=logits_to_keep, **given, **rest)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("ignored", ["attention_mask", "position_ids", CACHE, ""])
@pytest.mark.parametrize("weights", ["loud", "quiet"])
@pytest.mark.parametrize("count", [1, 24])
def test_a_model_that_answers_otherwise_is_read_whole(
    model: Any, dtype: torch.dtype, ignored: str, weights: str, count: int
) -> None:
    """Whatever the run asks, one request included, and with weights that nobody has trained."""
    torch.manual_seed(0)
    wide = transformers.LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=128, intermediate_size=256, num_hidden_layers=4, num_attention_heads=4
    )
    deaf = Deaf(model.config if weights == "loud" else wide)
    if weights == "loud":
        deaf.load_state_dict(model.state_dict())
    deaf.ignored = ignored
    sharing = choose(deaf.to(dtype).eval(), BatchScorer(_Tokenizer(), LIMITS), choices(3, 6, shots=40)[:count])
    assert sharing.share == (ignored == ""), sharing
    if ignored:
        assert "every sequence is read whole: sharing changes log-likelihoods" in sharing.reason


def _renamed(input_ids: Any, keys_and_values: Cache | None = None) -> None: ...


def _old(input_ids: Any, past_key_values: Any = None, cache_position: Any = None) -> None: ...


def _new(input_ids: Any, use_cache: Any = None, cache: Any = None, **kwargs: Any) -> None: ...


def _none(input_ids: Any, use_cache: Any = None, **kwargs: Any) -> None: ...


@pytest.mark.parametrize(
    ("forward", "name"), [(_old, "past_key_values"), (_new, "cache"), (_renamed, "keys_and_values"), (_none, None)]
)
def test_the_cache_is_found_under_any_name(forward: Callable[..., Any], name: str | None) -> None:
    assert cache_argument(forward) == name


def test_what_rules_sharing_out_is_named() -> None:
    assert obstacle(loud("mamba"), 100) == "layers of type linear_attention"
    assert obstacle(loud("bloom"), 100) == "the model takes no position_ids"
    stretched = loud("llama", max_position_embeddings=32)
    stretched.config.rope_parameters = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}
    assert obstacle(stretched, 20) is None
    assert obstacle(stretched, 100) == "rotary positions of type dynamic change with the length of what is read"
    flash = loud("llama")
    flash.config._attn_implementation = "flash_attention_2"
    assert obstacle(flash, 20) == "attention 'flash_attention_2' takes no masks of trees"


def prompts(seed: int, lengths: Sequence[int], shots: int) -> list[Prompt]:
    draw = np.random.default_rng(seed)
    examples = draw.integers(70, 200, shots)
    return [Prompt(np.concatenate([examples, draw.integers(70, 200, n)]).astype(np.int32), ("e",), 10) for n in lengths]


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


def test_logits_are_computed_once_and_only_where_a_token_is_scored(model: Any) -> None:
    asked = choices(0, 9, shots=60)
    scored = {tuple(r.tokens[:end]) for r in asked for end in range(len(r.tokens) - r.scored, len(r.tokens))}
    seen: list[int] = []
    handle = model.lm_head.register_forward_hook(lambda module, given, made: seen.append(made.numel() // VOCABULARY))
    answers(model, plan_batches(asked, LIMITS))
    handle.remove()
    assert sum(seen) == len(scored)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("ignored", ["attention_mask", "position_ids", ""])
def test_large_models_are_compared_with_their_own_rounding(
    monkeypatch: pytest.MonkeyPatch, model: Any, dtype: torch.dtype, ignored: str
) -> None:
    monkeypatch.setattr(probe, "_COPY_BYTES", 0)
    deaf = Deaf(model.config)
    deaf.load_state_dict(model.state_dict())
    deaf.ignored = ignored
    sharing = choose(deaf.to(dtype).eval(), BatchScorer(_Tokenizer(), LIMITS), choices(3, 6, shots=40))
    assert sharing.share == (ignored == ""), sharing


def test_a_prompt_alone_shows_what_the_run_will_share(tokenizer: Any) -> None:
    torch.manual_seed(0)
    config = MODEL_TYPES["falcon"]()
    config.alibi = True
    biased = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    sharing = choose(biased, BatchScorer(tokenizer, Limits(259)), prompts(0, (20,), 200))
    assert not sharing.share
    assert "every sequence is read whole" in sharing.reason


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


def test_sequences_that_others_begin_with_are_not_read_for_nothing() -> None:
    nested = [request(range(3, 3 + n), n - 1) for n in (10, 30, 50)]
    plan = plan_batches(nested, LIMITS, share=False)
    assert plan.forward_tokens == 49
