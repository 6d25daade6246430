"""Greedy generation by transformers' own loop, in batches, with stop texts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from transformers import (
    DynamicCache,
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
)

from evomerge.fitness.inference.batches import PromptBatch
from evomerge.fitness.inference.encoding import embedding_rows
from evomerge.fitness.inference.generation.ends import Ends, end_tokens
from evomerge.fitness.inference.generation.settings import NEUTRAL, reads_prompt, settings_of
from evomerge.fitness.inference.generation.thinking import ThinkEnd
from evomerge.fitness.inference.kv_cache import cache_arguments, expanded, generation_arguments, takes
from evomerge.fitness.inference.masks import windows
from evomerge.fitness.inference.requests import Generated


class PrefixCache:
    """KV cache of the prefix that a batch's prompts share; the last one is kept for the next batch.

    Args:
        model: A causal language model whose weights do not change while the cache lives.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        self._model = model
        self._read: tuple[bytes, DynamicCache] | None = None

    def of(self, batch: PromptBatch) -> DynamicCache:
        """The KV cache of a batch's shared prefix, expanded to its prompts."""
        tokens = batch.prompts[0].tokens[: batch.shared]
        if self._read is None or self._read[0] != tokens.tobytes():
            cache = DynamicCache()
            given = torch.from_numpy(tokens.astype(np.int64))[None].to(next(self._model.parameters()).device)
            last = {"logits_to_keep": 1} if takes(self._model, "logits_to_keep") else {}
            self._model(input_ids=given, **cache_arguments(self._model, cache), **last)
            self._read = (tokens.tobytes(), cache)
        return expanded(self._read[1], len(batch.prompts))


class Generator:
    """Continues prompts greedily.

    Args:
        tokenizer: Encodes stop texts and decodes answers.
        think_end: What comes before it is left out of answers; None leaves nothing out.
    """

    def __init__(self, tokenizer: Any, think_end: ThinkEnd | None = None) -> None:
        self._tokenizer = tokenizer
        self._think_end = think_end
        self._ends: dict[tuple[str, ...], Ends] = {}

    def generate(self, model: torch.nn.Module, batch: PromptBatch, prefixes: PrefixCache) -> list[Generated]:
        """Continues prompts that share stop texts, length limit and options.

        Args:
            model: A causal language model of ``transformers``.
            batch: At least one prompt.
            prefixes: KV cache of shared prefixes for the current weights.

        Returns:
            One answer per prompt, in their order.
        """
        first = batch.prompts[0]
        settings = settings_of(model, first)
        # For sliding-window layers transformers needs caches of its own.
        slides = not all(size is None for size in windows(model.config).values()) if batch.shared else False
        if batch.shared and (slides or reads_prompt(settings)):
            batch = replace(batch, shared=0)
        device = next(model.parameters()).device
        ends = self.ends(first.stop)
        pad = self._padding(model)
        tokens, mask = _padded(batch, pad)
        ended = _StopTexts(ends, tokens.shape[1], len(batch.prompts))
        finite = _Finite(len(batch.prompts), device)
        made = model.generate(  # type: ignore[operator]
            input_ids=tokens.to(device),
            attention_mask=mask.to(device),
            max_length=tokens.shape[1] + first.max_new,
            pad_token_id=pad,
            stopping_criteria=StoppingCriteriaList([ended]),
            logits_processor=LogitsProcessorList([finite]),
            **generation_arguments(prefixes.of(batch) if batch.shared else None),
            **NEUTRAL,
            **first.options,
        )
        made = made[:, tokens.shape[1] :].tolist()
        final = end_tokens(settings)
        healthy = finite.rows.tolist()
        answers = []
        for row, stopped_at, ok in zip(made, ended.lengths, healthy, strict=True):
            ended_at = next((place + 1 for place, token in enumerate(row) if token in final), None)
            count = min((length for length in (ended_at, stopped_at) if length is not None), default=None)
            answers.append(
                Generated(ends.text(row[:count]), truncated=count is None, finite=ok, ids=tuple(row[:count]))
            )
        return answers

    def ends(self, stop: tuple[str, ...]) -> Ends:
        """The ends of answers to prompts with some stop texts."""
        if stop not in self._ends:
            self._ends[stop] = Ends(self._tokenizer, stop, self._think_end)
        return self._ends[stop]

    def _padding(self, model: torch.nn.Module) -> int:
        """A token that the model has an embedding of; nothing attends to it."""
        rows = embedding_rows(model.config)
        known = (self._tokenizer.pad_token_id, self._tokenizer.unk_token_id, self._tokenizer.eos_token_id)
        return next((int(token) for token in known if token is not None and (rows is None or token < rows)), 0)


class _StopTexts(StoppingCriteria):
    """Stops rows whose text contains a stop text, and records after how many tokens."""

    def __init__(self, ends: Ends, start: int, rows: int) -> None:
        self._ends = ends
        self._start = start
        self.lengths: list[int | None] = [None] * rows

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:  # type: ignore[override]
        made = input_ids[:, self._start :]
        unfinished = [row for row, length in enumerate(self.lengths) if length is None]
        recent = made[unfinished, -self._ends.window :].tolist()
        for row, stopped in zip(unfinished, self._ends.stopped(recent), strict=True):
            if stopped:
                self.lengths[row] = made.shape[1]
        return torch.tensor([length is not None for length in self.lengths], device=input_ids.device)


class _Finite(LogitsProcessor):
    """Leaves scores as they are, and records which rows had finite logits at every step."""

    def __init__(self, rows: int, device: torch.device) -> None:
        self.rows = torch.ones(rows, dtype=torch.bool, device=device)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        # The largest logit of a row is NaN or infinite as soon as one of them is NaN or +inf; -inf may be a mask.
        self.rows &= torch.isfinite(scores.amax(dim=-1))
        return scores


def _padded(batch: PromptBatch, pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens and mask of a batch, padded between the shared prefix and the rest of each prompt."""
    prompts, shared = batch.prompts, batch.shared
    width = max(len(prompt.tokens) for prompt in prompts)
    tokens = torch.full((len(prompts), width), pad, dtype=torch.long)
    mask = torch.zeros((len(prompts), width), dtype=torch.long)
    for row, prompt in enumerate(prompts):
        start = width - (len(prompt.tokens) - shared)
        for place, part in ((slice(0, shared), prompt.tokens[:shared]), (slice(start, width), prompt.tokens[shared:])):
            tokens[row, place] = torch.from_numpy(part.astype(np.int64))
            mask[row, place] = 1
    return tokens, mask
