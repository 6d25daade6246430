"""Requests and random models that several tests of inference use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import transformers

from evomerge.fitness.inference.batches import BatchPlan, Limits
from evomerge.fitness.inference.kv_cache import cache_argument
from evomerge.fitness.inference.requests import Continuation, Likelihood, Prompt
from evomerge.fitness.inference.scoring import BatchScorer
from tests.building import MODEL_TYPES

VOCABULARY = 64
CACHE = str(cache_argument(transformers.LlamaForCausalLM.forward))  # what this version of transformers calls it
LIMITS = Limits(VOCABULARY)
READ_WHOLE = ("bloom", "mamba")
# Windows of six tokens, so that sliding attention is different from full attention.
NARROW = {kind: {"sliding_window": 6} for kind in ("mistral", "gemma2", "gemma3", "phi3")}


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


def prompts(seed: int, lengths: Sequence[int], shots: int) -> list[Prompt]:
    draw = np.random.default_rng(seed)
    examples = draw.integers(70, 200, shots)
    return [Prompt(np.concatenate([examples, draw.integers(70, 200, n)]).astype(np.int32), ("e",), 10) for n in lengths]


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


def answers(model: Any, plan: BatchPlan) -> list[Likelihood]:
    made = BatchScorer(NoTokenizer(), LIMITS).answer(model, plan)
    return [answer for answer in made if isinstance(answer, Likelihood)]


class NoTokenizer:
    """Nothing is generated here."""
