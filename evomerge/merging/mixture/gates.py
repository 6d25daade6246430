"""Routers of a mixture that is built of dense models: the rules of mergekit-moe.

A row is what a model makes of an expert's prompts, less what it makes of prompts which are not for it, of length one:
so tokens go to the experts whose prompts they are like. See docs/moe.md of https://github.com/arcee-ai/mergekit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

Ids = Sequence[int]
Rows = torch.Tensor
"""The routers of all layers, ``(layers, experts, hidden)``, or the one of every layer, ``(experts, hidden)``."""
States = Sequence[tuple[torch.Tensor, torch.Tensor | None]]
"""Of each expert the mean state of each layer at its prompts, ``(layers, hidden)``, and at those that are not for it,
where there are any."""
_LEAST = 1e-12


@dataclass(frozen=True)
class ExpertPrompts:
    """The prompts of one expert, as token ids.

    Attributes:
        positive: For it; at least one.
        negative: Not for it.
    """

    positive: tuple[Ids, ...]
    negative: tuple[Ids, ...] = ()


def rows_from_states(states: States) -> Rows:
    """Rows from hidden states, ``(layers, experts, hidden)``."""
    return _unit(torch.stack([own if other is None else own - other for own, other in states], 1))


def rows_from_embeddings(embeddings: torch.Tensor, prompts: Sequence[ExpertPrompts]) -> Rows:
    """Rows from the embeddings of the prompts' tokens, float32, ``(experts, hidden)``: the same for all layers.

    Args:
        embeddings: Of all tokens, ``(tokens, hidden)``.
        prompts: Of each expert.
    """

    def total(texts: Sequence[Ids]) -> torch.Tensor:
        return _unit(torch.stack([embeddings[list(ids)].float().sum(0) for ids in texts]).sum(0))

    rows = [total(own.positive) - (total(own.negative) if own.negative else 0.0) for own in prompts]
    return _unit(torch.stack(rows))


def uniform_rows(experts: int, hidden: int) -> Rows:
    """Rows of zeros, ``(experts, hidden)``: all experts alike."""
    return torch.zeros(experts, hidden)


def random_rows(layers: int, experts: int, hidden: int, seed: int) -> Rows:
    """Rows of chance, of length one, ``(layers, experts, hidden)``."""
    generator = torch.Generator().manual_seed(seed)
    return _unit(torch.randn(layers, experts, hidden, generator=generator))


def _unit(rows: torch.Tensor) -> torch.Tensor:
    return rows / rows.norm(dim=-1, keepdim=True).clamp(min=_LEAST)
