"""A text goes through a model once, whatever room its logits have; where that is impossible, they are counted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from transformers.modeling_outputs import CausalLMOutputWithPast

from evomerge.fitness import FitnessSettings, ModelTraits, Scorer, TaskSuite
from evomerge.fitness.inference.batches import BatchPlan, Limits
from evomerge.fitness.inference.kv_cache import cache_argument
from evomerge.fitness.inference.logits import logits_of, portions, selects_by
from evomerge.fitness.inference.memory import ModelShape, scoring_bytes
from evomerge.fitness.inference.planner import plan_batches
from evomerge.fitness.inference.probe import choose
from evomerge.fitness.inference.requests import Continuation, Generated, Likelihood, Prompt
from evomerge.fitness.inference.scoring import BatchScorer
from tests.building import MODEL_TYPES, VOCABULARY

LIMITS = Limits(VOCABULARY)
CACHE = str(cache_argument(transformers.LlamaForCausalLM.forward))  # what this version of transformers calls it
SIZES = {"vocab_size": VOCABULARY, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
# Models that scale or cap logits behind the head, and one that is never told where to compute them.
CHANGED = {
    "gemma2": lambda: transformers.Gemma2Config(
        **SIZES, num_key_value_heads=2, head_dim=8, intermediate_size=32, final_logit_softcapping=0.5
    ),
    "cohere": lambda: transformers.CohereConfig(**SIZES, num_key_value_heads=2, intermediate_size=32, logit_scale=0.3),
    "granite": lambda: transformers.GraniteConfig(
        **SIZES, num_key_value_heads=2, intermediate_size=32, logits_scaling=3.0
    ),
    "xlstm": lambda: transformers.xLSTMConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        num_hidden_layers=2,
        num_heads=2,
        output_logit_soft_cap=0.5,
        chunkwise_kernel="chunkwise--native_autograd",
        sequence_kernel="native_sequence__native",
        step_kernel="native",
    ),
}
KINDS = {**{kind: make for kind, make in MODEL_TYPES.items() if kind != "llava"}, **CHANGED}


def loud(made: Any) -> Any:
    """A model whose answers depend strongly on what it reads."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.ndim > 1:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return made.eval().requires_grad_(False)


def of_kind(kind: str) -> Any:
    return loud(transformers.AutoModelForCausalLM.from_config(KINDS[kind](), attn_implementation="eager"))


class Plain(transformers.LlamaForCausalLM):
    """As code that comes with a checkpoint may be: a body and a head, and nothing to say where logits are needed."""

    def forward(  # type: ignore[override]
        self,
        input_ids: Any = None,
        attention_mask: Any = None,
        position_ids: Any = None,
        past_key_values: Any = None,
        cache: Any = None,
        use_cache: Any = None,
        **_: Any,
    ) -> Any:
        kept = {CACHE: past_key_values if cache is None else cache}
        made = self.body(
            input_ids, attention_mask=attention_mask, position_ids=position_ids, use_cache=use_cache, **kept
        )
        logits = self.behind(self.lm_head(made[0]))
        return CausalLMOutputWithPast(logits=logits, **{CACHE: made[CACHE]} if use_cache else {})

    def body(self, *given: Any, **named: Any) -> Any:
        return self.model(*given, **named)

    def behind(self, logits: Any) -> Any:
        return logits


class Closed(Plain):
    """Its body is not run as a module, so nobody sees what it makes."""

    def body(self, *given: Any, **named: Any) -> Any:
        return self.model.forward(*given, **named)


class Mixing(Plain):
    """What comes behind its head looks at other positions."""

    def behind(self, logits: Any) -> Any:
        return logits + torch.arange(logits.shape[1])[None, :, None] * logits[:, :, :1]


def built(kind: type[Plain], **changes: Any) -> Any:
    config = MODEL_TYPES["llama"]()
    config._attn_implementation = "eager"
    for name, value in changes.items():
        setattr(config, name, value)
    return loud(kind(config))


def texts(*lengths: int) -> list[Continuation]:
    draw = np.random.default_rng(0)
    return [Continuation(draw.integers(3, VOCABULARY, n + 1).astype(np.int32), n) for n in lengths]


def answers(model: Any, plan: BatchPlan) -> list[float]:
    made = BatchScorer(None, LIMITS).answer(model, plan)
    return [answer.logprob for answer in made if isinstance(answer, Likelihood)]


