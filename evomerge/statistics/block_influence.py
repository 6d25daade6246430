"""Block influence of each layer: how far it turns the hidden states.

One minus the mean cosine of what enters a layer and what leaves it (Men et al. 2024, ShortGPT,
https://arxiv.org/abs/2403.03853): 0 where a layer only scales what it gets, at most 2.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from evomerge.statistics._shared.statistic import Counts, Options, Shape, Site, Statistic


def _shape(site: Site, options: Options) -> Shape | None:
    return site.shape[:1]


def _add(total: torch.Tensor, seen: torch.Tensor, options: Options) -> None:
    before, after = seen[:-1].to(total.dtype), seen[1:].to(total.dtype)
    total.add_(torch.nn.functional.cosine_similarity(before, after, dim=-1).sum(1))


def _finish(total: torch.Tensor, counts: Counts, weight: Callable[[], torch.Tensor], options: Options) -> torch.Tensor:
    return 1.0 - total.div_(counts.tokens)


STATISTIC = Statistic(
    name="block_influence",
    version=1,
    summary="one minus the mean cosine of what enters each layer and what leaves it",
    at="states",
    shape=_shape,
    add=_add,
    finish=_finish,
    dtype=torch.float64,  # a layer that does little has a cosine very near to one
)
