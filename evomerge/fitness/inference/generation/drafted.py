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
_PASS_TOKENS = {"cpu": 20}
_PASS_TOKENS_ELSEWHERE = 256
_MOST_DRAFTED = 512  # of a row in one pass
# Fewer shared tokens are copied to every row: attending to them apart saves nothing, and rounds once more.
_LEAST_LENT = 128
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
        queue = _Queue(prompts, slots)

        def enter(shared: int) -> Row:
            index, prompt, slot = queue.next()
            own, drafts = prompt.tokens[shared:].tolist(), _embedded(known[index], tokens_known)
            queue.rows.append(Row(index, prompt, slot, shared, own, self._ends, final, drafts))
            return queue.rows[-1]

        copied = 0
        if 0 < self._shared < _LEAST_LENT:
            copied = self._shared
            self._begin(cache, enter(0), slots)
            queue.leave()
        elif self._shared and not self._lend(cache, first, slots):
            copied = self._shared
        while queue.waiting or queue.rows:
            tokens = sum(len(row.pending) for row in queue.rows)
            while queue.waiting and queue.free:
                own = len(queue.waiting[0][1].tokens) - self._shared
                if queue.rows and tokens + own > self._limits.pass_tokens:
                    break
                row = enter(self._shared)
                tokens += own
                if copied:
                    cache.copy(slots, row.slot, copied)
            self._step(cache, queue.rows, tokens)
            queue.leave()
        return queue.answers

    def _begin(self, cache: PackedAttention, row: Row, slot: int) -> None:
        """Reads the tokens that all prompts share with the first of them, as kernels round by the number of keys.

        Args:
            cache: Of all rows.
            row: The first prompt, of which nothing is read.
            slot: Where the shared tokens are to lie.
        """
        while not row.length and not row.ended:  # a draft that overflows is left out the second time
            self._step(cache, [row], len(row.pending))
        if row.finite:
            cache.copy(row.slot, slot, self._shared)
        else:
            self._read(cache, [Segment.chain(slot, 0, row.prompt.tokens[: self._shared])], [self._shared - 1])

    def _lend(self, cache: PackedAttention, first: Prompt, slot: int) -> bool:
        """Reads the tokens that all prompts share alone, and says whether all rows attend to them where they lie."""
        self._read(cache, [Segment.chain(slot, 0, first.tokens[: self._shared])], [self._shared - 1])
        return cache.lend(slot, self._shared)

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


class _Queue:
    """Prompts that wait, rows that are open, the slots that nobody has, and the answers of rows that have ended.

    Args:
        prompts: All of them.
        slots: How many rows can be open.
    """

    def __init__(self, prompts: Sequence[Prompt], slots: int) -> None:
        self.waiting = deque(enumerate(prompts))
        self.free = list(range(slots))[::-1]
        self.rows: list[Row] = []
        self.answers: list[Generated | None] = [None] * len(prompts)

    def next(self) -> tuple[int, Prompt, int]:
        """The next prompt, with its place before it and a slot behind it."""
        return *self.waiting.popleft(), self.free.pop()

    def leave(self) -> None:
        """Takes the answers of rows that have ended; None where rounding might have changed one."""
        for row in [row for row in self.rows if row.ended]:
            self.rows.remove(row)
            self.free.append(row.slot)
            self.answers[row.index] = None if row.close and row.finite else row.generated()


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
