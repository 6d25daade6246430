"""Ranks of a delta's elements within their rows, prepared once: 2 bytes per element and model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch

from evomerge.kernels import LEVELS, Delta, row_ranks
from evomerge.methods._shared.inputs import Options, TensorContext, TensorSources


def prepare_ranks(
    context: TensorContext, base: torch.Tensor, models: Sequence[torch.Tensor], options: Options
) -> Mapping[str, torch.Tensor]:
    """One array of ranks per model, see :func:`evomerge.kernels.row_ranks`; a vector is one row."""
    return {f"ranks.{number}": row_ranks(Delta(base, model)) for number, model in enumerate(models)}


def ranks_bytes(shape: Sequence[int], n_models: int, options: Options) -> int:
    """2 bytes per element and model."""
    return 2 * n_models * math.prod(shape)


def ranks_of(sources: TensorSources, model: int) -> tuple[torch.Tensor, int]:
    """The flat ranks of one model's delta, and the number of different ranks in a row."""
    assert sources.base is not None
    ranks = sources.operand(f"ranks.{model}")
    return ranks.view(-1), min(ranks.shape[-1] if ranks.shape else 1, LEVELS)
