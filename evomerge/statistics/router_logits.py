"""Products of what the router of a layer says of two experts, by which MC-SMoE tells which experts are alike.

Li et al. 2024, Merge, then compress (https://arxiv.org/abs/2310.01334). Their likeness is a cosine over all tokens, of
which these sums are all that is needed.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from evomerge.statistics._shared.statistic import Counts, Options, Shape, Site, Statistic


def _shape(site: Site, options: Options) -> Shape | None:
    return (site.outputs, site.outputs) if site.router and site.outputs is not None else None


def _add(total: torch.Tensor, seen: torch.Tensor, options: Options) -> None:
    rows = seen.to(total.dtype)
    total.addmm_(rows.T, rows)


def _finish(total: torch.Tensor, counts: Counts, weight: Callable[[], torch.Tensor], options: Options) -> torch.Tensor:
    return total.div_(counts.tokens)


STATISTIC = Statistic(
    name="router_logits",
    version=1,
    summary="products of what each router says of two experts, averaged per token",
    at="output",
    shape=_shape,
    add=_add,
    finish=_finish,
    dtype=torch.float64,
)
