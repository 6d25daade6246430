"""Requests to a scorer and its answers: tokens in, log-likelihoods and texts out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Tokens = np.ndarray  # int32, (length,)


@dataclass(frozen=True, eq=False)
class Continuation:
    """Request for the log-likelihood of the last tokens of a sequence.

    Args:
        tokens: The whole sequence, context and continuation, ``(length,)``.
        scored: Length of the continuation at its end; at least one token comes before it.
    """

    tokens: Tokens
    scored: int


@dataclass(frozen=True, eq=False)
class Prompt:
    """Request for a greedy generation.

    Args:
        tokens: The prompt, ``(length,)``.
        stop: Stop texts; they are not part of the answer.
        max_new: Most tokens to generate.
        options: Further arguments of ``transformers`` generation, such as ``repetition_penalty``.
    """

    tokens: Tokens
    stop: tuple[str, ...]
    max_new: int
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Likelihood:
    """Answer to a ``Continuation``.

    Args:
        logprob: Sum of the log-probabilities of its tokens, in nats.
        greedy: Whether each token was the most probable one.
    """

    logprob: float
    greedy: bool


@dataclass(frozen=True)
class Generated:
    """Answer to a ``Prompt``.

    Args:
        text: What was generated after the end of thinking, up to the first stop text.
        truncated: Whether the limit of tokens ended it.
        finite: Whether all logits on the way were finite.
        ids: Tokens that were generated, thinking and the end token or those of the stop text included.
    """

    text: str
    truncated: bool
    finite: bool = True
    ids: tuple[int, ...] = ()


Request = Continuation | Prompt
Answer = Likelihood | Generated


class NonFiniteScore(ArithmeticError):
    """A candidate whose log-likelihoods are not finite.

    Args:
        task: Task of the first item affected.
        item: Id of that item.
    """

    def __init__(self, task: str, item: str) -> None:
        super().__init__(f"non-finite log-likelihood in task {task!r}, item {item}")
        self.task = task
        self.item = item


def join(item: str, task: str, parts: Sequence[Answer]) -> Answer:
    """The answer to one request of an item; windows of a rolling likelihood add up.

    Raises:
        NonFiniteScore: If an answer is not a finite number.
    """
    first = parts[0]
    if isinstance(first, Generated):
        if not first.finite:
            raise NonFiniteScore(task, item)
        return first
    windows = [part for part in parts if isinstance(part, Likelihood)]
    total = math.fsum(part.logprob for part in windows) if _all_finite(windows) else math.nan
    if not math.isfinite(total):
        raise NonFiniteScore(task, item)
    return Likelihood(total, all(part.greedy for part in windows))


def _all_finite(parts: Sequence[Likelihood]) -> bool:
    return all(math.isfinite(part.logprob) for part in parts)
