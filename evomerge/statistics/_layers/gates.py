"""Routers of a mixture of experts from prompts: the rules of mergekit-moe.

A row is the state at an expert's prompts, less that at prompts which are not for it, of length one: so tokens go
to the experts whose prompts they are like. See docs/moe.md of https://github.com/arcee-ai/mergekit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from evomerge.statistics._layers.observed import layer_states

Ids = Sequence[int]
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


def hidden_last(states: torch.Tensor) -> torch.Tensor:
    """The input of each layer at the last token, ``(layers, hidden)``."""
    return states[:-1, -1]


def hidden_mean(states: torch.Tensor) -> torch.Tensor:
    """The mean over a text's tokens of what enters each layer, ``(layers, hidden)``."""
    return states[:-1].mean(1)


def rows_from_states(
    model: PreTrainedModel, prompts: Sequence[ExpertPrompts], of: Callable[[torch.Tensor], torch.Tensor]
) -> torch.Tensor:
    """Rows from hidden states, float32, ``(layers, experts, hidden)``.

    Args:
        model: The model that reads the prompts.
        prompts: Of each expert.
        of: :func:`hidden_last` or :func:`hidden_mean`.
    """

    def mean(texts: Sequence[Ids]) -> torch.Tensor:
        return torch.stack([of(layer_states(model, ids)) for ids in texts]).mean(0)

    rows = [mean(own.positive) - (mean(own.negative) if own.negative else 0.0) for own in prompts]
    return _unit(torch.stack(rows, 1))


def rows_from_embeddings(embeddings: torch.Tensor, prompts: Sequence[ExpertPrompts]) -> torch.Tensor:
    """Rows from the embeddings of the prompts' tokens, float32, ``(experts, hidden)``: the same for all layers.

    Args:
        embeddings: Of all tokens, ``(tokens, hidden)``.
        prompts: Of each expert.
    """

    def total(texts: Sequence[Ids]) -> torch.Tensor:
        return _unit(torch.stack([embeddings[list(ids)].float().sum(0) for ids in texts]).sum(0))

    rows = [total(own.positive) - (total(own.negative) if own.negative else 0.0) for own in prompts]
    return _unit(torch.stack(rows))


def random_rows(layers: int, experts: int, hidden: int, seed: int) -> torch.Tensor:
    """Rows of chance, of length one, ``(layers, experts, hidden)``."""
    generator = torch.Generator().manual_seed(seed)
    return _unit(torch.randn(layers, experts, hidden, generator=generator))


def _unit(rows: torch.Tensor) -> torch.Tensor:
    return rows / rows.norm(dim=-1, keepdim=True).clamp(min=_LEAST)
