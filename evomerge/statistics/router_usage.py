"""How often each expert is among those that a token goes through, by which MC-SMoE weighs experts.

Li et al. 2024, Merge, then compress (https://arxiv.org/abs/2310.01334).
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from evomerge.options import Option
from evomerge.statistics._shared.statistic import Counts, Options, Shape, Site, Statistic


def _shape(site: Site, options: Options) -> Shape | None:
    return (site.outputs,) if site.router and site.outputs is not None else None


def _add(total: torch.Tensor, seen: torch.Tensor, options: Options) -> None:
    chosen = seen.argsort(dim=1, descending=True, stable=True)[:, : options["per_token"]].flatten()
    total.index_add_(0, chosen, torch.ones_like(chosen, dtype=total.dtype))


def _finish(total: torch.Tensor, counts: Counts, weight: Callable[[], torch.Tensor], options: Options) -> torch.Tensor:
    return total.div_(total.sum().clamp(min=1.0))


STATISTIC = Statistic(
    name="router_usage",
    version=1,
    summary="how often each expert is among those with the largest logits, as shares of all choices",
    at="output",
    shape=_shape,
    add=_add,
    finish=_finish,
    options={"per_token": Option(2, None, int, "Experts that a token goes through; of equal logits the first.", low=1)},
    dtype=torch.float64,  # counts stay whole
)
