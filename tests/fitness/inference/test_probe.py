"""A probe shares prefixes where a model is seen to give the same answers, and says why not elsewhere."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers

from evomerge.fitness.inference import probe
from evomerge.fitness.inference.batches import Limits
from evomerge.fitness.inference.planner import plan_batches
from evomerge.fitness.inference.probe import choose, obstacle
from evomerge.fitness.inference.scoring import BatchScorer
from tests.building import MODEL_TYPES
from tests.fitness.inference.building import (
    CACHE,
    LIMITS,
    NARROW,
    READ_WHOLE,
    VOCABULARY,
    NoTokenizer,
    answers,
    choices,
    loud,
    prompts,
)


@pytest.fixture(scope="module")
def model() -> Any:
    return loud("llama")


@pytest.mark.parametrize("kind", sorted(set(MODEL_TYPES) - {"llava"}))
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_every_architecture_is_scored_right_one_way_or_the_other(kind: str, attention: str) -> None:
    model = loud(kind, **NARROW.get(kind, {}))
    if kind not in ("gemma2", "mamba"):
        model.set_attn_implementation(attention)
    scorer = BatchScorer(NoTokenizer(), LIMITS)
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
    sharing = choose(deaf.to(dtype).eval(), BatchScorer(NoTokenizer(), LIMITS), choices(3, 6, shots=40)[:count])
    assert sharing.share == (ignored == ""), sharing
    if ignored:
        assert "every sequence is read whole: sharing changes log-likelihoods" in sharing.reason


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


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("ignored", ["attention_mask", "position_ids", ""])
def test_large_models_are_compared_with_their_own_rounding(
    monkeypatch: pytest.MonkeyPatch, model: Any, dtype: torch.dtype, ignored: str
) -> None:
    monkeypatch.setattr(probe, "_COPY_BYTES", 0)
    deaf = Deaf(model.config)
    deaf.load_state_dict(model.state_dict())
    deaf.ignored = ignored
    sharing = choose(deaf.to(dtype).eval(), BatchScorer(NoTokenizer(), LIMITS), choices(3, 6, shots=40))
    assert sharing.share == (ignored == ""), sharing


def test_a_prompt_alone_shows_what_the_run_will_share(tokenizer: Any) -> None:
    torch.manual_seed(0)
    config = MODEL_TYPES["falcon"]()
    config.alibi = True
    biased = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    sharing = choose(biased, BatchScorer(tokenizer, Limits(259)), prompts(0, (20,), 200))
    assert not sharing.share
    assert "every sequence is read whole" in sharing.reason
