"""What scoring needs in memory is bounded, and known before."""

from __future__ import annotations

import json
from typing import Any

import pytest

from evomerge.fitness.inference.memory import ModelShape, logit_bytes
from tests.apart import Apart

CHILD = """
import json, re, sys, threading, time
from pathlib import Path
import numpy as np, torch, transformers
from evomerge.fitness.inference.planner import plan_batches
from evomerge.fitness.inference.memory import ModelShape, scoring_bytes
from evomerge.fitness.inference.logits import logits_of
from evomerge.fitness.inference.batches import Limits
from evomerge.fitness.inference.requests import Continuation, Prompt
from evomerge.fitness.inference.scoring import BatchScorer

torch.set_num_threads(1)
kind, attention, share, built = sys.argv[1], sys.argv[2], sys.argv[3] == "shared", sys.argv[4]
config = transformers.LlamaConfig(
    vocab_size=150_000, hidden_size=128, intermediate_size=512, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=4096,
)
model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16, attn_implementation=attention)
model.eval()
if built == "closed":
    # A class that cannot be told where logits are needed, and whose body is not run as a module.
    def forward(input_ids, attention_mask=None, position_ids=None, cache=None, use_cache=None):
        made = model.model.forward(input_ids, attention_mask, position_ids, cache, use_cache=use_cache)
        return transformers.modeling_outputs.CausalLMOutputWithPast(logits=model.lm_head(made[0]))

    model.forward = forward
draw = np.random.default_rng(0)
examples = draw.integers(3, 1000, 2500)

def asked(kind, size):
    if kind == "answers":
        return [
            Prompt(np.concatenate([examples[:size], draw.integers(3, 1000, 40)]).astype(np.int32), (), 60)
            for _ in range(6 if size > 100 else 2)
        ]
    if kind == "text":
        return [Continuation(draw.integers(3, 1000, size).astype(np.int32), size - 1)]
    many = 4 if size > 100 else 2
    return [
        Continuation(np.concatenate([examples[:size], question, draw.integers(3, 1000, 20)]).astype(np.int32), 20)
        for question in draw.integers(3, 1000, (many, 60))
        for _ in range(4)
    ]

def anonymous():
    return int(re.search(r"RssAnon:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024

logits = logits_of(model, examples) if built != "kept" else "kept"
class Ids:
    eos_token_id = pad_token_id = unk_token_id = None
    encode = lambda self, text, **_: []
    decode = lambda self, ids, **_: ""
    batch_decode = lambda self, rows: ["" for _ in rows]

verify = kind == "answers"
scorer = BatchScorer(Ids(), Limits(150_000, logits=logits), share=share, verify=verify)
few = scorer.plan(asked(kind, 20))
scorer.answer(model, few)  # what is set up once
plan = scorer.plan(asked(kind, 4097 if kind == "text" else 2500))
before, most, done = anonymous(), [0], threading.Event()

def watch():
    while not done.is_set():
        most[0] = max(most[0], anonymous())
        time.sleep(0.002)

thread = threading.Thread(target=watch)
thread.start()
known = [[tuple(draw.integers(3, 1000, 60).tolist())] * 8 for _ in range(plan.count)] if verify else None
scorer.answer(model, plan, known)
done.set()
thread.join()
predicted = scoring_bytes(plan, ModelShape.of(config, 150_000), 2, eager=attention == "eager", verify=verify)
used = most[0] - before
print(json.dumps({"predicted": predicted, "used": used, "positions": plan.most_positions, "logits": logits}))
"""


@pytest.mark.parametrize(
    ("kind", "share", "attention", "built"),
    [
        pytest.param("text", "shared", "sdpa", "usual", marks=pytest.mark.slow),
        pytest.param("text", "plain", "sdpa", "usual", marks=pytest.mark.slow),
        pytest.param("text", "plain", "sdpa", "closed", marks=pytest.mark.slow),
        ("questions", "shared", "sdpa", "usual"),
        ("answers", "shared", "sdpa", "usual"),
        pytest.param("answers", "plain", "sdpa", "usual", marks=pytest.mark.slow),
        pytest.param("answers", "shared", "eager", "usual", marks=pytest.mark.slow),
        pytest.param("questions", "plain", "eager", "usual", marks=pytest.mark.slow),
        pytest.param("text", "plain", "sdpa", "kept", marks=pytest.mark.slow),
        pytest.param("text", "shared", "sdpa", "closed", marks=pytest.mark.slow),
        pytest.param("questions", "plain", "sdpa", "closed", marks=pytest.mark.slow),
        pytest.param("questions", "plain", "sdpa", "usual", marks=pytest.mark.slow),
        pytest.param("questions", "shared", "eager", "usual", marks=pytest.mark.slow),
        pytest.param("text", "shared", "eager", "usual", marks=pytest.mark.slow),
        pytest.param("text", "plain", "eager", "usual", marks=pytest.mark.slow),
    ],
)
def test_a_large_vocabulary_and_a_long_context_stay_within_the_prediction(
    bare: Apart, kind: str, share: str, attention: str, built: str
) -> None:
    """A vocabulary of 150 000 and 4096 tokens: in float32 all logits at one time would be 2.5 GB."""
    found = json.loads(bare.run(CHILD, kind, attention, share, built))
    assert found["logits"] == {"usual": "portions", "closed": "all", "kept": "kept"}[built]
    # What is read whole by a model that computes all logits cannot be cut; a portion of them is copied.
    whole = {"plain": 4096 if kind == "text" else 2580, "shared": 447}[share] if built == "closed" else 0
    assert found["positions"] <= 447 + whole
    assert found["used"] <= 1.1 * found["predicted"]
    assert found["predicted"] <= 4 * found["used"]
    assert found["predicted"] <= 3e9


def test_logits_are_counted_once() -> None:
    assert logit_bytes(10, 100) == 10 * 100 * 4
    assert logit_bytes(10, 100, itemsize=2) == 10 * 100 * 2


def test_sizes_are_read_from_any_configuration() -> None:
    nested: dict[str, Any] = {"text_config": {"hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 3}}
    assert ModelShape.of(nested, 50) == ModelShape(50, 64, 256, 3, 4, 64, 64)
    assert ModelShape.of({"n_embd": 32, "n_head": 2, "n_layer": 1}, 50) == ModelShape(50, 32, 128, 1, 2, 32, 32)
    assert ModelShape.of(None, 50).pass_bytes(10, 0, 10, 4, False) == logit_bytes(10, 50)