def counted(module: torch.nn.Module, seen: list[int]) -> Any:
    """Notes how many tokens go through a module each time it runs."""
    return module.register_forward_hook(lambda _module, _given, made: seen.append(made[..., 0].numel()))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_text_is_read_once_and_its_logits_come_in_portions(kind: str) -> None:
    model = of_kind(kind)
    assert logits_of(model, np.arange(5, 40)) == ("kept" if kind == "opt" else "portions")
    if kind == "opt":  # its head follows on a part of the body
        return
    asked = texts(50, 31, 3)
    limits = replace(LIMITS, logit_bytes=4 * VOCABULARY * 8, logits="portions")
    plan = plan_batches(asked, limits, share=False)
    assert plan.most_positions == 8
    read: list[int] = []
    computed: list[int] = []
    handles = counted(model.get_input_embeddings(), read), counted(model.get_output_embeddings(), computed)
    found = answers(model, plan)
    for handle in handles:
        handle.remove()
    assert sum(read) == plan.forward_tokens == sum(batch.tokens.numel() for batch in plan.likelihoods)
    assert len(read) == len(plan.likelihoods)
    assert max(computed) == 8
    assert sum(computed) == 50 + 31 + 3
    expected = answers(model, plan_batches(asked, LIMITS, share=False))
    assert found == pytest.approx(expected, abs=1e-4, rel=1e-6)
    assert answers(model, plan) == found


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", ["llama", "mamba", "gemma2"])
def test_rounding_does_not_hide_how_a_model_is_built(kind: str, dtype: torch.dtype) -> None:
    assert logits_of(of_kind(kind).to(dtype), np.arange(5, 40)) == "portions"
    assert logits_of(built(Mixing).to(dtype), np.arange(5, 40)) == "all"


def test_a_model_built_otherwise_is_asked_as_a_whole() -> None:
    assert logits_of(built(Plain), np.arange(5, 40)) == "portions"
    assert logits_of(built(Closed), np.arange(5, 40)) == "all"
    assert logits_of(built(Mixing), np.arange(5, 40)) == "all"


def test_weights_that_are_no_numbers_show_nothing() -> None:
    model = of_kind("llama")
    model.lm_head.weight[7] = torch.nan
    assert logits_of(model, np.arange(5, 40)) is None


@pytest.mark.parametrize("share", [True, False])
def test_where_all_positions_have_logits_passes_are_small(share: bool) -> None:
    model = built(Closed)
    asked = texts(4, 9, 20, 7, 3, 12, 5, 30)
    limits = replace(LIMITS, logit_bytes=4 * VOCABULARY * 24, logits="all")
    plan = plan_batches(asked, limits, share=share)
    computed: list[int] = []
    handle = counted(model.lm_head, computed)
    found = answers(model, plan)
    handle.remove()
    assert max(computed) == (24 if share else 30), "a text alone is as long as it is"
    assert max(computed) < plan.most_positions <= max(computed) + 24
    assert all(batch.tokens.numel() <= 24 or len(batch.tokens) == 1 for batch in plan.likelihoods)
    assert sum(computed) == plan.forward_tokens
    assert found == pytest.approx(answers(model, plan_batches(asked, LIMITS, share=False)), abs=1e-4)


def test_the_prediction_counts_what_is_there_at_one_time() -> None:
    shape = ModelShape(150_000, 64, 256, 2, 4, 64, 64)
    text = [Continuation(np.arange(4097, dtype=np.int32), 10)]
    way = {how: plan_batches(text, Limits(150_000, logits=how), share=False) for how in ("kept", "portions", "all")}
    each = {how: scoring_bytes(plan, shape) for how, plan in way.items()}
    assert each["all"] > 4096 * 150_000 * 4 > 10 * max(each["kept"], each["portions"])
    prompts = [Prompt(np.arange(3, 1003, dtype=np.int32), (), 5) for _ in range(6)]
    plan = plan_batches(prompts, Limits(150_000, logits="all"), share=False)
    assert [len(batch.prompts) for batch in plan.prompts] == [1] * 6
    assert scoring_bytes(plan, shape) > 1000 * 150_000 * 4


def test_what_changes_logits_behind_the_head_is_counted() -> None:
    copies = {kind: ModelShape.of(make(), 50).copies for kind, make in CHANGED.items()}
    assert copies == {"gemma2": 2, "cohere": 2, "granite": 2, "xlstm": 3}
    assert ModelShape.of(MODEL_TYPES["llama"](), 50).copies == 1


