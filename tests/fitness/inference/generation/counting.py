"""Counts of what goes through a model, and prompts whose plain answers tests know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from evomerge.fitness.inference.batches import Limits, PromptBatch
from evomerge.fitness.inference.generation.drafted import DraftedGeneration
from evomerge.fitness.inference.generation.plain import Generator, PrefixCache
from evomerge.fitness.inference.requests import Generated, Prompt
from tests.fitness.inference.building import VOCABULARY

Known = Sequence[Sequence[tuple[int, ...]]]


class Digits:
    """A tokenizer whose texts are token ids; it has no end token."""

    eos_token_id = None
    pad_token_id = unk_token_id = 0

    def encode(self, text: str, add_special_tokens: bool = False) -> list[int]:
        return [int(word) if word.isdigit() else 1 for word in text.split()]

    def decode(self, tokens: Sequence[int], skip_special_tokens: bool = False) -> str:
        return " " + " ".join(map(str, tokens)) + " "

    def batch_decode(self, rows: Sequence[Sequence[int]]) -> list[str]:
        return [self.decode(row) for row in rows]


@dataclass
class Count:
    """Forward passes of a model, and tokens in them."""

    passes: int = 0
    tokens: int = 0


@contextmanager
def counted(model: Any) -> Iterator[Count]:
    count = Count()

    def add(_model: Any, _given: Any, named: dict[str, Any]) -> None:
        count.passes += 1
        count.tokens += named["input_ids"].numel()

    handle = model.register_forward_pre_hook(add, with_kwargs=True)
    try:
        yield count
    finally:
        handle.remove()


def questions(count: int, *, shots: int = 9, limit: int = 24, stop: tuple[str, ...] = ("zz",)) -> list[Prompt]:
    """Prompts of several lengths that begin alike."""
    draw = np.random.default_rng(3)
    examples = draw.integers(3, VOCABULARY, shots)
    lengths = draw.integers(3, 10, count)
    return [
        Prompt(np.concatenate([examples, draw.integers(3, VOCABULARY, length)]).astype(np.int32), stop, limit)
        for length in lengths
    ]


@torch.inference_mode()
def plainly(model: Any, prompts: Sequence[Prompt]) -> list[Generated]:
    """Each prompt alone, by transformers' own loop."""
    generator, prefixes = Generator(Digits()), PrefixCache(model)
    return [generator.generate(model, PromptBatch((prompt,), (0,)), prefixes)[0] for prompt in prompts]


@torch.inference_mode()
def drafted(
    model: Any, prompts: Sequence[Prompt], known: Known | None = None, *, shared: int = 0, answered: int = 10**6
) -> list[Generated | None]:
    """With drafts."""
    ends = Generator(Digits()).ends(prompts[0].stop)
    return DraftedGeneration(model, ends, Limits(VOCABULARY, answered=answered), shared).answer(
        prompts, known or [()] * len(prompts)
    )
