"""Greedy generation of many prompts at one time, in which drafts are verified.

This is speculative decoding without a second model. A pass reads, for every prompt that is being answered, the tokens
that are certain and a tree of drafted ones behind them; the model's own choices are followed as far as the tree goes
(Leviathan et al. 2023, arXiv 2211.17192; trees as in SpecInfer, Miao et al. 2024, arXiv 2305.09781). Drafts are answers
that are known of the item, and what followed the same last tokens elsewhere; each token is the model's own, whatever
was drafted. Rows that have ended leave, and other prompts take their slots.

A drafted token is worth reading if it is taken often enough to save its share of a pass. In float32 a choice that
rounding might change ends the row, which is then generated plainly, alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import takewhile

import torch

from evomerge.fitness.inference.batches import Limits
from evomerge.fitness.inference.encoding import embedding_rows
from evomerge.fitness.inference.generation.ends import Ends, end_tokens
from evomerge.fitness.inference.generation.packed import PackedAttention
from evomerge.fitness.inference.generation.row import Choices, Row
from evomerge.fitness.inference.generation.segments import Segment
from evomerge.fitness.inference.generation.settings import settings_of
from evomerge.fitness.inference.generation.trust import Trust
from evomerge.fitness.inference.logits import logits_at
from evomerge.fitness.inference.requests import Generated, Prompt

Tokens = tuple[int, ...]

# Fixed cost of a pass in tokens: reading the weights on a CPU, launches on a GPU.
_PASS_TOKENS = {"cpu": 32}
_PASS_TOKENS_ELSEWHERE = 256
_MOST_DRAFTED = 512  # of a row in one pass
# A gap between the two largest logits below this share of the largest is one that rounding might close, in float32;
# different arrangements of one model were seen to differ by a tenth of it.
_CLOSE = 1e-5


class DraftedGeneration:
    """Prompts with the same stop texts, limit and options that are being answered by one model.

    Args:
        model: A causal language model, see :mod:`evomerge.fitness.inference.generation.eligibility`.
        ends: Where answers end.
        limits: Bounds of a pass and of the caches.
        shared: Number of first tokens that all prompts share; they are read once.
    """

    def __init__(self, model: torch.nn.Module, ends: Ends, limits: Limits, shared: int = 0) -> None:
        self._model, self._ends, self._limits, self._shared = model, ends, limits, shared
        device = next(model.parameters()).device
        self._pass_tokens = _PASS_TOKENS.get(device.type, _PASS_TOKENS_ELSEWHERE)
        self._exact = next(model.parameters()).dtype == torch.float32
        self._trust = Trust()

    def answer(self, prompts: Sequence[Prompt], known: Sequence[Sequence[Tokens]]) -> list[Generated | None]:
        """Answers prompts.

        Args:
            prompts: At least one.
            known: Answers that are known of each one's item, the newest last.

        Returns:
            One answer per prompt, None where rounding might have changed it.
        """
        first = prompts[0]
        longest = max(len(prompt.tokens) for prompt in prompts)
        slots, capacity = room(self._limits, longest, first.max_new, len(prompts))
        cache = PackedAttention(slots + (self._shared > 0), capacity)
        final = end_tokens(settings_of(self._model, first))
        tokens_known = embedding_rows(self._model.config)
        if self._shared:
            self._read(cache, [Segment.chain(slots, 0, first.tokens[: self._shared])], [self._shared - 1])
        copied = self._shared if self._shared and not cache.lend(slots, self._shared) else 0
        waiting = deque(enumerate(prompts))
        answers: list[Generated | None] = [None] * len(prompts)
        rows: list[Row] = []
        free = list(range(slots))[::-1]
        while waiting or rows:
            tokens = sum(len(row.pending) for row in rows)
            while waiting and free:
                index, prompt = waiting[0]
                own = prompt.tokens[self._shared :].tolist()
                if rows and tokens + len(own) > self._limits.pass_tokens:
                    break
                waiting.popleft()
                tokens += len(own)
                drafts = _embedded(known[index], tokens_known)
                row = Row(index, prompt, free.pop(), self._shared, own, self._ends, final, drafts)
                if copied:
                    cache.copy(slots, row.slot, copied)
                rows.append(row)
            self._step(cache, rows, tokens)
            for row in [row for row in rows if row.ended]:
                rows.remove(row)
                free.append(row.slot)
                answers[row.index] = None if row.close and row.finite else row.generated()
        return answers

    def _step(self, cache: PackedAttention, rows: Sequence[Row], certain: int) -> None:
        """One pass over all rows."""
        least = len(rows) / (len(rows) + self._pass_tokens)
        left = max(0, self._limits.pass_tokens - certain)
        if self._limits.logits == "kept":  # all at one time, one for each row and for each drafted token
            left = min(left, max(0, self._limits.positions - len(rows)))
        segments, keep, start = [], [], 0
        for row in rows:
            count = len(row.pending)
            segment = row.segment(self._trust, least, min(left, most_drafted(row.prompt.max_new)))
            left -= len(segment.tokens) - count
            segments.append(segment)
            keep.append(range(start + count - 1, start + len(segment.tokens)))
            start += len(segment.tokens)
        choices = self._read(cache, segments, [place for part in keep for place in part])
        start = 0
        for row, segment, part in zip(rows, segments, keep, strict=True):
            own = slice(start, start + len(part))
            taken = row.take(Choices(choices.tokens[own], choices.close[own], choices.finite[own]), self._trust)
            cache.keep(row.slot, segment.before, taken)
            if not all(choices.finite[own]):
                cache.blank(row.slot, segment.before)  # nothing of the pass is kept, or the row has ended
            start += len(part)

    def _read(self, cache: PackedAttention, segments: Sequence[Segment], keep: Sequence[int]) -> Choices:
        """Reads segments in one pass.

        Args:
            cache: Of all rows.
            segments: What is read.
            keep: Places of the pass behind which tokens are chosen, ascending.
        """
        parts: list[tuple[torch.Tensor, ...]] = []
        with cache.reading(self._model, segments) as arguments:
            mask = torch.zeros(arguments["input_ids"].shape, dtype=torch.bool)
            mask[0, list(keep)] = True
            mask = mask.to(arguments["input_ids"].device)
            for logits in logits_at(self._model, mask, len(keep), self._limits, arguments):
                parts += _chosen(logits, exact=self._exact)
                del logits  # before the next ones are made
        tokens, close, finite = (torch.cat(part).tolist() for part in zip(*parts, strict=True))
        return Choices(tokens, close, finite)


def _embedded(answers: Sequence[Tokens], rows: int | None) -> Sequence[Tokens]:
    """Answers as far as a model has embeddings of their tokens; candidates may have different numbers of them."""
    if rows is None or all(min(answer) >= 0 and max(answer) < rows for answer in answers if answer):
        return answers
    return [tuple(takewhile(lambda token: 0 <= token < rows, answer)) for answer in answers]


def most_drafted(limit: int) -> int:
    """Most drafted tokens of a row in one pass, whose answer has at most so many tokens."""
    return min(_MOST_DRAFTED, limit - 1)


def room(limits: Limits, longest: int, limit: int, prompts: int) -> tuple[int, int]:
    """The number of prompts that are answered at one time, and the tokens that each has a cache for.

    Args:
        limits: They bound the number by rows and by tokens in the caches.
        longest: Tokens of the longest prompt.
        limit: Most tokens of an answer.
        prompts: How many there are.
    """
    fit = limits.answered // (longest + limit)
    slots = max(1, min([prompts, fit, *([limits.rows] if limits.rows else [])]))
    return slots, longest + limit


def _chosen(logits: torch.Tensor, *, exact: bool) -> Iterator[tuple[torch.Tensor, ...]]:
    """The most probable tokens of ``(positions, vocabulary)`` logits, whether others come close, and whether finite.

    Args:
        logits: Overwritten.
        exact: Whether it is looked for others that come close.
    """
    # A few rows at a time stay in a CPU's cache; a GPU would only wait for more launches.
    for block in logits.split(len(logits) if logits.is_cuda else 16):
        largest, tokens = block.max(dim=-1)
        finite = torch.isfinite(largest)
        close = torch.zeros_like(finite)
        if exact:
            second = block.scatter_(1, tokens[:, None], -torch.inf).amax(dim=-1)
            close = largest - second <= _CLOSE * largest.abs().clamp(min=1.0)
        yield tokens, close, finite
