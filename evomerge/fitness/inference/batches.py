"""Batches: the forward passes and batched generations of a plan, and the limits that bound them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch

from evomerge.fitness.inference.requests import Prompt

TOKEN_BUDGET = 2048
CACHED_TOKENS = 8192
# With drafts a candidate spends few passes on answers, and the more prompts share each of them the fewer they are.
ANSWERED_TOKENS = 4 * CACHED_TOKENS
LOGIT_BUDGET = 256 * 2**20

# How a model computes logits: "kept" at the scored positions of a pass, all at one time; "portions" in chunks of
# bounded memory from one run of the backbone; "all" at every position, because the model offers no choice.
Logits = Literal["kept", "portions", "all"]

# Context length at which attention costs a token as much as everything else, for a hidden size of a few hundred.
ATTENTION_TOKENS = 1536
# Fixed cost of a pass, in tokens: shared prefixes and padding are weighed against it.
PASS_TOKENS = 64


@dataclass(frozen=True)
class Limits:
    """Bounds on one forward pass, and the cost model that passes are planned by.

    Args:
        vocabulary: Number of logits per position.
        tokens: Token budget of a pass, padding included, as far as logits leave room.
        rows: Most rows in a pass; 0 leaves it to the token budget.
        logit_bytes: Most bytes of float32 logits at one time.
        row: Capacity, in tokens, of a row that short sequences are packed into; 0 derives it from ``attention``.
        attention: Context length at which attention costs a token as much as everything else.
        cached: Most tokens in the KV cache of a pass or a batched generation: a shared prefix counts once per row, and
            so do the tokens to be generated.
        answered: The same for prompts that are answered with drafts.
        overhead: Fixed cost of a pass, in tokens.
        logits: How the model computes logits, see :mod:`evomerge.fitness.inference.logits`.
    """

    vocabulary: int
    tokens: int = TOKEN_BUDGET
    rows: int = 0
    logit_bytes: int = LOGIT_BUDGET
    row: int = 0
    attention: int = ATTENTION_TOKENS
    cached: int = CACHED_TOKENS
    answered: int = ANSWERED_TOKENS
    overhead: int = PASS_TOKENS
    logits: Logits = "kept"

    @property
    def positions(self) -> int:
        """Most positions that have logits at one time."""
        return max(1, self.logit_bytes // (4 * self.vocabulary))

    @property
    def pass_tokens(self) -> int:
        """Token budget of a pass, padding included; a longer sequence has a pass of its own."""
        return min(self.tokens, self.positions) if self.logits == "all" else self.tokens

    @property
    def row_tokens(self) -> int:
        """Capacity of a row that short sequences are packed into; attention is still cheap there."""
        return self.row or min(max(self.attention // 16, 64), 256, self.pass_tokens)

    def cost(self, seen: int) -> float:
        """Cost of a token with ``seen`` tokens of context, relative to one without context."""
        return 1 + seen / self.attention


@dataclass(frozen=True, eq=False)
class LikelihoodPass:
    """One forward pass for log-likelihoods.

    A row holds one sequence, or packed prefix trees in depth-first order, in which a token attends to its ancestors.

    Args:
        tokens: ``(rows, length)``, padded on the right.
        keep: ``(rows, length)``, true where logits are needed.
        position: ``(scored,)``, index into the kept positions, counted row by row.
        target: ``(scored,)``, the token whose log-probability is asked.
        request: ``(scored,)``, index of the request that each scored token belongs to.
        position_ids: ``(rows, length)``, position of each token in its own sequence; None where rows are sequences.
        ends: ``(rows, length)``, index behind the last token of each token's subtree; None where rows are sequences.
        past: Index of the earlier pass whose single row is the prefix of all rows of this one.
        shared: Whether this pass's single row is a prefix of later passes.
    """

    tokens: torch.Tensor
    keep: torch.Tensor
    position: torch.Tensor
    target: torch.Tensor
    request: np.ndarray
    position_ids: torch.Tensor | None = None
    ends: torch.Tensor | None = None
    past: int | None = None
    shared: bool = False

    @property
    def positions(self) -> int:
        """Number of positions whose logits are needed."""
        return int(self.keep.sum())

    def to(self, device: torch.device) -> LikelihoodPass:
        """A copy with its tensors on a device."""
        moved: dict[str, Any] = {
            name: value.to(device) for name, value in vars(self).items() if isinstance(value, torch.Tensor)
        }
        return replace(self, **moved)


@dataclass(frozen=True, eq=False)
class PromptBatch:
    """One batched generation.

    Args:
        prompts: Prompts with the same stop texts, limit and options, the longest first.
        requests: Index of the request of each.
        shared: Length of the common prefix that is run once; 0 for none.
    """

    prompts: tuple[Prompt, ...]
    requests: tuple[int, ...]
    shared: int = 0


@dataclass(frozen=True, eq=False)
class BatchPlan:
    """Forward passes that answer a sequence of requests.

    Args:
        count: Number of requests.
        likelihoods: Passes for log-likelihoods, each after the pass that it continues.
        prompts: Batched generations.
        limits: The limits that it was planned for.
        least_tokens: Lower bound of ``forward_tokens``: every shared prefix once, no padding.
    """

    count: int
    likelihoods: tuple[LikelihoodPass, ...]
    prompts: tuple[PromptBatch, ...]
    limits: Limits
    least_tokens: int = 0

    @property
    def forward_tokens(self) -> int:
        """Tokens run through the model for log-likelihoods, padding included."""
        return sum(batch.tokens.numel() for batch in self.likelihoods)

    @property
    def most_positions(self) -> int:
        """Largest number of positions that have logits at one time."""
        scored = max((self.logits(batch) for batch in self.likelihoods), default=0)
        return max(scored, max((self.prompt_logits(batch) for batch in self.prompts), default=0))

    def logits(self, batch: LikelihoodPass) -> int:
        """Number of positions of a pass that have logits at one time."""
        if self.limits.logits == "kept":
            return batch.positions
        portion = min(batch.positions, self.limits.positions)
        # Logits of all positions are there, and a copy of the portion that is being scored.
        return portion + (batch.tokens.numel() if self.limits.logits == "all" else 0)

    def prompt_logits(self, batch: PromptBatch) -> int:
        """Number of positions of a generation's first step that have logits at one time."""
        longest = max(len(prompt.tokens) for prompt in batch.prompts)
        return len(batch.prompts) * (longest if self.limits.logits == "all" else 1)

    def past_tokens(self, index: int) -> int:
        """Length of the prefix that the rows of a pass continue."""
        before, count = self.likelihoods[index].past, 0
        while before is not None:
            count += self.likelihoods[before].tokens.shape[1]
            before = self.likelihoods[before].past
        return count

    def needed_after(self, past: int, index: int) -> bool:
        """Whether a pass after ``index`` continues the pass ``past``."""
        return any(batch.past == past for batch in self.likelihoods[index + 1 :])
