"""Forward passes: what goes through a model at one time, and what bounds it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch

from evomerge.fitness.inference.requests import Prompt

TOKEN_BUDGET = 2048
CACHED_TOKENS = 8192
LOGIT_BUDGET = 256 * 2**20

# How a model's logits are computed: at the scored positions only, all of a pass at one time; or so many at a time as
# fit, from one run of its body; or at every position, which nothing can prevent.
Logits = Literal["kept", "portions", "all"]

# Tokens that a token sees when attention costs it as much as all else, for a model a few hundred numbers wide.
ATTENTION_TOKENS = 1536
# What a pass costs beside its tokens, counted in tokens: shared beginnings and padding are weighed against it.
PASS_TOKENS = 64


@dataclass(frozen=True)
class Limits:
    """What bounds one forward pass.

    Args:
        vocabulary: Number of logits per position.
        tokens: Most tokens in one pass, if their logits leave room for them.
        rows: Most rows in one pass; 0 leaves it to the tokens.
        logit_bytes: Memory that float32 logits may take.
        row: Tokens up to which short sequences are packed into one row; 0 follows ``attention``.
        attention: Tokens that a token sees when attention costs it as much as all else.
        cached: Most tokens whose keys and values a pass or a batched generation holds, those that every row continues
            counted for each row, and those to be generated.
        overhead: What a pass costs beside its tokens, in tokens.
        logits: How the model computes logits, see :mod:`evomerge.fitness.inference.logits`.
    """

    vocabulary: int
    tokens: int = TOKEN_BUDGET
    rows: int = 0
    logit_bytes: int = LOGIT_BUDGET
    row: int = 0
    attention: int = ATTENTION_TOKENS
    cached: int = CACHED_TOKENS
    overhead: int = PASS_TOKENS
    logits: Logits = "kept"

    @property
    def positions(self) -> int:
        """Most positions whose logits are there at one time."""
        return max(1, self.logit_bytes // (4 * self.vocabulary))

    @property
    def pass_tokens(self) -> int:
        """Most tokens in one pass, padding included; a longer sequence has a pass of its own."""
        return min(self.tokens, self.positions) if self.logits == "all" else self.tokens

    @property
    def row_tokens(self) -> int:
        """Tokens up to which short sequences are packed into one row: attention is still a small part there."""
        return self.row or min(max(self.attention // 16, 64), 256, self.pass_tokens)

    def cost(self, seen: int) -> float:
        """What a token costs that sees so many, counted in tokens that see none."""
        return 1 + seen / self.attention


@dataclass(frozen=True, eq=False)
class LikelihoodPass:
    """One forward pass for log-likelihoods.

    The tokens of a row are one sequence, or the nodes of trees in depth-first order: each token sees those before it
    whose subtree it is in.

    Args:
        tokens: ``(rows, length)``, padded on the right.
        keep: ``(rows, length)``, true where logits are needed.
        position: ``(scored,)``, index into the kept positions, row by row.
        target: ``(scored,)``, the token whose log-probability is asked.
        request: ``(scored,)``, the request that each scored token belongs to.
        places: ``(rows, length)``, how many tokens come before each in its sequence; None where rows are sequences.
        ends: ``(rows, length)``, the index behind the last token of each token's subtree; None where rows are
            sequences.
        past: The earlier pass whose single row comes before all rows of this one.
        shared: Whether later passes come after this one's single row.
    """

    tokens: torch.Tensor
    keep: torch.Tensor
    position: torch.Tensor
    target: torch.Tensor
    request: np.ndarray
    places: torch.Tensor | None = None
    ends: torch.Tensor | None = None
    past: int | None = None
    shared: bool = False

    @property
    def positions(self) -> int:
        """Number of positions whose logits are needed."""
        return int(self.keep.sum())

    def to(self, device: torch.device) -> LikelihoodPass:
        """The same pass with its tensors on a device."""
        moved: dict[str, Any] = {
            name: value.to(device) for name, value in vars(self).items() if isinstance(value, torch.Tensor)
        }
        return replace(self, **moved)


@dataclass(frozen=True, eq=False)
class PromptBatch:
    """One batched generation.

    Args:
        prompts: Of one kind, the longest first.
        requests: For each, the place of the request.
        shared: How many tokens all of them begin with that are to be read once.
    """

    prompts: tuple[Prompt, ...]
    requests: tuple[int, ...]
    shared: int = 0


@dataclass(frozen=True, eq=False)
class Layout:
    """Forward passes that answer a sequence of requests.

    Args:
        count: Number of requests.
        likelihoods: Passes for log-likelihoods, each after the one it continues.
        prompts: Batched generations.
        limits: What bounds a pass.
        least_tokens: The least tokens that log-likelihoods can be computed from: every shared beginning once.
    """

    count: int
    likelihoods: tuple[LikelihoodPass, ...]
    prompts: tuple[PromptBatch, ...]
    limits: Limits
    least_tokens: int = 0

    @property
    def forward_tokens(self) -> int:
        """Tokens that go through the model for log-likelihoods, padding included."""
        return sum(batch.tokens.numel() for batch in self.likelihoods)

    @property
    def most_positions(self) -> int:
        """Largest number of positions whose logits exist at one time."""
        scored = max((self.logits(batch) for batch in self.likelihoods), default=0)
        return max(scored, max((self.prompt_logits(batch) for batch in self.prompts), default=0))

    def logits(self, batch: LikelihoodPass) -> int:
        """How many positions of a pass have logits at one time."""
        if self.limits.logits == "kept":
            return batch.positions
        portion = min(batch.positions, self.limits.positions)
        # Of all, a portion at a time is copied to be scored.
        return portion + (batch.tokens.numel() if self.limits.logits == "all" else 0)

    def prompt_logits(self, batch: PromptBatch) -> int:
        """The same of a generation."""
        longest = max(len(prompt.tokens) for prompt in batch.prompts)
        return len(batch.prompts) * (longest if self.limits.logits == "all" else 1)

    def past_tokens(self, index: int) -> int:
        """How many tokens come before the rows of a pass."""
        before, count = self.likelihoods[index].past, 0
        while before is not None:
            count += self.likelihoods[before].tokens.shape[1]
            before = self.likelihoods[before].past
        return count

    def needed_after(self, past: int, index: int) -> bool:
        """Whether a pass after the given one continues an earlier one."""
        return any(batch.past == past for batch in self.likelihoods[index + 1 :])
