"""Diagonal of the empirical Fisher matrix: mean squared gradients.

Matena and Raffel 2022, Merging Models with Fisher-Weighted Averaging (https://arxiv.org/abs/2111.09832). Squares are
taken per batch, so the size of a batch is an option; the labels are the texts' own tokens, which is what the authors'
codes run for causal language models.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from evomerge.options import Option
from evomerge.statistics._shared.statistic import BATCH, Counts, Options, Shape, Site, Statistic
from evomerge.statistics._shared.sums import add_squares


def _shape(site: Site, options: Options) -> Shape | None:
    return site.shape


def _add(total: torch.Tensor, seen: torch.Tensor, options: Options) -> None:
    add_squares(total, seen)


def _finish(total: torch.Tensor, counts: Counts, weight: Callable[[], torch.Tensor], options: Options) -> torch.Tensor:
    return total.div_(counts.batches).float()


STATISTIC = Statistic(
    name="fisher",
    version=1,
    summary="mean squared gradient of the loss of each element: the diagonal of the empirical Fisher matrix",
    at="weight_gradient",
    shape=_shape,
    add=_add,
    finish=_finish,
    options={
        "batch": BATCH,
        "labels": Option("empirical", ("empirical",), str, "Labels of the loss: the texts' own next tokens."),
    },
    dtype=torch.float64,  # squares of small gradients far below a large sum would be lost
)