def test_classes_are_known_from_configurations() -> None:
    assert all(selects_by(make()) == (kind != "xlstm") for kind, make in KINDS.items())
    assert selects_by(None)
    assert selects_by({"model_type": "llava", "architectures": ["LlavaForConditionalGeneration"]})
    assert not selects_by({"model_type": "llama", "auto_map": {"AutoModelForCausalLM": "modeling_mine.Mine"}})
    assert not selects_by({"model_type": "mine", "architectures": ["MineForCausalLM"]})


def test_a_portion_that_fails_leaves_the_model_as_it_was() -> None:
    model = of_kind("llama")
    given = {"input_ids": torch.arange(3, 15)[None], "use_cache": False}
    before = model(**given).logits
    calls: list[int] = []

    def fail(_module: Any, _given: Any) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise torch.OutOfMemoryError

    handle = model.lm_head.register_forward_pre_hook(fail)
    with pytest.raises(torch.OutOfMemoryError):
        list(portions(model, torch.ones(1, 12, dtype=torch.bool), 5, given))
    handle.remove()
    assert "forward" not in vars(model.model)
    assert torch.equal(model(**given).logits, before)


def test_the_model_is_itself_between_portions() -> None:
    """Whoever takes them may fail there, and keep what is left of them."""
    model = of_kind("llama")
    given = {"input_ids": torch.arange(3, 15)[None], "use_cache": False}
    whole = model(**given).logits[0]
    taken = portions(model, torch.ones(1, 12, dtype=torch.bool), 5, given)
    for start in (0, 5, 10):
        torch.testing.assert_close(next(taken), whole[start : start + 5])
        assert "forward" not in vars(model.model)
        assert torch.equal(model(**given).logits[0], whole)


@pytest.mark.parametrize("share", [True, False])
def test_generation_computes_the_last_logits_only(tokenizer: Any, share: bool) -> None:
    model = built(Plain, max_position_embeddings=256)
    draw = np.random.default_rng(0)
    examples = draw.integers(70, 200, 40)
    asked = [Prompt(np.r_[examples, draw.integers(70, 200, n)].astype(np.int32), ("e",), 10) for n in (3, 9, 20, 4)]
    texts_of = {}
    for how in ("all", "portions"):
        scorer = BatchScorer(tokenizer, Limits(VOCABULARY, logits=how), share=share)
        computed: list[int] = []
        handle = counted(model.lm_head, computed)
        texts_of[how] = [a.text for a in scorer.answer(model, scorer.plan(asked)) if isinstance(a, Generated)]
        handle.remove()
        assert (max(computed) <= 4) == (how == "portions")
    assert texts_of["all"] == texts_of["portions"]
    assert len(set(texts_of["all"])) > 1


def test_a_model_without_a_choice_of_positions_may_share() -> None:
    model = built(Plain, max_position_embeddings=256)
    sharing = choose(model, BatchScorer(None, replace(LIMITS, logits="portions")), texts(60, 20))
    assert sharing.share, sharing


def test_traits_are_found_out_by_a_model_that_has_numbers(tasks: Any, tokenizer: Any) -> None:
    settings = FitnessSettings(("prose",), (str(tasks),), max_length=64, prefixes="plain")
    suite = TaskSuite.build(settings, tokenizer, config={"model_type": "mine", "vocab_size": VOCABULARY})
    model = built(Plain)
    expected = ModelTraits.expected(tokenizer, {**model.config.to_dict(), "model_type": "mine"})
    unasked = Scorer(suite, expected)
    assert unasked.plan("search").limits.logits == "all"
    broken = built(Plain)
    broken.lm_head.weight.fill_(torch.nan)
    assert ModelTraits.probe(broken, suite).logits == "all"
    scorer = Scorer.of(model, suite)
    assert scorer.plan("search").limits.logits == "portions"
    assert scorer.predicted_bytes("search") <= unasked.predicted_bytes("search")
    own = of_llama(model)
    whole = TaskSuite.build(settings, tokenizer, config=model.config)
    metrics = suite.aggregate(scorer.score(model, "search"))
    assert whole.aggregate(Scorer.of(own, whole).score(own, "search")) == pytest.approx(metrics, rel=1e-6)


def of_llama(model: Any) -> Any:
    """The same weights in transformers' own class."""
    own = transformers.LlamaForCausalLM(model.config).eval()
    own.load_state_dict(model.state_dict())
    return own
