"""Hidden states before each layer, as a mean over tokens, which routers of a mixture can begin from.

The mode ``hidden_avg`` of mergekit-moe, see docs/moe.md of https://github.com/arcee-ai/mergekit.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from evomerge.statistics._shared.statistic import Counts, Options, Shape, Site, Statistic


def _shape(site: Site, options: Options) -> Shape | None:
    return site.shape


def _add(total: torch.Tensor, seen: torch.Tensor, options: Options) -> None:
    total.add_(seen[:-1].mean(1))


def _finish(total: torch.Tensor, counts: Counts, weight: Callable[[], torch.Tensor], options: Options) -> torch.Tensor:
    return total.div_(counts.batches)


STATISTIC = Statistic(
    name="hidden_mean",
    version=1,
    summary="what enters each layer, the mean over a text's tokens and then over texts",
    at="states",
    shape=_shape,
    add=_add,
    finish=_finish,
)
