"""Covariance of the gradient at the output of each matrix: the second factor of K-FAC, which MaTS solves with.

Tam, Bansal and Raffel 2024, Merging by Matching Models in Task Parameter Subspaces
(https://arxiv.org/abs/2312.04339). The output embeddings have none, as in the authors' code.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from evomerge.options import Option
from evomerge.statistics._shared.statistic import Counts, Options, Shape, Site, Statistic
from evomerge.statistics._shared.sums import add_products


def _shape(site: Site, options: Options) -> Shape | None:
    if site.kind != "linear" or site.outputs is None or site.head:
        return None
    if _is_wide(site, options):
        return (site.outputs,) if site.transposed else (site.outputs, 1)
    return (site.outputs, site.outputs)


def _is_wide(site: Site, options: Options) -> bool:
    return options["limit"] is not None and (site.outputs or 0) > options["limit"]


def _add(total: torch.Tensor, seen: torch.Tensor, options: Options) -> None:
    add_products(total, seen)


def _finish(total: torch.Tensor, counts: Counts, weight: Callable[[], torch.Tensor], options: Options) -> torch.Tensor:
    return total.div_(counts.tokens)


def _note(site: Site, options: Options) -> str | None:
    if _shape(site, options) is None or not _is_wide(site, options):
        return None
    return f"its {site.outputs} outputs are more than the limit of {options['limit']}: the diagonal alone"


STATISTIC = Statistic(
    name="output_gram",
    version=1,
    summary="G'G of the gradients at the outputs of each matrix, averaged per token",
    at="output_gradient",
    shape=_shape,
    add=_add,
    finish=_finish,
    options={
        "limit": Option(None, None, int, "Widest output that has a whole matrix; wider ones have its diagonal.", low=0)
    },
    note=_note,
)
