"""SNIP scores, by which LED-Merging locates the weights that a task needs.

Ma et al. 2025, LED-Merging (https://arxiv.org/abs/2502.16770); Lee, Ajanthan and Torr 2019, SNIP
(https://arxiv.org/abs/1810.02340). The sum over batches, not their mean: only ranks matter.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from evomerge.statistics._shared.statistic import BATCH, Counts, Options, Shape, Site, Statistic
from evomerge.statistics._shared.sums import add_magnitudes, blocks


def _shape(site: Site, options: Options) -> Shape | None:
    return site.shape


def _add(total: torch.Tensor, seen: torch.Tensor, options: Options) -> None:
    add_magnitudes(total, seen)


def _finish(total: torch.Tensor, counts: Counts, weight: Callable[[], torch.Tensor], options: Options) -> torch.Tensor:
    for sums, own in blocks(total, weight()):
        sums.mul_(own.to(total.dtype).abs())
    return total


STATISTIC = Statistic(
    name="snip",
    version=1,
    summary="magnitude of each element times the sum over batches of the magnitude of its gradient",
    at="weight_gradient",
    shape=_shape,
    add=_add,
    finish=_finish,
    options={"batch": BATCH},
)
