"""Arranges token requests into forward passes, once for all candidates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from evomerge.fitness.requests import Continuation, Prompt, Request

TOKEN_BUDGET = 4096
LOGIT_BUDGET = 256 * 2**20


@dataclass(frozen=True)
class Limits:
    """What bounds one forward pass.

    Args:
        vocabulary: Number of logits per position.
        tokens: Most tokens in one pass, padding included; a longer sequence has a pass of its own.
        rows: Most sequences in one pass; 0 leaves it to the tokens.
        logit_bytes: Memory that float32 logits may take; what one sequence needs is always granted.
    """

    vocabulary: int
    tokens: int = TOKEN_BUDGET
    rows: int = 0
    logit_bytes: int = LOGIT_BUDGET

    @property
    def positions(self) -> int:
        """Most positions whose logits are computed in one pass."""
        return max(1, self.logit_bytes // (4 * self.vocabulary))


def logit_bytes(positions: int, vocabulary: int, itemsize: int = 4) -> int:
    """Peak memory of the logits of one forward pass.

    Args:
        positions: Scored positions in the pass.
        vocabulary: Size of the vocabulary.
        itemsize: Bytes of a number of the model's dtype.

    Returns:
        Bytes: the logits as the model gives them, their float32 copy unless they are float32 already, and the
        exponentials of the log-softmax.
    """
    copies = 8 + (itemsize if itemsize != 4 else 0)
    return positions * vocabulary * copies


@dataclass(frozen=True, eq=False)
class LikelihoodBatch:
    """One forward pass for log-likelihoods.

    Args:
        tokens: ``(rows, length)``, padded on the right; a causal model does not look there.
        keep: ``(rows, length)``, true where logits are needed.
        position: ``(scored,)``, index into the kept positions, row by row.
        target: ``(scored,)``, the token whose log-probability is asked.
        request: ``(scored,)``, the request that each scored token belongs to.
    """

    tokens: torch.Tensor
    keep: torch.Tensor
    position: torch.Tensor
    target: torch.Tensor
    request: np.ndarray

    @property
    def positions(self) -> int:
        """Number of positions whose logits are computed."""
        return int(self.keep.sum())


@dataclass(frozen=True, eq=False)
class PromptBatch:
    """One batched generation: its prompts and, for each, the place of the request."""

    prompts: tuple[Prompt, ...]
    requests: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Layout:
    """Forward passes that answer a sequence of requests."""

    count: int
    likelihoods: tuple[LikelihoodBatch, ...]
    prompts: tuple[PromptBatch, ...]

    @property
    def forward_tokens(self) -> int:
        """Tokens that go through the model for log-likelihoods, padding included."""
        return sum(batch.tokens.numel() for batch in self.likelihoods)

    @property
    def most_positions(self) -> int:
        """Largest number of positions whose logits exist at one time."""
        scored = max((batch.positions for batch in self.likelihoods), default=0)
        return max(scored, max((len(batch.prompts) for batch in self.prompts), default=0))


@dataclass
class _Row:
    """Requests that read the same tokens: all but the last token of a request are read, the last only scored."""

    tokens: np.ndarray
    members: list[tuple[int, Continuation]]

    @property
    def needed(self) -> int:
        return max(request.scored for _, request in self.members)


def lay_out(requests: Sequence[Request], limits: Limits) -> Layout:
    """Sorts requests by length and cuts them into passes.

    Equal inputs are read once: options of one token share their context, and so do repeated questions.

    Args:
        requests: What is asked.
        limits: What bounds a pass.

    Returns:
        The layout; it depends on nothing but the arguments.
    """
    rows: dict[bytes, _Row] = {}
    prompts = []
    for index, request in enumerate(requests):
        if isinstance(request, Prompt):
            prompts.append((index, request))
        else:
            read = request.tokens[:-1]
            rows.setdefault(read.tobytes(), _Row(read, [])).members.append((index, request))
    ordered = [rows[key] for key in sorted(rows, key=lambda key: (-len(key), key))]
    likelihoods = tuple(_likelihood_batch(part) for part in _cut(ordered, limits))
    return Layout(len(requests), likelihoods, tuple(_prompt_batches(prompts, limits)))


def _cut(rows: Sequence[_Row], limits: Limits) -> Iterator[list[_Row]]:
    part: list[_Row] = []
    positions = 0
    for row in rows:
        length = len(part[0].tokens) if part else len(row.tokens)
        full = (len(part) + 1) * length > limits.tokens or positions + row.needed > limits.positions
        if part and (full or len(part) == limits.rows):
            yield part
            part, positions = [], 0
        part.append(row)
        positions += row.needed
    if part:
        yield part


def _likelihood_batch(rows: Sequence[_Row]) -> LikelihoodBatch:
    length = len(rows[0].tokens)
    tokens = np.zeros((len(rows), length), dtype=np.int64)
    keep = np.zeros((len(rows), length), dtype=bool)
    position, target, owner = [], [], []
    before = 0
    for place, row in enumerate(rows):
        end = len(row.tokens)
        tokens[place, :end] = row.tokens
        keep[place, end - row.needed : end] = True
        for index, request in row.members:
            position.append(before + np.arange(row.needed - request.scored, row.needed))
            target.append(request.tokens[-request.scored :].astype(np.int64))
            owner.append(np.full(request.scored, index))
        before += row.needed
    return LikelihoodBatch(
        torch.from_numpy(tokens),
        torch.from_numpy(keep),
        torch.from_numpy(np.concatenate(position)),
        torch.from_numpy(np.concatenate(target)),
        np.concatenate(owner),
    )


def _prompt_batches(prompts: Sequence[tuple[int, Prompt]], limits: Limits) -> Iterator[PromptBatch]:
    kinds: dict[str, list[tuple[int, Prompt]]] = {}
    for index, prompt in prompts:
        kind = repr((prompt.stop, prompt.max_new, sorted(prompt.options.items())))
        kinds.setdefault(kind, []).append((index, prompt))
    for kind in sorted(kinds):
        ordered = sorted(kinds[kind], key=lambda pair: (-len(pair[1].tokens), pair[1].tokens.tobytes(), pair[0]))
        part: list[tuple[int, Prompt]] = []
        for pair in ordered:
            longest = len(part[0][1].tokens) if part else len(pair[1].tokens)
            size = (len(part) + 1) * (longest + pair[1].max_new)
            full = size > limits.tokens or len(part) + 1 > limits.positions or len(part) == (limits.rows or -1)
            if part and full:
                yield _prompt_batch(part)
                part = []
            part.append(pair)
        if part:
            yield _prompt_batch(part)


def _prompt_batch(part: Sequence[tuple[int, Prompt]]) -> PromptBatch:
    return PromptBatch(tuple(prompt for _, prompt in part), tuple(index for index, _ in part))
